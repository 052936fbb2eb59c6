//! Sockets of container engines: which ones this context is configured with, whether a connection comes about, and who listens.
//!
//! In the order of Docker's client (`docker/cli`, `cli/command/cli.go`): `DOCKER_HOST`, the context that `DOCKER_CONTEXT` or `config.json` names, and
//! `/var/run/docker.sock`. Podman's remote client takes `CONTAINER_HOST`. Nothing is sent.

use sha2::{Digest, Sha256};

use crate::formats::docker_config;
use crate::probe::store::places::{Mounts, look};
use crate::probe::{Target, fact, reason};
use crate::snapshot::facts::{NamedSocket, Place};
use crate::snapshot::{Fact, List, ObjectId, Reason};
use crate::sys::LookError;

/// Where Docker's client looks when nothing names a socket.
const DEFAULT: &str = "/var/run/docker.sock";
/// The most that is read of Docker's client configuration.
const CAP: usize = 1 << 20;

/// What names a socket, and the path.
struct Named {
    by: &'static str,
    path: String,
}

/// One element per socket.
pub(super) fn observe(target: &Target<'_>, mounts: &Mounts) -> Fact<List<NamedSocket>> {
    const VARIABLES: [&str; 5] = ["DOCKER_HOST", "CONTAINER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "HOME"];
    if let Some(reason) = target.unread(&VARIABLES) {
        return Fact::Unobserved(reason);
    }
    let mut named = Vec::new();
    let mut more = None;
    match docker(target) {
        Ok(found) => named.extend(found),
        Err(reason) => more = Some(reason),
    }
    let container_host = target.variable("CONTAINER_HOST").present().and_then(|host| unix(host));
    named.extend(container_host.map(|path| Named { by: "CONTAINER_HOST", path }));
    let items = named.iter().map(|named| one(target, mounts, named)).collect();
    Fact::Present(List { items, more })
}

/// What Docker's client takes here; none where it goes over a network.
fn docker(target: &Target<'_>) -> Result<Option<Named>, Reason> {
    let set = |name| target.variable(name).present().map(|value| (*value).to_owned()).filter(|value| !value.is_empty());
    if let Some(host) = set("DOCKER_HOST") {
        return Ok(unix(&host).map(|path| Named { by: "DOCKER_HOST", path }));
    }
    let directory = set("DOCKER_CONFIG").or_else(|| set("HOME").map(|home| format!("{home}/.docker")));
    if let Some(directory) = directory.filter(|directory| directory.starts_with('/')) {
        let context = match set("DOCKER_CONTEXT") {
            Some(name) => Some(name),
            None => read(target, &format!("{directory}/config.json"))?.as_deref().and_then(docker_config::context),
        };
        if let Some(name) = context.filter(|name| name != "default") {
            let hash: String = Sha256::digest(name.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
            let host = read(target, &format!("{directory}/contexts/meta/{hash}/meta.json"))?;
            let host = host.as_deref().and_then(docker_config::context_host);
            return Ok(host.and_then(|host| unix(&host)).map(|path| Named { by: "docker context", path }));
        }
    }
    // Whoever has no Docker has no socket to miss.
    let is_there = !matches!(target.root.look_at_link(DEFAULT), Err(LookError::NotFound { .. }));
    Ok(is_there.then(|| Named { by: "docker", path: DEFAULT.to_owned() }))
}

/// A file of the client's configuration. One that this identity may not read is none for it either.
fn read(target: &Target<'_>, path: &str) -> Result<Option<Vec<u8>>, Reason> {
    match target.root.read(path, CAP) {
        Ok(text) => Ok(Some(text)),
        Err(LookError::NotFound { .. }) => Ok(None),
        Err(LookError::Refused { errno, .. }) if errno == "EACCES" && target.incomplete.is_empty() => Ok(None),
        Err(error) => Err(reason(error)),
    }
}

/// The path of `unix:///path`.
fn unix(host: &str) -> Option<String> {
    host.strip_prefix("unix://").filter(|path| super::is_path(path)).map(str::to_owned)
}

fn one(target: &Target<'_>, mounts: &Mounts, named: &Named) -> NamedSocket {
    let place = look(target, mounts, &named.path);
    let (connects, failure, server) = connect(target, &named.path);
    NamedSocket {
        named_by: named.by.to_owned(),
        path: named.path.clone(),
        mounted: mounted(target, &named.path, &place),
        exists: place.exists,
        kind: place.kind,
        identity: place.identity,
        group: place.group,
        connects,
        failure,
        server,
    }
}

/// A mount point is written as the kernel resolved it.
fn mounted(target: &Target<'_>, path: &str, place: &Place) -> Fact<bool> {
    match fact(target.root.resolve(path)) {
        Fact::Present(resolved) => place.mount.point.as_ref().map(|point| *point == resolved),
        Fact::Absent => Fact::Present(false),
        Fact::Unobserved(reason) => Fact::Unobserved(reason),
    }
}

fn connect(target: &Target<'_>, path: &str) -> (Fact<bool>, Fact<String>, Fact<ObjectId>) {
    if let Some(reason) = super::incomplete(target) {
        return (Fact::Unobserved(reason.clone()), Fact::Unobserved(reason.clone()), Fact::Unobserved(reason));
    }
    let failed = |failure: String| (Fact::Present(false), Fact::Present(failure), Fact::Absent);
    match target.root.connect(path) {
        Ok(stream) => (Fact::Present(true), Fact::Absent, crate::probe::store::server(target, &stream)),
        Err(LookError::NotFound { .. }) => failed("ENOENT".to_owned()),
        // Somebody listens, and is busy: a connection that waits comes about (`unix(7)`).
        Err(LookError::Refused { errno, path }) if errno == "EAGAIN" => {
            let reason = Reason::TimedOut { after_ms: 0, waiting_for: path };
            (Fact::Unobserved(reason.clone()), Fact::Unobserved(reason.clone()), Fact::Unobserved(reason))
        }
        Err(LookError::Refused { errno, .. }) => failed(errno),
        Err(LookError::NotRegular { .. }) => failed("not a socket".to_owned()),
        Err(error @ LookError::TooLong { .. }) => {
            let reason = reason(error);
            (Fact::Unobserved(reason.clone()), Fact::Unobserved(reason.clone()), Fact::Unobserved(reason))
        }
    }
}
