//! Which host keys ssh knows for one address here, and what it says of a key (`sshconnect.c`, `check_host_key`; `hostfile.c`).

use super::client::Connection;
use super::named::Named;
use super::reads::Reads;
use crate::formats::known_hosts::{Known as Key, MOST, Marker, keys_of};
use crate::probe::{Target, reason};
use crate::snapshot::facts::KnownHostsFile;
use crate::snapshot::{Fact, Reason};
use crate::sys::{Kind, LookError};

/// No such file is longer.
const CAP: usize = 8 << 20;

/// What the files say.
pub struct Known {
    files: Vec<File>,
    /// Keys under the name, each with where it stands.
    keys: Vec<(Key, String)>,
    /// Keys under the host's name without its port, which count where there is none with it.
    portless: Vec<(Key, String)>,
    /// Why there may be further ones.
    unknown: Option<Reason>,
}

struct File {
    path: String,
    level: &'static str,
    exists: Fact<bool>,
    readable: Fact<bool>,
    keys: Fact<u32>,
}

impl Known {
    pub fn read(target: &Target<'_>, reads: &Reads<'_>, named: &Named, connection: &Connection) -> Self {
        let mut known = Self { files: Vec::new(), keys: Vec::new(), portless: Vec::new(), unknown: None };
        let name = connection.key_name();
        let portless = match (&connection.alias, &connection.port) {
            (Fact::Absent, Fact::Present(port)) if *port != 22 => connection.host_name.present().cloned(),
            _ => None,
        };
        known.unknown = name.reason().or(connection.known.reason()).cloned();
        let name = name.present().cloned().unwrap_or_default();
        if let Some(told) = &named.told {
            let line = format!("{} {told}\n", named.host);
            known.take(line.as_bytes(), &name, portless.as_deref(), |_| "Nix".to_owned());
        }
        for (level, path) in connection.known.present().into_iter().flatten() {
            known.file((target, reads), level, path, (&name, portless.as_deref()));
        }
        known
    }

    fn take(&mut self, text: &[u8], name: &str, portless: Option<&str>, place: impl Fn(u32) -> String) -> u32 {
        let with = |keys: Vec<Key>| keys.into_iter().map(|key| (key.clone(), place(key.line))).collect::<Vec<_>>();
        let found = if name.is_empty() { Vec::new() } else { with(keys_of(text, name)) };
        if found.len() >= MOST {
            let what = "the keys that a file has for one name".to_owned();
            self.unknown.get_or_insert(Reason::Truncated { at: MOST as u64, what });
        }
        let count = u32::try_from(found.len()).unwrap_or(u32::MAX);
        self.keys.extend(found);
        self.portless.extend(portless.map(|name| with(keys_of(text, name))).unwrap_or_default());
        count
    }

    fn file(
        &mut self,
        (target, reads): (&Target<'_>, &Reads<'_>),
        level: &'static str,
        path: &str,
        (name, portless): (&str, Option<&str>),
    ) {
        let mut file = File {
            path: path.to_owned(),
            level,
            exists: Fact::Present(true),
            readable: Fact::Present(true),
            keys: Fact::Absent,
        };
        match reads.read(path, CAP) {
            Ok(text) => file.keys = Fact::Present(self.take(&text, name, portless, |line| format!("{path}:{line}"))),
            Err(LookError::NotFound { .. }) => (file.exists, file.readable) = (Fact::Present(false), Fact::Absent),
            // ssh may not open it either, and goes on without it.
            Err(LookError::Refused { errno, .. }) if errno == "EACCES" => {
                file.readable = Fact::Present(false);
                if let Err(error) = target.root.look(path) {
                    file.exists = Fact::Unobserved(reason(error));
                }
            }
            Err(_) if path == "/dev/null" && is_device(target) => file.keys = Fact::Present(0),
            Err(error) => {
                let reason = reason(error);
                file.readable = Fact::Unobserved(reason.clone());
                file.keys = Fact::Unobserved(reason.clone());
                self.unknown.get_or_insert(reason);
            }
        }
        self.files.push(file);
    }

    /// The files, as facts.
    pub fn files(&self, named: &Named) -> Vec<KnownHostsFile> {
        let fact = |file: &File| KnownHostsFile {
            url: named.url.clone(),
            endpoint_named_by: named.named_by.to_owned(),
            path: file.path.clone(),
            level: file.level.to_owned(),
            exists: file.exists.clone(),
            readable: file.readable.clone(),
            keys: file.keys.clone(),
        };
        self.files.iter().map(fact).collect()
    }

    /// The paths, each with what is the matter with it.
    pub fn looked_in(&self) -> Fact<Vec<String>> {
        let told = |file: &File| match (&file.exists, &file.readable) {
            (Fact::Present(false), _) => format!("{} (not there)", file.path),
            (_, Fact::Present(false)) => format!("{} (not readable)", file.path),
            _ => file.path.clone(),
        };
        match &self.unknown {
            Some(reason) if self.files.is_empty() => Fact::Unobserved(reason.clone()),
            _ => Fact::Present(self.files.iter().map(told).collect()),
        }
    }

    /// The types of the keys that are known, which ssh asks the server for first.
    pub fn types(&self) -> Vec<String> {
        self.known_keys()
            .iter()
            .filter(|(key, _)| key.marker == Marker::None)
            .map(|(key, _)| key.kind.clone())
            .collect()
    }

    fn known_keys(&self) -> &[(Key, String)] {
        if self.keys.is_empty() { &self.portless } else { &self.keys }
    }

    /// What ssh says of a key, and where it is known.
    pub fn verdict(&self, connection: &Connection, kind: &str, shown: &[u8]) -> (Fact<String>, Fact<String>) {
        let word = |word: &str, place: Fact<String>| (Fact::Present(word.to_owned()), place);
        let unknown = |reason: Reason| (Fact::Unobserved(reason.clone()), Fact::Unobserved(reason));
        let find = |keys: &[(Key, String)], marker| {
            keys.iter().find(|(key, _)| key.marker == marker && key.key == shown).map(|(_, place)| place.clone())
        };
        if let Some(place) = find(&self.keys, Marker::Revoked) {
            return word("revoked", Fact::Present(place));
        }
        if let Some(reason) = &self.unknown {
            return unknown(reason.clone());
        }
        if let Some(place) = find(&self.keys, Marker::None) {
            return word("known", Fact::Present(place));
        }
        let has = |marker| self.keys.iter().any(|(key, _)| key.marker == marker);
        // It may vouch for the host by a certificate, which is not asked for: no verdict on the bare key is ssh's.
        let of_authority = |(key, _): &&(Key, String)| key.marker == Marker::CertAuthority;
        if let Some((_, place)) = self.keys.iter().chain(&self.portless).find(of_authority) {
            return word("authority", Fact::Present(place.clone()));
        }
        if let Some(reason) = &connection.further {
            return unknown(reason.clone());
        }
        if has(Marker::None) {
            let same_type = self.keys.iter().any(|(key, _)| key.kind == kind);
            if connection.own_types && !same_type {
                return unknown(Reason::NotEmulated { what: "HostKeyAlgorithms".into() });
            }
            return word("other-key", Fact::Absent);
        }
        match find(&self.portless, Marker::None) {
            Some(place) if find(&self.portless, Marker::Revoked).is_none() => word("known", Fact::Present(place)),
            _ => word("no-key", Fact::Absent),
        }
    }
}

fn is_device(target: &Target<'_>) -> bool {
    target.root.look("/dev/null").is_ok_and(|seen| seen.kind == Kind::Device)
}
