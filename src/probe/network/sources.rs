//! What name resolution in the target depends on, read once beneath its root: hosts, resolv.conf, nsswitch.conf, the C libraries
//! that are there, and the state of NSS modules. Judges nothing and opens no socket.

use std::collections::BTreeSet;

use super::endpoints::is_nix;
use crate::formats::hosts::Hosts;
use crate::formats::nsswitch::{self, Service};
use crate::formats::resolv_conf::{self, ResolvConf};
use crate::probe::{Target, fact, reason};
use crate::snapshot::endpoint::NamedEndpoint;
use crate::snapshot::{Fact, Reason};
use crate::sys::{Kind, LookError, Root};

/// Block lists in hosts files reach a few megabytes.
const HOSTS_CAP: usize = 8 << 20;
const CONF_CAP: usize = 64 << 10;
/// Where a distribution's glibc looks for its modules (`ld.so(8)`; the last are Debian's directories).
const LIBRARY_DIRECTORIES: [&str; 8] = [
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/lib/x86_64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu",
    "/lib/aarch64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
];
/// The most names of one directory that are looked at.
const LIST_CAP: usize = 20_000;

/// Whose lookup is emulated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Flavour {
    Glibc,
    Musl,
    /// Nix has glibc ask `files dns` and nothing else (Nix `preloadNSS`, `__nss_configure_lookup`).
    Nix,
    /// Programs that bring their own resolver, as those of Go do (Go's `net/dnsclient_unix.go`, `net/conf.go`): what runs in a root without a C library.
    Go,
}

impl Flavour {
    /// The word of the fact.
    pub fn word(self) -> &'static str {
        match self {
            Self::Glibc => "glibc",
            Self::Musl => "musl",
            Self::Nix => "nix",
            Self::Go => "go",
        }
    }
}

/// What was read.
pub struct Sources {
    pub hosts: Fact<Hosts>,
    /// `multi on` in `/etc/host.conf` (`host.conf(5)`): glibc takes every line of the hosts file that names a host; without it the first one only.
    pub multi: Fact<bool>,
    pub resolv_conf: Fact<ResolvConf>,
    /// The modules for hosts; the default where no file or line says otherwise.
    pub services: Fact<Vec<Service>>,
    /// The first word of `/etc/hostname`. The name that the kernel holds may have been set otherwise; that one is not looked at.
    pub own_name: Fact<String>,
    /// The flavours that programs here use.
    pub flavours: BTreeSet<Flavour>,
    /// Why there may be another one.
    pub more_flavours: Option<Reason>,
    /// Whether a socket of nscd is there, which glibc asks before anything else.
    pub nscd: Fact<bool>,
    /// Modules that no directory holds, so that glibc skips them.
    pub missing_modules: BTreeSet<String>,
    /// Names that systemd-machined answers for; unobserved where its directory could not be read.
    pub machines: Fact<Vec<String>>,
    /// Whether there is a socket over which `nss-resolve` could ask systemd-resolved.
    pub resolved: Fact<bool>,
    /// `LOCALDOMAIN` and `RES_OPTIONS` (`resolv.conf(5)`).
    pub local_domain: Option<String>,
    pub resolver_options: Option<String>,
    /// Whether `HOSTALIASES` is set (`hostname(7)`): single words may then stand for other names.
    pub host_aliases: bool,
}

