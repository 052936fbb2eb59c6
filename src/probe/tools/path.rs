//! PATH, and the first executable file of a name on it, as shells find it (POSIX.1-2017, XBD 8.3 and XCU 2.9.1.1; `execvp(3)`).
//!
//! A directory that can't be searched, a file that this identity may not execute and anything but a regular file are passed
//! over. Relative and empty entries depend on a working directory that is not ours: what an earlier entry holds is certain all the same, and
//! of what only a later one holds, the path is not.

use crate::probe::{Target, fact};
use crate::snapshot::facts::PathEntry;
use crate::snapshot::{Fact, List, Reason};
use crate::sys::{Access, Kind, LookError, Seen};

/// Most entries of PATH that are looked at.
const ENTRIES: usize = 256;

/// PATH, split.
pub(super) struct SearchPath {
    directories: Vec<String>,
    /// Why there may be more entries.
    more: Option<Reason>,
}

/// Where a name leads.
pub(super) enum Lookup {
    /// The first executable file or, where none is executable, the first file.
    Found {
        path: String,
        seen: Seen,
    },
    Missing,
    /// A file of that name is on PATH, and one that could not be looked at may stand before it.
    Shadowed(Reason),
    /// Nothing where we could look; a file that could not be looked at may be there.
    Unobserved(Reason),
}

/// PATH of the environment: absent when it is not set.
pub(super) fn search_path(target: &Target<'_>) -> Fact<SearchPath> {
    target.variable("PATH").map(SearchPath::parse)
}

impl SearchPath {
    fn parse(text: &str) -> Self {
        let mut directories: Vec<String> = text.split(':').map(str::to_owned).collect();
        let mut more = None;
        if directories.len() > ENTRIES {
            directories.truncate(ENTRIES);
            more = Some(Reason::Truncated { at: ENTRIES as u64, what: "PATH".into() });
        }
        Self { directories, more }
    }

    /// The entries as facts.
    pub(super) fn entries(&self, target: &Target<'_>) -> List<PathEntry> {
        let items = self.directories.iter().map(|directory| entry(target, directory)).collect();
        List { items, more: self.more.clone() }
    }

    /// Where this name leads.
    pub(super) fn lookup(&self, target: &Target<'_>, name: &str) -> Lookup {
        let mut denied = None;
        let mut open: Option<Reason> = None;
        for directory in &self.directories {
            if !directory.starts_with('/') {
                open.get_or_insert_with(working_directory);
                continue;
            }
            let path = format!("{}/{name}", directory.trim_end_matches('/'));
            match target.root.look(&path) {
                Ok(seen) if seen.kind == Kind::File => match target.root.effective_access(&path, Access::Execute) {
                    Ok(true) => return open.map_or(Lookup::Found { path, seen }, Lookup::Shadowed),
                    Ok(false) => denied = denied.or(Some((path, seen))),
                    Err(error) => open = Some(crate::probe::reason(error)),
                },
                Ok(_) | Err(LookError::NotFound { .. }) => {}
                Err(LookError::Refused { errno, .. }) if errno == "EACCES" && target.incomplete.is_empty() => {}
                // A loop of links and a name that is too long are the same for everybody: nothing there can be started.
                Err(LookError::Refused { errno, .. }) if errno == "ELOOP" || errno == "ENAMETOOLONG" => {}
                Err(error) => open = Some(crate::probe::reason(error)),
            }
        }
        match (denied, open.or_else(|| self.more.clone())) {
            (Some((path, seen)), None) => Lookup::Found { path, seen },
            (Some(_), Some(reason)) => Lookup::Shadowed(reason),
            (None, Some(reason)) => Lookup::Unobserved(reason),
            (None, None) => Lookup::Missing,
        }
    }
}

/// Why a relative entry could not be looked at.
pub(super) fn working_directory() -> Reason {
    Reason::NotEmulated { what: "the working directory, which PATH names".into() }
}

fn entry(target: &Target<'_>, directory: &str) -> PathEntry {
    let directory = directory.to_owned();
    if !directory.starts_with('/') {
        let unobserved = || Fact::Unobserved(working_directory());
        return PathEntry { directory, exists: unobserved(), writable: unobserved() };
    }
    let exists = match fact(target.root.look(&directory)) {
        Fact::Present(seen) => Fact::Present(seen.kind == Kind::Directory),
        Fact::Absent => Fact::Present(false),
        Fact::Unobserved(reason) => Fact::Unobserved(reason),
    };
    let writable = match &exists {
        Fact::Present(true) if !target.incomplete.is_empty() => Fact::Unobserved(super::incomplete(target)),
        Fact::Present(true) => fact(target.root.effective_access(&directory, Access::Write)),
        Fact::Present(false) | Fact::Absent => Fact::Absent,
        Fact::Unobserved(reason) => Fact::Unobserved(reason.clone()),
    };
    PathEntry { directory, exists, writable }
}
