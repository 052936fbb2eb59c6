//! Contexts in namespaces of their own: containers, units with a private network, Nix builds.
//!
//! Processes are gathered into units first, by container id where there is one and by namespaces where not; then each unit is split by
//! what decides about looking: network, users, root directory, ids and capabilities. Private mounts alone make no context while the root directory is the
//! host's: many of systemd's own services have them.

use std::collections::BTreeMap;

use super::Refused;
use super::here::Here;
use super::names::{self, Names};
use super::pipeline::{self, Part};
use super::procfs::{self, Place, Process, Told};
use super::services::base_name;
use crate::context::{Context, EnvironmentSource, RunnerPart};
use crate::formats::cgroup::Owner;
use crate::formats::mountinfo::MountEntry;
use crate::snapshot::{ContextKind, Header};
use crate::sys::LookError;
use crate::sys::process::NamespaceNumber;

/// Programs that prepare or hold containers and are none.
const SHIMS: [&str; 12] = [
    "containerd-shim",
    "containerd-shim-runc-v2",
    "runc",
    "crun",
    "youki",
    "docker-proxy",
    "conmon",
    "rootlesskit",
    "rootlessport",
    "slirp4netns",
    "pasta",
    "fuse-overlayfs",
];

/// Whether the program is one that prepares or holds containers.
pub fn is_shim(process: &Process) -> bool {
    process.executable.as_deref().is_some_and(|path| SHIMS.contains(&base_name(path)))
}

/// Whether the process is a GitLab Runner that takes jobs.
pub fn is_runner(process: &Process) -> bool {
    let is = |path: &str| base_name(path) == "gitlab-runner";
    (process.executable.as_deref().is_some_and(is) || process.words.first().is_some_and(|word| is(word)))
        && process.words.get(1).is_some_and(|command| command == "run" || command == "run-single")
}

/// Where a process stands in relation to us.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// In the host's namespaces and root, private mounts aside.
    Host,
    /// In a container with an id.
    Container(String),
    /// In a machine with a name.
    Machine(String),
    /// In namespaces of its own: network, users, mounts, and pids where those three are ours.
    Apart(Vec<Option<NamespaceNumber>>),
    /// It could not be looked into, and its control group names no container.
    Unreadable,
}

/// Says where a process stands.
pub fn standing(here: &Here<'_>, process: &Process) -> Standing {
    let named = || match &process.owner {
        Some(Owner::Container(id)) if process.owner != here.own.owner => Some(Standing::Container(id.clone())),
        Some(Owner::Machine(name)) if process.owner != here.own.owner => Some(Standing::Machine(name.clone())),
        _ => None,
    };
    let Ok(place) = &process.place else { return named().unwrap_or(Standing::Unreadable) };
    let same = |name| place.shares(here.place, name);
    if same("net") && same("user") && same("pid") && (same("mnt") || place.root == here.place.root) {
        return Standing::Host;
    }
    named().unwrap_or_else(|| {
        let mut key: Vec<_> = ["net", "user", "mnt"].map(|name| place.namespace(name)).into();
        if same("net") && same("user") && same("mnt") {
            key.push(place.namespace("pid"));
        }
        Standing::Apart(key)
    })
}

/// The processes of each unit, oldest first, and the mount table of its oldest.
pub type Units<'a> = BTreeMap<Standing, (Vec<&'a Process>, Mounts)>;

/// A mount table, or why it could not be read.
pub type Mounts = Result<Vec<MountEntry>, LookError>;

/// Gathers processes that stand apart into units; a container whose control group does not show its id is known by its mounts.
pub fn gather(apart: BTreeMap<Standing, Vec<&Process>>) -> Units<'_> {
    let mut units = Units::new();
    for (standing, processes) in apart {
        let mounts = processes.first().map(|first| names::mounts(first)).unwrap_or_else(|| Ok(Vec::new()));
        let standing = match standing {
            Standing::Apart(key) => mounts
                .as_deref()
                .ok()
                .and_then(names::container_by_mounts)
                .map_or(Standing::Apart(key), Standing::Container),
            other => other,
        };
        let (members, _) = units.entry(standing).or_insert_with(|| (Vec::new(), mounts));
        members.extend(processes);
        members.sort_by_key(|process| (process.start_ticks, process.pid));
    }
    units
}