impl Sources {
    /// Reads everything that the flavours need.
    pub fn read(target: &Target<'_>, named: &[NamedEndpoint]) -> Self {
        let root = target.root;
        let services = fact(root.read("/etc/nsswitch.conf", CONF_CAP));
        let services = match services {
            Fact::Present(text) => match nsswitch::parse(&text, "hosts") {
                Ok(line) => Fact::Present(line.unwrap_or_else(nsswitch::default_hosts)),
                Err(error) => Fact::Unobserved(Reason::Malformed {
                    path: "/etc/nsswitch.conf".into(),
                    line: Some(error.line),
                    detail: error.to_string(),
                }),
            },
            Fact::Absent => Fact::Present(nsswitch::default_hosts()),
            Fact::Unobserved(reason) => Fact::Unobserved(reason),
        };
        let missing_modules = services.present().map(|services| missing(root, services)).unwrap_or_default();
        let (flavours, more_flavours) = flavours(root, named);
        let variable = |name: &str| target.variable(name).present().map(|value| (*value).to_owned());
        Self {
            hosts: fact(root.read("/etc/hosts", HOSTS_CAP)).map(Hosts::new),
            multi: match fact(root.read("/etc/host.conf", CONF_CAP)) {
                Fact::Present(text) => Fact::Present(multi(&text)),
                Fact::Absent => Fact::Present(false),
                Fact::Unobserved(reason) => Fact::Unobserved(reason),
            },
            resolv_conf: fact(root.read("/etc/resolv.conf", CONF_CAP)).map(|text| resolv_conf::parse(&text)),
            own_name: fact(root.read("/etc/hostname", CONF_CAP)).and_then(|text| own_name(&text).into()),
            flavours,
            more_flavours,
            nscd: socket(root, &["/var/run/nscd/socket", "/run/nscd/socket"]),
            machines: match fact(root.list("/run/systemd/machines", LIST_CAP)) {
                Fact::Present((names, false)) => Fact::Present(names),
                Fact::Present((_, true)) => {
                    Fact::Unobserved(Reason::Truncated { at: LIST_CAP as u64, what: "/run/systemd/machines".into() })
                }
                Fact::Absent => Fact::Present(Vec::new()),
                Fact::Unobserved(reason) => Fact::Unobserved(reason),
            },
            resolved: socket(
                root,
                &[
                    "/run/systemd/resolve/io.systemd.Resolve",
                    "/run/dbus/system_bus_socket",
                    "/var/run/dbus/system_bus_socket",
                ],
            ),
            services,
            missing_modules,
            local_domain: variable("LOCALDOMAIN"),
            resolver_options: variable("RES_OPTIONS"),
            host_aliases: target.variable("HOSTALIASES").present().is_some(),
        }
    }

    /// The resolver's configuration as a flavour reads it. Without a file the defaults hold.
    pub fn resolver(&self, flavour: Flavour) -> Fact<ResolvConf> {
        let mut conf = match self.resolv_conf.as_ref() {
            Fact::Present(conf) => conf.clone(),
            Fact::Absent => ResolvConf::default(),
            Fact::Unobserved(reason) => return Fact::Unobserved(reason),
        };
        if flavour == Flavour::Musl {
            return Fact::Present(conf);
        }
        if flavour != Flavour::Go {
            if let Some(domains) = &self.local_domain {
                conf.set_search(domains);
            }
            if let Some(options) = &self.resolver_options {
                conf.apply_options(options);
            }
        }
        if conf.search.is_none()
            && let Fact::Present(name) = &self.own_name
            && let Some((_, domain)) = name.split_once('.')
        {
            // glibc and Go search the domain of the own host name (resolv.conf(5), "search").
            conf.set_search(domain);
        }
        Fact::Present(conf)
    }
}

/// The last `multi` line holds.
fn multi(text: &[u8]) -> bool {
    let text = String::from_utf8_lossy(text);
    let mut values = text.lines().filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        (words.next() == Some("multi")).then(|| words.next().is_some_and(|word| word.eq_ignore_ascii_case("on")))
    });
    values.next_back().unwrap_or(false)
}

fn own_name(text: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(text);
    let line = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'))?;
    let is_name =
        line.len() <= 253 && line.chars().all(|letter| letter.is_ascii_alphanumeric() || "-._".contains(letter));
    is_name.then(|| line.to_ascii_lowercase())
}

