//! Where to look from: which contexts exist on this host, what represents each one, and which have to do with the deployment chain.
//!
//! Reads procfs, passwd and the container engines' API in the parent; enters nothing, judges nothing and, [`throwaway`] aside, changes nothing. What cannot be read is a
//! note, and what exists but cannot be entered is named with the reason.

pub mod chain;
pub mod discover;
pub mod enter;
pub mod throwaway;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::snapshot::Header;
use crate::snapshot::secret::Secret;
use crate::sys::process::NamespaceNumber;

pub use discover::{Asker, Asking, Discovered, Invoker, Refused, Scope, discover};

/// One context that can be looked at.
#[derive(Debug, Clone)]
pub struct Context {
    /// Its id, kind and name, and what is known before looking.
    pub header: Header,
    /// The process that represents it; [`None`] means our own namespaces and root, and `take` says as whom.
    pub process: Option<Representative>,
    /// As whom to look, and what to join.
    pub take: TakeOn,
    /// Where its environment comes from.
    pub environment: EnvironmentSource,
    /// What it has to do with GitLab Runner, as processes and engines say.
    pub runner: RunnerPart,
    /// What this context alone is asked, in the form that the probes define for it.
    pub asked: Option<serde_json::Value>,
    /// Source and destination of what an engine mounted into it; none where no engine lists it.
    pub binds: Option<Vec<(String, String)>>,
}

/// What a context has to do with GitLab Runner.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RunnerPart {
    /// Nothing that anybody but itself tells.
    #[default]
    None,
    /// A runner that takes jobs runs in it.
    Manager,
    /// A runner made it: an engine has the runner's labels for it.
    Made,
}

/// The process that represents a context, across the reuse of its pid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Representative {
    /// Its pid in our own pid namespace.
    pub pid: u32,
    /// When it started, in clock ticks since boot (`proc_pid_stat(5)`, field 22).
    pub start_ticks: u64,
    /// What it was in when it was found, by the names of `/proc/PID/ns`.
    pub namespaces: BTreeMap<&'static str, NamespaceNumber>,
}

/// Where the ids of a context were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdentitySource {
    /// They are our own.
    Own,
    /// From the status of the representative.
    Process,
    /// From passwd and group files: the user has no live process.
    Accounts,
}

/// What to take on, numbered as in the context's own user namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakeOn {
    /// Where the ids come from.
    pub source: IdentitySource,
    /// Effective user id.
    pub uid: u32,
    /// Effective group id.
    pub gid: u32,
    /// Supplementary groups, sorted.
    pub groups: Vec<u32>,
    /// Capability sets as masks (`capabilities(7)`).
    pub effective: u64,
    pub permitted: u64,
    pub bounding: u64,
    /// Whether its network namespace is not ours.
    pub join_network: bool,
    /// Whether its user namespace is not ours.
    pub join_user: bool,
    /// What has no number in its user namespace, in words; the number above is then the kernel's stand-in, 65534.
    pub unmapped: Vec<String>,
}

/// Where the environment of a context comes from.
#[derive(Clone)]
pub enum EnvironmentSource {
    /// `/proc/PID/environ` of the representative.
    Process,
    /// The same, and the representative has written over it.
    Overwritten,
    /// What its engine says that it starts processes there with, NUL-separated: the representative has written over its own.
    Engine(Arc<Secret>),
    /// Our own environment.
    Own,
    /// It has none: a user without a live process.
    None,
}

impl std::fmt::Debug for EnvironmentSource {
    /// Its kind alone.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Process => "Process",
            Self::Overwritten => "Overwritten",
            Self::Engine(_) => "Engine",
            Self::Own => "Own",
            Self::None => "None",
        })
    }
}
