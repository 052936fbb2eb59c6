//! The servers: connected to, greeted, and spoken to up to the exchange of keys, in which each proves that it holds its host key. Nobody logs in.
//!
//! russh speaks the protocol over a connection made here; its client takes no key for good, so that nothing follows the exchange. What a server sends is
//! counted and cut off, and everything ends by a deadline.

use std::borrow::Cow;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use russh::client;
use russh::keys::{Algorithm, EcdsaCurve, HashAlg, PublicKeyOrCertificate};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::client::Connection;
use super::known::Known;
use crate::formats::known_hosts;
use crate::probe::reach::connect::connect;
use crate::probe::reach::plan::Question;
use crate::snapshot::endpoint::NamedEndpoint;
use crate::snapshot::facts::SshServer;
use crate::snapshot::{Fact, Reason};

/// The most time for all servers; below what a probe is given, so that what was seen by then is not lost.
const LIMIT: Duration = Duration::from_millis(5000);
/// The most time for one of them, so that what was seen of it is not lost either.
const ONE_LIMIT: Duration = Duration::from_millis(4000);
/// The most that a server may send: its greeting, the algorithms, its key and the proof.
const MOST_BYTES: usize = 256 << 10;
/// As much of the greeting is kept (RFC 4253, 4.2), after at most as many other lines.
const GREETING: usize = 8 << 10;

/// The type of a key and its bytes (RFC 4253, 6.6).
type HostKey = (String, Vec<u8>);

/// What one server came to.
struct Shown {
    connected: Fact<bool>,
    program: Fact<String>,
    key: Fact<HostKey>,
}

/// Asks all servers at once, and writes down what they show.
pub fn observe(
    questions: &[Question],
    reachable: &[Option<NamedEndpoint>],
    connections: &[(Connection, Known)],
    servers: &mut [SshServer],
) {
    let of = |endpoint: &NamedEndpoint| questions.iter().find(|question| question.url == endpoint.url);
    let asked: Vec<Option<&Question>> = reachable.iter().map(|one| one.as_ref().and_then(of)).collect();
    let work = asked
        .iter()
        .zip(connections)
        .enumerate()
        .filter_map(|(index, (question, (_, known)))| Some((index, (*question)?.clone(), known.types())));
    let mut shown = all(work.collect());
    for (index, server) in servers.iter_mut().enumerate() {
        let Some((connection, known)) = connections.get(index) else { continue };
        let question = asked.get(index).copied().flatten();
        server.loopback = question.map_or_else(|| unasked(connection), loopback);
        let position = shown.iter().position(|(at, _)| *at == index);
        let answer = match (question, position) {
            (Some(_), Some(position)) => shown.swap_remove(position).1,
            (Some(question), None) => unseen(&late(LIMIT, question)),
            (None, _) => unseen(&why_unasked(connection)),
        };
        write_down(server, connection, known, answer);
    }
}

fn late(limit: Duration, question: &Question) -> Reason {
    let after_ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
    Reason::TimedOut { after_ms, waiting_for: format!("the SSH server {}", question.origin()) }
}

fn unseen(reason: &Reason) -> Shown {
    Shown {
        connected: Fact::Unobserved(reason.clone()),
        program: Fact::Unobserved(reason.clone()),
        key: Fact::Unobserved(reason.clone()),
    }
}

fn why_unasked(connection: &Connection) -> Reason {
    let reasons = [connection.host_name.reason(), connection.port.reason(), connection.proxy.reason()];
    reasons.into_iter().flatten().next().cloned().unwrap_or_else(|| match &connection.proxy {
        Fact::Present(option) => Reason::NotEmulated { what: format!("the way through {option}") },
        _ => Reason::NotEmulated { what: "a host name that is none".into() },
    })
}

fn unasked(connection: &Connection) -> Fact<bool> {
    Fact::Unobserved(why_unasked(connection))
}