/// The flavours that are here and, where a place could not be looked at, why there may be another one.
fn flavours(root: &Root, named: &[NamedEndpoint]) -> (BTreeSet<Flavour>, Option<Reason>) {
    let mut found = BTreeSet::new();
    let mut more = None;
    let mut note = |looked: Fact<bool>| {
        let holds = looked == Fact::Present(true);
        more = more.take().or(looked.reason().cloned());
        holds
    };
    let store = note(fact(root.look("/nix/store")).map(|seen| seen.kind == Kind::Directory));
    // Programs of a Nix store bring their own glibc.
    let glibc = |directory: &&str| has_file(root, directory, &["ld-linux", "libc.so.6"]);
    if store || LIBRARY_DIRECTORIES.iter().map(glibc).any(&mut note) {
        found.insert(Flavour::Glibc);
    }
    if note(has_file(root, "/lib", &["ld-musl-"])) {
        found.insert(Flavour::Musl);
    }
    if found.is_empty() && more.is_none() {
        found.insert(Flavour::Go);
    }
    if store || named.iter().any(|endpoint| is_nix(&endpoint.named_by)) {
        found.insert(Flavour::Nix);
    }
    (found, more)
}

/// Whether a directory has a file whose name starts like this.
fn has_file(root: &Root, directory: &str, starts: &[&str]) -> Fact<bool> {
    fact(root.list(directory, LIST_CAP)).and_then(|(names, more)| {
        match names.iter().any(|name| starts.iter().any(|start| name.starts_with(start))) {
            false if more => Fact::Unobserved(Reason::Truncated { at: LIST_CAP as u64, what: directory.to_owned() }),
            has => Fact::Present(has),
        }
    })
}

/// Modules whose library is in none of the directories of the distribution's glibc. Nothing is called missing where there is no such glibc: programs of
/// a Nix store find theirs elsewhere.
fn missing(root: &Root, services: &[Service]) -> BTreeSet<String> {
    let mut libraries = BTreeSet::new();
    for directory in LIBRARY_DIRECTORIES {
        match root.list(directory, LIST_CAP) {
            Ok((names, false)) => libraries.extend(names.into_iter().filter(|name| name.starts_with("lib"))),
            Err(LookError::NotFound { .. }) => {}
            Ok((_, true)) | Err(_) => return BTreeSet::new(),
        }
    }
    if !libraries.contains("libc.so.6") {
        return BTreeSet::new();
    }
    services
        .iter()
        .map(|service| service.module.clone())
        .filter(|module| !libraries.contains(&format!("libnss_{module}.so.2")))
        .collect()
}

/// Whether one of these is a socket.
fn socket(root: &Root, paths: &[&str]) -> Fact<bool> {
    for path in paths {
        match root.look(path) {
            Ok(seen) if seen.kind == Kind::Socket => return Fact::Present(true),
            Ok(_) | Err(LookError::NotFound { .. }) => {}
            Err(error) => return Fact::Unobserved(reason(error)),
        }
    }
    Fact::Present(false)
}

#[cfg(test)]
mod tests {
    use super::{Flavour, flavours};
    use crate::sys::Root;

    #[test]
    fn a_directory_that_can_not_be_looked_into_may_hold_another_c_library() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        std::fs::create_dir(directory.path().join("lib")).expect("mkdir");
        std::fs::write(directory.path().join("lib/ld-musl-x86_64.so.1"), "").expect("write");
        let root = Root::open(directory.path()).expect("the root");
        let (found, more) = flavours(&root, &[]);
        assert_eq!((found.into_iter().collect::<Vec<_>>(), more), (vec![Flavour::Musl], None));
        std::os::unix::fs::symlink("/lib64", directory.path().join("lib64")).expect("a link to itself");
        assert!(flavours(&root, &[]).1.is_some());
    }

    #[test]
    fn a_root_without_a_c_library_is_one_for_programs_that_bring_their_own_resolver() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let root = Root::open(directory.path()).expect("the root");
        let found = || flavours(&root, &[]).0.into_iter().collect::<Vec<_>>();
        assert_eq!(found(), [Flavour::Go]);
        std::fs::create_dir(directory.path().join("lib")).expect("mkdir");
        std::fs::write(directory.path().join("lib/libc.so.6"), "").expect("write");
        assert_eq!(found(), [Flavour::Glibc]);
    }
}
