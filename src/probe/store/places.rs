//! Places in the filesystem: what they are, on which mount they lie, and what this identity may do there.
//!
//! A user without a process has the places that hold without any variable; where an environment is there and can't be read, not even the paths are
//! known.

use crate::formats::mountinfo::{self, MountEntry};
use crate::formats::store_reference::{StoreKind, StoreReference};
use crate::probe::store::{incomplete, local_root};
use crate::probe::{Target, fact, reason};
use crate::snapshot::facts::{Mount, Place};
use crate::snapshot::{Fact, ObjectId, Reason};
use crate::sys::{Access, LookError, Seen};

/// Filesystems that a process or another machine serves, which may never answer.
const WAITING: [&str; 10] = ["fuse", "fuseblk", "nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "glusterfs", "autofs"];

/// The most links of one path that the kernel follows (`path_resolution(7)`).
const LINKS: usize = 40;

/// Where the store of this context is (`src/libstore/globals.cc`).
pub(super) struct Paths {
    pub(super) dir: String,
    pub(super) state: String,
    pub(super) socket: String,
}

impl Paths {
    /// By the variables of the environment, and by what the store reference says of a local store or of a socket. Fails where the variables
    /// could not be read; a user without a process has none, and the defaults.
    pub(super) fn of(target: &Target<'_>, reference: Option<&StoreReference>) -> Result<Self, Reason> {
        const VARIABLES: [&str; 4] = ["NIX_STORE_DIR", "NIX_STORE", "NIX_STATE_DIR", "NIX_DAEMON_SOCKET_PATH"];
        if let Some(reason) = target.unread(&VARIABLES) {
            return Err(reason);
        }
        let variable =
            |name| target.variable(name).present().filter(|value| !value.is_empty()).map(|v| (*v).to_owned());
        let dir = variable("NIX_STORE_DIR").or_else(|| variable("NIX_STORE"));
        let mut dir = dir.unwrap_or_else(|| "/nix/store".to_owned());
        let mut state = variable("NIX_STATE_DIR").unwrap_or_else(|| "/nix/var/nix".to_owned());
        let socket = variable("NIX_DAEMON_SOCKET_PATH");
        let mut socket = socket.unwrap_or_else(|| format!("{state}/daemon-socket/socket"));
        if let Some(reference) = reference {
            if let Some(root) = local_root(reference).filter(|root| root.starts_with('/')) {
                let root = root.trim_end_matches('/');
                dir = format!("{root}/nix/store");
                state = format!("{root}/nix/var/nix");
            }
            let absolute = |name: &str| reference.parameters.get(name).filter(|path| path.starts_with('/')).cloned();
            state = absolute("state").unwrap_or(state);
            dir = absolute("real").unwrap_or(dir);
            if let StoreKind::Uri { scheme, authority } = &reference.kind
                && scheme == "unix"
                && authority.starts_with('/')
            {
                socket.clone_from(authority);
            }
        }
        Ok(Self { dir, state, socket })
    }
}

/// The mount table of the context.
pub(in crate::probe) struct Mounts(Result<Vec<MountEntry>, Reason>);

impl Mounts {
    pub(in crate::probe) fn read(target: &Target<'_>) -> Self {
        let path = || format!("/proc/{}/mountinfo", target.process.pid);
        Self(match &target.process.mountinfo {
            Ok(text) => mountinfo::parse(text).map_err(|error| Reason::Malformed {
                path: path(),
                line: Some(error.line),
                detail: "not a mountinfo line".to_owned(),
            }),
            Err(error) => Err(reason(error.clone())),
        })
    }

    /// Whether a path leads to or through a filesystem behind which somebody else has to answer. Links are followed one by one, each only where what it lies
    /// in answers by itself.
    pub(in crate::probe) fn may_wait(&self, target: &Target<'_>, path: &str) -> bool {
        if !self.0.iter().flatten().any(waits) {
            return false;
        }
        let names = |path: &str| path.split('/').rev().map(str::to_owned).collect::<Vec<String>>();
        let (mut at, mut left, mut links) = (String::new(), names(path), 0);
        while let Some(name) = left.pop() {
            match name.as_str() {
                "" | "." => continue,
                ".." => {
                    at.truncate(at.rfind('/').unwrap_or_default());
                    continue;
                }
                name => at = format!("{at}/{name}"),
            }
            if self.lies_where_it_may_wait(&at) {
                return true;
            }
            match target.root.link_target(&at) {
                Ok(_) if links == LINKS => return false,
                Ok(link) => {
                    links += 1;
                    at.truncate(if link.starts_with('/') { 0 } else { at.rfind('/').unwrap_or_default() });
                    left.extend(names(&link));
                }
                // No link (`readlink(2)`), or nothing that may be looked at: the rest is taken as it is written.
                Err(_) => {}
            }
        }
        false
    }

    /// The same of a path without links.
    fn lies_where_it_may_wait(&self, path: &str) -> bool {
        let lies_on = |mount: &&MountEntry| {
            let rest = path.strip_prefix(mount.point.trim_end_matches('/'));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        // Of two at one place the later one is on top.
        let mount = self.0.iter().flatten().filter(lies_on).max_by_key(|mount| mount.point.len());
        mount.is_some_and(waits)
    }

    /// The mount that something lies on.
    pub(super) fn of(&self, target: &Target<'_>, seen: &Seen) -> Result<&MountEntry, Reason> {
        let mounts = self.0.as_ref().map_err(Clone::clone)?;
        let what = "a place without its mount id (Linux before 5.8)".to_owned();
        let id = seen.mount_id.ok_or(Reason::NotEmulated { what })?;
        mounts.iter().find(|mount| mount.id == id).ok_or_else(|| Reason::Malformed {
            path: format!("/proc/{}/mountinfo", target.process.pid),
            line: None,
            detail: format!("no mount {id} in the table"),
        })
    }
}

fn waits(mount: &MountEntry) -> bool {
    WAITING.contains(&mount.filesystem.split('.').next().unwrap_or_default())
}

/// Looks at a place.
pub(in crate::probe) fn look(target: &Target<'_>, mounts: &Mounts, path: &str) -> Place {
    let looked = target.root.look(path);
    let mut place = match &looked {
        Ok(seen) => found(target, mounts, path, seen),
        Err(LookError::NotFound { .. }) => missing(target, path),
        Err(error) => unseen(&incomplete(target).unwrap_or_else(|| reason(error.clone()))),
    };
    place.path = Fact::Present(path.to_owned());
    if looked.is_err() && denied(&looked) && target.incomplete.is_empty() {
        // Whatever is behind a directory that this identity may not enter, it can't write there.
        place.writable = Fact::Present(false);
        place.real_read_write = Fact::Present(false);
    }
    place
}

fn denied(looked: &Result<Seen, LookError>) -> bool {
    matches!(looked, Err(LookError::Refused { errno, .. }) if errno == "EACCES")
}

fn found(target: &Target<'_>, mounts: &Mounts, path: &str, seen: &Seen) -> Place {
    let mount = mounts.of(target, seen);
    let may = |answer: Result<bool, LookError>| match incomplete(target) {
        Some(reason) => Fact::Unobserved(reason),
        None => fact(answer),
    };
    Place {
        path: Fact::Absent,
        exists: Fact::Present(true),
        kind: Fact::Present(seen.kind.word().to_owned()),
        identity: identity(target, seen, &mount),
        mode: Fact::Present(format!("{:04o}", seen.mode)),
        owner: Fact::Present(seen.uid),
        group: Fact::Present(seen.gid),
        mount: mount.map_or_else(|reason| unseen(&reason).mount, of_entry),
        writable: may(target.root.effective_access(path, Access::Write)),
        real_read_write: may(target.root.real_access(path, Access::ReadWrite)),
    }
}

pub(super) fn identity(target: &Target<'_>, seen: &Seen, mount: &Result<&MountEntry, Reason>) -> Fact<ObjectId> {
    match mount {
        Ok(mount) => Fact::Present(target.object(seen, &mount.filesystem)),
        Err(reason) => Fact::Unobserved(reason.clone()),
    }
}

fn of_entry(entry: &MountEntry) -> Mount {
    let mut options = entry.options.clone();
    options.sort();
    Mount {
        point: Fact::Present(entry.point.clone()),
        filesystem: Fact::Present(entry.filesystem.clone()),
        read_only: Fact::Present(entry.is_read_only()),
        options: Fact::Present(options),
        bind_source: if entry.root == "/" { Fact::Absent } else { Fact::Present(entry.root.clone()) },
    }
}

/// Not there, or a link that leads nowhere.
fn missing(target: &Target<'_>, path: &str) -> Place {
    let kind = match target.root.look_at_link(path) {
        Ok(seen) => Fact::Present(seen.kind.word().to_owned()),
        Err(error) => fact(Err(error)),
    };
    Place {
        path: Fact::Absent,
        exists: Fact::Present(false),
        kind,
        identity: Fact::Absent,
        mode: Fact::Absent,
        owner: Fact::Absent,
        group: Fact::Absent,
        mount: Mount {
            point: Fact::Absent,
            filesystem: Fact::Absent,
            options: Fact::Absent,
            read_only: Fact::Absent,
            bind_source: Fact::Absent,
        },
        writable: Fact::Absent,
        real_read_write: Fact::Absent,
    }
}

/// A place of which not even the path is known.
pub(in crate::probe) fn unknown(reason: &Reason) -> Place {
    Place { path: Fact::Unobserved(reason.clone()), ..unseen(reason) }
}

fn unseen(reason: &Reason) -> Place {
    let unseen = || Fact::Unobserved(reason.clone());
    Place {
        path: Fact::Absent,
        exists: unseen_of(reason),
        kind: unseen(),
        identity: unseen_of(reason),
        mode: unseen(),
        owner: unseen_of(reason),
        group: unseen_of(reason),
        mount: Mount {
            point: unseen(),
            filesystem: unseen(),
            options: unseen_of(reason),
            read_only: unseen_of(reason),
            bind_source: unseen(),
        },
        writable: unseen_of(reason),
        real_read_write: unseen_of(reason),
    }
}

fn unseen_of<T>(reason: &Reason) -> Fact<T> {
    Fact::Unobserved(reason.clone())
}
