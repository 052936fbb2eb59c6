//! The userland processes of this host, as procfs shows them: each text read once, no descriptor kept.
//!
//! Kernel threads, zombies, ourselves and our children are none of them, and neither are the children of another run. A process that cannot be looked into (its namespaces are unreadable)
//! is kept with the reason, so that nothing is lost silently.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use zeroize::Zeroize;

use super::pipeline::job_of_environ;
use crate::context::enter::ARGUMENT;
use crate::formats::cgroup::Owner;
use crate::formats::status::Status;
use crate::formats::{cgroup, environ, stat, status};
use crate::snapshot::PipelineJob;
use crate::sys::LookError;
use crate::sys::process::{NAMESPACES, NamespaceNumber, ProcessDirectory};

/// How many words of a command line are kept, and how long each may be. They are held in memory and never shown: arguments may hold secrets.
const WORDS: usize = 16;
const WORD_LENGTH: usize = 256;
/// 200 ms in clock ticks: the kernel shows them to userland in hundredths of a second (USER_HZ).
const TICKS_TO_LAST: u64 = 20;

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
    /// Whether that file is root's and nobody else may write it.
    pub executable_is_roots: bool,
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
    /// Where reading got stuck; processes after it are missing.
    pub stuck: Option<u32>,
}

/// What the reading thread tells.
enum Step {
    Begun(u32),
    Read(u32, Box<Result<Option<Process>, LookError>>),
}

/// Reads them all, for no longer than `patience`. Fails only when our own process cannot be read: then procfs is not there.
pub async fn read(patience: Duration) -> Result<Processes, LookError> {
    let own_pid = std::process::id();
    let own = process(own_pid)?.ok_or(LookError::NotFound { path: "/proc/self".into() })?;
    let entries = std::fs::read_dir("/proc")
        .map_err(|error| LookError::Refused { path: "/proc".into(), errno: error.kind().to_string() })?;
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    let (read, stuck) = read_each(pids, process, patience).await;
    let mut parents = BTreeMap::new();
    let (mut others, mut hidden) = (Vec::new(), Vec::new());
    for (pid, result) in read {
        match result {
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
    Ok(Processes { own, others, parents, hidden, stuck })
}

/// What was read within the time, and the pid that it got stuck at. `cmdline` and `environ` take the lock of the process's memory
/// (`fs/proc/base.c`), and its holder can wait for a dead filesystem for ever. The thread that waits for it is left behind: the wait is
/// killable, so it ends with us. Processes after the stuck one are not read.
async fn read_each(
    pids: Vec<u32>,
    look: impl Fn(u32) -> Result<Option<Process>, LookError> + Send + 'static,
    patience: Duration,
) -> (Vec<(u32, Result<Option<Process>, LookError>)>, Option<u32>) {
    let until = tokio::time::Instant::now() + patience;
    let (sender, mut steps) = tokio::sync::mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for pid in pids {
            if sender.send(Step::Begun(pid)).is_err() || sender.send(Step::Read(pid, Box::new(look(pid)))).is_err() {
                return;
            }
        }
    });
    let (mut read, mut at) = (Vec::new(), 0);
    loop {
        match tokio::time::timeout_at(until, steps.recv()).await {
            Ok(Some(Step::Begun(pid))) => at = pid,
            Ok(Some(Step::Read(pid, result))) => read.push((pid, *result)),
            Ok(None) => return (read, None),
            Err(_) => return (read, Some(at)),
        }
    }
}

/// Whether this is how procfs speaks of a process that ended while it was read.
pub fn has_ended(error: &LookError) -> bool {
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

/// What the environments of some processes tell.
pub struct Told<'a> {
    /// The youngest process that has the variables of a job. One that began less than 200 ms ago is likely to end before it is looked at, and gives
    /// way to an older one.
    pub job: Option<(&'a Process, PipelineJob)>,
    /// Why a process could not be asked, where none has them.
    pub unseen: Option<LookError>,
    /// Those that wrote over their environment, among all where none has them.
    pub overwritten: BTreeSet<u32>,
}

/// Asks these processes, given oldest first.
pub fn told<'a>(members: &[&'a Process]) -> Told<'a> {
    let mut overwritten = BTreeSet::new();
    let (job, unseen) = youngest_lasting(members, ticks_since_boot(), |process| {
        let variables = variables(process.pid)?;
        if variables.are_overwritten {
            overwritten.insert(process.pid);
        }
        Ok(variables.job)
    });
    Told { job, unseen, overwritten }
}

