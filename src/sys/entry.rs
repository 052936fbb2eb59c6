//! Entering a context: the order in which our own fresh, single-threaded process takes on the place and rights of another.
//!
//! Everything of the target that needs our own rights is read into memory first; only its root directory stays open, as a handle that permits
//! nothing but lookups. Whatever fails on the way down ends the entry: the process never goes on with more rights than the target has.

use std::collections::BTreeMap;

use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::credentials::{Change, Credentials, CredentialsError, IdMap, Identity, Lacking};
use super::jail::{self, JailError};
use super::namespaces::{self, Joining, NamespaceError};
use super::process::{NamespaceNumber, ProcessDirectory, ProcessTexts, Text, text_at};
use super::root::{LookError, Root, errno_name};
use super::seccomp::{self, SeccompError};

/// Where to go and as whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The process that represents the context; [`None`] means our own namespaces and root.
    pub process: Option<ProcessId>,
    /// What the caller saw it in, by the names of [`NAMESPACES`](super::process::NAMESPACES); what is missing here is not compared.
    #[serde(default)]
    pub namespaces: BTreeMap<String, NamespaceNumber>,
    /// As whom.
    pub credentials: TakeOn,
    /// Whether the caller has read `/proc/locks` already.
    #[serde(default)]
    pub locks_known: bool,
}

/// A process, across the reuse of its pid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessId {
    pub pid: u32,
    /// When it started, in clock ticks since boot (`proc_pid_stat(5)`, field 22).
    pub start_ticks: u64,
}

/// Which credentials are taken on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TakeOn {
    /// None: the context is our own.
    Own,
    /// Those that the process has when it is entered.
    OfProcess,
    /// These, numbered as in the target's user namespace.
    Given(Identity),
}

/// Where we are now.
pub struct Inside {
    /// The target's root directory.
    pub root: Root,
    /// The texts of the process, read before the identity was taken on.
    pub texts: ProcessTexts,
    /// The host's `/proc/locks`, read before; empty where the caller knows it.
    pub locks: Text,
    /// Everything that could not be taken on, in words.
    pub limits: Vec<String>,
    /// What of it decides which files and sockets can be reached.
    pub incomplete: Vec<String>,
}

