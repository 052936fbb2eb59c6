//! GitLab Runner's `config.toml` (`common/config.go`, `docs/configuration/advanced-configuration.md`): the `[[runners]]` entries and what each
//! declares for its jobs.
//!
//! As the runner reads it: keys that it does not know are passed over, letter case included; a value of another type than it expects is a problem, with
//! its line, and stops the runner. Tokens, keys and values of variables are kept in memory that is wiped; no problem holds any text of a value. No I/O.

mod container;
mod reader;
mod token;
mod volume;

use std::collections::BTreeMap;

use secrecy::SecretString;

pub use container::{Device, JobContainer};
pub use token::{short, system_id, system_id_of};
pub use volume::Volume;

/// One file.
#[derive(Debug, Default)]
pub struct Configuration {
    /// The entries, in order.
    pub runners: Vec<Runner>,
    /// What the runner stops at, in the order of the lines.
    pub problems: Vec<Problem>,
}

/// Something that the runner does not accept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {key}: {detail}")]
pub struct Problem {
    /// 1-based.
    pub line: u32,
    /// The key, or what stands for it.
    pub key: String,
    /// What is wrong, without any text of the value.
    pub detail: String,
}

/// A value and its 1-based line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written<T> {
    pub value: T,
    pub line: u32,
}

/// One `[[runners]]` entry.
#[derive(Debug, Default)]
pub struct Runner {
    /// 1-based line of its header.
    pub line: u32,
    /// Its description.
    pub name: String,
    /// The secret that it asks for jobs with.
    pub token: Option<SecretString>,
    /// The public start of the token, by which jobs and labels name the runner.
    pub short: String,
    /// The server.
    pub url: Option<Written<String>>,
    /// What jobs clone from, where that differs.
    pub clone_url: Option<Written<String>>,
    /// `docker`, `shell`, …; empty when none is set.
    pub executor: String,
    pub builds_dir: Option<String>,
    pub cache_dir: Option<String>,
    /// Variables of every job, in order. One without `=` is passed over, as the runner does.
    pub environment: Vec<Variable>,
    /// The bundle that the server's certificate is held against.
    pub tls_ca_file: Option<Written<String>>,
    pub feature_flags: BTreeMap<String, bool>,
    /// `[runners.docker]`.
    pub docker: Option<Docker>,
    /// `[runners.cache]`.
    pub cache: Option<Cache>,
}

/// One element of `environment`.
#[derive(Debug)]
pub struct Variable {
    pub name: String,
    pub value: SecretString,
    pub line: u32,
}

/// What `[runners.docker]` declares.
#[derive(Debug, Default)]
pub struct Docker {
    /// The engine; none for `DOCKER_HOST` of the runner, or the default socket.
    pub host: Option<Written<String>>,
    pub image: Option<String>,
    pub helper_image: Option<String>,
    pub hostname: Option<String>,
    pub runtime: Option<String>,
    /// The user of the job's container; helpers run as their image says.
    pub user: Option<String>,
    pub userns_mode: Option<String>,
    pub network_mode: Option<Written<String>>,
    pub pid_mode: Option<String>,
    pub ipc_mode: Option<String>,
    pub volume_driver: Option<String>,
    /// A directory of the engine's machine for volumes that the runner makes.
    pub cache_dir: Option<String>,
    pub privileged: Option<Written<bool>>,
    pub services_privileged: Option<bool>,
    pub disable_cache: bool,
    pub shm_size: Option<i64>,
    /// The entries that parse; the others are problems.
    pub volumes: Vec<Volume>,
    pub volumes_from: Vec<String>,
    pub devices: Vec<String>,
    pub cap_add: Vec<String>,
    pub cap_drop: Vec<String>,
    pub security_opt: Vec<String>,
    pub group_add: Vec<String>,
    /// `name:address`.
    pub extra_hosts: Vec<Written<String>>,
    pub dns: Vec<String>,
    pub dns_search: Vec<String>,
    pub links: Vec<String>,
    /// `always`, `if-not-present`, `never`; the first that works.
    pub pull_policy: Vec<String>,
    pub tmpfs: BTreeMap<String, String>,
    pub sysctls: BTreeMap<String, String>,
    /// Services that every job has: image and alias.
    pub services: Vec<Service>,
}

/// One `[[runners.docker.services]]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Service {
    pub name: String,
    pub alias: Option<String>,
}

/// What `[runners.cache]` declares.
#[derive(Debug, Default)]
pub struct Cache {
    /// `s3`, `gcs`, `azure`, `s3v2`.
    pub kind: String,
    pub path: Option<String>,
    /// Whether runners share it.
    pub shared: bool,
    /// `[runners.cache.s3]`.
    pub s3: Option<S3>,
}

/// What `[runners.cache.s3]` declares (`cache/cacheconfig/cacheconfig.go`).
#[derive(Debug, Default)]
pub struct S3 {
    /// 1-based line of its header.
    pub line: u32,
    /// `host[:port]`; none for AWS itself.
    pub server_address: Option<Written<String>>,
    pub bucket: Option<String>,
    pub location: Option<String>,
    /// Whether plain HTTP is spoken.
    pub insecure: bool,
    pub authentication: Option<String>,
    pub access_key: Option<Written<String>>,
    pub secret_key: Option<SecretString>,
}

impl S3 {
    /// Where clients reach it; none for AWS itself.
    pub fn url(&self) -> Option<String> {
        let address = &self.server_address.as_ref()?.value;
        Some(format!("{}://{address}", if self.insecure { "http" } else { "https" }))
    }

    /// Whether the keys of this file sign, and not those that the runner's own surroundings give it.
    pub fn uses_its_keys(&self) -> bool {
        match self.authentication.as_deref().map(str::to_ascii_lowercase).as_deref() {
            Some("access-key") => true,
            Some(_) => false,
            None => self.server_address.is_some() && self.access_key.is_some() && self.secret_key.is_some(),
        }
    }
}

impl Runner {
    /// Whether its jobs run in containers of a Docker engine.
    pub fn is_docker(&self) -> bool {
        matches!(self.executor.as_str(), "docker" | "docker+machine" | "docker-autoscaler")
    }

    /// The bundle that the runner finds by itself below its configuration directory: `certs/<host>.crt` (`network/client.go`).
    pub fn automatic_bundle(&self) -> Option<String> {
        let url = &self.url.as_ref()?.value;
        let authority = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest).split(['/', '?', '#']).next()?;
        let host = authority.rsplit('@').next()?.split(':').next()?;
        let plain = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
        (!host.is_empty() && host.chars().all(plain)).then(|| format!("certs/{host}.crt"))
    }
}

/// Reads a file. One that is no TOML is one problem.
pub fn parse(text: &[u8]) -> Configuration {
    reader::read(text)
}

#[cfg(test)]
mod tests;
