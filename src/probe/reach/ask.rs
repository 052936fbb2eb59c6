//! One endpoint: connected, shaken hands with, asked; every step's outcome kept, and what was not reached by the deadline unobserved.

use std::net::{IpAddr, SocketAddr};

use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use super::certificate::{self, TlsError, handshake};
use super::connect::{Attempts, connect};
use super::http::{self, Answer, HttpError};
use super::plan::{Inquiry, Question};
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
        tls: no_certificate(&of_tls(question, &Fact::Unobserved(reason.clone()))),
        service: no_service(&of_http(question, &Fact::Unobserved(reason.clone()))),
        asked: Some(question.inquiry.path().to_owned()).filter(|path| !path.is_empty()).into(),
        clock_ahead_ms: of_http(question, &Fact::Unobserved(reason.clone())).and_then(|()| Fact::Absent),
        on_disk: question.on_disk.clone(),
    }
}

/// Where there is no handshake there is no certificate, whatever became of the connection.
fn of_tls(question: &Question, state: &Fact<()>) -> Fact<()> {
    if question.tls { state.clone() } else { Fact::Absent }
}

/// The same for what answers.
fn of_http(question: &Question, state: &Fact<()>) -> Fact<()> {
    if question.inquiry == Inquiry::Nothing { Fact::Absent } else { state.clone() }
}

fn addresses(question: &Question) -> Fact<Vec<String>> {
    match &question.more {
        Some(reason) if question.addresses.is_empty() => Fact::Unobserved(reason.clone()),
        _ if question.addresses.is_empty() => Fact::Absent,
        _ => Fact::Present(question.addresses.iter().map(IpAddr::to_string).collect()),
    }
}

/// Loopback, or the unspecified address, which a connection takes for the local host (`ip(7)`).
pub fn is_here(address: IpAddr) -> bool {
    let address = address.to_canonical();
    address.is_loopback() || address.is_unspecified()
}

