//! One `GET` to a cache, over a connection of its own: bounded, without a redirect. A login is said only over a plain connection, as curl does, or
//! over a certificate that this context's roots sign, for this host, at this time.

use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONNECTION, HOST, HeaderValue, USER_AGENT};
use hyper::{HeaderMap, Request};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use crate::probe::logins::not_for_credentials;
use crate::probe::reach::certificate::{self, handshake};
use crate::probe::reach::connect::connect_to_any;
use crate::probe::reach::plan::Question;
use crate::probe::reach::proxy::{Tunnel, tunnel};
use crate::snapshot::{Fact, Reason};

/// The most bytes of a body.
const BODY: usize = super::directory::CAP;
/// The most bytes of a head.
const HEAD: usize = 64 * 1024;

/// What came of asking.
pub enum Reply {
    Answer {
        status: u16,
        headers: HeaderMap,
        body: Vec<u8>,
    },
    /// Nobody took the connection, or what did speaks no HTTP.
    Nobody,
    /// It is not known.
    Unclear(Reason),
}

/// Asks for one path. Ends by the deadline.
pub async fn get(question: &Question, path: &str, login: Option<&HeaderValue>, deadline: Instant) -> Reply {
    let limit = deadline.saturating_duration_since(Instant::now());
    match timeout_at(deadline, asked(question, path, login, deadline)).await {
        Ok(reply) => reply,
        Err(_) => Reply::Unclear(late(question, limit)),
    }
}

/// Asks as who has this login, within this time; a login that is not known asks nothing.
pub async fn get_as(question: &Question, path: &str, login: &Fact<HeaderValue>, limit: Duration) -> Reply {
    let deadline = Instant::now() + limit;
    match login {
        Fact::Unobserved(reason) => Reply::Unclear(reason.clone()),
        Fact::Absent => get(question, path, None, deadline).await,
        Fact::Present(login) => get(question, path, Some(login), deadline).await,
    }
}

/// The reason of what was not answered in time.
pub fn late(question: &Question, limit: Duration) -> Reason {
    let after_ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
    Reason::TimedOut { after_ms, waiting_for: question.origin() }
}

async fn asked(question: &Question, path: &str, login: Option<&HeaderValue>, deadline: Instant) -> Reply {
    if let Fact::Unobserved(reason) = &question.proxy {
        return Reply::Unclear(reason.clone());
    }
    let all = question.addresses.iter().chain(&question.proxy_addresses);
    if let (Some(_), Some(reason)) = (login, not_for_credentials(all)) {
        return Reply::Unclear(reason);
    }
    let stream = match connected(question, deadline).await {
        Ok(Some(stream)) => stream,
        Ok(None) => return Reply::Nobody,
        Err(reason) => return Reply::Unclear(reason),
    };
    let whole = question.proxy.present().is_some() && !question.tls;
    let target = if whole { format!("http://{}{path}", authority(question)) } else { path.to_owned() };
    let Some(request) = request(&target, &authority(question), login) else { return Reply::Nobody };
    if !question.tls {
        return said(stream, request).await;
    }
    let stream = match handshake(stream, &question.host).await {
        Ok(stream) => stream,
        Err(error) => return Reply::Unclear(Reason::NotEmulated { what: error.to_string() }),
    };
    let shown = certificate::observe(&stream, question);
    let good = |fact: &Fact<bool>| *fact == Fact::Present(true);
    if !(good(&shown.trusted) && good(&shown.names_host) && good(&shown.current)) && login.is_some() {
        let what = "a certificate that no root of this context signs; no login is said to it".to_owned();
        return Reply::Unclear(Reason::NotEmulated { what });
    }
    said(stream, request).await
}

async fn connected(question: &Question, deadline: Instant) -> Result<Option<TcpStream>, Reason> {
    let Some(proxy) = question.proxy.present() else {
        let stream = connect_to_any(&question.addresses, question.port, deadline).await;
        return match (stream, &question.more) {
            (Some(stream), _) => Ok(Some(stream)),
            (None, Some(reason)) => Err(reason.clone()),
            (None, None) => Ok(None),
        };
    };
    let Some(port) = proxy.effective_port() else { return Ok(None) };
    let Some(stream) = connect_to_any(&question.proxy_addresses, port, deadline).await else { return Ok(None) };
    if !question.tls {
        return Ok(Some(stream));
    }
    match tunnel(stream, &question.host, question.port).await {
        Tunnel::Open(stream) => Ok(Some(stream)),
        Tunnel::Refused(_) => Ok(None),
        Tunnel::Unclear => Err(Reason::NotEmulated { what: "the answer of the proxy".to_owned() }),
    }
}

fn request(target: &str, host: &str, login: Option<&HeaderValue>) -> Option<Request<Empty<Bytes>>> {
    let mut request = Request::get(target)
        .header(HOST, host)
        .header(USER_AGENT, concat!("parallax/", env!("CARGO_PKG_VERSION")))
        .header(CONNECTION, "close");
    if let Some(login) = login {
        request = request.header(AUTHORIZATION, login.clone());
    }
    request.body(Empty::new()).ok()
}

async fn said<S>(stream: S, request: Request<Empty<Bytes>>) -> Reply
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let builder = hyper::client::conn::http1::Builder::new().max_buf_size(HEAD).handshake(TokioIo::new(stream));
    let Ok((mut sender, connection)) = builder.await else { return Reply::Nobody };
    let driver = tokio::spawn(connection);
    let Ok(answer) = sender.send_request(request).await else { return Reply::Nobody };
    let (parts, body) = answer.into_parts();
    let body = Limited::new(body, BODY).collect().await;
    driver.abort();
    match body {
        Ok(body) => {
            let (status, headers) = (parts.status.as_u16(), parts.headers);
            Reply::Answer { status, headers, body: body.to_bytes().to_vec() }
        }
        Err(_) => Reply::Unclear(Reason::Truncated { at: BODY as u64, what: "the answer of the cache".to_owned() }),
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
