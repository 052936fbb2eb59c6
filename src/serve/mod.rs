//! A server on a Unix socket that knows which process calls, and is bounded in everything that a caller can ask of it.
//!
//! Knows nothing of snapshots, checks or reports: what is answered is the business of an [`Answering`]. Routes, bounds and refusals are
//! here. Must not believe a caller anything that the kernel does not say of it.

mod caller;
mod class;
mod connections;
mod exchange;
mod limits;
mod turns;

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use connections::Connections;
use exchange::{Peer, Shared};
use turns::Turns;

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
    /// The query, decoded, in its order, without `fail`, which is the server's.
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

/// How many headers a request may have.
const HEADERS: usize = 64;
/// How long answers that are being made are waited for at the end.
const LAST_ANSWERS: Duration = Duration::from_secs(10);

/// Serves until `stop`; then, for a while, finishes the answers that are being made.
pub async fn serve(
    listener: UnixListener,
    limits: Limits,
    answering: Arc<impl Answering>,
    stop: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let connections = Connections::new(limits.connections, limits.connections_per_class, limits.memory);
    let shared = Arc::new(Shared { limits, answering, turns: Turns::new(&limits) });
    let mut running = JoinSet::new();
    tokio::pin!(stop);
    loop {
        tokio::select! {
            biased;
            () = &mut stop => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => admit(&shared, &connections, stream, &mut running),
                Err(error) if is_passing(&error) => {}
                Err(error) if is_shortage(&error) => {
                    connections.drop_one();
                    sleep(Duration::from_millis(10)).await;
                }
                Err(error) => return Err(error.into()),
            },
            Some(_) = running.join_next(), if !running.is_empty() => {}
        }
    }
    drop(listener);
    connections.drop_asking();
    let _ = timeout(LAST_ANSWERS, async { while running.join_next().await.is_some() {} }).await;
    Ok(())
}

/// The client left before it was accepted, or a signal came.
fn is_passing(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::Interrupted | ErrorKind::WouldBlock)
}

/// Out of descriptors or memory (`accept(2)`).
fn is_shortage(error: &std::io::Error) -> bool {
    use rustix::io::Errno;
    let errno = Errno::from_io_error(error);
    errno.is_some_and(|errno| matches!(errno, Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM))
}

/// Gives a new connection its place and its task; without a place it is closed.
fn admit<A: Answering>(
    shared: &Arc<Shared<A>>,
    connections: &Arc<Connections>,
    stream: UnixStream,
    running: &mut JoinSet<()>,
) {
    let caller = Caller::of(&stream, shared.limits.knowing);
    let class = class::of(&caller);
    let until = Instant::now() + shared.limits.request_time;
    // A moment longer, so that whoever is too slow can be told so.
    let Some((place, moved, gone)) = connections.enter(class.clone(), until + Duration::from_secs(1)) else { return };
    let peer = Peer { caller: caller.map(Arc::new), class, place, until };
    running.spawn(converse(Arc::clone(shared), peer, stream, moved, gone));
}

/// One request and its answer, until they are over, the time of the present stage is, or the place is taken away.
async fn converse<A: Answering>(
    shared: Arc<Shared<A>>,
    peer: Peer,
    stream: UnixStream,
    mut moved: watch::Receiver<Instant>,
    mut gone: oneshot::Receiver<()>,
) {
    let (shared, peer) = (&shared, &peer);
    let service = service_fn(|request| async move {
        Ok::<_, std::convert::Infallible>(exchange::respond(shared, peer, request).await)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .keep_alive(false)
        .max_headers(HEADERS)
        .max_buf_size(shared.limits.header_bytes.max(8192))
        .header_read_timeout(shared.limits.request_time)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    loop {
        let until = *moved.borrow_and_update();
        tokio::select! {
            // What goes wrong in a connection is the caller's affair.
            _ = &mut connection => return,
            _ = &mut gone => return,
            () = sleep_until(until) => return,
            Ok(()) = moved.changed() => {}
        }
    }
}

#[cfg(test)]
mod tests;
