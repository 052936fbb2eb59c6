//! `parallax serve`: gives this host's verdicts to its jobs over a Unix socket, until it is told to end.
//!
//! Opens the socket, lays a copy of this executable beside it, and joins the server with whoever makes the answers. What is said here goes to
//! stderr, for the journal. Nothing of a project is read: only the host's configuration counts.

mod executable;
mod socket;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sd_notify::NotifyState;
use tokio::signal::unix::{SignalKind, signal};

use super::answer::Answers;
use super::arguments::{Global, SOCKET, Serve};
use super::configuration::{self, Configuration};
use super::exit::{Exit, Failure};
use super::{diagnose, output};
use crate::serve::{Knowing, Limits};
use crate::sys::descriptors;
use socket::Listening;

/// Descriptors that one connection takes: its socket, and of its caller the pidfd and the directory in procfs.
const PER_CONNECTION: usize = 3;
/// Descriptors that are kept for looking from contexts.
const RESERVED: usize = 256;

/// Serves until SIGTERM or SIGINT.
pub(super) fn run(arguments: &Serve, global: &Global) -> Result<Exit, Failure> {
    let configuration = configuration::load_hosts(global.config.as_deref()).map_err(|error| diagnose::usage(&error))?;
    output::say(&configuration.note);
    let limits = limits(arguments, &configuration);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(|error| Failure::Broken(format!("the runtime can't start: {error}")))?;
    let served = runtime.block_on(async {
        // Before there is anything to tidy up.
        let stop = stop()?;
        let listening = Listening::open(&socket(arguments, &configuration))?;
        let served = serve(arguments, &listening, limits, configuration, stop).await;
        listening.close();
        served
    });
    runtime.shutdown_background();
    served.map(|()| Exit::Coherent)
}

/// Ends with SIGTERM or SIGINT, from now on.
fn stop() -> Result<impl Future<Output = ()>, Failure> {
    let listen = |kind| signal(kind).map_err(|error| Failure::Broken(format!("no signal can be waited for: {error}")));
    let (mut terminated, mut interrupted) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminated.recv() => {}
            _ = interrupted.recv() => {}
        }
        let _ = sd_notify::notify(&[NotifyState::Stopping]);
    })
}

async fn serve(
    arguments: &Serve,
    listening: &Listening,
    limits: Limits,
    configuration: Configuration,
    stop: impl Future<Output = ()>,
) -> Result<(), Failure> {
    if !arguments.no_binary {
        match executable::place(listening.directory()) {
            Ok(note) => note.iter().for_each(|note| output::say(note)),
            // Whoever has curl is served nevertheless.
            Err(error) => output::say(&format!("no copy of parallax lies beside the socket: {error}")),
        }
    }
    without_root();
    let broken = |error: &dyn std::fmt::Display| Failure::Broken(error.to_string());
    let listener = listening.listener().map_err(|error| broken(&error))?;
    let answers = Arc::new(Answers::new(configuration)?);
    output::say(&format!("serving on {}", listening.path().display()));
    // Fails only where a service manager named a socket and does not listen on it; it will notice.
    let _ = sd_notify::notify(&[NotifyState::Ready]);
    crate::serve::serve(listener, limits, answers, stop).await.map_err(|error| broken(&error))
}

fn socket(arguments: &Serve, configuration: &Configuration) -> PathBuf {
    let named = arguments.socket.as_ref().or(configuration.serve.socket.as_ref());
    named.cloned().unwrap_or_else(|| Path::new(SOCKET).to_owned())
}

/// The bounds, lowered to what the limit of open files allows.
fn limits(arguments: &Serve, configuration: &Configuration) -> Limits {
    let mut limits = configuration.serve.limits;
    if arguments.without_peer_pidfd {
        limits.knowing = Knowing::Proof;
    }
    let possible = (descriptors::raise_limit().saturating_sub(RESERVED) / PER_CONNECTION).max(1);
    if limits.connections > possible {
        output::say(&format!("at most {possible} connections at once, for want of open files (RLIMIT_NOFILE)"));
        limits.connections = possible;
    }
    limits
}

/// Says what can't be done without root.
fn without_root() {
    let uid = rustix::process::geteuid().as_raw();
    if uid != 0 {
        output::say(&format!(
            "serving as uid {uid}, not as root: a caller of another user can't be looked from, and root's and other users' \
             views of this host are missing; what can't be seen is unknown, never coherent"
        ));
    }
}
