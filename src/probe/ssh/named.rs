//! Which addresses behind SSH the settings of Nix name: `builders` with its files, `substituters`, and the store itself.

use super::reads::{MOST_FILES, Reads};
use crate::formats::nix_machines::{self, Said};
use crate::formats::{known_hosts, store_reference};
use crate::probe::store::client;
use crate::probe::{Target, fact, nix};
use crate::snapshot::{Fact, List, Reason};

/// No such file is longer.
const CAP: usize = 1 << 20;
/// How deep files of builders may include each other.
const DEEPEST: u32 = 8;
/// The most addresses that are looked at.
const MOST: usize = 64;

/// One address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// Without user and parameters.
    pub url: String,
    pub named_by: &'static str,
    pub origin: String,
    /// As ssh is told it.
    pub host: String,
    pub port: Option<u16>,
    pub user: Option<String>,
    /// The key that Nix tells ssh to use (`ssh -i`).
    pub key: Option<String>,
    /// The host key that Nix tells ssh, as a line of known_hosts without a name.
    pub told: Option<String>,
    /// Whether a port stands in the address, and this release of Nix may take it for a part of the name.
    pub unclear_port: bool,
}

impl Named {
    /// The fingerprint of the host key that Nix tells ssh.
    pub fn told_fingerprint(&self) -> Option<String> {
        let (_, key) = known_hosts::public_key(self.told.as_deref()?)?;
        Some(known_hosts::fingerprint(&key))
    }
}

/// All addresses.
pub fn observe(target: &Target<'_>, reads: &Reads<'_>) -> List<Named> {
    let mut list = List::complete(Vec::new());
    let takes_ports = takes_ports(target);
    builders(target, reads, &mut list);
    match nix::as_written(target, "substituters") {
        Fact::Present(words) => {
            words.iter().for_each(|(word, origin)| add(&mut list, of_uri(word, "nix substituters", origin)));
        }
        Fact::Absent => {}
        Fact::Unobserved(reason) => more(&mut list, reason),
    }
    store(target, &mut list);
    list.items.iter_mut().for_each(|named| named.unclear_port = named.port.is_some() && !takes_ports);
    list
}

/// `ssh://host:22` has a port since 2.31; before, all of it is a name.
fn takes_ports(target: &Target<'_>) -> bool {
    client::release(target).is_some_and(|release| release >= (2, 31))
}

fn more(list: &mut List<Named>, reason: Reason) {
    if reason != Reason::NoProcess {
        list.more.get_or_insert(reason);
    }
}

fn add(list: &mut List<Named>, named: Option<Named>) {
    let Some(named) = named.filter(|named| !list.items.contains(named)) else { return };
    if list.items.len() == MOST {
        list.more.get_or_insert(Reason::Truncated { at: MOST as u64, what: "the addresses behind SSH".into() });
    } else {
        list.items.push(named);
    }
}

fn builders(target: &Target<'_>, reads: &Reads<'_>, list: &mut List<Named>) {
    let mut machines = Machines { reads, files: 0, list };
    match nix::as_written(target, "builders") {
        Fact::Present(words) => {
            let text = words.iter().map(|(word, _)| word.as_str()).collect::<Vec<_>>().join(" ");
            let origin = words.last().map(|(_, origin)| origin.clone()).unwrap_or_default();
            machines.text(&text, &|_| origin.clone(), 0);
        }
        Fact::Absent => match nix::machines_file(target) {
            Fact::Present(path) => machines.file(&path, 0),
            Fact::Absent => {}
            Fact::Unobserved(reason) => more(list, reason),
        },
        Fact::Unobserved(reason) => more(list, reason),
    }
}

/// The files of builders as they include each other.
struct Machines<'a> {
    reads: &'a Reads<'a>,
    /// How many were gone through, a file that is named twice twice.
    files: u32,
    list: &'a mut List<Named>,
}

