//! netrc entries: the user's (`NETRC`, else `~/.netrc`) and those of the `netrc-file` of Nix.

use secrecy::ExposeSecret;

use super::files::{Files, Place, absolute};
use super::{capped, fingerprint, lacks, login_name, place, unread_environment};
use crate::formats::netrc::{self, Entry};
use crate::snapshot::facts::{NetrcEntry, Nix};
use crate::snapshot::secret::Secret;
use crate::snapshot::{Fact, List, Reason};

/// The entries of both, the user's first, each in the order of its file.
pub(super) fn observe(files: &mut Files<'_>, nix: &Nix) -> List<NetrcEntry> {
    let mut entries = List { items: Vec::new(), more: unread_environment(files.target) };
    let user = files.place("NETRC", ".netrc");
    add(files, &mut entries, user, ("netrc", "user"));
    add(files, &mut entries, of_nix(nix), ("nix-netrc", "nix"));
    entries
}

fn of_nix(nix: &Nix) -> Fact<Place> {
    let settings = nix.settings.present().map(|list| list.items.as_slice()).unwrap_or_default();
    let setting = settings.iter().find(|setting| setting.name == "netrc-file");
    let named_by = setting.and_then(|setting| setting.origins.last()).map_or("default", String::as_str);
    nix.netrc_file.as_ref().and_then(|path| {
        if path.is_empty() {
            return Fact::Absent;
        }
        absolute(path.clone(), named_by)
    })
}

fn add(files: &mut Files<'_>, entries: &mut List<NetrcEntry>, stated: Fact<Place>, (purpose, reader): (&str, &str)) {
    let content = match stated {
        Fact::Present(stated) => files.read(purpose, &stated).map(|text| (stated.path, text)),
        Fact::Absent => return,
        Fact::Unobserved(reason) => return lacks(entries, reason),
    };
    match content {
        Fact::Present((path, text)) => {
            let read = netrc::parse(text.expose());
            let found = capped(entries, read.entries, &path);
            entries.items.extend(found.into_iter().map(|entry| kept(files, entry, &path, reader)));
            if let Some(problem) = read.problem {
                let (line, detail) = (Some(problem.line()), "not as curl reads it".to_owned());
                lacks(entries, Reason::Malformed { path, line, detail });
            }
        }
        Fact::Absent => {}
        Fact::Unobserved(reason) => lacks(entries, reason),
    }
}

fn kept(files: &Files<'_>, entry: Entry, path: &str, reader: &str) -> NetrcEntry {
    let print =
        |password: secrecy::SecretString| fingerprint(files.target, &Secret::from(password.expose_secret()), "netrc");
    let login = entry
        .login
        .as_deref()
        .map_or(Fact::Absent, |login| login_name(login, entry.password.as_ref(), path, Some(entry.line)));
    NetrcEntry {
        machine: entry.machine.unwrap_or_else(|| "default".to_owned()),
        login,
        fingerprint: entry.password.map_or(Fact::Absent, print),
        origin: place(path, Some(entry.line)),
        reader: reader.to_owned(),
    }
}
