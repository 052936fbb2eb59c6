//! `[serve]` of `parallax.toml`: where the server listens, what it tells whom, and its bounds. Only the host's file, or the one that
//! `--config` names, has a say in it.

use std::path::PathBuf;

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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
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
