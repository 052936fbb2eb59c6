//! Whom a daemon in this context trusts and admits (`src/nix/daemon.cc`, `authPeer` and `matchUser`).
//!
//! The daemon turns the peer's uid into a name, a decimal number where there is none, and compares it with `*`, names, and `@group`: the name
//! of the peer's primary group, or the group's member list. Supplementary groups of the process do not count. Reads passwd, group
//! and nsswitch.conf of the root; a name that only another source could know leaves the answer unobserved.

use std::collections::{BTreeMap, BTreeSet};

use crate::formats::passwd::{self, Group, User};
use crate::probe::nix::home::CAP;
use crate::probe::{Target, reason};
use crate::snapshot::facts::Trust;
use crate::snapshot::{Fact, Reason};
use crate::sys::LookError;

/// Sources that know no accounts beside those of the files, or only ones that nobody puts into these lists.
const LOCAL_SOURCES: [&str; 6] = ["files", "compat", "systemd", "mymachines", "db", "altfiles"];

/// Resolves both lists.
pub(super) fn observe(target: &Target<'_>, trusted: &Fact<Vec<String>>, admitted: &Fact<Vec<String>>) -> Trust {
    let accounts = Accounts::read(target);
    let (everyone, uids, gids) = resolve(&accounts, trusted);
    let (admits_everyone, admitted_uids, admitted_gids) = resolve(&accounts, admitted);
    Trust { everyone, uids, gids, admits_everyone, admitted_uids, admitted_gids }
}

type Resolved = (Fact<bool>, Fact<Vec<u32>>, Fact<Vec<u32>>);

fn resolve(accounts: &Result<Accounts, Reason>, list: &Fact<Vec<String>>) -> Resolved {
    let everyone = list.as_ref().map(|list| list.iter().any(|entry| entry == "*"));
    let ids = list.as_ref().and_then(|list| match accounts {
        Ok(accounts) => accounts.ids(list).map_or_else(Fact::Unobserved, Fact::Present),
        Err(reason) => Fact::Unobserved(reason.clone()),
    });
    let uids = ids.as_ref().map(|(uids, _)| uids.iter().copied().collect());
    (everyone, uids, ids.map(|(_, gids)| gids.into_iter().collect()))
}

struct Accounts {
    /// The name that each uid has: its first in the file.
    names: BTreeMap<u32, String>,
    users: Vec<User>,
    groups: Vec<Group>,
    /// A source that may know further accounts.
    foreign: Option<String>,
}

impl Accounts {
    fn read(target: &Target<'_>) -> Result<Self, Reason> {
        let text = |path| match target.root.read(path, CAP) {
            Ok(text) => Ok(text),
            Err(LookError::NotFound { .. }) => Ok(Vec::new()),
            Err(error) => Err(reason(error)),
        };
        let users = passwd::users(&text("/etc/passwd")?);
        let groups = passwd::groups(&text("/etc/group")?);
        let mut names = BTreeMap::new();
        for user in &users {
            names.entry(user.uid).or_insert_with(|| user.name.clone());
        }
        Ok(Self { names, users, groups, foreign: foreign_source(&text("/etc/nsswitch.conf")?) })
    }

    fn ids(&self, list: &[String]) -> Result<(BTreeSet<u32>, BTreeSet<u32>), Reason> {
        let (mut uids, mut gids) = (BTreeSet::new(), BTreeSet::new());
        for entry in list.iter().filter(|entry| *entry != "*") {
            let found = match entry.strip_prefix('@') {
                Some(name) => self.group(name, &mut uids, &mut gids),
                None => self.user(entry, &mut uids),
            };
            if let (false, Some(source)) = (found, &self.foreign) {
                return Err(Reason::NotEmulated {
                    what: format!("`{entry}` by the `{source}` source of nsswitch.conf"),
                });
            }
        }
        Ok((uids, gids))
    }

    fn group(&self, name: &str, uids: &mut BTreeSet<u32>, gids: &mut BTreeSet<u32>) -> bool {
        // A lookup by gid finds the first entry of that gid, one by name the first of that name.
        let first_of_gid = |gid| self.groups.iter().find(|group| group.gid == gid);
        let primary = self.groups.iter().filter(|group| group.name == name);
        gids.extend(
            primary.map(|group| group.gid).filter(|gid| first_of_gid(*gid).is_some_and(|group| group.name == name)),
        );
        let by_name = self.groups.iter().find(|group| group.name == name);
        for member in by_name.iter().flat_map(|group| &group.members) {
            self.user(member, uids);
        }
        by_name.is_some()
    }

    fn user(&self, name: &str, uids: &mut BTreeSet<u32>) -> bool {
        let before = uids.len();
        uids.extend(self.names.iter().filter(|(_, known)| known.as_str() == name).map(|(uid, _)| *uid));
        if uids.len() > before || self.users.iter().any(|user| user.name == name) {
            return true;
        }
        // An account without a name is matched by its number.
        match name.parse() {
            Ok(uid) if !self.names.contains_key(&uid) => uids.insert(uid),
            _ => false,
        }
    }
}

/// A source of `passwd` or `group` in nsswitch.conf (`nsswitch.conf(5)`) that may know accounts which the files do not have.
fn foreign_source(text: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(text);
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim_start());
    let databases = lines.filter_map(|line| line.split_once(':'));
    databases
        .filter(|(name, _)| matches!(name.trim(), "passwd" | "group"))
        .flat_map(|(_, sources)| sources.split_ascii_whitespace())
        .find(|source| !source.starts_with('[') && !source.ends_with(']') && !LOCAL_SOURCES.contains(source))
        .map(str::to_owned)
}