impl Machines<'_> {
    fn file(&mut self, path: &str, depth: u32) {
        if depth > DEEPEST || self.files == MOST_FILES {
            let at = u64::from(if depth > DEEPEST { DEEPEST } else { MOST_FILES });
            return more(self.list, Reason::Truncated { at, what: "files of builders".into() });
        }
        self.files += 1;
        match fact(self.reads.read(path, CAP)) {
            Fact::Present(text) => {
                let text = String::from_utf8_lossy(&text);
                self.text(&text, &|line| format!("{path}:{line}"), depth);
            }
            Fact::Absent => {}
            Fact::Unobserved(reason) => more(self.list, reason),
        }
    }

    fn text(&mut self, text: &str, origin: &dyn Fn(u32) -> String, depth: u32) {
        let (lines, cut) = nix_machines::parse(text);
        for line in lines {
            let origin = origin(line.number);
            match line.said {
                Said::File(path) => self.file(&path, depth + 1),
                Said::Refused(detail) => {
                    let (path, line) = origin.rsplit_once(':').unwrap_or((&origin, ""));
                    let (path, line) = (path.to_owned(), line.parse().ok());
                    more(self.list, Reason::Malformed { path, line, detail: detail.to_owned() });
                }
                Said::Machine(machine) => {
                    let named = of_uri(&machine.uri, "nix builders", &origin).map(|named| Named {
                        key: machine.ssh_key.clone().or(named.key.clone()),
                        told: machine.public_host_key.clone().or(named.told.clone()),
                        ..named
                    });
                    add(self.list, named);
                }
            }
        }
        if cut {
            more(self.list, Reason::Truncated { at: 1024, what: "the builders".into() });
        }
    }
}

/// The store that commands talk to: the setting, else `NIX_REMOTE`.
fn store(target: &Target<'_>, list: &mut List<Named>) {
    match nix::as_written(target, "store") {
        Fact::Present(words) => {
            words.iter().for_each(|(word, origin)| add(list, of_uri(word, "nix store", origin)));
        }
        Fact::Absent => match target.variable("NIX_REMOTE") {
            Fact::Present(value) => add(list, of_uri(value, "nix store", "NIX_REMOTE")),
            Fact::Absent => {}
            Fact::Unobserved(reason) => more(list, reason),
        },
        Fact::Unobserved(reason) => more(list, reason),
    }
}

/// Reads `ssh://user@host?ssh-key=…`; `None` for what ssh is not run for. Nix talks to `localhost` without it (`src/libstore/ssh.cc`).
pub fn of_uri(uri: &str, named_by: &'static str, origin: &str) -> Option<Named> {
    let (scheme, rest) = uri.split_once("://")?;
    if !matches!(scheme, "ssh" | "ssh-ng") {
        return None;
    }
    let authority = rest.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/');
    let parameters = store_reference::parse(uri).ok()?.parameters;
    let (user, host) = authority.rsplit_once('@').map_or((None, authority), |(user, host)| (Some(user), host));
    let (host, port) = match host.strip_prefix('[').and_then(|inner| inner.split_once(']')) {
        Some((host, after)) => (host, after.strip_prefix(':').and_then(|port| port.parse().ok())),
        None if host.matches(':').count() > 1 => (host, None),
        None => match host.split_once(':') {
            Some((name, port)) => (name, Some(port.parse().ok()?)),
            None => (host, None),
        },
    };
    let is_name = |text: &str| !text.is_empty() && !text.starts_with('-') && text.len() <= 255;
    if !is_name(host) || host == "localhost" || host.contains(|letter: char| letter.is_control() || letter == ' ') {
        return None;
    }
    let bracketed = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    Some(Named {
        url: format!("{scheme}://{bracketed}{}", port.map(|port: u16| format!(":{port}")).unwrap_or_default()),
        named_by,
        origin: origin.to_owned(),
        host: host.to_owned(),
        port,
        // What follows a colon would be a password, which ssh does not take.
        user: user.and_then(|user| user.split(':').next()).filter(|user| is_name(user)).map(str::to_owned),
        key: parameters.get("ssh-key").filter(|path| !path.is_empty()).cloned(),
        told: parameters.get("base64-ssh-public-host-key").and_then(|text| nix_machines::decoded(text)),
        unclear_port: false,
    })
}