/// The contexts of these units. Those that are parts of a job are called after that.
pub fn contexts(here: &Here<'_>, units: &Units<'_>, names: &Names<'_>) -> Vec<Result<Context, Box<Refused>>> {
    let mut found: Vec<Unit> = units
        .iter()
        .filter_map(|(standing, (processes, mounts))| unit(here, standing, processes, mounts, names))
        .collect();
    found.sort_by_key(|unit| unit.began);
    let others = found.iter().filter(|unit| unit.part.is_none()).flat_map(|unit| &unit.contexts);
    let services = names.services.values().map(|name| format!("service:{name}"));
    let taken = others.map(|one| header_of(one).name.clone()).chain(services).collect();
    let parts: Vec<&Part> = found.iter().filter_map(|unit| unit.part.as_ref()).collect();
    let mut called = pipeline::names(&parts, &taken).into_iter();
    for unit in found.iter_mut().filter(|unit| unit.part.is_some()) {
        let Some(name) = called.next() else { break };
        for context in unit.contexts.iter_mut().flatten().filter(|_| unit.is_labelled) {
            context.runner = RunnerPart::Made;
        }
        for header in unit.contexts.iter_mut().map(header_mut) {
            // What follows the unit's own name tells its users apart.
            let user = header.name.strip_prefix(unit.name.as_str()).unwrap_or_default();
            header.name = format!("{name}{user}");
        }
    }
    found.into_iter().flat_map(|unit| unit.contexts).collect()
}

/// What was found of one unit.
struct Unit {
    /// When its oldest process began.
    began: (u64, u32),
    /// Its name before it is called after its part.
    name: String,
    /// Its part in a job.
    part: Option<Part>,
    /// Whether an engine's labels say so.
    is_labelled: bool,
    contexts: Vec<Result<Context, Box<Refused>>>,
}

fn header_of(found: &Result<Context, Box<Refused>>) -> &Header {
    match found {
        Ok(context) => &context.header,
        Err(refused) => &refused.header,
    }
}

fn header_mut(found: &mut Result<Context, Box<Refused>>) -> &mut Header {
    match found {
        Ok(context) => &mut context.header,
        Err(refused) => &mut refused.header,
    }
}

/// What decides about looking, besides the unit itself.
type Set = (Option<Place>, [u32; 2], [u64; 3]);

fn unit(
    here: &Here<'_>,
    standing: &Standing,
    processes: &[&Process],
    mounts: &Mounts,
    names: &Names<'_>,
) -> Option<Unit> {
    let oldest = processes.first()?;
    let unseen = mounts.as_ref().err().filter(|error| !procfs::has_ended(error));
    let mounts = mounts.as_deref().unwrap_or_default();
    let mut header = names::unit_header(here, standing, oldest, mounts, names);
    // It stays on the chain: a table that nobody could read may show an engine's socket.
    header.chain.extend(
        unseen.map(|error| format!("whether it mounts the container engine's socket could not be seen: {error}")),
    );
    if let Some(socket) = names::engine_socket(mounts) {
        header.chain.push(format!("mounts the container engine's socket at {socket}"));
    }
    let mut sets: Vec<(Set, Vec<&Process>)> = Vec::new();
    for process in processes {
        let key = set(process);
        match sets.iter_mut().find(|(known, _)| *known == key) {
            Some((_, members)) => members.push(process),
            None => sets.push((key, vec![process])),
        }
    }
    let engine = names.engine_of(standing);
    let (name, is_container) = (header.name.clone(), header.kind == ContextKind::Container);
    let word = Word { role: role(processes), is_last: engine.is_none() };
    let contexts: Vec<_> = sets
        .iter()
        .enumerate()
        .map(|(index, (_, members))| set_context(here, header.clone(), members, &word, index == 0))
        .collect();
    let part = match engine {
        Some(named) => Part::of_labels(&named.labels),
        None => contexts.iter().find_map(|one| Some(Part::of_variables(header_of(one).job.clone()?, word.role))),
    };
    Some(Unit {
        began: (oldest.start_ticks, oldest.pid),
        name,
        part: part.filter(|_| is_container),
        is_labelled: engine.is_some(),
        contexts,
    })
}

