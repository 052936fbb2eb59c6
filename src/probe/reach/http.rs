//! One bounded HTTP request without credentials, cookies or redirects, on a connection that stands already.

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::header::{CONNECTION, HOST, USER_AGENT};
use hyper::{HeaderMap, Request};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

/// The most bytes of an answer's body; what is longer is read up to there and cut.
const BODY: usize = 64 * 1024;

/// What was answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    /// Up to [`BODY`] bytes; empty where reading it failed.
    pub body: Vec<u8>,
}

/// Why there is no answer, in words.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    #[error("the question could not be written: {0}")]
    Question(#[from] hyper::http::Error),
    #[error("no HTTP: {0}")]
    Answer(#[from] hyper::Error),
}

/// Asks. `target` is the path, or the whole URL for a proxy; `host` the value of the header.
pub async fn get<S>(stream: S, target: &str, host: &str) -> Result<Answer, HttpError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) =
        hyper::client::conn::http1::Builder::new().max_buf_size(BODY).handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection);
    let request = Request::get(target)
        .header(HOST, host)
        .header(USER_AGENT, concat!("parallax/", env!("CARGO_PKG_VERSION")))
        .header(CONNECTION, "close")
        .body(Empty::<Bytes>::new())?;
    let answer = sender.send_request(request).await?;
    let (parts, body) = answer.into_parts();
    let body = Limited::new(body, BODY).collect().await.map(|body| body.to_bytes().to_vec()).unwrap_or_default();
    driver.abort();
    Ok(Answer { status: parts.status.as_u16(), headers: parts.headers, body })
}
