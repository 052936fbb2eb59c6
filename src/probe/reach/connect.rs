//! Connections to the addresses of one endpoint, each family told apart, with one retry where nobody answered.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use crate::snapshot::Fact;

/// How long one attempt may take: long enough for one packet to be lost and sent again, which the kernel does after a second (`tcp(7)`).
const ATTEMPT: Duration = Duration::from_millis(1200);
/// The most addresses of one family that are tried.
const MAX_TRIED: usize = 4;

/// What the attempts came to.
#[derive(Debug)]
pub struct Attempts {
    /// The first connection that came about.
    pub stream: Option<(TcpStream, IpAddr)>,
    /// By family: the word of the best outcome.
    pub v4: Option<Outcome>,
    pub v6: Option<Outcome>,
    /// `ADDRESS: ERRNO`, those of IPv4 first, in the order of the attempts.
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

/// Tries both families at once, even when one connects: which one answers is what clients differ in. Within a family the first address is tried
/// alone and, where it does not answer, the others together, so that a name of many black holes takes no longer than one of two.
pub async fn connect(addresses: &[IpAddr], port: u16, deadline: Instant) -> Attempts {
    let of = |v4: bool| addresses.iter().copied().filter(move |address| address.is_ipv4() == v4).take(MAX_TRIED);
    let (v4, v6) =
        tokio::join!(family(of(true).collect(), port, deadline), family(of(false).collect(), port, deadline));
    let mut failures = v4.failures;
    failures.extend(v6.failures);
    Attempts { stream: v4.stream.or(v6.stream), v4: v4.outcome, v6: v6.outcome, failures }
}

/// The first connection that comes about, of whichever family: who only wants an answer does not wait for a family that is silent.
pub async fn connect_to_any(addresses: &[IpAddr], port: u16, deadline: Instant) -> Option<TcpStream> {
    let of = |v4: bool| addresses.iter().copied().filter(move |address| address.is_ipv4() == v4).take(MAX_TRIED);
    let mut v4 = std::pin::pin!(family(of(true).collect(), port, deadline));
    let mut v6 = std::pin::pin!(family(of(false).collect(), port, deadline));
    let (first, is_v4) = tokio::select! {
        found = &mut v4 => (found, true),
        found = &mut v6 => (found, false),
    };
    let stream = match first.stream {
        None if is_v4 => v6.await.stream,
        None => v4.await.stream,
        found => found,
    };
    stream.map(|(stream, _)| stream)
}

/// What the addresses of one family came to.
#[derive(Default)]
struct Family {
    stream: Option<(TcpStream, IpAddr)>,
    outcome: Option<Outcome>,
    failures: Vec<String>,
}

impl Family {
    fn add(&mut self, address: IpAddr, tried: Tried) {
        self.outcome = self.outcome.max(Some(tried.outcome));
        self.failures.extend(tried.failures);
        if let (Some(stream), None) = (tried.stream, &self.stream) {
            self.stream = Some((stream, address));
        }
    }
}

async fn family(addresses: Vec<IpAddr>, port: u16, deadline: Instant) -> Family {
    let mut family = Family::default();
    let Some((first, others)) = addresses.split_first() else { return family };
    family.add(*first, with_retry(SocketAddr::new(*first, port), deadline).await);
    if family.stream.is_some() {
        return family;
    }
    let mut running = JoinSet::new();
    for (index, address) in others.iter().copied().enumerate() {
        running.spawn(async move { (index, with_retry(SocketAddr::new(address, port), deadline).await) });
    }
    let mut tried: Vec<(usize, Tried)> = running.join_all().await;
    tried.sort_by_key(|(index, _)| *index);
    for ((_, tried), address) in tried.into_iter().zip(others) {
        family.add(*address, tried);
    }
    family
}

/// What one address came to.
struct Tried {
    outcome: Outcome,
    stream: Option<TcpStream>,
    failures: Vec<String>,
}

/// A single packet that was lost must not become a finding: where nobody answers, it is tried once more.
async fn with_retry(address: SocketAddr, deadline: Instant) -> Tried {
    let mut tried = Tried { outcome: Outcome::Silent, stream: None, failures: Vec::new() };
    for _ in 0..2 {
        let begun = Instant::now();
        tried.outcome = match timeout_at((begun + ATTEMPT).min(deadline), TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                tried.stream = Some(stream);
                Outcome::Connected
            }
            Ok(Err(error)) => {
                let errno = rustix::io::Errno::from_io_error(&error);
                let name = errno.map_or_else(|| error.kind().to_string(), crate::sys::root::errno_name);
                tried.failures.push(format!("{}: {name}", address.ip()));
                of_error(errno)
            }
            Err(_) => {
                tried.failures.push(format!("{}: no answer within {} ms", address.ip(), begun.elapsed().as_millis()));
                Outcome::Silent
            }
        };
        if tried.outcome > Outcome::Silent || Instant::now() >= deadline {
            break;
        }
    }
    tried
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

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, TcpListener, TcpStream};
    use std::time::Duration;

    use tokio::time::Instant;

    use super::{Outcome, connect, connect_to_any};

    #[tokio::test]
    async fn who_wants_an_answer_waits_for_no_family_that_is_silent() {
        let open = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = open.local_addr().expect("an address").port();
        let full = TcpListener::bind(("::1", port)).expect("the same port");
        // Who listens, takes no connection and has a full queue is silent (`listen(2)`).
        rustix::net::listen(&full, 0).expect("a queue of one");
        let _waiting = TcpStream::connect(("::1", port)).expect("the one in the queue");
        let both: Vec<IpAddr> = ["127.0.0.1", "::1"].map(|text| text.parse().expect("an address")).into();
        let begun = Instant::now();
        let limit = Duration::from_secs(1);
        let attempts = connect(&both, port, begun + limit).await;
        assert_eq!((attempts.v4, attempts.v6), (Some(Outcome::Connected), Some(Outcome::Silent)));
        assert!(begun.elapsed() >= limit, "what each family says takes as long as the slower one");
        let begun = Instant::now();
        assert!(connect_to_any(&both, port, begun + limit).await.is_some());
        assert!(begun.elapsed() < limit, "{:?}", begun.elapsed());
        let late = Instant::now() + limit;
        assert!(connect_to_any(&both[1..], port, late).await.is_none(), "and a silent family alone is none");
    }
}