fn no_certificate(state: &Fact<()>) -> Certificate {
    let text = || state.clone().and_then(|()| Fact::Absent);
    Certificate {
        spoken: state.clone().and_then(|()| Fact::Absent),
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
    let mut stream = match question.proxy.present() {
        Some(_) => through_proxy(question, &mut reached, deadline).await,
        None => straight(question, &mut reached, deadline).await,
    };
    if stream.is_none() {
        // Without a connection there is nothing to look at; where the connection itself is not known, neither is the rest.
        let state = match &reached.connected {
            Fact::Unobserved(reason) => Fact::Unobserved(reason.clone()),
            _ => Fact::Absent,
        };
        nothing_said(question, &mut reached, &state);
        return reached;
    }
    // A single answer that was lost must not become a finding: it is asked once more, and both failures are kept.
    for last in [false, true] {
        let Some(open) = stream.take() else { break };
        // What hangs keeps the reason that says so.
        let Ok(Err(failure)) = timeout_at(deadline, inquire(question, open, &mut reached)).await else { break };
        if let Fact::Present(failures) = &mut reached.failures {
            failures.push(failure.to_string());
        }
        if last || !failure.may_pass() {
            failure.told(question, &mut reached);
            break;
        }
        stream = again(question, &reached, deadline).await;
        if stream.is_none() {
            failure.told(question, &mut reached);
        }
    }
    reached
}

fn remaining(deadline: Instant) -> u64 {
    u64::try_from(deadline.saturating_duration_since(Instant::now()).as_millis()).unwrap_or(u64::MAX)
}

/// Everything but the connection has this state.
fn nothing_said(question: &Question, reached: &mut Reached, state: &Fact<()>) {
    reached.tls = no_certificate(&of_tls(question, state));
    reached.service = no_service(&of_http(question, state));
    reached.clock_ahead_ms = of_http(question, state).and_then(|()| Fact::Absent);
}

/// Why nothing was said over a connection that stood.
#[derive(Debug, thiserror::Error)]
enum Silence {
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Http(#[from] HttpError),
}

impl Silence {
    fn may_pass(&self) -> bool {
        match self {
            Self::Tls(_) => true,
            Self::Http(error) => error.may_pass(),
        }
    }

    /// The facts that it leaves.
    fn told(&self, question: &Question, reached: &mut Reached) {
        match self {
            Self::Tls(TlsError::NotSpoken { .. }) => {
                nothing_said(question, reached, &Fact::Absent);
                reached.tls.spoken = Fact::Present(false);
            }
            Self::Tls(error) => {
                let state = Fact::Unobserved(Reason::NotEmulated { what: error.to_string() });
                nothing_said(question, reached, &state);
            }
            Self::Http(error) => {
                let state = match error {
                    HttpError::Question(_) => Fact::Unobserved(Reason::NotEmulated { what: error.to_string() }),
                    _ if error.is_too_large() => Fact::Unobserved(Reason::Truncated {
                        at: http::HEAD as u64,
                        what: "the head of the answer".into(),
                    }),
                    HttpError::Answer(_) => Fact::Absent,
                };
                reached.service = no_service(&state);
                reached.clock_ahead_ms = state.and_then(|()| Fact::Absent);
            }
        }
    }
}

/// A second connection to where the first one went.
async fn again(question: &Question, reached: &Reached, deadline: Instant) -> Option<TcpStream> {
    let address = match reached.peer.present() {
        Some(peer) => SocketAddr::new(peer.parse().ok()?, question.port),
        None => SocketAddr::new(*question.proxy_addresses.first()?, question.proxy.present()?.effective_port()?),
    };
    let stream = timeout_at(deadline, TcpStream::connect(address)).await.ok()?.ok()?;
    if question.proxy.present().is_none() || !question.tls {
        return Some(stream);
    }
    match timeout_at(deadline, tunnel(stream, &question.host, question.port)).await {
        Ok(Tunnel::Open(stream)) => Some(stream),
        Ok(Tunnel::Refused(_) | Tunnel::Unclear) | Err(_) => None,
    }
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
        reached.connected = question.proxy_more.clone().map_or(Fact::Present(false), Fact::Unobserved);
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

async fn inquire(question: &Question, stream: TcpStream, reached: &mut Reached) -> Result<(), Silence> {
    if !question.tls {
        return over(question, stream, reached).await;
    }
    let stream = handshake(stream, &question.host).await?;
    reached.tls = certificate::observe(&stream, question);
    over(question, stream, reached).await
}

async fn over<S>(question: &Question, stream: S, reached: &mut Reached) -> Result<(), Silence>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let Inquiry::Get { path, expected } = &question.inquiry else {
        return Ok(());
    };
    let host = authority(question);
    let whole = question.proxy.present().is_some() && !question.tls;
    let target = if whole { format!("http://{host}{path}") } else { path.clone() };
    let begun = jiff::Timestamp::now().as_millisecond();
    let answer = http::get(stream, &target, &host).await?;
    reached.service = service::observe(&answer, *expected, &reached.tls);
    reached.clock_ahead_ms = ahead(&answer, begun).into();
    Ok(())
}

/// The value of the Host header; the port only where it is not the scheme's.
fn authority(question: &Question) -> String {
    let host = if question.host.contains(':') { format!("[{}]", question.host) } else { question.host.clone() };
    match (question.tls, question.port) {
        (true, 443) | (false, 80) => host,
        (_, port) => format!("{host}:{port}"),
    }
}

/// By the `Date` header, which a cache leaves as it was when it stored the answer, `Age` seconds ago (RFC 9111, 4.2.3).
fn ahead(answer: &Answer, begun: i64) -> Option<i64> {
    let text = |name| answer.headers.get(name).and_then(|value| value.to_str().ok());
    let date = jiff::fmt::rfc2822::parse(text(hyper::header::DATE)?).ok()?.timestamp().as_millisecond();
    let age = text(hyper::header::AGE).and_then(|age| age.trim().parse::<i64>().ok()).unwrap_or_default();
    let theirs = date.checked_add(age.checked_mul(1000)?)?;
    // It was written after we asked and before now; within that, and within its step, the clocks are not told apart.
    let ended = jiff::Timestamp::now().as_millisecond();
    let ahead = if theirs < begun { theirs - begun } else { (theirs - ended).max(0) };
    Some(if ahead.abs() <= CLOCK_STEP_MS { 0 } else { ahead })
}
