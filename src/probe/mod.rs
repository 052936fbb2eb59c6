//! Probes: each observes one family of facts in the context that this process is in, and never judges.
//!
//! By the time a probe runs, the process has taken on the target's identity and network, its own root is an empty place, and
//! [`Target`] is all it can reach. A probe returns its family's facts and cannot fail: what could not be looked at is
//! [`Fact::Unobserved`] with its reason. It imports `sys`, `formats` and `snapshot`, and nothing above.

pub mod beacon;
pub mod caches;
pub mod credentials;
pub mod engine;
pub mod environment;
pub mod identity;
pub mod logins;
pub mod network;
pub mod nix;
pub mod paths;
pub mod reach;
pub mod runner;
pub mod ssh;
pub mod store;
pub mod tools;

use crate::snapshot::secret::RunKey;
use crate::snapshot::{Fact, ObjectId, Reason};
use crate::sys::process::{ProcessTexts, Text};
use crate::sys::{LookError, Root};
use environment::Environment;
use serde::{Deserialize, Serialize};

/// What a probe may look at.
pub struct Target<'a> {
    /// The target's root directory.
    pub root: &'a Root,
    /// Boot id of the running kernel, for identities.
    pub boot: &'a str,
    /// Texts of the process that represents the context or, for a context without one, of our own process, whose namespaces it then shares.
    pub process: &'a ProcessTexts,
    /// Whether that process is the context's own.
    pub live: bool,
    /// The environment; unobserved for a user without a process.
    pub environment: &'a Fact<Environment>,
    /// What the caller wants looked at.
    pub wishes: &'a Wishes,
    /// The key of this run; without it fingerprints are withheld.
    pub key: Option<&'a RunKey>,
    /// The host's `/proc/locks`, read before the identity was given up.
    pub locks: &'a Text,
    /// What could not be taken on of the context's identity; empty when nothing. Facts that depend on it are unobserved.
    pub incomplete: &'a [String],
}

/// What the configuration of parallax adds to the looking.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Wishes {
    /// Names of tools, beside the built-in list.
    pub tools: Vec<String>,
    /// Which account the keys for an endpoint belong to.
    pub accounts: Vec<Account>,
    /// Endpoints that the project itself names: name and URL.
    pub endpoints: Vec<(String, String)>,
    /// The files that services take their certificates from: name of the endpoint and path. For the host's context alone.
    pub certificates: Vec<(String, String)>,
    /// Leave out the Nix handshake: another child does it for the same socket and identity.
    pub skip_handshake: Option<String>,
    /// Leave out what asks name servers.
    pub offline: bool,
    /// What this context alone is asked, for what a runner's configuration says of it.
    pub runner: runner::RunnerWishes,
    /// What this context alone is asked about paths, for what others and engines say.
    pub paths: paths::PathWishes,
    /// Who left out the second round of looking; none where the endpoints are asked.
    pub reach: Option<String>,
    /// Who forbade to use any credential; none where each may be shown to its own endpoint.
    pub no_credentials: Option<String>,
    /// Store paths that every cache is asked for first.
    pub cache_paths: Vec<String>,
    /// The public keys that any context of the run trusts, to say whose a signature is.
    pub public_keys: Vec<String>,
    /// The known service that this context alone is (`services.toml`); none for a context of another kind.
    pub service: Option<String>,
    /// The beacons that stand while the endpoints are asked.
    pub beacons: Vec<beacon::Standing>,
    /// Why there may be network namespaces without one.
    pub beacons_missing: Option<crate::snapshot::Reason>,
    /// Endpoints that other contexts name and at which this one connects on their word. Where there are any, nothing else is asked.
    pub linked: Vec<reach::Link>,
    /// Look at nothing, and stand as the beacon of this network namespace instead.
    pub stand: bool,
}

/// One `[[account]]` of `parallax.toml`: all keys for this endpoint are meant to be the same account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Its name.
    pub name: String,
    /// The endpoint, as `scheme://host:port`.
    pub endpoint: String,
}

impl Target<'_> {
    /// A variable of the environment: absent when it is not set, unobserved when the environment is, or when the value is no text.
    pub fn variable(&self, name: &str) -> Fact<&str> {
        self.environment.as_ref().and_then(|environment| environment.text(name))
    }

    /// Why one of these variables could not be read. A user without a process has none to read.
    pub fn unread(&self, names: &[&str]) -> Option<Reason> {
        names
            .iter()
            .find_map(|name| self.variable(name).reason().filter(|reason| **reason != Reason::NoProcess).cloned())
    }

    /// The identity of what was seen at a place, by the mount table of the target.
    pub fn object(&self, seen: &crate::sys::Seen, filesystem: &str) -> ObjectId {
        ObjectId::new(self.boot, seen.device, seen.inode, filesystem)
    }
}

/// Looking that succeeded is present; "not there" is absent; everything else is a reason.
pub fn fact<T>(looked: Result<T, LookError>) -> Fact<T> {
    match looked {
        Ok(value) => Fact::Present(value),
        Err(LookError::NotFound { .. }) => Fact::Absent,
        Err(error) => Fact::Unobserved(reason(error)),
    }
}

/// The reason in a failed look. "Not there" has none; where a caller needs one all the same, it is `ENOENT`.
pub fn reason(error: LookError) -> Reason {
    match error {
        LookError::NotFound { path } => Reason::Unreadable { path, errno: "ENOENT".into() },
        LookError::Refused { path, errno } => Reason::Unreadable { path, errno },
        LookError::NotRegular { path, found } => Reason::NotRegular { path, found: found.into() },
        LookError::TooLong { path, cap } => {
            Reason::Truncated { at: u64::try_from(cap).unwrap_or(u64::MAX), what: path }
        }
    }
}