/// Why the context was not entered.
#[derive(Debug, thiserror::Error)]
pub enum EntryError {
    /// It ended, or its pid is another process' by now.
    #[error("the process ended or changed before it was entered")]
    Vanished,
    /// Something of it could not be looked at.
    #[error("{0}")]
    Look(#[from] LookError),
    /// A namespace could not be joined.
    #[error("{0}")]
    Namespace(#[from] NamespaceError),
    /// Its identity could not be taken on.
    #[error("{0}")]
    Credentials(#[from] CredentialsError),
    /// Our own process could not be closed off.
    #[error("{0}")]
    Jail(#[from] JailError),
    /// The filter could not be installed.
    #[error("{0}")]
    Seccomp(#[from] SeccompError),
    /// The context is in another user namespace than we are, and no identity in it was named.
    #[error("it is in another user namespace, in which parallax has no identity of its own")]
    OwnElsewhere,
    /// `/proc/sys/fs/suid_dumpable` would open us to the target.
    #[error("/proc/sys/fs/suid_dumpable lets processes be traced while they change identity, so none is taken on")]
    Traceable,
}

/// Enters. The caller must be single-threaded, and must end after a failure: its rights are then undefined between its own and the target's.
pub fn enter(plan: &Plan) -> Result<Inside, EntryError> {
    jail::close_to_others()?;
    let own = ProcessDirectory::open(std::process::id())?;
    let (pid, start_ticks) = match plan.process {
        Some(process) => (process.pid, Some(process.start_ticks)),
        None => (std::process::id(), None),
    };
    let target = ProcessDirectory::open(pid).map_err(vanished)?;
    let texts = target.texts();
    let started = started(&texts.stat)?;
    if start_ticks.is_some_and(|expected| expected != started) {
        return Err(EntryError::Vanished);
    }
    namespaces::verify(&target, plan.namespaces.iter().map(|(name, number)| (name.as_str(), *number)))
        .map_err(changed)?;
    let locks = if plan.locks_known { Ok(Vec::new()) } else { text_at("/proc/locks") };
    let root = Root::from_directory(target.open_root().map_err(vanished)?)?;
    // The root must be that of the process with these rights: one that gave up its root on the way would be seen with another's.
    let again = target.text("status").map_err(vanished)?;
    if texts.status.as_ref().is_ok_and(|first| rights(first) != rights(&again)) {
        return Err(EntryError::Vanished);
    }
    let joining = Joining::prepare(&target, &own).map_err(changed)?;
    let change = change(plan, &texts, &own, joining.changes_user_namespace())?;
    // Opened with our own rights; nothing of the target but its root may outlive the drop.
    drop((target, own));
    let mut limits = Vec::new();
    let lacking = take_on(change, joining, &mut limits)?;
    jail::close_to_others()?;
    jail::gain_nothing()?;
    seccomp::deny_what_a_looker_never_does()?;
    limits.extend(lacking.limits);
    Ok(Inside { root, texts, locks, limits, incomplete: lacking.deciding })
}

fn take_on(change: Option<Change>, joining: Joining, limits: &mut Vec<String>) -> Result<Lacking, EntryError> {
    let jail = jail::prepare();
    let Some(mut change) = change.filter(Change::is_any) else {
        joining.join()?;
        // With our own identity nobody gains anything through us; without the right to change our root we still look.
        if let Err(error) = jail.enter() {
            limits.push(error.to_string());
        }
        return Ok(Lacking::default());
    };
    if !jail::changes_stay_closed() {
        return Err(EntryError::Traceable);
    }
    change.take_ids_early()?;
    joining.join()?;
    jail.enter()?;
    Ok(change.finish()?)
}

fn change(
    plan: &Plan,
    texts: &ProcessTexts,
    own: &ProcessDirectory,
    user_namespace_differs: bool,
) -> Result<Option<Change>, EntryError> {
    let malformed = |pid, name| CredentialsError::Malformed { pid, name };
    let own_status = Credentials::parse(&own.text("status")?).ok_or(malformed(own.pid(), "status"))?;
    let own_uids = IdMap::parse(&own.text("uid_map")?).ok_or(malformed(own.pid(), "uid_map"))?;
    let maps = match user_namespace_differs {
        false => None,
        true => Some((
            IdMap::parse(texts.uid_map.as_deref().map_err(Clone::clone)?).ok_or(malformed(texts.pid, "uid_map"))?,
            IdMap::parse(texts.gid_map.as_deref().map_err(Clone::clone)?).ok_or(malformed(texts.pid, "gid_map"))?,
        )),
    };
    let wanted = match &plan.credentials {
        TakeOn::Own if user_namespace_differs => return Err(EntryError::OwnElsewhere),
        TakeOn::Own => return Ok(None),
        TakeOn::OfProcess => {
            let status = texts.status.as_deref().map_err(Clone::clone)?;
            Credentials::parse(status).ok_or(malformed(texts.pid, "status"))?
        }
        TakeOn::Given(identity) => Credentials::given(identity, maps.as_ref().map(|(uids, gids)| (uids, gids)))?,
    };
    Ok(Some(Change::new(wanted, own_status, own_uids, maps)?))
}

/// The lines of a `status` that say which ids, groups and capabilities a process has.
fn rights(status: &[u8]) -> Vec<&[u8]> {
    let of_rights =
        |line: &&[u8]| [&b"Uid:"[..], b"Gid:", b"Groups:", b"Cap"].iter().any(|name| line.starts_with(name));
    status.split(|byte| *byte == b'\n').filter(of_rights).collect()
}

/// Field 22 of `/proc/PID/stat`, counted from behind the name, which may hold spaces and parentheses (`proc_pid_stat(5)`).
pub fn started(stat: &Text) -> Result<u64, EntryError> {
    let stat = stat.as_deref().map_err(|error| vanished(error.clone()))?;
    let text = String::from_utf8_lossy(stat);
    let behind_name = text.rsplit_once(')').map(|(_, rest)| rest);
    let ticks = behind_name.and_then(|rest| rest.split_ascii_whitespace().nth(19)).and_then(|word| word.parse().ok());
    ticks.ok_or(EntryError::Vanished)
}

/// A process that is gone has neither a directory nor a root; one that is going answers `ESRCH`.
fn vanished(error: LookError) -> EntryError {
    match error {
        LookError::NotFound { .. } => EntryError::Vanished,
        LookError::Refused { errno, .. } if errno == errno_name(Errno::SRCH) => EntryError::Vanished,
        error => EntryError::Look(error),
    }
}

fn changed(error: NamespaceError) -> EntryError {
    match error {
        NamespaceError::Changed { .. } => EntryError::Vanished,
        NamespaceError::Unreadable { error, name } => match vanished(error) {
            EntryError::Look(error) => EntryError::Namespace(NamespaceError::Unreadable { name, error }),
            gone => gone,
        },
        refused => EntryError::Namespace(refused),
    }
}

#[cfg(test)]
mod tests {
    use super::{EntryError, Plan, ProcessId, TakeOn, enter, rights, started};

    #[test]
    fn the_start_time_is_found_behind_a_name_with_parentheses() {
        let stat = b"7 (a) b) 9 (c) S 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4242 1 1".to_vec();
        assert!(matches!(started(&Ok(stat)), Ok(4242)));
    }

    #[test]
    fn a_process_that_changed_its_rights_is_told_from_one_that_only_went_on() {
        let status = |state: &str, uid: u32, groups: &str, capabilities: u32| {
            format!(
                "Name:\tx\nState:\t{state}\nUid:\t{uid}\t0\t0\t0\nGid:\t0\nGroups:\t{groups} \nCapEff:\t{capabilities:016x}\n"
            )
        };
        let before = status("R (running)", 0, "4 27", 1);
        let same = |after: String| rights(before.as_bytes()) == rights(after.as_bytes());
        assert!(same(status("S (sleeping)", 0, "4 27", 1)));
        assert!(!same(status("R (running)", 1000, "4 27", 1)));
        assert!(!same(status("R (running)", 0, "4", 1)) && !same(status("R (running)", 0, "4 27", 0)));
    }

    #[test]
    fn a_pid_that_started_at_another_time_is_not_entered() {
        let process = Some(ProcessId { pid: std::process::id(), start_ticks: 1 });
        let plan = Plan { process, namespaces: [].into(), credentials: TakeOn::Own, locks_known: false };
        assert!(matches!(enter(&plan), Err(EntryError::Vanished)));
    }
}