fn loopback(question: &Question) -> Fact<bool> {
    let is_here = |address: &std::net::IpAddr| {
        let address = address.to_canonical();
        address.is_loopback() || address.is_unspecified()
    };
    match &question.more {
        _ if question.addresses.iter().any(|address| !is_here(address)) => Fact::Present(false),
        Some(reason) => Fact::Unobserved(reason.clone()),
        None if question.addresses.is_empty() => Fact::Absent,
        None => Fact::Present(true),
    }
}

fn write_down(server: &mut SshServer, connection: &Connection, known: &Known, shown: Shown) {
    server.connected = shown.connected;
    server.program = shown.program;
    server.key_type = shown.key.as_ref().map(|(kind, _)| kind.clone());
    server.host_key = shown.key.as_ref().map(|(_, key)| known_hosts::fingerprint(key));
    (server.verdict, server.known_in) = match &shown.key {
        Fact::Present((kind, key)) => known.verdict(connection, kind, key),
        Fact::Absent => (Fact::Absent, Fact::Absent),
        Fact::Unobserved(reason) => (Fact::Unobserved(reason.clone()), Fact::Unobserved(reason.clone())),
    };
}

fn all(work: Vec<(usize, Question, Vec<String>)>) -> Vec<(usize, Shown)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
    let Ok(runtime) = runtime else { return Vec::new() };
    let mut done = Vec::new();
    runtime.block_on(async {
        let deadline = Instant::now() + LIMIT;
        let mut running: JoinSet<(usize, Shown)> = JoinSet::new();
        for (index, question, types) in work {
            let limit = (Instant::now() + ONE_LIMIT).min(deadline);
            running.spawn(async move { (index, ask(&question, &types, limit).await) });
        }
        while let Ok(Some(one)) = timeout_at(deadline, running.join_next()).await {
            done.extend(one);
        }
    });
    runtime.shutdown_background();
    done
}

async fn ask(question: &Question, types: &[String], deadline: Instant) -> Shown {
    if question.addresses.is_empty() {
        let connected = question.more.clone().map_or(Fact::Absent, Fact::Unobserved);
        return Shown { program: nothing(&connected), key: nothing(&connected), connected };
    }
    let attempts = connect(&question.addresses, question.port, deadline).await;
    let Some((stream, _)) = attempts.stream else {
        let connected = question.more.clone().map_or(Fact::Present(false), Fact::Unobserved);
        return Shown { program: nothing(&connected), key: nothing(&connected), connected };
    };
    let (heard, key) = (Heard::default(), Key::default());
    let tap = Tap { inner: stream, heard: heard.clone() };
    let handler = Handler { key: key.clone() };
    // The handler refuses every key, so there is always an error: what was seen before it counts.
    let ended = timeout_at(deadline, client::connect_stream(Arc::new(config(types)), tap, handler)).await;
    let program = program(&heard.bytes());
    let key = match (key.take(), ended) {
        (Some(key), _) => Fact::Present(key),
        (None, Err(_)) => Fact::Unobserved(late(ONE_LIMIT, question)),
        (None, Ok(_)) if heard.is_full() => {
            Fact::Unobserved(Reason::Truncated { at: MOST_BYTES as u64, what: "what the SSH server says".into() })
        }
        // It greeted as an SSH server does, and then nothing came of it: algorithms that the library does not have, or a server that is full.
        (None, Ok(_)) if program.is_some() => {
            Fact::Unobserved(Reason::NotEmulated { what: "an exchange of keys that did not come about".into() })
        }
        (None, Ok(_)) if is_another_protocol(&heard.bytes()) => Fact::Absent,
        // It ended before its greeting, as a server that is full does: what it would have shown is not known.
        (None, Ok(_)) => Fact::Unobserved(Reason::Unreadable {
            path: format!("the greeting of the SSH server {}", question.origin()),
            errno: "the connection ended before it".into(),
        }),
    };
    let program = match (&program, &key) {
        (None, Fact::Unobserved(reason)) => Fact::Unobserved(reason.clone()),
        _ => program.into(),
    };
    Shown { connected: Fact::Present(true), program, key }
}

/// Without a connection there is nothing to see; where that is not known, neither is the rest.
fn nothing<T>(connected: &Fact<bool>) -> Fact<T> {
    connected.reason().cloned().map_or(Fact::Absent, Fact::Unobserved)
}

