//! Connections to the addresses of one endpoint, each family told apart, with one retry where nobody answered.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use crate::snapshot::Fact;

/// How long one attempt may take.
const ATTEMPT: Duration = Duration::from_millis(1500);
/// The most addresses of one name that are tried.
const MAX_TRIED: usize = 8;

/// What the attempts came to.
#[derive(Debug, Default)]
pub struct Attempts {
    /// The first connection that came about.
    pub stream: Option<(TcpStream, IpAddr)>,
    /// By family: the word of the best outcome.
    pub v4: Option<Outcome>,
    pub v6: Option<Outcome>,
    /// `ADDRESS: ERRNO`, in the order of the attempts.
    pub failures: Vec<String>,
}

/// What became of a connection; the better, the greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// Another error of `connect(2)`.
    Failed,
    /// No answer within the time, twice.
    Silent,
    /// `ENETUNREACH`, `EHOSTUNREACH`.
    Unreachable,
    /// `ECONNREFUSED`: somebody is there, and nobody listens.
    Refused,
    Connected,
}

impl Outcome {
    /// The word in the facts.
    pub fn word(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Silent => "silent",
            Self::Unreachable => "unreachable",
            Self::Refused => "refused",
            Self::Connected => "connected",
        }
    }
}

impl Attempts {
    /// One family's fact; absent without an address of it.
    pub fn family(outcome: Option<Outcome>) -> Fact<String> {
        outcome.map(|outcome| outcome.word().to_owned()).into()
    }
}

/// Tries each address; both families are tried even when the first connects, because which one answers is what clients differ in.
pub async fn connect(addresses: &[IpAddr], port: u16, deadline: Instant) -> Attempts {
    let mut attempts = Attempts::default();
    for address in addresses.iter().take(MAX_TRIED) {
        let known = if address.is_ipv4() { attempts.v4 } else { attempts.v6 };
        if known == Some(Outcome::Connected) {
            continue;
        }
        let (outcome, stream) = with_retry(SocketAddr::new(*address, port), deadline, &mut attempts.failures).await;
        if let (Some(stream), None) = (stream, &attempts.stream) {
            attempts.stream = Some((stream, *address));
        }
        let family = if address.is_ipv4() { &mut attempts.v4 } else { &mut attempts.v6 };
        *family = (*family).max(Some(outcome));
    }
    attempts
}

async fn with_retry(
    address: SocketAddr,
    deadline: Instant,
    failures: &mut Vec<String>,
) -> (Outcome, Option<TcpStream>) {
    let mut outcome = Outcome::Silent;
    // A single packet that was lost must not become a finding.
    for _ in 0..2 {
        let until = (Instant::now() + ATTEMPT).min(deadline);
        outcome = match timeout_at(until, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return (Outcome::Connected, Some(stream)),
            Ok(Err(error)) => {
                let errno = rustix::io::Errno::from_io_error(&error);
                let name = errno.map_or_else(|| error.kind().to_string(), crate::sys::root::errno_name);
                failures.push(format!("{}: {name}", address.ip()));
                of_error(errno)
            }
            Err(_) => {
                failures.push(format!("{}: no answer within {} ms", address.ip(), ATTEMPT.as_millis()));
                Outcome::Silent
            }
        };
        if outcome == Outcome::Refused || outcome == Outcome::Unreachable {
            break;
        }
    }
    (outcome, None)
}

fn of_error(errno: Option<rustix::io::Errno>) -> Outcome {
    use rustix::io::Errno;
    match errno {
        Some(Errno::CONNREFUSED) => Outcome::Refused,
        Some(Errno::NETUNREACH | Errno::HOSTUNREACH | Errno::NETDOWN | Errno::ADDRNOTAVAIL) => Outcome::Unreachable,
        Some(Errno::TIMEDOUT) => Outcome::Silent,
        _ => Outcome::Failed,
    }
}
