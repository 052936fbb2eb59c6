//! One endpoint: connected, shaken hands with, asked; every step's outcome kept, and what was not reached by the deadline unobserved.

use std::net::IpAddr;

use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use super::certificate::{self, handshake};
use super::connect::{Attempts, connect};
use super::http::{self, Answer};
use super::plan::{Expected, Inquiry, Question};
use super::proxy::{Tunnel, tunnel};
use super::service;
use crate::snapshot::facts::{Certificate, Reached, Service};
use crate::snapshot::{Fact, Reason};

/// A clock that is off by less is not told from a slow answer: the header has whole seconds.
const CLOCK_STEP_MS: i64 = 1000;

/// What is known before asking, the rest unobserved for this reason.
pub fn unanswered(question: &Question, reason: &Reason) -> Reached {
    let unknown = || Fact::Unobserved(reason.clone());
    let loopback = match &question.more {
        _ if question.addresses.iter().any(|address| !is_here(*address)) => Fact::Present(false),
        Some(reason) => Fact::Unobserved(reason.clone()),
        None if question.addresses.is_empty() => Fact::Absent,
        None => Fact::Present(true),
    };
    Reached {
        url: question.url.clone(),
        named_by: question.named_by.iter().cloned().collect(),
        host: question.host.clone(),
        port: question.port,
        loopback,
        proxy: question.proxy.as_ref().map(|proxy| proxy.origin()),
        addresses: addresses(question),
        v4: unknown(),
        v6: unknown(),
        failures: Fact::Unobserved(reason.clone()),
        connected: Fact::Unobserved(reason.clone()),
        peer: unknown(),
        tls: no_certificate(&Fact::Unobserved(reason.clone())),
        service: no_service(&Fact::Unobserved(reason.clone())),
        clock_ahead_ms: Fact::Unobserved(reason.clone()),
    }
}

fn addresses(question: &Question) -> Fact<Vec<String>> {
    match &question.more {
        Some(reason) if question.addresses.is_empty() => Fact::Unobserved(reason.clone()),
        _ if question.addresses.is_empty() => Fact::Absent,
        _ => Fact::Present(question.addresses.iter().map(IpAddr::to_string).collect()),
    }
}

/// Loopback, or the unspecified address, which a connection takes for the local host (`ip(7)`).
fn is_here(address: IpAddr) -> bool {
    let address = address.to_canonical();
    address.is_loopback() || address.is_unspecified()
}

fn no_certificate(state: &Fact<()>) -> Certificate {
    let text = || state.clone().and_then(|()| Fact::Absent);
    Certificate {
        leaf: text(),
        names: state.clone().and_then(|()| Fact::Absent),
        issuer: text(),
        not_after: state.clone().and_then(|()| Fact::Absent),
        current: state.clone().and_then(|()| Fact::Absent),
        names_host: state.clone().and_then(|()| Fact::Absent),
        trusted: state.clone().and_then(|()| Fact::Absent),
        bundle: text(),
        bundle_named_by: text(),
    }
}

fn no_service(state: &Fact<()>) -> Service {
    let text = || state.clone().and_then(|()| Fact::Absent);
    Service {
        kind: text(),
        identity: text(),
        status: state.clone().and_then(|()| Fact::Absent),
        program: text(),
        store_dir: text(),
    }
}

/// Asks one endpoint. Ends by the deadline.
pub async fn ask(question: &Question, deadline: Instant) -> Reached {
    let late = Reason::TimedOut { after_ms: remaining(deadline), waiting_for: question.origin() };
    let mut reached = unanswered(question, &late);
    if let Fact::Unobserved(reason) = &question.proxy {
        return unanswered(question, reason);
    }
    let stream = match question.proxy.present() {
        Some(_) => through_proxy(question, &mut reached, deadline).await,
        None => straight(question, &mut reached, deadline).await,
    };
    let Some(stream) = stream else {
        // Without a connection there is nothing to look at; where the connection itself is not known, neither is the rest.
        let state = match &reached.connected {
            Fact::Unobserved(reason) => Fact::Unobserved(reason.clone()),
            _ => Fact::Absent,
        };
        (reached.tls, reached.service) = (no_certificate(&state), no_service(&state));
        reached.clock_ahead_ms = state.and_then(|()| Fact::Absent);
        return reached;
    };
    // What hangs from here on keeps the reason that says so.
    let _late = timeout_at(deadline, inquire(question, stream, &mut reached)).await;
    reached
}

fn remaining(deadline: Instant) -> u64 {
    u64::try_from(deadline.saturating_duration_since(Instant::now()).as_millis()).unwrap_or(u64::MAX)
}

