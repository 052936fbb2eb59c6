//! `[serve]` of `parallax.toml`: where the server listens, what it tells whom, and its bounds. Only the host's file, or the one that
//! `--config` names, has a say in it.
//!
//! Reads a text and nothing else.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

use super::written::{File, Wrong};
use crate::serve::Limits;

/// How `parallax serve` serves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Serve {
    /// The socket; without one the usual place.
    pub socket: Option<PathBuf>,
    /// What a caller is told of other contexts.
    pub disclose: Disclose,
    /// Who may ask; empty for everybody who can connect.
    pub allow: Vec<Allow>,
    /// Ids or names of contexts that callers are compared with, beside those on the chain.
    pub contexts: Vec<String>,
    /// The bounds.
    pub limits: Limits,
}

/// What a caller is told of other contexts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Disclose {
    /// The outcomes only.
    Verdict,
    /// The outcomes and the facts whose type is marked public.
    #[default]
    Public,
    /// All that a finding shows.
    All,
}

/// One of those who may ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Allow {
    /// `uid:1000`: the effective uid of the caller, as the host sees it.
    Uid(u32),
    /// `image:NAME[:TAG]`: the image that the caller's container is made of.
    Image(String),
    /// `label:KEY=VALUE`: a label of the caller's container.
    Label { key: String, value: String },
}

/// `[serve]` as written.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Serve")]
pub(super) struct WrittenServe {
    /// The socket, an absolute path; without one /run/parallax/parallax.sock.
    #[schemars(with = "Option<String>")]
    socket: Option<Spanned<String>>,
    /// What a caller is told of other contexts.
    disclose: Disclose,
    /// Who may ask: `uid:1000`, `image:NAME[:TAG]` or `label:KEY=VALUE`; left out or empty for everybody who can connect.
    #[schemars(with = "Vec<String>")]
    allow: Vec<Spanned<String>>,
    /// Ids or names of contexts that callers are compared with, beside those on the chain.
    #[schemars(with = "Vec<String>")]
    contexts: Vec<Spanned<String>>,
    /// Connections at once.
    #[schemars(with = "Option<u64>", range(min = 1, max = 65536))]
    connections: Option<Spanned<u64>>,
    /// Connections at once of one container, login user or service.
    #[schemars(with = "Option<u64>", range(min = 1, max = 65536))]
    connections_per_class: Option<Spanned<u64>>,
    /// Bytes of a request's headers.
    #[schemars(with = "Option<u64>", range(min = 8192, max = 1_048_576))]
    header_bytes: Option<Spanned<u64>>,
    /// Bytes of a request's body.
    #[schemars(with = "Option<u64>", range(min = 1024, max = 67_108_864))]
    body_bytes: Option<Spanned<u64>>,
    /// Bytes of all requests and answers that are held at once.
    #[schemars(with = "Option<u64>", range(min = 1_048_576, max = 17_179_869_184_u64))]
    memory_bytes: Option<Spanned<u64>>,
    /// The time that a caller has for sending a request, in milliseconds.
    #[schemars(with = "Option<u64>", range(min = 100, max = 600_000))]
    request_ms: Option<Spanned<u64>>,
    /// The time for making an answer, in milliseconds.
    #[schemars(with = "Option<u64>", range(min = 100, max = 3_600_000))]
    answer_ms: Option<Spanned<u64>>,
    /// The time that a caller has for reading an answer, in milliseconds.
    #[schemars(with = "Option<u64>", range(min = 100, max = 600_000))]
    read_ms: Option<Spanned<u64>>,
    /// Requests of one container, login user or service in a minute.
    #[schemars(with = "Option<u64>", range(min = 1, max = 100_000))]
    requests_per_minute: Option<Spanned<u64>>,
    /// Answers that are made at once.
    #[schemars(with = "Option<u64>", range(min = 1, max = 1024))]
    answers: Option<Spanned<u64>>,
    /// Requests that wait for their turn.
    #[schemars(with = "Option<u64>", range(min = 1, max = 4096))]
    waiting: Option<Spanned<u64>>,
}