/// The program in `SSH-2.0-PROGRAM COMMENT` (RFC 4253, 4.2); other lines may come before it.
fn program(heard: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(heard);
    let line = text.split('\n').find(|line| line.starts_with("SSH-"))?;
    let program = line.trim_end_matches('\r').splitn(3, '-').nth(2)?.split(' ').next()?;
    Some(program.chars().filter(|letter| letter.is_ascii_graphic()).take(128).collect())
}

/// Whether what was said is clearly no SSH. A line of text alone is not: an SSH server may say anything before its greeting (RFC 4253, 4.2), and a full
/// one says no more than that.
fn is_another_protocol(heard: &[u8]) -> bool {
    // A status line of HTTP, an alert or a handshake of TLS, the greetings of mail servers and FTP, RFB.
    const STARTS: [&[u8]; 9] =
        [b"HTTP/", b"\x15\x03", b"\x16\x03", b"220 ", b"220-", b"* OK", b"+OK", b"RFB 0", b"<!DOCTYPE"];
    STARTS.iter().any(|start| heard.starts_with(start))
}

/// The types of keys in the order in which ssh asks for them: those that are known first (`sshconnect2.c`, `order_hostkeyalgs`).
fn config(types: &[String]) -> client::Config {
    let order = [
        ("ssh-ed25519", Algorithm::Ed25519),
        ("ecdsa-sha2-nistp256", Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 }),
        ("ecdsa-sha2-nistp384", Algorithm::Ecdsa { curve: EcdsaCurve::NistP384 }),
        ("ecdsa-sha2-nistp521", Algorithm::Ecdsa { curve: EcdsaCurve::NistP521 }),
        ("ssh-rsa", Algorithm::Rsa { hash: Some(HashAlg::Sha512) }),
        ("ssh-rsa", Algorithm::Rsa { hash: Some(HashAlg::Sha256) }),
    ];
    let is_known = |name: &str| types.iter().any(|known| known == name);
    let (first, then): (Vec<_>, Vec<_>) = order.into_iter().partition(|(name, _)| is_known(name));
    let key: Vec<Algorithm> = first.into_iter().chain(then).map(|(_, algorithm)| algorithm).collect();
    client::Config {
        client_id: russh::SshId::Standard(Cow::Borrowed(concat!("SSH-2.0-parallax_", env!("CARGO_PKG_VERSION")))),
        preferred: russh::Preferred { key: Cow::Owned(key), ..russh::Preferred::DEFAULT },
        ..client::Config::default()
    }
}

/// The key that the server has proven to hold.
#[derive(Clone, Default)]
struct Key(Arc<Mutex<Option<HostKey>>>);

impl Key {
    fn take(&self) -> Option<HostKey> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Notes the key and refuses it: the connection ends there.
struct Handler {
    key: Key,
}

impl client::Handler for Handler {
    type Error = russh::Error;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        if let PublicKeyOrCertificate::PublicKey { key, .. } = shown
            && let Ok(bytes) = key.to_bytes()
        {
            let kind = key.algorithm().as_str().to_owned();
            *self.key.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((kind, bytes));
        }
        Ok(false)
    }
}

/// What a server said: the start of it, and how much.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<(Vec<u8>, usize)>>);

impl Heard {
    fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0.clone()
    }

    fn is_full(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1 >= MOST_BYTES
    }

    fn add(&self, bytes: &[u8]) {
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let room = GREETING.saturating_sub(heard.0.len());
        heard.0.extend_from_slice(bytes.get(..room.min(bytes.len())).unwrap_or_default());
        heard.1 = heard.1.saturating_add(bytes.len());
    }
}

/// A stream that ends after so many bytes.
struct Tap<S> {
    inner: S,
    heard: Heard,
}

impl<S: AsyncRead + Unpin> AsyncRead for Tap<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        if self.heard.is_full() {
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(context, buffer);
        if let Poll::Ready(Ok(())) = polled {
            self.heard.add(buffer.filled().get(before..).unwrap_or_default());
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Tap<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}
