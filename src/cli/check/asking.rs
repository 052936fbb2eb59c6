//! Asks the server of a host over its Unix socket, and believes it nothing: a job may run on a host of strangers.
//!
//! The snapshot goes out without fingerprints. What comes back is bounded in size and time before it is read. No name is resolved, and no
//! proxy variable has a say.

use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST, RETRY_AFTER};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep, timeout_at};

use crate::check::Run;
use crate::report::{json, text};
use crate::snapshot::Snapshot;

/// The longest snapshot that is sent, in bytes; a server takes no longer one.
const SENT: usize = 2 << 20;
/// The longest answer that is read, in bytes.
const READ: usize = 64 << 20;
/// The longest headers that are read, in bytes.
const HEADERS: usize = 64 << 10;
/// How often a server that has no time is asked again.
const TIMES: usize = 5;
/// The most that is said of what a server refused with.
const SENTENCE: usize = 400;

/// Why a host's server gave no findings.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    /// Nobody listens there.
    #[error("it can't be reached: {0}")]
    Unreachable(std::io::Error),
    /// The own snapshot is longer than any server takes.
    #[error("the snapshot of this job is longer than {SENT} bytes")]
    TooMuch,
    /// It did not answer in time.
    #[error("it did not answer in time")]
    TooSlow,
    /// It speaks no HTTP, or broke off.
    #[error("its answer broke off or is no HTTP: {0}")]
    Broken(hyper::Error),
    /// It answered something else than findings.
    #[error("it refused with status {status}: {sentence}")]
    Refused { status: u16, sentence: String },
    /// The answer is longer than what is read.
    #[error("its answer is longer than {READ} bytes")]
    TooLong,
    /// The findings could not be read.
    #[error("its answer can't be read: {0}")]
    Unreadable(json::ReadError),
}

/// What one attempt came to.
enum Attempt {
    Findings(Vec<u8>),
    /// It has no time now.
    Later(Duration, AskError),
}

/// Gives the snapshot and gets the findings.
pub(super) async fn ask(socket: &Path, snapshot: Snapshot, until: Instant) -> Result<Run, AskError> {
    let body = snapshot.without_fingerprints().to_json().to_string();
    if body.len() > SENT {
        return Err(AskError::TooMuch);
    }
    let body = Bytes::from(body);
    for _ in 1..TIMES {
        match timeout_at(until, attempt(socket, body.clone())).await.map_err(|_| AskError::TooSlow)?? {
            Attempt::Findings(answer) => return json::read(&answer).map_err(AskError::Unreadable),
            // Waiting is worth it only where there is time for the answer too.
            Attempt::Later(after, _) if Instant::now().checked_add(after).is_some_and(|then| then < until) => {
                sleep(after).await;
            }
            Attempt::Later(_, refused) => return Err(refused),
        }
    }
    match timeout_at(until, attempt(socket, body)).await.map_err(|_| AskError::TooSlow)?? {
        Attempt::Findings(answer) => json::read(&answer).map_err(AskError::Unreadable),
        Attempt::Later(_, refused) => Err(refused),
    }
}

async fn attempt(socket: &Path, body: Bytes) -> Result<Attempt, AskError> {
    let stream = connect(socket).await?;
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(HEADERS)
        .handshake::<_, Full<Bytes>>(TokioIo::new(stream))
        .await
        .map_err(AskError::Broken)?;
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = hyper::Method::POST;
    *request.uri_mut() = hyper::Uri::from_static("/v1/check?format=json");
    request.headers_mut().insert(HOST, hyper::header::HeaderValue::from_static("localhost"));
    request.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static("application/json"));
    let exchange = async {
        let response = sender.send_request(request).await.map_err(AskError::Broken)?;
        taken(response).await
    };
    tokio::pin!(connection, exchange);
    // A server may refuse before it has read all, and close: what it said by then is what it said.
    tokio::select! {
        biased;
        done = &mut exchange => done,
        _ = &mut connection => exchange.await,
    }
}

/// Connects. A full queue (`EAGAIN`, `connect(2)`) means that others are ahead.
async fn connect(socket: &Path) -> Result<UnixStream, AskError> {
    loop {
        match UnixStream::connect(socket).await {
            Ok(stream) => return Ok(stream),
            Err(error) if error.kind() == ErrorKind::WouldBlock => sleep(Duration::from_millis(50)).await,
            Err(error) => return Err(AskError::Unreachable(error)),
        }
    }
}

async fn taken(response: Response<Incoming>) -> Result<Attempt, AskError> {
    let status = response.status();
    let after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    if status == StatusCode::OK {
        return Ok(Attempt::Findings(body(response.into_body(), READ).await?));
    }
    // Whatever it says, no more than a sentence of it is shown.
    let said = body(response.into_body(), HEADERS).await.unwrap_or_default();
    let sentence = text::short(&String::from_utf8_lossy(&said), SENTENCE).to_string();
    let refused = AskError::Refused { status: status.as_u16(), sentence };
    match after {
        Some(after) if matches!(status.as_u16(), 429 | 503) => Ok(Attempt::Later(Duration::from_secs(after), refused)),
        _ => Err(refused),
    }
}

async fn body(mut incoming: Incoming, most: usize) -> Result<Vec<u8>, AskError> {
    let mut bytes = Vec::new();
    while let Some(frame) = incoming.frame().await {
        let Ok(data) = frame.map_err(AskError::Broken)?.into_data() else { continue };
        if bytes.len() + data.len() > most {
            return Err(AskError::TooLong);
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}