/// What `[serve]` says.
pub(super) fn read(file: &File<'_>, written: &WrittenServe) -> Result<Serve, Box<Wrong>> {
    Ok(Serve {
        socket: written.socket.as_ref().map(|socket| self::socket(file, socket)).transpose()?,
        disclose: written.disclose,
        allow: written.allow.iter().map(|entry| allowed(file, entry)).collect::<Result<_, _>>()?,
        contexts: file.all_filled("a context's name", &written.contexts)?,
        limits: limits(file, written)?,
    })
}

fn socket(file: &File<'_>, written: &Spanned<String>) -> Result<PathBuf, Box<Wrong>> {
    let path = PathBuf::from(file.filled("the socket's path", written)?);
    if path.is_absolute() {
        return Ok(path);
    }
    let help = "such as /run/parallax/parallax.sock".to_owned();
    Err(file.wrong(Some(written.span()), "the socket's path is not absolute", Some(help)))
}

fn allowed(file: &File<'_>, written: &Spanned<String>) -> Result<Allow, Box<Wrong>> {
    let text = file.filled("an entry of allow", written)?;
    let wrong = |message: &str, help: &str| file.wrong(Some(written.span()), message, Some(help.to_owned()));
    match text.split_once(':') {
        Some(("uid", uid)) => {
            uid.parse().map(Allow::Uid).map_err(|_| wrong("not a uid", "write it as a number: uid:1000"))
        }
        Some(("image", image)) if !image.is_empty() => Ok(Allow::Image(image.to_owned())),
        Some(("label", label)) => match label.split_once('=') {
            Some((key, value)) if !key.is_empty() => Ok(Allow::Label { key: key.to_owned(), value: value.to_owned() }),
            _ => Err(wrong("a label without a value", "write it as label:KEY=VALUE")),
        },
        _ => Err(wrong("neither a uid, an image nor a label", "write uid:1000, image:NAME[:TAG] or label:KEY=VALUE")),
    }
}

fn limits(file: &File<'_>, written: &WrittenServe) -> Result<Limits, Box<Wrong>> {
    let usual = Limits::default();
    let count = |value: &Option<Spanned<u64>>, usual: usize, range: RangeInclusive<u64>| {
        let usual_written = u64::try_from(usual).unwrap_or(u64::MAX);
        bounded(file, value.as_ref(), usual_written, range).map(|value| usize::try_from(value).unwrap_or(usize::MAX))
    };
    let time = |value: &Option<Spanned<u64>>, usual: Duration, range: RangeInclusive<u64>| {
        let usual = u64::try_from(usual.as_millis()).unwrap_or(u64::MAX);
        bounded(file, value.as_ref(), usual, range).map(Duration::from_millis)
    };
    let rate = bounded(file, written.requests_per_minute.as_ref(), usual.requests_per_minute.into(), 1..=100_000)?;
    Ok(Limits {
        connections: count(&written.connections, usual.connections, 1..=65_536)?,
        connections_per_class: count(&written.connections_per_class, usual.connections_per_class, 1..=65_536)?,
        header_bytes: count(&written.header_bytes, usual.header_bytes, 8192..=1 << 20)?,
        body_bytes: count(&written.body_bytes, usual.body_bytes, 1024..=64 << 20)?,
        memory: count(&written.memory_bytes, usual.memory, 1 << 20..=16 << 30)?,
        request_time: time(&written.request_ms, usual.request_time, 100..=600_000)?,
        answer_time: time(&written.answer_ms, usual.answer_time, 100..=3_600_000)?,
        read_time: time(&written.read_ms, usual.read_time, 100..=600_000)?,
        requests_per_minute: u32::try_from(rate).unwrap_or(usual.requests_per_minute),
        answers: count(&written.answers, usual.answers, 1..=1024)?,
        waiting: count(&written.waiting, usual.waiting, 1..=4096)?,
        knowing: usual.knowing,
    })
}

/// A bound that is written, if it is sensible; else the usual one.
fn bounded(
    file: &File<'_>,
    value: Option<&Spanned<u64>>,
    usual: u64,
    range: RangeInclusive<u64>,
) -> Result<u64, Box<Wrong>> {
    let Some(value) = value else { return Ok(usual) };
    if range.contains(value.get_ref()) {
        return Ok(*value.get_ref());
    }
    let message = format!("{} is not within {} to {}", value.get_ref(), range.start(), range.end());
    Err(file.wrong(Some(value.span()), message, Some(format!("without it {usual} holds"))))
}
