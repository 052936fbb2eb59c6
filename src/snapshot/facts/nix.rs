//! The effective Nix settings of a context, where each comes from, and what a client here asks of the daemon.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::snapshot::{Fact, List};

/// The effective Nix settings and where each comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Nix {
    /// The configuration files that Nix would read here, in the order of application (`nix.conf(5)`).
    pub files: Fact<List<ConfFile>>,
    /// Every setting that some file or `NIX_CONFIG` gives, with its effective value.
    pub settings: Fact<List<Setting>>,
    /// Lines that Nix refuses or does not know.
    pub problems: Fact<List<ConfProblem>>,
    /// Effective `substituters`, in order.
    pub substituters: Fact<Vec<String>>,
    /// Effective `trusted-public-keys`.
    #[schemars(extend("x-disclosure" = "public"))]
    pub trusted_public_keys: Fact<Vec<String>>,
    /// Effective `trusted-substituters`.
    pub trusted_substituters: Fact<Vec<String>>,
    /// Effective `trusted-users`.
    pub trusted_users: Fact<Vec<String>>,
    /// Effective `allowed-users`.
    pub allowed_users: Fact<Vec<String>>,
    /// Effective `netrc-file`.
    pub netrc_file: Fact<String>,
    /// Effective `sandbox`: `true`, `false` or `relaxed`.
    #[schemars(extend("x-disclosure" = "public"))]
    pub sandbox: Fact<String>,
    /// Effective `require-sigs`.
    #[schemars(extend("x-disclosure" = "public"))]
    pub require_sigs: Fact<bool>,
    /// Effective `experimental-features`.
    #[schemars(extend("x-disclosure" = "public"))]
    pub experimental_features: Fact<Vec<String>>,
    /// Effective `system-features`; absent when no configuration sets them (Nix then computes them).
    #[schemars(extend("x-disclosure" = "public"))]
    pub system_features: Fact<Vec<String>>,
    /// What the configuration here asks of the daemon: settings that only the daemon can honour, one element per value that somebody
    /// wrote, with the level at which it stands. Those of the system file are never sent.
    pub requests: Fact<List<Request>>,
    /// Whom a daemon that runs in this context trusts and admits, by this context's own user database.
    pub trust: Trust,
}

/// One configuration file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ConfFile {
    /// The path.
    pub path: String,
    /// `system`, `user` or `include`.
    pub level: String,
    /// Whether it exists.
    pub exists: Fact<bool>,
    /// Whether this identity can read it; Nix ignores one that it can't read. Absent where there is none.
    pub readable: Fact<bool>,
    /// When it was last modified, in milliseconds since 1970.
    pub modified: Fact<i64>,
    /// Whether it was modified after this context's process started; absent without a process.
    pub newer_than_process: Fact<bool>,
}

/// One setting.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Setting {
    /// The canonical name.
    pub name: String,
    /// The effective value, tokens joined by single blanks. The values of `access-tokens` and its like are withheld; URLs lose their user part.
    pub value: Fact<String>,
    /// Where the deciding lines stand, `file:line` or `NIX_CONFIG:line`, the last one last.
    pub origins: Vec<String>,
    /// `system`, `user` or `environment`: the level that decided.
    pub level: String,
}

/// One value that a client here asks the daemon to honour.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Request {
    /// The canonical name of the setting.
    pub setting: String,
    /// One value: a substituter, a key, or the whole value of a setting that is no list.
    pub value: String,
    /// `file:line` or `NIX_CONFIG:line`.
    pub origin: String,
    /// `system` (a client never sends it; it holds only if the daemon has it too), `user` or `environment`.
    pub level: String,
}

/// A line that Nix refuses or does not know.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ConfProblem {
    /// `file:line`.
    pub origin: String,
    /// What is wrong.
    pub detail: String,
    /// Whether Nix stops at it (else it warns and goes on).
    pub fatal: bool,
}

/// Whom a daemon in this context trusts and admits (`src/nix/daemon.cc`, authPeer: name, `*`, `@group` by primary group or member list).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Trust {
    /// Whether `*` is in `trusted-users`.
    #[schemars(extend("x-disclosure" = "public"))]
    pub everyone: Fact<bool>,
    /// The trusted uids, sorted.
    pub uids: Fact<Vec<u32>>,
    /// The primary gids that are trusted by `@group`, sorted.
    pub gids: Fact<Vec<u32>>,
    /// Whether `*` is in `allowed-users`.
    #[schemars(extend("x-disclosure" = "public"))]
    pub admits_everyone: Fact<bool>,
    /// The uids admitted by `allowed-users`, sorted.
    pub admitted_uids: Fact<Vec<u32>>,
    /// The primary gids admitted by `@group` in `allowed-users`, sorted.
    pub admitted_gids: Fact<Vec<u32>>,
}
