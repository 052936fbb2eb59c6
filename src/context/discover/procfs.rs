//! The userland processes of this host, as procfs shows them: each text read once, no descriptor kept.
//!
//! Kernel threads, zombies, ourselves and our children are none of them, and neither are the children of another run. A process that cannot be looked into (its namespaces are unreadable)
//! is kept with the reason, so that nothing is lost silently.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;

use zeroize::Zeroize;

use crate::context::enter::ARGUMENT;
use crate::formats::cgroup::Owner;
use crate::formats::status::Status;
use crate::formats::{cgroup, stat, status};
use crate::sys::LookError;
use crate::sys::process::{NAMESPACES, NamespaceNumber, ProcessDirectory};

/// How many words of a command line are kept, and how long each may be. They are held in memory and never shown: arguments may hold secrets.
const WORDS: usize = 16;
const WORD_LENGTH: usize = 256;

/// One process.
pub struct Process {
    pub pid: u32,
    /// In clock ticks since boot.
    pub start_ticks: u64,
    /// Its `comm`.
    pub name: String,
    /// The first words of its command line.
    pub words: Vec<String>,
    /// Where `exe` points; none where that could not be read.
    pub executable: Option<String>,
    pub status: Status,
    /// What its control group names.
    pub owner: Option<Owner>,
    /// What it is in.
    pub place: Result<Place, LookError>,
}

/// Namespaces and root of a process.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub namespaces: BTreeMap<&'static str, NamespaceNumber>,
    /// Device and inode of the root directory.
    pub root: (u64, u64),
}

impl Place {
    /// The namespace of this name.
    pub fn namespace(&self, name: &str) -> Option<NamespaceNumber> {
        self.namespaces.get(name).copied()
    }

    /// Whether it shares this namespace with another place.
    pub fn shares(&self, other: &Self, name: &str) -> bool {
        self.namespace(name) == other.namespace(name)
    }
}

/// All processes that were found.
pub struct Processes {
    /// Ourselves.
    pub own: Process,
    /// The others, oldest first.
    pub others: Vec<Process>,
    /// Every pid's parent, our own processes included.
    pub parents: BTreeMap<u32, u32>,
    /// Why some could not be read at all, one reason per process.
    pub hidden: Vec<LookError>,
}

/// Reads them all. Fails only when our own process cannot be read: then procfs is not there.
pub fn read() -> Result<Processes, LookError> {
    let own_pid = std::process::id();
    let own = process(own_pid)?.ok_or(LookError::NotFound { path: "/proc/self".into() })?;
    let entries = std::fs::read_dir("/proc")
        .map_err(|error| LookError::Refused { path: "/proc".into(), errno: error.kind().to_string() })?;
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let mut parents = BTreeMap::new();
    let (mut others, mut hidden) = (Vec::new(), Vec::new());
    for pid in pids {
        match process(pid) {
            Ok(Some(process)) => {
                parents.insert(pid, process.status.parent);
                others.push(process);
            }
            Err(error) if !has_ended(&error) => hidden.push(error),
            Ok(None) | Err(_) => {}
        }
    }
    let ours = |process: &Process| process.pid == own_pid || ancestors(process.pid, &parents).any(|pid| pid == own_pid);
    others.retain(|process| !ours(process) && !is_looking(process));
    others.sort_by_key(|process| (process.start_ticks, process.pid));
    Ok(Processes { own, others, parents, hidden })
}

/// Whether this is how procfs speaks of a process that ended while it was read.
fn has_ended(error: &LookError) -> bool {
    match error {
        LookError::NotFound { .. } => true,
        LookError::Refused { errno, .. } => errno == "ESRCH",
        LookError::NotRegular { .. } | LookError::TooLong { .. } => false,
    }
}

/// Whether it is a child of another run of this very program: one that runs beside ours, or one that was abandoned below a dead filesystem and
/// can't end. It has the identity of whom it looks at and an empty root. The executable decides: words alone are anybody's to choose.
fn is_looking(process: &Process) -> bool {
    let file = |pid: &str| std::fs::metadata(format!("/proc/{pid}/exe")).map(|file| (file.dev(), file.ino())).ok();
    process.words.get(1).is_some_and(|word| word == ARGUMENT)
        && file("self").is_some_and(|own| file(&process.pid.to_string()) == Some(own))
}

