//! Discovery: from procfs to the list of contexts. Starts from the processes, so that it sees whatever made the namespaces; the engines' API adds names.
//!
//! A source that cannot be read is reported and never ends the run.

pub mod docker;
pub mod procfs;
pub mod services;

mod asking;
mod containers;
mod engines;
mod here;
mod names;
mod pipeline;
mod users;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{Context, EnvironmentSource, RunnerPart};
use crate::formats::cgroup::Owner;
use crate::snapshot::{ContextKind, Entry, Header};
pub use asking::{Asker, Asking};
use containers::{Standing, Units, is_shim, standing};
use here::Here;
pub use here::machine;
use names::Names;
pub use pipeline::job_of_variables;
use procfs::{Process, Processes};
use services::Instance;
use users::Accounts;

/// What to look for, beside what every host has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// Users that the configuration names.
    pub users: Vec<String>,
    /// Who called parallax.
    pub invoker: Invoker,
    /// The invoker's `DOCKER_HOST`, where it is set; only `unix://` is asked.
    pub docker_host: Option<String>,
    /// How long reading the processes may take, 5 s by default.
    pub deadline: Duration,
    /// The process that asks, where one does.
    pub asker: Option<Asker>,
    /// Keys of labels that are wanted beside those of GitLab Runner and Compose.
    pub labels: Vec<String>,
}

impl Default for Scope {
    fn default() -> Self {
        Self {
            users: Vec::new(),
            invoker: Invoker::default(),
            docker_host: None,
            deadline: Duration::from_secs(5),
            asker: None,
            labels: Vec::new(),
        }
    }
}

/// Who called parallax: `SUDO_UID` and `SUDO_USER` behind sudo, else our own real uid.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Invoker {
    pub uid: u32,
    /// Its name, where that is known; else passwd is asked.
    pub name: Option<String>,
}

/// Everything that was found.
#[derive(Debug, Clone, Default)]
pub struct Discovered {
    /// Contexts that can be looked at: host, users, services, containers, builds. Their ids are unique.
    pub contexts: Vec<Context>,
    /// Contexts that exist and cannot be entered. Ids are unique among these and those above.
    pub refused: Vec<Refused>,
    /// Sources that could not be read, in whole sentences for a person.
    pub notes: Vec<String>,
    /// Who asks, where that was wanted and the process still lives. Not among the contexts.
    pub asking: Option<Asking>,
    /// What engines say of containers, by the ids of their contexts.
    pub engines: BTreeMap<String, docker::Named>,
}

/// A context that exists and cannot be entered.
#[derive(Debug, Clone)]
pub struct Refused {
    /// Its id, kind and name; its entry is `none`.
    pub header: Header,
    /// Why not, in words.
    pub reason: String,
}

/// Finds the contexts of this host.
pub async fn discover(scope: &Scope) -> Discovered {
    let mut found = Discovered::default();
    let processes = match procfs::read(scope.deadline).await {
        Ok(processes) => processes,
        Err(error) => {
            found.notes.push(format!("no context was found, for procfs could not be read: {error}"));
            return found;
        }
    };
    let here = match Here::new(&processes.own) {
        Ok(here) => here,
        Err(error) => {
            found.notes.push(format!("no context was found, for our own namespaces could not be read: {error}"));
            return found;
        }
    };
    let engines = docker::ask(&sockets(scope), &scope.labels).await;
    found.notes.extend(engines.notes);
    found.notes.extend(hidden_note(&processes));
    found.notes.extend(processes.stuck.map(|pid| {
        let seconds = scope.deadline.as_secs();
        format!("processes could not be read within {seconds} s (stuck at pid {pid}), so contexts may be missing")
    }));
    let accounts = Accounts::read(&mut found.notes);
    found.contexts.push(host(&here));
    let sorted = sort(&here, &processes.others, &processes.parents);
    found.notes.extend(unreadable_note(&sorted.unreadable));
    if processes.stuck.is_none() && processes.hidden.is_empty() {
        found.notes.extend(
            crate::sys::process::text_at("/proc/net/unix")
                .ok()
                .and_then(|sockets| idle_daemon_note(&sorted.services, &String::from_utf8_lossy(&sockets))),
        );
    }
    let service_users = service_users(&sorted.services, &accounts);
    let of_users =
        users::contexts(&here, scope, &accounts, &sorted.host, &processes.parents, &service_users, &mut found.notes);
    let units = unit_starts(&processes.others);
    let builders = accounts.members("nixbld");
    let serving = service_pids(&sorted.services);
    let names = Names {
        engines: &engines.containers,
        units: &units,
        builders: &builders,
        services: &serving,
        parents: &processes.parents,
    };
    let mut apart = sorted.apart;
    // A build without a sandbox stands in the host's namespaces and shows by its user alone.
    for process in sorted.host.iter().filter(|process| builders.contains(&process.status.uids[1])) {
        apart.entry(Standing::Machine(format!("nixbld-{}", process.status.uids[1]))).or_default().push(process);
    }
    let gathered = containers::gather(apart);
    found.notes.extend(unseen_note(&here, &engines.containers, &gathered));
    let of_services = service_contexts(&here, &sorted.services);
    for one in of_users.into_iter().chain(of_services).chain(containers::contexts(&here, &gathered, &names)) {
        match one {
            Ok(context) => found.contexts.push(context),
            Err(refused) => found.refused.push(*refused),
        }
    }
    make_unique(&mut found);
    found.asking =
        scope.asker.and_then(|asker| asking::find(&here, asker, &processes.others, &gathered, &names, &accounts));
    found.engines = engines::of_contexts(&here, &found, &gathered, &names);
    engines::add(&mut found).await;
    found
}

