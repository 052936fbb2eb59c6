//! The typed facts, one file per family. Every field has a sentence that says what it means, in which unit, and from which
//! source it is read; `parallax explain FACT` and the generated pages print those sentences.
//!
//! Leaves are [`Fact`](super::Fact)s; structures are always there, so that a path such as `store.db.mode` can be
//! written without asking first whether `store.db` exists.

mod caches;
mod credentials;
mod engine;
mod identity;
mod logins;
mod network;
mod nix;
mod paths;
mod reach;
mod runner;
mod ssh;
mod store;
mod tools;

pub use caches::{
    AtticCache, AtticServer, Caches, CachixCache, CachixClient, CachixSigner, PathSignature, ServedCache, ServedPath,
    TrustedKey,
};
pub use credentials::{AwsChain, CredentialFile, Credentials, NetrcEntry, RegistryLogin, S3Key};
pub use engine::Engine;
pub use identity::{Capabilities, Home, HostIdentity, IdRange, Identity, Namespaces, Passwd, Process};
pub use logins::{Logins, RegistryAnswer, S3Answer};
pub use network::{Endpoint, Listener, Loopback, NameServer, Network, ProxyVariable, ResolvedName};
pub use nix::{ConfFile, ConfProblem, Nix, Request, Setting, Trust};
pub use paths::{BindSource, NamedFile, NamedSocket, Paths, SeenPath};
pub use reach::{Bundle, Certificate, HostAddress, Linked, Reach, Reached, Service};
pub use runner::{
    Runner, RunnerBundle, RunnerEntry, RunnerFile, RunnerGiven, RunnerPlace, RunnerProblem, RunnerVariable,
    RunnerVolume,
};
pub use ssh::{KnownHostsFile, Ssh, SshEndpoint, SshIdentity, SshServer};
pub use store::{Chosen, Client, Daemon, Database, LockHolder, Mount, Place, Store};
pub use tools::{PathEntry, Tool, Tools};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// All families of one context.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Facts {
    /// Who the context is.
    pub identity: Identity,
    /// What its names and addresses mean.
    pub network: Network,
    /// The Nix store as this context sees it.
    pub store: Store,
    /// Where the tools on PATH come from and whether they can start.
    pub tools: Tools,
    /// Which credentials it would use.
    pub credentials: Credentials,
    /// The effective Nix settings and where each comes from.
    pub nix: Nix,
    /// GitLab Runner as this context has to do with it.
    pub runner: Runner,
    /// The container engine, where it is one.
    pub engine: Engine,
    /// The binary caches that it names, and whose signatures it trusts.
    pub caches: Caches,
    /// Its Nix's remote builders and stores behind SSH.
    pub ssh: Ssh,
    /// What answers under the endpoints' names.
    pub reach: Reach,
    /// What the credentials' own endpoints say of them.
    pub logins: Logins,
    /// Paths that it names, and what is here at those that others name.
    pub paths: Paths,
}