fn youngest_lasting<'a, T>(
    members: &[&'a Process],
    now: Option<u64>,
    mut job_of: impl FnMut(&Process) -> Result<Option<T>, LookError>,
) -> (Option<(&'a Process, T)>, Option<LookError>) {
    let lasts = |process: &Process| now.is_none_or(|now| now.saturating_sub(process.start_ticks) >= TICKS_TO_LAST);
    let (mut brief, mut unseen) = (None, None);
    for process in members.iter().rev() {
        match job_of(process) {
            Ok(Some(job)) if lasts(process) => return (Some((process, job)), None),
            Ok(Some(job)) => brief = brief.or(Some((*process, job))),
            Ok(None) => {}
            Err(error) if has_ended(&error) => {}
            Err(error) => unseen = unseen.or(Some(error)),
        }
    }
    let unseen = unseen.filter(|_| brief.is_none());
    (brief, unseen)
}

/// The time since boot, in the unit of `start_ticks`; none where it is unknown, and then nothing counts as brief.
fn ticks_since_boot() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/uptime").ok()?;
    let (seconds, rest) = text.split_once('.')?;
    let hundredths: u64 = rest.get(..2)?.parse().ok()?;
    Some(seconds.parse::<u64>().ok()? * 100 + hundredths)
}

/// What is kept of an environment.
struct Variables {
    job: Option<PipelineJob>,
    are_overwritten: bool,
}

/// What the environment tells with which the process was started. Nothing else of it is kept. Asked on a thread of its own, which is left behind
/// after a second, for the reason given at `read_each`.
fn variables(pid: u32) -> Result<Variables, LookError> {
    let (sender, answer) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let answer = ProcessDirectory::open(pid).and_then(|directory| directory.text("environ")).map(|mut environ| {
            let found = Variables { job: job_of_environ(&environ), are_overwritten: environ::is_overwritten(&environ) };
            environ.zeroize();
            found
        });
        // Nobody waits any more where this fails.
        let _ = sender.send(answer);
    });
    let late = |_| LookError::Refused { path: format!("/proc/{pid}/environ"), errno: "ETIMEDOUT".into() };
    answer.recv_timeout(Duration::from_secs(1)).map_err(late)?
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
        executable_is_roots: is_roots(pid),
        status,
        owner: directory.text("cgroup").ok().and_then(|text| cgroup::owner(&text)),
        place: place(&directory),
    }))
}

/// Through the link, which leads to the file itself whatever its path means elsewhere (`proc_pid_exe(5)`).
fn is_roots(pid: u32) -> bool {
    rustix::fs::stat(format!("/proc/{pid}/exe")).is_ok_and(|stat| stat.st_uid == 0 && stat.st_mode & 0o022 == 0)
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
    use super::{Process, ancestors, read_each, youngest_lasting};
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
            executable_is_roots: true,
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

    #[tokio::test]
    async fn a_process_that_cannot_be_read_in_time_is_named_and_those_before_it_are_kept() {
        let look = |pid| {
            if pid == 2 {
                std::thread::sleep(std::time::Duration::from_secs(30));
            }
            Ok(Some(process(pid, 1, "/bin/sleep", &[])))
        };
        let begun = std::time::Instant::now();
        let (read, stuck) = read_each(vec![1, 2, 3], look, std::time::Duration::from_millis(200)).await;
        assert_eq!((read.len(), stuck), (1, Some(2)));
        assert!(begun.elapsed().as_secs() < 10);
    }

    #[test]
    fn a_job_s_process_that_has_just_begun_gives_way_to_an_older_one() {
        let [shell, child] = [process(10, 1, "/bin/sh", &[]), process(90, 10, "/bin/true", &[])];
        let pid = |members: &[&Process], now| {
            youngest_lasting(members, Some(now), |_| Ok(Some(()))).0.map(|(one, ())| one.pid)
        };
        assert_eq!(pid(&[&shell, &child], 100), Some(10));
        assert_eq!(pid(&[&shell, &child], 200), Some(90));
        assert_eq!(pid(&[&child], 100), Some(90));
    }

    #[test]
    fn an_environment_that_could_not_be_read_is_told_and_that_of_an_ended_process_is_not() {
        let one = process(10, 1, "/bin/sh", &[]);
        let refused = || LookError::Refused { path: "/proc/10/environ".into(), errno: "EACCES".into() };
        assert!(youngest_lasting::<()>(&[&one], None, |_| Err(refused())).1.is_some());
        let ended = || LookError::NotFound { path: "/proc/10/environ".into() };
        assert!(youngest_lasting::<()>(&[&one], None, |_| Err(ended())).1.is_none());
    }
}
