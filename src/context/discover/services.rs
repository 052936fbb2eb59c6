//! Which processes are known services: rows of `services.toml`, held against units, users, executables and command lines.
//!
//! Only processes with the host's own root, users and pids come here; a daemon inside a container belongs to the container. A service's own forks, such as
//! the one that nix-daemon makes for each connection, are part of the instance that they descend from.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

use super::procfs::Process;
use crate::formats::cgroup::Owner;

/// One row of `services.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct KnownService {
    /// What its contexts are called after.
    pub name: String,
    /// An executable's name, and the words that must follow it.
    pub commands: Vec<String>,
    /// systemd units, with their suffix.
    pub units: Vec<String>,
    /// Options of its command line that name the user it works as.
    #[serde(default)]
    pub user_options: Vec<String>,
    /// Whether it is often run by another user than root outside of its unit.
    #[serde(default)]
    pub any_user: bool,
    /// Variables that it reads.
    pub environment: Vec<String>,
    /// Its configuration files.
    pub files: Vec<String>,
    /// Where it listens.
    pub sockets: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Catalogue {
    service: Vec<KnownService>,
}

static CATALOGUE: LazyLock<Vec<KnownService>> = LazyLock::new(|| {
    let catalogue: Result<Catalogue, _> = toml::from_str(include_str!("../services.toml"));
    catalogue.map(|catalogue| catalogue.service).unwrap_or_else(|error| unreachable!("services.toml: {error}"))
});

/// All rows.
pub fn catalogue() -> &'static [KnownService] {
    &CATALOGUE
}

/// One running instance.
pub struct Instance<'a> {
    /// Its row.
    pub service: &'static KnownService,
    /// The process that it began with.
    pub process: &'a Process,
    /// All processes of it that the row recognises, by pid.
    pub pids: Vec<u32>,
}

impl Instance<'_> {
    /// The users that its command line says it works as.
    pub fn users(&self) -> Vec<String> {
        let words = &self.process.words;
        let given = |option: &String| {
            words.iter().enumerate().find_map(|(index, word)| match word.strip_prefix(option.as_str())? {
                "" => words.get(index + 1).cloned(),
                rest => rest.strip_prefix('=').map(str::to_owned),
            })
        };
        self.service.user_options.iter().filter_map(given).collect()
    }
}

/// The instances among these processes, in the order of the catalogue; those of the service's unit first, then root's, then the oldest. `parents` maps every pid of the host to its parent's.
pub fn instances<'a>(processes: &[&'a Process], parents: &BTreeMap<u32, u32>) -> Vec<Instance<'a>> {
    catalogue().iter().flat_map(|service| instances_of(service, processes, parents)).collect()
}

fn instances_of<'a>(
    service: &'static KnownService,
    processes: &[&'a Process],
    parents: &BTreeMap<u32, u32>,
) -> Vec<Instance<'a>> {
    let matching: BTreeMap<u32, &'a Process> =
        processes.iter().filter(|process| matches(service, process)).map(|process| (process.pid, *process)).collect();
    let mut instances: BTreeMap<u32, Instance<'a>> = BTreeMap::new();
    for (pid, process) in &matching {
        let first = super::procfs::ancestors(*pid, parents).filter(|ancestor| matching.contains_key(ancestor)).last();
        let first = first.and_then(|first| matching.get(&first)).unwrap_or(process);
        let instance = instances.entry(first.pid).or_insert(Instance { service, process: first, pids: Vec::new() });
        instance.pids.push(*pid);
    }
    let mut instances: Vec<Instance<'a>> = instances.into_values().collect();
    // The first one has the service's plain name, and nobody gets it by calling a program of theirs so.
    instances.sort_by_key(|instance| {
        let process = instance.process;
        (!in_unit(service, process), process.status.uids[1] != 0, process.start_ticks, process.pid)
    });
    instances
}

/// Whether a process is this service. Every user chooses the words of their own processes (`execve(2)`), so outside of the service's unit words speak
/// for root alone; of another user's process the executable has to have the name and to be root's, and only where the service is run so. The executable
/// alone does not do either: engines start their own program again for a moment's work in a container (`libnetwork-setkey`).
fn matches(service: &KnownService, process: &Process) -> bool {
    let first = process.words.first().map(|word| base_name(word)).unwrap_or_default();
    let executable = process.executable.as_deref().map(base_name).unwrap_or_default();
    let in_unit = in_unit(service, process);
    // Real, effective and saved: a set-user-id program has the words that its caller gave it.
    let is_root = process.status.uids.iter().take(3).all(|uid| *uid == 0);
    service.commands.iter().any(|command| {
        let mut words = command.split(' ');
        let name = words.next().unwrap_or_default();
        let follows =
            || words.eq(process.words.iter().skip(1).map(String::as_str).take(command.split(' ').count() - 1));
        let of_another = service.any_user && name == executable && process.executable_is_roots;
        if in_unit {
            return name == executable || name == first;
        }
        name == first && (is_root || of_another) && follows()
    })
}