fn sockets(scope: &Scope) -> Vec<String> {
    let given = scope.docker_host.as_deref().and_then(|host| host.strip_prefix("unix://"));
    let uid = scope.invoker.uid;
    let rootless = ["docker.sock", "podman/podman.sock"].map(|socket| format!("/run/user/{uid}/{socket}"));
    let own = rootless.into_iter().filter(|_| uid != 0 && uid == rustix::process::geteuid().as_raw());
    docker::DEFAULT_SOCKETS.into_iter().chain(given).map(str::to_owned).chain(own).collect()
}

/// Containers that an engine lists and that no process shows: they are on another machine, or in pids that are hidden from us.
fn unseen_note(here: &Here<'_>, engines: &BTreeMap<String, docker::Named>, units: &Units<'_>) -> Option<String> {
    let is_seen = |id: &String| {
        units.contains_key(&Standing::Container(id.clone())) || here.own.owner == Some(Owner::Container(id.clone()))
    };
    let unseen: Vec<&str> =
        engines.iter().filter(|(id, _)| !is_seen(id)).map(|(_, named)| named.name.as_str()).take(4).collect();
    let more = if unseen.len() > 3 { " and others" } else { "" };
    let names = unseen.iter().take(3).copied().collect::<Vec<_>>().join(", ");
    (!unseen.is_empty())
        .then(|| format!("an engine lists containers of which no process was found here: {names}{more}"))
}

fn host(here: &Here<'_>) -> Context {
    let mut header = here.header(ContextKind::Host, "", None);
    header.entry = Entry::Native;
    let init = crate::sys::process::ProcessDirectory::open(1);
    let differing = |name: &&&str| -> bool {
        let theirs = init.as_ref().ok().and_then(|init| init.namespace(name).ok());
        theirs.is_some() && theirs != here.place.namespace(name)
    };
    let mine = "the host context is the namespaces that parallax runs in";
    match init.as_ref().map_err(Clone::clone).and_then(|init| init.namespace("mnt")) {
        Err(error) => header.limits.push(format!("{mine}: those of pid 1 could not be read ({error})")),
        Ok(_) => {
            let differing: Vec<&str> = ["mnt", "net", "user"].iter().filter(differing).copied().collect();
            if !differing.is_empty() {
                header.limits.push(format!("{mine}, and pid 1 has another {}", differing.join(", ")));
            }
        }
    }
    let (take, environment) = (here.own_identity(), EnvironmentSource::Own);
    Context { header, process: None, take, environment, runner: RunnerPart::None, asked: None, binds: None }
}

/// The processes by what they are.
struct Sorted<'a> {
    /// In the host's namespaces and no known service.
    host: Vec<&'a Process>,
    services: Vec<Instance<'a>>,
    apart: BTreeMap<Standing, Vec<&'a Process>>,
    unreadable: Vec<&'a Process>,
}

fn sort<'a>(here: &Here<'_>, processes: &'a [Process], parents: &BTreeMap<u32, u32>) -> Sorted<'a> {
    let stands: Vec<(&Process, Standing)> =
        processes.iter().map(|process| (process, standing(here, process))).collect();
    let may_serve = |(process, standing): &&(&'a Process, Standing)| match (standing, &process.place) {
        (Standing::Apart(_), Ok(place)) => {
            place.root == here.place.root && place.shares(here.place, "user") && place.shares(here.place, "pid")
        }
        (standing, _) => matches!(standing, Standing::Host | Standing::Unreadable),
    };
    let candidates: Vec<&Process> = stands.iter().filter(may_serve).map(|(process, _)| *process).collect();
    let services = services::instances(&candidates, parents);
    let serving: BTreeSet<u32> = services.iter().flat_map(|instance| instance.pids.iter().copied()).collect();
    let mut sorted = Sorted { host: Vec::new(), services, apart: BTreeMap::new(), unreadable: Vec::new() };
    for (process, standing) in stands {
        match standing {
            _ if serving.contains(&process.pid) => {}
            Standing::Host if !is_shim(process) => sorted.host.push(process),
            // What is missing of pid 1 stands in the limits of the host context.
            Standing::Unreadable if process.pid == 1 => {}
            Standing::Unreadable => sorted.unreadable.push(process),
            Standing::Host => {}
            Standing::Apart(_) if is_shim(process) => {}
            Standing::Apart(_) | Standing::Container(_) | Standing::Machine(_) => {
                sorted.apart.entry(standing).or_default().push(process);
            }
        }
    }
    sorted
}

