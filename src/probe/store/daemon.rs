//! Who answers at the daemon's socket: the opening of the worker protocol, and nothing after it.
//!
//! Each conversation costs the daemon a fork. Whoever listens may be hostile: one deadline for the whole of it, and bounded strings.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use crate::formats::nix_worker::{self, Greeting, GreetingError, Trust};
use crate::probe::store::{database, incomplete};
use crate::probe::{Target, reason};
use crate::snapshot::facts::Daemon;
use crate::snapshot::{Fact, ObjectId, Reason};
use crate::sys::LookError;

/// For the whole conversation.
const PATIENCE: Duration = Duration::from_secs(2);

/// Greets the daemon.
pub(super) fn observe(target: &Target<'_>, path: &str) -> Daemon {
    if let Some(by) = &target.wishes.skip_handshake {
        // That there is no socket is known without asking, and nobody asks later where there is none.
        return match target.root.look(path) {
            Err(LookError::NotFound { .. }) => failed("ENOENT".to_owned(), Fact::Absent),
            _ => unobserved(&Reason::Disabled { by: by.clone() }),
        };
    }
    if let Some(reason) = incomplete(target) {
        return unobserved(&reason);
    }
    let stream = match target.root.connect(path) {
        Ok(stream) => stream,
        Err(LookError::NotFound { .. }) => return failed("ENOENT".to_owned(), Fact::Absent),
        Err(LookError::Refused { errno, .. }) => return failed(errno, Fact::Absent),
        Err(LookError::NotRegular { found, .. }) => return failed(format!("a {found}, not a socket"), Fact::Absent),
        Err(error @ LookError::TooLong { .. }) => return unobserved(&reason(error)),
    };
    let server = server(target, &stream);
    match converse(Timed { stream, until: Instant::now() + PATIENCE }) {
        Ok(greeting) => answered(greeting, server),
        Err(GreetingError::Stream(error)) if matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::WouldBlock) => {
            let after_ms = u64::try_from(PATIENCE.as_millis()).unwrap_or(u64::MAX);
            Daemon { server, ..unobserved(&Reason::TimedOut { after_ms, waiting_for: path.to_owned() }) }
        }
        // What a daemon does with a user that it does not admit.
        Err(GreetingError::Stream(_)) => failed("the connection was closed".to_owned(), server),
        Err(error) => failed(error.to_string(), server),
    }
}

fn converse(mut stream: Timed) -> Result<Greeting, GreetingError> {
    stream.write_all(&nix_worker::hello())?;
    let protocol = nix_worker::read_protocol(&mut stream)?;
    stream.write_all(&nix_worker::answer(protocol))?;
    nix_worker::read_greeting(&mut stream, protocol)
}

fn answered(greeting: Greeting, server: Fact<ObjectId>) -> Daemon {
    let trust = greeting.trust.map(|trust| match trust {
        Trust::Unknown => "unknown".to_owned(),
        Trust::Trusted => "trusted".to_owned(),
        Trust::Untrusted => "untrusted".to_owned(),
    });
    Daemon {
        answers: Fact::Present(true),
        failure: Fact::Absent,
        version: greeting.version.into(),
        protocol: Fact::Present(format!("{}.{}", greeting.protocol.major, greeting.protocol.minor)),
        trust: trust.into(),
        server,
    }
}

fn failed(failure: String, server: Fact<ObjectId>) -> Daemon {
    Daemon {
        answers: Fact::Present(false),
        failure: Fact::Present(failure),
        version: Fact::Absent,
        protocol: Fact::Absent,
        trust: Fact::Absent,
        server,
    }
}

pub(super) fn unobserved(reason: &Reason) -> Daemon {
    let unobserved = || Fact::Unobserved(reason.clone());
    Daemon {
        answers: Fact::Unobserved(reason.clone()),
        failure: unobserved(),
        version: unobserved(),
        protocol: unobserved(),
        trust: unobserved(),
        server: Fact::Unobserved(reason.clone()),
    }
}

/// The process that listens (`unix(7)`, `SO_PEERCRED`); behind a socket unit that is the service manager.
pub(in crate::probe) fn server(target: &Target<'_>, stream: &UnixStream) -> Fact<ObjectId> {
    match nix::sys::socket::getsockopt(stream, nix::sys::socket::sockopt::PeerCredentials) {
        Ok(peer) => match u32::try_from(peer.pid()) {
            Ok(pid) if pid > 0 => database::process(target, pid),
            // A number of a pid namespace that this one is beneath or beside is given as 0 (`pid_namespaces(7)`).
            _ => Fact::Unobserved(Reason::Unreadable {
                path: "SO_PEERCRED".to_owned(),
                errno: "pid 0: the server is in a pid namespace that is not seen from here".to_owned(),
            }),
        },
        Err(errno) => Fact::Unobserved(Reason::Unreadable {
            path: "SO_PEERCRED".to_owned(),
            errno: format!("errno {}", errno as i32),
        }),
    }
}

/// A stream of which every read and write shares one deadline, so that a server which sends a byte now and then gains nothing.
struct Timed {
    stream: UnixStream,
    until: Instant,
}

impl Timed {
    fn left(&self) -> std::io::Result<Option<Duration>> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(ErrorKind::TimedOut.into()) } else { Ok(Some(left)) }
    }
}

impl Read for Timed {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        self.stream.set_read_timeout(self.left()?)?;
        self.stream.read(into)
    }
}

impl Write for Timed {
    fn write(&mut self, from: &[u8]) -> std::io::Result<usize> {
        self.stream.set_write_timeout(self.left()?)?;
        self.stream.write(from)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.stream.flush()
    }
}