fn in_unit(service: &KnownService, process: &Process) -> bool {
    matches!(&process.owner, Some(Owner::Unit(unit)) if service.units.contains(unit))
}

/// The last step of a path, without the mark of a deleted file.
pub fn base_name(path: &str) -> &str {
    let path = path.strip_suffix(" (deleted)").unwrap_or(path);
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::super::procfs::tests::process;
    use super::{Owner, Process, catalogue, instances};
    use std::collections::BTreeMap;

    fn found(processes: &[Process]) -> Vec<(String, u32, usize)> {
        let parents: BTreeMap<u32, u32> =
            processes.iter().map(|process| (process.pid, process.status.parent)).collect();
        let all: Vec<&Process> = processes.iter().collect();
        let instances = instances(&all, &parents);
        instances.iter().map(|one| (one.service.name.clone(), one.process.pid, one.pids.len())).collect()
    }

    #[test]
    fn the_embedded_catalogue_is_well_formed_and_its_names_are_unique() {
        let mut names: Vec<&str> = catalogue().iter().map(|row| row.name.as_str()).collect();
        let rows = names.len();
        names.dedup();
        assert_eq!((names.len(), rows), (3, 3));
    }

    #[test]
    fn forks_of_the_nix_daemon_are_one_instance_even_across_other_processes() {
        let processes = [
            process(10, 1, "/usr/bin/nix", &["nix-daemon", "--daemon"]),
            process(20, 10, "/usr/bin/nix", &["nix-daemon", "42"]),
            process(30, 20, "/bin/bash", &["bash", "-e", "builder.sh"]),
            process(40, 30, "/usr/bin/nix", &["nix", "daemon"]),
        ];
        assert_eq!(found(&processes), [("nix-daemon".to_owned(), 10, 3)]);
    }

    #[test]
    fn two_daemons_side_by_side_are_two_instances() {
        let processes =
            [process(10, 1, "/usr/bin/dockerd", &["dockerd"]), process(11, 1, "/opt/dockerd", &["/opt/dockerd"])];
        assert_eq!(found(&processes).len(), 2);
    }

    #[test]
    fn nobody_becomes_a_service_by_calling_a_program_of_theirs_so() {
        let of_user = |pid, executable: &str, words: &[&str]| {
            let mut process = process(pid, 1, executable, words);
            process.status.uids = [1000; 4];
            process
        };
        let mut set_user_id = process(8, 1, "/usr/bin/su", &["nix-daemon"]);
        set_user_id.status.uids = [1000, 0, 0, 0];
        let processes = [
            of_user(6, "/usr/bin/sleep", &["nix-daemon", "60"]),
            of_user(7, "/usr/bin/sleep", &["gitlab-runner", "run"]),
            set_user_id,
            of_user(9, "/home/eve/nix-daemon", &["nix-daemon"]),
            process(10, 1, "/usr/bin/nix", &["nix-daemon", "--daemon"]),
            of_user(11, "/usr/bin/gitlab-runner", &["gitlab-runner", "run"]),
        ];
        assert_eq!(found(&processes), [("nix-daemon".to_owned(), 10, 1), ("gitlab-runner".to_owned(), 11, 1)]);
    }

    #[test]
    fn a_service_that_its_unit_runs_as_another_user_is_the_service() {
        let mut daemon = process(10, 1, "/usr/bin/nix", &["nix-daemon"]);
        daemon.status.uids = [900; 4];
        daemon.owner = Some(Owner::Unit("nix-daemon.service".into()));
        assert_eq!(found(&[daemon]).len(), 1);
    }

    #[test]
    fn another_command_of_the_same_program_is_no_service() {
        let processes = [
            process(10, 1, "/usr/bin/nix", &["nix", "build"]),
            process(11, 1, "/usr/bin/gitlab-runner", &["gitlab-runner", "verify"]),
            process(12, 1, "/usr/bin/vim", &["vim", "dockerd"]),
        ];
        assert_eq!(found(&processes), []);
    }

    #[test]
    fn the_user_that_a_runner_works_as_stands_in_its_command_line() {
        let words = ["/usr/bin/gitlab-runner", "run", "--config", "/etc/x", "--user", "ci"];
        let runner = process(10, 1, "/usr/bin/gitlab-runner", &words);
        let instances = instances(&[&runner], &BTreeMap::new());
        assert_eq!(instances[0].users(), ["ci"]);
    }
}
