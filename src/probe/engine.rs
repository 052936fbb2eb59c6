//! The container engine, where our process is one: where it listens, and what it was told of registries.
//!
//! Reads the command line and `daemon.json`, beneath the target's root. Speaks to no engine, and must not judge.

use super::store::places::{Mounts, look};
use super::{Target, fact};
use crate::formats::docker_daemon::{self, CommandLine, DaemonConfig};
use crate::formats::endpoint_url::EndpointUrl;
use crate::snapshot::endpoint::NamedEndpoint;
use crate::snapshot::facts::Engine;
use crate::snapshot::{Fact, ObjectId, Reason};

/// No such file is longer.
const CAP: usize = 1 << 20;
/// Where the engine listens by itself (`dockerd(8)`, `--host`).
const DEFAULT: &str = "unix:///var/run/docker.sock";
/// What the engine reads (`dockerd(8)`, `--config-file`).
const CONFIG: &str = "/etc/docker/daemon.json";
/// The most words of a command line that are looked at.
const WORDS: usize = 256;

/// Looks at the engine's configuration, in its own context; and the mirrors that it names.
pub fn observe(target: &Target<'_>) -> (Engine, Vec<NamedEndpoint>) {
    let words = words(target);
    let is_engine = words.as_ref().map(|words| is_dockerd(target, words));
    if is_engine == Fact::Present(true) {
        return of_engine(target, &words);
    }
    let none = || is_engine.as_ref().and_then(|_| Fact::Absent);
    let engine = Engine {
        socket: is_engine.as_ref().and_then(|_| Fact::Absent),
        config: is_engine.as_ref().and_then(|_| Fact::Absent),
        mirrors: none(),
        insecure: none(),
        proxied: is_engine.as_ref().and_then(|_| Fact::Absent),
        is_engine,
    };
    (engine, Vec::new())
}

/// The engine's own context.
fn of_engine(target: &Target<'_>, words: &Fact<Vec<String>>) -> (Engine, Vec<NamedEndpoint>) {
    let line = words.present().map(|words| docker_daemon::command_line(words)).unwrap_or_default();
    let path = line.config_file.clone().unwrap_or_else(|| CONFIG.to_owned());
    let read = config(target, &path);
    let listens = read.as_ref().map(|config| listens(&line, config));
    let mirrors = read.as_ref().map(|config| -> Vec<String> {
        line.mirrors.iter().chain(&config.mirrors).map(|url| EndpointUrl::parse(url).origin()).collect()
    });
    let endpoint = |url: &String| NamedEndpoint {
        url: url.clone(),
        named_by: "registry mirror of the engine".to_owned(),
        origin: path.clone(),
    };
    let named = mirrors.present().into_iter().flatten().map(endpoint).collect();
    let engine = Engine {
        socket: listens.and_then(|host| socket(target, &host)),
        is_engine: Fact::Present(true),
        mirrors,
        proxied: read.as_ref().map(|config| line.proxied || config.proxies.http || config.proxies.https),
        insecure: read.map(|config| line.insecure.iter().chain(&config.insecure).map(|one| registry(one)).collect()),
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

/// A registry as it is written: `host:port` or a network, without what stands before an `@`.
fn registry(text: &str) -> String {
    text.rsplit('@').next().unwrap_or_default().split(['?', '#']).next().unwrap_or_default().to_owned()
}

/// Which socket that is. Anybody may call himself so and name a socket; an engine's own belongs to whom it runs as.
fn socket(target: &Target<'_>, host: &str) -> Fact<ObjectId> {
    let Some(path) = host.strip_prefix("unix://") else { return Fact::Absent };
    if let Some(missing) = target.incomplete.first() {
        return Fact::Unobserved(Reason::IdentityIncomplete { missing: missing.clone() });
    }
    let place = look(target, &Mounts::read(target), path);
    let is_own = place.kind.as_ref().and_then(|kind| {
        place.owner.as_ref().map(|owner| kind == "socket" && *owner == rustix::process::geteuid().as_raw())
    });
    is_own.and_then(|is_own| if is_own { place.identity.clone() } else { Fact::Absent })
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

#[cfg(test)]
mod tests {
    use super::registry;
    use crate::formats::endpoint_url::EndpointUrl;

    #[test]
    fn no_word_before_an_at_sign_is_kept_of_a_registry_or_of_a_mirror() {
        assert_eq!(registry("ci:secret@registry.example:5000"), "registry.example:5000");
        assert_eq!(registry("10.0.0.0/8"), "10.0.0.0/8");
        for mirror in
            ["https://ci:secret@mirror.example", "https://ci:secret@${MIRROR}", "https://ci:se/cret@mirror.example"]
        {
            assert!(!EndpointUrl::parse(mirror).origin().contains("cret"), "{mirror}");
        }
    }
}
