//! One bounded HTTP request without credentials, cookies or redirects, on a connection that stands already.

use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONNECTION, HOST, USER_AGENT};
use hyper::{HeaderMap, Request};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout_at};

/// The most bytes of an answer's body; what is longer is read up to there and cut.
const BODY: usize = 64 * 1024;

/// The most bytes of an answer's head.
pub const HEAD: usize = 64 * 1024;
/// The most time for it: what drips is cut too.
const BODY_LIMIT: Duration = Duration::from_millis(1000);

/// What was answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    /// Up to [`BODY`] bytes; what came before reading it failed.
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

impl HttpError {
    /// Whether asking once more may be answered: the connection ended before an answer was there.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Answer(error) if !error.is_parse() && !error.is_user())
    }

    /// Whether what came was the beginning of an answer that is larger than what is read.
    pub fn is_too_large(&self) -> bool {
        matches!(self, Self::Answer(error) if error.is_parse_too_large())
    }
}

/// Asks. `target` is the path, or the whole URL for a proxy; `host` the value of the header.
pub async fn get<S>(stream: S, target: &str, host: &str) -> Result<Answer, HttpError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let request = Request::get(target)
        .header(HOST, host)
        .header(USER_AGENT, concat!("parallax/", env!("CARGO_PKG_VERSION")))
        .header(CONNECTION, "close")
        .body(Empty::<Bytes>::new())?;
    send(stream, request).await
}

/// Sends one request as it is, and reads one bounded answer.
pub async fn send<S>(stream: S, request: Request<Empty<Bytes>>) -> Result<Answer, HttpError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) =
        hyper::client::conn::http1::Builder::new().max_buf_size(HEAD).handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection);
    let answer = sender.send_request(request).await?;
    let (parts, body) = answer.into_parts();
    let body = beginning(body).await;
    driver.abort();
    Ok(Answer { status: parts.status.as_u16(), headers: parts.headers, body })
}

/// The first [`BODY`] bytes, or what came before reading failed.
async fn beginning(mut body: Incoming) -> Vec<u8> {
    let mut read = Vec::new();
    let enough = Instant::now() + BODY_LIMIT;
    while let Ok(Some(Ok(frame))) = timeout_at(enough, body.frame()).await {
        let data = frame.data_ref().map(AsRef::as_ref).unwrap_or_default();
        read.extend_from_slice(data.get(..BODY - read.len()).unwrap_or(data));
        if read.len() == BODY {
            break;
        }
    }
    read
}
