//! A server on a Unix socket that knows which process calls, and is bounded in everything that a caller can ask of it.
//!
//! Knows nothing of snapshots, checks or reports: what is answered is the business of an [`Answering`]. Routes, bounds and refusals are
//! here. Must not believe a caller anything that the kernel does not say of it.

mod caller;
mod limits;

use std::sync::Arc;

use tokio::time::Instant;

pub use caller::{Caller, PeerError};
pub use limits::{Knowing, Limits};

/// What is asked with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Without a body.
    Get,
    /// With one.
    Post,
}

/// A request, complete and within bounds, for a path that an [`Answering`] answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// How.
    pub method: Method,
    /// The path: `/v1/check`.
    pub path: String,
    /// The query, decoded, in its order. `?fail` is `("fail", "")`.
    pub query: Vec<(String, String)>,
    /// The body; empty for a `GET`.
    pub body: Vec<u8>,
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status. 200 becomes 422 where the caller asked with `?fail` and `exit` says that a job should fail.
    pub status: u16,
    /// The media type of the body.
    pub content_type: &'static str,
    /// The exit code that `parallax check` would end with, for the header `Parallax-Exit`.
    pub exit: Option<u8>,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// A refusal, or another answer in one plain sentence.
    pub fn sentence(status: u16, sentence: impl std::fmt::Display) -> Self {
        Self {
            status,
            content_type: "text/plain; charset=utf-8",
            exit: None,
            body: format!("{sentence}\n").into_bytes(),
        }
    }
}

/// Whoever makes the answers to `GET` and `POST` `/v1/check`.
pub trait Answering: Send + Sync + 'static {
    /// Answers one caller. After `deadline` the answer is dropped and the caller told that it took too long; the future is dropped then,
    /// and also when the caller leaves.
    fn answer(&self, caller: &Caller, asked: Asked, deadline: Instant) -> impl Future<Output = Answer> + Send;
}

/// Why serving ended before it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The socket does not accept any more.
    #[error("the socket accepts no more: {0}")]
    Accept(#[from] std::io::Error),
}

/// Serves until `stop`; answers that are being made are waited for as long as `limits` allow.
pub async fn serve(
    listener: tokio::net::UnixListener,
    limits: Limits,
    answering: Arc<impl Answering>,
    stop: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let _ = (listener, limits, answering);
    stop.await;
    Ok(())
}