/// The pids above this one, nearest first.
pub fn ancestors(pid: u32, parents: &BTreeMap<u32, u32>) -> impl Iterator<Item = u32> {
    // Pids are reused while we read, so a chain of parents could close on itself.
    std::iter::successors(parents.get(&pid).copied(), |pid| parents.get(pid).copied())
        .take_while(|pid| *pid != 0)
        .take(parents.len())
}

/// Whether one of the variables that GitLab Runner gives to every job is in the environment that the process was started with.
/// Nothing of it is kept.
pub fn has_ci_variables(pid: u32) -> bool {
    let Ok(mut environ) = ProcessDirectory::open(pid).and_then(|directory| directory.text("environ")) else {
        return false;
    };
    let found = environ
        .split(|byte| *byte == 0)
        .any(|entry| entry.starts_with(b"CI_JOB_ID=") || entry.starts_with(b"GITLAB_CI="));
    environ.zeroize();
    found
}

/// None for a kernel thread and for one that has ended.
fn process(pid: u32) -> Result<Option<Process>, LookError> {
    let directory = ProcessDirectory::open(pid)?;
    let malformed = |name: &str| LookError::Refused { path: format!("/proc/{pid}/{name}"), errno: "EINVAL".into() };
    let stat = stat::parse(&directory.text("stat")?).ok_or_else(|| malformed("stat"))?;
    if stat.is_kernel_thread() || matches!(stat.state, 'Z' | 'X' | 'x') {
        return Ok(None);
    }
    let status = status::parse(&directory.text("status")?).map_err(|_| malformed("status"))?;
    Ok(Some(Process {
        pid,
        start_ticks: stat.start_ticks,
        name: stat.name,
        words: words(directory.text("cmdline").unwrap_or_else(|_| Vec::new())),
        executable: directory.link("exe").ok(),
        status,
        owner: directory.text("cgroup").ok().and_then(|text| cgroup::owner(&text)),
        place: place(&directory),
    }))
}

fn place(directory: &ProcessDirectory) -> Result<Place, LookError> {
    let namespaces = NAMESPACES
        .iter()
        .map(|name| Ok((*name, directory.namespace(name)?)))
        .collect::<Result<BTreeMap<&'static str, NamespaceNumber>, LookError>>()?;
    let root = directory.open_root()?;
    let stat = rustix::fs::fstat(&root).map_err(|errno| LookError::Refused {
        path: format!("/proc/{}/root", directory.pid()),
        errno: crate::sys::root::errno_name(errno),
    })?;
    Ok(Place { namespaces, root: (stat.st_dev, stat.st_ino) })
}

fn words(mut command_line: Vec<u8>) -> Vec<String> {
    let kept = command_line
        .split(|byte| *byte == 0)
        .take(WORDS)
        .map(|word| String::from_utf8_lossy(word.get(..WORD_LENGTH).unwrap_or(word)).into_owned())
        .collect();
    command_line.zeroize();
    kept
}

#[cfg(test)]
pub(super) mod tests {
    use super::{Process, ancestors};
    use crate::formats::status::Status;
    use crate::sys::LookError;
    use std::collections::BTreeMap;

    /// A process of root's in a place that cannot be read.
    pub(in crate::context::discover) fn process(pid: u32, parent: u32, executable: &str, words: &[&str]) -> Process {
        Process {
            pid,
            start_ticks: u64::from(pid),
            name: executable.rsplit('/').next().unwrap_or_default().into(),
            words: words.iter().map(|word| (*word).to_owned()).collect(),
            executable: Some(executable.into()),
            status: Status {
                name: String::new(),
                umask: None,
                state: 'S',
                parent,
                uids: [0; 4],
                gids: [0; 4],
                groups: Vec::new(),
                pids: Vec::new(),
                inheritable: 0,
                permitted: 0,
                effective: 0,
                bounding: 0,
                ambient: 0,
                no_new_privs: None,
                seccomp: None,
            },
            owner: None,
            place: Err(LookError::NotFound { path: "/proc".into() }),
        }
    }

    #[test]
    fn parents_that_form_a_ring_end() {
        let ring = BTreeMap::from([(1, 2), (2, 3), (3, 1)]);
        assert!(ancestors(1, &ring).count() <= 3);
        assert_eq!(ancestors(5, &BTreeMap::from([(5, 4), (4, 1), (1, 0)])).collect::<Vec<_>>(), [4, 1]);
    }
}