/// What procfs itself withholds (`proc(5)`, hidepid).
fn hidden_note(processes: &Processes) -> Option<String> {
    if !std::path::Path::new("/proc/1").exists() {
        return Some("procfs hides the processes of other users, so contexts may be missing".to_owned());
    }
    let error = processes.hidden.first()?;
    Some(format!("{} processes could not be read, so contexts may be missing: {error}", processes.hidden.len()))
}

fn unreadable_note(unreadable: &[&Process]) -> Option<String> {
    let first = unreadable.first()?;
    let error = first.place.as_ref().err()?;
    let count = unreadable.len();
    let which = if count == 1 { "one process".to_owned() } else { format!("{count} processes") };
    Some(format!("{which} could not be looked into, so contexts may be missing: pid {} ({error})", first.pid))
}

/// A daemon that its socket unit would start: somebody listens for it, and it does not run. `sockets` is `/proc/net/unix` (`proc_pid_net(5)`).
fn idle_daemon_note(services: &[Instance<'_>], sockets: &str) -> Option<String> {
    let name = "nix-daemon";
    let row = services::catalogue().iter().find(|row| row.name == name)?;
    let is_listening = |line: &str| {
        // The flags are the fourth column; __SO_ACCEPTCON is the only one that is shown.
        let columns: Vec<&str> = line.split_whitespace().collect();
        columns.get(3) == Some(&"00010000")
            && columns.get(7).is_some_and(|path| row.sockets.iter().any(|known| known == path))
    };
    let idle = !services.iter().any(|one| one.service.name == name) && sockets.lines().any(is_listening);
    idle.then(|| format!("{name} is started by its socket and does not run now: nothing was compared with it"))
}

fn service_users(services: &[Instance<'_>], accounts: &Accounts) -> Vec<String> {
    let running = services.iter().filter_map(|instance| accounts.name_of(instance.process.status.uids[1]));
    running.map(str::to_owned).chain(services.iter().flat_map(Instance::users)).collect()
}

fn service_contexts(here: &Here<'_>, services: &[Instance<'_>]) -> Vec<Result<Context, Box<Refused>>> {
    let mut named = BTreeSet::new();
    let context = |instance: &Instance<'_>| {
        let process = instance.process;
        let name = &instance.service.name;
        let full = if named.insert(name) { name.clone() } else { format!("{name}@{}", process.start_ticks) };
        let mut header = here.header(ContextKind::Service, &full, Some(process));
        header.service = Some(name.clone());
        let found = here.context(header, process);
        let is_runner = containers::is_runner(process);
        found.map(|context| Context { runner: if is_runner { RunnerPart::Manager } else { context.runner }, ..context })
    };
    services.iter().map(context).collect()
}

/// The pids of all instances, and what their contexts are called.
fn service_pids(services: &[Instance<'_>]) -> BTreeMap<u32, String> {
    let name = |instance: &Instance<'_>| format!("service:{}", instance.service.name);
    services.iter().flat_map(|one| one.pids.iter().map(move |pid| (*pid, name(one)))).collect()
}

/// The start of the oldest process of each systemd unit.
fn unit_starts(processes: &[Process]) -> BTreeMap<String, u64> {
    let mut starts = BTreeMap::new();
    for process in processes {
        if let Some(Owner::Unit(unit)) = &process.owner {
            starts.entry(unit.clone()).or_insert(process.start_ticks);
        }
    }
    starts
}

/// Two containers of two engines can have one name, and two users of one container can differ in their rights alone: the later ones get a number,
/// ids and names alike.
fn make_unique(found: &mut Discovered) {
    let (mut ids, mut names) = (BTreeSet::new(), BTreeSet::new());
    let headers = found.contexts.iter_mut().map(|context| &mut context.header);
    for header in headers.chain(found.refused.iter_mut().map(|refused| &mut refused.header)) {
        header.id = unique(&mut ids, &header.id);
        header.name = unique(&mut names, &header.name);
    }
}

fn unique(taken: &mut BTreeSet<String>, base: &str) -> String {
    let mut name = base.to_owned();
    let mut number = 1_u32;
    while !taken.insert(name.clone()) {
        number += 1;
        name = format!("{base}~{number}");
    }
    name
}

#[cfg(test)]
mod tests {
    use super::{idle_daemon_note, services};

    #[test]
    fn a_daemon_that_only_its_socket_waits_for_is_told_and_a_running_one_is_not() {
        let line = "0000: 00000002 00000000 00010000 0001 01 123 /nix/var/nix/daemon-socket/socket\n";
        let daemon = super::procfs::tests::process(10, 1, "/usr/bin/nix", &["nix-daemon"]);
        let running = services::instances(&[&daemon], &std::collections::BTreeMap::new());
        assert!(idle_daemon_note(&[], line).is_some_and(|note| note.contains("started by its socket")));
        assert_eq!(idle_daemon_note(&running, line), None);
        assert_eq!(idle_daemon_note(&[], &line.replace("00010000", "00000000")), None);
    }
}