async fn straight(question: &Question, reached: &mut Reached, deadline: Instant) -> Option<TcpStream> {
    if question.addresses.is_empty() {
        reached.connected = match &question.more {
            Some(reason) => Fact::Unobserved(reason.clone()),
            None => Fact::Absent,
        };
        (reached.v4, reached.v6, reached.peer) = (Fact::Absent, Fact::Absent, Fact::Absent);
        reached.failures = Fact::Present(Vec::new());
        return None;
    }
    let attempts = connect(&question.addresses, question.port, deadline).await;
    reached.v4 = Attempts::family(attempts.v4);
    reached.v6 = Attempts::family(attempts.v6);
    reached.failures = Fact::Present(attempts.failures);
    match attempts.stream {
        Some((stream, peer)) => {
            reached.connected = Fact::Present(true);
            reached.peer = Fact::Present(peer.to_string());
            Some(stream)
        }
        None => {
            // Another address, one that could not be found out, might have answered.
            reached.connected = question.more.clone().map_or(Fact::Present(false), Fact::Unobserved);
            reached.peer = reached.connected.clone().and_then(|_| Fact::Absent);
            None
        }
    }
}

/// Over a proxy: the addresses are the proxy's business.
async fn through_proxy(question: &Question, reached: &mut Reached, deadline: Instant) -> Option<TcpStream> {
    (reached.v4, reached.v6, reached.peer) = (Fact::Absent, Fact::Absent, Fact::Absent);
    let proxy = question.proxy.present()?;
    let port = proxy.effective_port()?;
    let attempts = connect(&question.proxy_addresses, port, deadline).await;
    reached.failures = Fact::Present(attempts.failures);
    let Some((stream, _)) = attempts.stream else {
        reached.connected = Fact::Present(false);
        return None;
    };
    if !question.tls {
        reached.connected = Fact::Present(true);
        return Some(stream);
    }
    match timeout_at(deadline, tunnel(stream, &question.host, question.port)).await {
        Ok(Tunnel::Open(stream)) => {
            reached.connected = Fact::Present(true);
            Some(stream)
        }
        Ok(Tunnel::Refused(status)) => {
            reached.connected = Fact::Present(false);
            reached.failures = Fact::Present(vec![format!("{}: the proxy answered {status}", proxy.origin())]);
            None
        }
        Ok(Tunnel::Unclear) | Err(_) => None,
    }
}

async fn inquire(question: &Question, stream: TcpStream, reached: &mut Reached) {
    if !question.tls {
        reached.tls = no_certificate(&Fact::Absent);
        return over(question, stream, reached).await;
    }
    match handshake(stream, &question.host).await {
        Ok(stream) => {
            reached.tls = certificate::observe(&stream, &question.host, &question.roots);
            over(question, stream, reached).await;
        }
        Err(error) => {
            let state = Fact::Unobserved(Reason::NotEmulated { what: error.to_string() });
            (reached.tls, reached.service) = (no_certificate(&state), no_service(&state));
            reached.clock_ahead_ms = state.and_then(|()| Fact::Absent);
        }
    }
}

async fn over<S>(question: &Question, stream: S, reached: &mut Reached)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let Inquiry::Get { path, expected } = &question.inquiry else {
        (reached.service, reached.clock_ahead_ms) = (no_service(&Fact::Absent), Fact::Absent);
        return;
    };
    let host = authority(question);
    let whole = question.proxy.present().is_some() && !question.tls;
    let target = if whole { format!("http://{host}{path}") } else { path.clone() };
    match http::get(stream, &target, &host).await {
        Ok(answer) => answered(&answer, *expected, reached),
        Err(_) => (reached.service, reached.clock_ahead_ms) = (no_service(&Fact::Absent), Fact::Absent),
    }
}

/// The value of the Host header; the port only where it is not the scheme's.
fn authority(question: &Question) -> String {
    let host = if question.host.contains(':') { format!("[{}]", question.host) } else { question.host.clone() };
    match (question.tls, question.port) {
        (true, 443) | (false, 80) => host,
        (_, port) => format!("{host}:{port}"),
    }
}

fn answered(answer: &Answer, expected: Expected, reached: &mut Reached) {
    reached.service = service::observe(answer, expected, &reached.tls);
    let date = answer.headers.get(hyper::header::DATE).and_then(|value| value.to_str().ok());
    let theirs =
        date.and_then(|text| jiff::fmt::rfc2822::parse(text).ok()).map(|date| date.timestamp().as_millisecond());
    let ahead = theirs.map(|theirs| theirs - jiff::Timestamp::now().as_millisecond());
    // Within the step of the header the clocks are not told apart.
    let ahead = ahead.map(|ahead| if ahead.abs() <= CLOCK_STEP_MS { 0 } else { ahead });
    reached.clock_ahead_ms = ahead.into();
}
