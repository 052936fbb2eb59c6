//! The database's files: schema, journal, whether Nix could write them here, and who holds locks on them.
//!
//! Only bytes of the header are read. Opening the database through SQLite, even read-only, creates files beside it and takes locks.

use std::collections::BTreeSet;

use crate::formats::proc_locks;
use crate::probe::store::incomplete;
use crate::probe::store::places::Mounts;
use crate::probe::{Target, fact, reason};
use crate::snapshot::facts::{Database, LockHolder};
use crate::snapshot::{Fact, List, ObjectId, Reason};
use crate::sys::{Access, LookError};

/// `SQLite format 3` and a NUL (`https://www.sqlite.org/fileformat.html`, section 1.3).
const MAGIC: &[u8] = b"SQLite format 3\0";
/// The files of the database directory on which Nix and SQLite hold locks.
const LOCKED: [&str; 3] = ["big-lock", "db.sqlite", "db.sqlite-shm"];
/// Most holders that are listed.
const MOST_HOLDERS: usize = 256;

/// Looks at the database below a state directory.
pub(super) fn observe(target: &Target<'_>, mounts: &Mounts, state: &str) -> Database {
    let directory = format!("{state}/db");
    Database {
        schema: schema(target, &format!("{directory}/schema")),
        journal: journal(target, &format!("{directory}/db.sqlite")),
        writable: writable(target, &directory),
        lock_holders: lock_holders(target, mounts, &directory),
    }
}

/// A database of which it is not known where it is.
pub(super) fn unobserved(reason: &Reason) -> Database {
    Database {
        schema: Fact::Unobserved(reason.clone()),
        journal: Fact::Unobserved(reason.clone()),
        writable: Fact::Unobserved(reason.clone()),
        lock_holders: Fact::Unobserved(reason.clone()),
    }
}

fn schema(target: &Target<'_>, path: &str) -> Fact<u32> {
    fact(target.root.read(path, 64)).and_then(|text| {
        let number = std::str::from_utf8(&text).ok().and_then(|text| text.trim().parse().ok());
        number.map_or_else(|| malformed(path, "not a number"), Fact::Present)
    })
}

fn journal(target: &Target<'_>, path: &str) -> Fact<String> {
    fact(target.root.read_at(path, 0, 100)).and_then(|header| {
        if header.is_empty() {
            // A database that was never written to has no header yet.
            return Fact::Absent;
        }
        match (header.starts_with(MAGIC), header.get(18), header.get(19)) {
            (true, Some(2), Some(2)) => Fact::Present("wal".to_owned()),
            (true, Some(1), Some(1)) => Fact::Present("rollback".to_owned()),
            (true, _, _) => malformed(path, "an unknown journal version in the header"),
            (false, _, _) => malformed(path, "not an SQLite database"),
        }
    })
}

fn malformed<T>(path: &str, detail: &str) -> Fact<T> {
    Fact::Unobserved(Reason::Malformed { path: path.to_owned(), line: None, detail: detail.to_owned() })
}

/// Nix opens `big-lock` for reading and writing, then asks for the directory, then SQLite writes the file and creates its siblings.
/// A `big-lock` that is not there is created in the directory.
fn writable(target: &Target<'_>, directory: &str) -> Fact<bool> {
    if let Some(reason) = incomplete(target) {
        return Fact::Unobserved(reason);
    }
    let may = |path: &str, access| match target.root.effective_access(path, access) {
        Err(LookError::Refused { errno, .. }) if errno == "EACCES" => Fact::Present(false),
        answer => fact(answer),
    };
    let file = may(&format!("{directory}/db.sqlite"), Access::ReadWrite);
    let lock = match may(&format!("{directory}/big-lock"), Access::ReadWrite) {
        Fact::Absent => Fact::Present(true),
        answer => answer,
    };
    file.and_then(|file| lock.and_then(|lock| may(directory, Access::Write).map(|directory| file && lock && directory)))
}

/// Who holds locks, by device and inode. On filesystems whose table entries carry another device number than `stat(2)` gives, a lock may
/// be missed, and the list says so.
fn lock_holders(target: &Target<'_>, mounts: &Mounts, directory: &str) -> Fact<List<LockHolder>> {
    let locks = match target.locks {
        Ok(text) => proc_locks::parse(text),
        Err(error) => return Fact::Unobserved(reason(error.clone())),
    };
    let (mut holders, mut more, mut looked) = (BTreeSet::new(), None, false);
    for name in LOCKED {
        let path = format!("{directory}/{name}");
        let seen = match target.root.look(&path) {
            Ok(seen) => seen,
            Err(LookError::NotFound { .. }) => continue,
            Err(error) => {
                more = Some(reason(error));
                continue;
            }
        };
        looked = true;
        match mounts.of(target, &seen) {
            Ok(mount) if target.object(&seen, &mount.filesystem).is_weak() => more = Some(Reason::WeakIdentity),
            Ok(_) => {}
            Err(reason) => more = Some(reason),
        }
        let device = (rustix::fs::major(seen.device), rustix::fs::minor(seen.device));
        let ours = locks.iter().filter(|lock| (lock.major, lock.minor, lock.inode) == (device.0, device.1, seen.inode));
        for lock in ours {
            match lock.pid {
                Some(pid) => drop(holders.insert((name, lock.write, pid))),
                None => more = Some(Reason::NotEmulated { what: "locks that belong to no process".to_owned() }),
            }
        }
    }
    if !looked && more.is_none() {
        return Fact::Absent;
    }
    if holders.len() > MOST_HOLDERS {
        more = Some(Reason::Truncated { at: MOST_HOLDERS as u64, what: "lock holders".to_owned() });
    }
    let items = holders.into_iter().take(MOST_HOLDERS).map(|(file, write, pid)| LockHolder {
        file: file.to_owned(),
        mode: if write { "write" } else { "read" }.to_owned(),
        process: process(target, pid),
        pid,
    });
    Fact::Present(List { items: items.collect(), more })
}

/// The identity of a process of the host's view, by its start time.
pub(super) fn process(target: &Target<'_>, pid: u32) -> Fact<ObjectId> {
    match crate::sys::process::stat_of(pid) {
        Ok(stat) => match crate::sys::process::start_ticks(&stat) {
            Some(ticks) => Fact::Present(ObjectId::process(target.boot, pid, ticks)),
            None => Fact::Unobserved(Reason::Vanished),
        },
        Err(LookError::NotFound { .. }) => Fact::Unobserved(Reason::Vanished),
        Err(error) => Fact::Unobserved(reason(error)),
    }
}