/// What the variables of a job stand for.
struct Word {
    /// The role that they give.
    role: &'static str,
    /// Whether nobody knows better: no engine lists the container, so they also say which job it is.
    is_last: bool,
}

/// What a job's own variables cannot tell: the container that fetches sources and keeps artifacts has them too. It runs the runner's own programs.
fn role(processes: &[&Process]) -> &'static str {
    let is_helper = |process: &&Process| {
        process.executable.as_deref().is_some_and(|path| base_name(path) == "gitlab-runner-helper")
            || process.words.iter().any(|word| word == "gitlab-runner-build")
    };
    if processes.iter().any(is_helper) { "helper" } else { "job" }
}

fn set(process: &Process) -> Set {
    let status = &process.status;
    let place = process.place.as_ref().ok().map(|place| Place {
        namespaces: ["net", "user"].iter().filter_map(|name| Some((*name, place.namespace(name)?))).collect(),
        root: place.root,
    });
    (place, [status.uids[1], status.gids[1]], [status.effective, status.permitted, status.bounding])
}

/// The context of one set: its oldest process, or for jobs the youngest that has the job's variables, because what a script exports
/// shows only in its children.
fn set_context(
    here: &Here<'_>,
    mut header: Header,
    members: &[&Process],
    word: &Word,
    is_main: bool,
) -> Result<Context, Box<Refused>> {
    let Told { job, unseen, overwritten } = procfs::told(members);
    header.limits.extend(unseen.map(|error| format!("whether it is a job could not be seen: {error}")));
    // Where no engine says what it starts processes there with, one that still shows it is asked.
    let telling = members.iter().find(|process| word.is_last && !overwritten.contains(&process.pid));
    let first = telling.or(members.first()).copied();
    // In a runner's own container something else holds pid 1.
    let runner = members.iter().copied().find(|process| is_runner(process));
    let Some(process) = job.as_ref().map(|(process, _)| *process).or(runner).or(first) else {
        unreachable!("a set has a member")
    };
    if let Some((_, job)) = job.filter(|_| header.role.is_none()) {
        header.role = Some(word.role.to_owned());
        header.job = word.is_last.then_some(job);
    }
    if let Some(role) = &header.role {
        header.chain.push(format!("continuous integration: {role}"));
    }
    let of_process = here.header(header.kind, "", Some(process));
    (header.process, header.host_root) = (of_process.process, of_process.host_root);
    if runner.is_some() {
        header.chain.push("a GitLab Runner that takes jobs runs in it".to_owned());
        header.service = Some("gitlab-runner".to_owned());
    }
    let mut found = here.context(header, process);
    if let Ok(context) = &mut found {
        if runner.is_some() {
            context.runner = RunnerPart::Manager;
        }
        if overwritten.contains(&process.pid) {
            context.environment = EnvironmentSource::Overwritten;
        }
    }
    if is_main {
        return found;
    }
    let rename = |header: &mut Header, uid: u32| {
        header.id = format!("{}/user-{uid}", header.id);
        header.name = format!("{}/user-{uid}", header.name);
    };
    match found {
        Ok(mut context) => {
            rename(&mut context.header, context.take.uid);
            Ok(context)
        }
        Err(mut refused) => {
            rename(&mut refused.header, process.status.uids[1]);
            Err(refused)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::procfs::tests::process;
    use super::{Names, Standing, contexts, gather, standing};
    use crate::context::discover::here::Here;
    use crate::context::discover::procfs::{Place, Process};
    use crate::formats::cgroup::Owner;
    use crate::sys::LookError;
    use crate::sys::process::{NAMESPACES, NamespaceNumber};
    use std::collections::BTreeMap;

    fn at(mut process: Process, differing: &[&'static str], root: u64) -> Process {
        let number =
            |name: &&'static str| NamespaceNumber { device: 4, inode: 1 + u64::from(differing.contains(name)) };
        let namespaces = NAMESPACES.iter().map(|name| (*name, number(name))).collect();
        process.place = Ok(Place { namespaces, root: (1, root) });
        process
    }

    fn found(processes: &[Process], units: &[(&str, u64)]) -> Vec<String> {
        let own = at(process(1, 0, "/usr/bin/parallax", &["parallax"]), &[], 2);
        let place = own.place.clone().expect("a place");
        let here = Here { own: &own, place: &place, boot: "b".into(), host: "h".into() };
        let mut apart: BTreeMap<Standing, Vec<&Process>> = BTreeMap::new();
        for process in processes {
            let standing = standing(&here, process);
            if standing != Standing::Host {
                apart.entry(standing).or_default().push(process);
            }
        }
        let units = units.iter().map(|(unit, start)| ((*unit).to_owned(), *start)).collect();
        let (engines, none, parents) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let names = Names { engines: &engines, units: &units, builders: &[], services: &none, parents: &parents };
        let contexts = contexts(&here, &gather(apart), &names).into_iter();
        contexts.map(|one| one.map_or_else(|refused| refused.header.id, |context| context.header.id)).collect()
    }

    // No process has these pids: above the largest that the kernel gives (PID_MAX_LIMIT).
    const PID: u32 = 1 << 23;

    #[test]
    fn private_mounts_on_the_host_s_root_make_no_context() {
        assert!(found(&[at(process(PID, 1, "/usr/lib/systemd/systemd-udevd", &[]), &["mnt"], 2)], &[]).is_empty());
        let rooted = at(process(PID, 1, "/bin/sleep", &[]), &["mnt"], 9);
        assert_eq!(found(&[rooted], &[]), ["container:sleep-2"]);
    }

    #[test]
    fn a_unit_with_a_private_network_is_named_after_the_unit_and_what_a_unit_starts_is_not() {
        let mut main = at(process(PID, 1, "/usr/bin/cache", &[]), &["net", "mnt"], 2);
        main.owner = Some(Owner::Unit("cache.service".into()));
        assert_eq!(found(std::slice::from_ref(&main), &[("cache.service", main.start_ticks)]), ["service:cache"]);
        assert_eq!(found(&[main], &[("cache.service", 1)]), ["container:cache-2"]);
    }

    #[test]
    fn a_mount_table_that_cannot_be_read_keeps_its_unit_on_the_chain() {
        let own = at(process(1, 0, "/usr/bin/parallax", &["parallax"]), &[], 2);
        let place = own.place.clone().expect("a place");
        let here = Here { own: &own, place: &place, boot: "b".into(), host: "h".into() };
        let member = at(process(PID, 1, "/bin/sleep", &[]), &["net", "mnt"], 9);
        let (engines, units, none, parents) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let names = Names { engines: &engines, units: &units, builders: &[], services: &none, parents: &parents };
        let refused = LookError::Refused { path: "/proc/1/mountinfo".into(), errno: "EACCES".into() };
        let chain_with = |mounts| {
            let unit = (Standing::Machine("m".into()), (vec![&member], mounts));
            let one = contexts(&here, &BTreeMap::from([unit]), &names).remove(0);
            one.map_or_else(|refused| refused.header.chain, |context| context.header.chain).len()
        };
        assert_eq!((chain_with(Err(refused)), chain_with(Ok(Vec::new()))), (1, 0));
    }

    #[test]
    fn users_of_one_container_are_contexts_of_their_own_and_its_workers_are_one() {
        let id = "a".repeat(64);
        let member = |pid: u32, uid: u32| {
            let mut process = at(process(pid, 1, "/bin/nginx", &[]), &["net", "mnt", "pid"], 9);
            process.owner = Some(Owner::Container(id.clone()));
            process.status.uids = [uid; 4];
            process
        };
        let processes = [member(PID, 0), member(PID + 1, 101), member(PID + 2, 101)];
        assert_eq!(found(&processes, &[]), ["container:aaaaaaaaaaaa", "container:aaaaaaaaaaaa/user-101"]);
    }

    #[test]
    fn a_process_that_cannot_be_looked_into_is_still_known_by_its_container() {
        let mut hidden = process(PID, 1, "/bin/sh", &[]);
        hidden.owner = Some(Owner::Container("b".repeat(64)));
        assert_eq!(found(&[hidden], &[]), ["container:bbbbbbbbbbbb"]);
    }
}
