//! The container engine: which one Docker's client here drives, and, where our process is the engine, what it was told of registries.
//!
//! Reads variables, the client's configuration and contexts, and `daemon.json`, beneath the target's root. Speaks to no engine, and must not judge.

use sha2::{Digest, Sha256};

use super::credentials::home;
use super::{Target, fact};
use crate::formats::docker_daemon::{self, CommandLine, DaemonConfig};
use crate::formats::mountinfo;
use crate::snapshot::endpoint::NamedEndpoint;
use crate::snapshot::facts::Engine;
use crate::snapshot::{Fact, ObjectId, Reason};
use crate::sys::{Access, Kind};

/// No such file is longer.
const CAP: usize = 1 << 20;
/// Where the engine listens and its client looks (`dockerd(8)`, `--host`).
const DEFAULT: &str = "unix:///var/run/docker.sock";
/// What the engine reads (`dockerd(8)`, `--config-file`).
const CONFIG: &str = "/etc/docker/daemon.json";
/// The most words of a command line that are looked at.
const WORDS: usize = 256;

/// An engine and what named it.
struct Named {
    host: String,
    by: String,
}

/// Looks at the client's side and, in the engine's own context, at its configuration; and the mirrors that it names.
pub fn observe(target: &Target<'_>) -> (Engine, Vec<NamedEndpoint>) {
    let words = words(target);
    let is_engine = words.as_ref().map(|words| is_dockerd(target, words));
    if is_engine == Fact::Present(true) {
        return of_engine(target, &words);
    }
    let named = client(target);
    let engine = Engine {
        host: named.as_ref().map(|named| named.host.clone()),
        host_named_by: named.as_ref().map(|named| named.by.clone()),
        usable: named.as_ref().and_then(|named| usable(target, &named.host)),
        socket: named.and_then(|named| socket(target, &named.host)),
        is_engine,
        config: Fact::Absent,
        mirrors: Fact::Absent,
        insecure: Fact::Absent,
        proxied: Fact::Absent,
    };
    (engine, Vec::new())
}

/// The engine's own context.
fn of_engine(target: &Target<'_>, words: &Fact<Vec<String>>) -> (Engine, Vec<NamedEndpoint>) {
    let line = words.present().map(|words| docker_daemon::command_line(words)).unwrap_or_default();
    let path = line.config_file.clone().unwrap_or_else(|| CONFIG.to_owned());
    let read = config(target, &path);
    let listens = read.as_ref().map(|config| listens(&line, config));
    let mirrors = read.as_ref().map(|config| [line.mirrors.clone(), config.mirrors.clone()].concat());
    let endpoint = |url: &String| NamedEndpoint {
        url: crate::formats::endpoint_url::EndpointUrl::parse(url).origin(),
        named_by: "registry mirror of the engine".to_owned(),
        origin: path.clone(),
    };
    let named = mirrors.present().into_iter().flatten().map(endpoint).collect();
    let engine = Engine {
        host_named_by: Fact::Present("its own configuration".to_owned()),
        usable: listens.as_ref().and_then(|host| usable(target, host)),
        socket: listens.as_ref().and_then(|host| socket(target, host)),
        host: listens,
        is_engine: Fact::Present(true),
        mirrors,
        proxied: read.as_ref().map(|config| line.proxied || config.proxies.http || config.proxies.https),
        insecure: read.map(|config| [line.insecure, config.insecure].concat()),
        config: Fact::Present(path),
    };
    (engine, named)
}

/// Where it listens for clients of this machine: the first Unix socket that it is told, else the default one; `fd://` is the socket that systemd
/// opened for it (`docker.socket`), at the same place.
fn listens(line: &CommandLine, config: &DaemonConfig) -> String {
    let mut hosts = line.hosts.iter().chain(&config.hosts);
    let unix = hosts.find(|host| host.len() > "unix://".len() && host.starts_with("unix://"));
    unix.cloned().unwrap_or_else(|| DEFAULT.to_owned())
}

fn config(target: &Target<'_>, path: &str) -> Fact<DaemonConfig> {
    if let Some(missing) = target.incomplete.first() {
        return Fact::Unobserved(Reason::IdentityIncomplete { missing: missing.clone() });
    }
    match fact(target.root.read(path, CAP)) {
        Fact::Present(text) => match docker_daemon::parse(&text) {
            Ok(config) => Fact::Present(config),
            Err(error) => Fact::Unobserved(Reason::Malformed {
                path: path.to_owned(),
                line: Some(error.line),
                detail: error.to_string(),
            }),
        },
        Fact::Absent => Fact::Present(DaemonConfig::default()),
        Fact::Unobserved(reason) => Fact::Unobserved(reason),
    }
}

/// Which engine the client here takes (`docker/cli`, `cli/command/cli.go`, resolveContextName): the variable of the host before that of the context, then
/// the configuration, then the default place, which counts only where a socket is.
fn client(target: &Target<'_>) -> Fact<Named> {
    if let Some(reason) = target.unread(&["DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "HOME"]) {
        return Fact::Unobserved(reason);
    }
    let set = |name: &str| target.variable(name).present().filter(|value| !value.is_empty()).map(|v| (*v).to_owned());
    if let Some(host) = set("DOCKER_HOST") {
        return Fact::Present(Named { host: public(&host), by: "DOCKER_HOST".to_owned() });
    }
    let directory = match set("DOCKER_CONFIG") {
        Some(directory) => Fact::Present(directory),
        None => home(target).map(|home| format!("{}/.docker", home.trim_end_matches('/'))),
    };
    let context = match set("DOCKER_CONTEXT") {
        Some(name) => Fact::Present((name, "DOCKER_CONTEXT".to_owned())),
        None => directory
            .as_ref()
            .and_then(|directory| fact(target.root.read(&format!("{directory}/config.json"), CAP)))
            .and_then(|text| docker_daemon::current_context(&text).into())
            .map(|name: String| (name.clone(), format!("context {name}"))),
    };
    match context {
        Fact::Present((name, _)) if name == "default" => by_default(target),
        Fact::Present((name, by)) => directory.and_then(|directory| of_context(target, &directory, &name, by)),
        Fact::Absent => by_default(target),
        Fact::Unobserved(reason) => Fact::Unobserved(reason),
    }
}

/// A context lies in a directory that is called after the digest of its name (`cli/context/store/metadatastore.go`).
fn of_context(target: &Target<'_>, directory: &str, name: &str, by: String) -> Fact<Named> {
    let digest: String = Sha256::digest(name.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    let text = fact(target.root.read(&format!("{directory}/contexts/meta/{digest}/meta.json"), CAP));
    text.and_then(|text| docker_daemon::host_of_context(&text).into())
        .map(|host: String| Named { host: public(&host), by: by.clone() })
}

fn by_default(target: &Target<'_>) -> Fact<Named> {
    socket(target, DEFAULT).map(|_| Named { host: DEFAULT.to_owned(), by: "default".to_owned() })
}

/// Without a user part and a query.
fn public(host: &str) -> String {
    let url = crate::formats::endpoint_url::EndpointUrl::parse(host);
    if url.host.is_none() { host.to_owned() } else { url.origin() }
}

/// Which socket that is.
fn socket(target: &Target<'_>, host: &str) -> Fact<ObjectId> {
    let Some(path) = host.strip_prefix("unix://") else { return Fact::Absent };
    fact(target.root.look(path)).and_then(|seen| {
        if seen.kind != Kind::Socket {
            return Fact::Absent;
        }
        let mounts = fact(target.process.mountinfo.clone());
        let filesystem = mounts.and_then(|text| {
            let mounts = mountinfo::parse(&text).unwrap_or_default();
            let mount = mounts.into_iter().find(|mount| Some(mount.id) == seen.mount_id);
            mount.map(|mount| mount.filesystem).into()
        });
        match filesystem {
            Fact::Present(filesystem) => Fact::Present(target.object(&seen, &filesystem)),
            Fact::Absent => {
                Fact::Unobserved(Reason::NotEmulated { what: "a socket whose mount is not in the table".into() })
            }
            Fact::Unobserved(reason) => Fact::Unobserved(reason),
        }
    })
}

/// Whether our identity may connect there (`unix(7)`: connecting needs the right to write).
fn usable(target: &Target<'_>, host: &str) -> Fact<bool> {
    let Some(path) = host.strip_prefix("unix://") else { return Fact::Absent };
    if let Some(missing) = target.incomplete.first() {
        return Fact::Unobserved(Reason::IdentityIncomplete { missing: missing.clone() });
    }
    fact(target.root.effective_access(path, Access::Write))
}

/// Whether our process is the engine. Its own re-executions begin with another name.
fn is_dockerd(target: &Target<'_>, words: &[String]) -> bool {
    let base = |path: &str| path.rsplit('/').next().unwrap_or(path) == "dockerd";
    let executable = target.process.executable.as_deref().unwrap_or_default().trim_end_matches(" (deleted)");
    words.first().is_some_and(|first| base(first)) && (executable.is_empty() || base(executable))
}

/// The words of the command line; they are only asked for options that name files, sockets and registries.
fn words(target: &Target<'_>) -> Fact<Vec<String>> {
    if !target.live {
        return Fact::Present(Vec::new());
    }
    fact(target.process.command_line.clone()).map(|text| {
        let words = text.split(|byte| *byte == 0).filter(|word| !word.is_empty()).take(WORDS);
        words.map(|word| String::from_utf8_lossy(word).into_owned()).collect()
    })
}
