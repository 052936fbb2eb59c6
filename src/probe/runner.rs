//! GitLab Runner: which configuration is used here, what it declares for jobs, and, in a job, what became of that.
//!
//! Reads `config.toml`, the certificates and the system id beside it, and the machine id, beneath the target's root. Sends nothing anywhere. Tokens and
//! keys stay in memory that wipes itself; what leaves is the public start of a token, and fingerprints. Must not judge.

mod declared;
mod entries;
mod files;
mod keys;
mod places;

use serde::{Deserialize, Serialize};

use super::{Target, fact};
use crate::formats::gitlab_runner::{self, Configuration};
use crate::snapshot::endpoint::NamedEndpoint;
use crate::snapshot::facts::{Facts, Runner, RunnerBundle, RunnerEntry, RunnerProblem};
use crate::snapshot::{Fact, List, Reason};
use crate::sys::LookError;
use files::Places;

pub use entries::endpoints;
pub use keys::{Found as CacheKey, add as add_keys};

/// No configuration is longer; one that is may be a trap.
const CAP: usize = 1 << 20;
/// The most certificates of a directory that are listed.
const MOST: usize = 256;

/// What one context is asked about runners, for what other contexts' configuration says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunnerWishes {
    /// The runner that made this context, by the engine's labels.
    pub short: Option<String>,
    /// Endpoints that the runner's configuration makes this context use. Never a credential.
    pub endpoints: Vec<NamedEndpoint>,
    /// Places for which the runner declares directories of the host.
    pub places: Option<Vec<String>>,
    /// The entry that a declared context is of; such a context is looked at from the host that the engine runs on.
    pub declared: Option<Box<RunnerEntry>>,
    /// Why the engine's machine cannot be looked at from here.
    pub elsewhere: Option<String>,
}

/// A configuration as it was read, with what has to be asked of the root.
struct Read {
    path: String,
    configuration: Configuration,
}

/// Looks at everything; and the endpoints that the runner of this context, or the runner that made it, names.
pub fn observe(target: &Target<'_>) -> (Runner, Vec<NamedEndpoint>) {
    let wishes = &target.wishes.runner;
    let manager = is_manager(target);
    let places = Places::of(target, manager.present() == Some(&true));
    let read = places.used().and_then(|used| read(target, &used.path));
    let directory = files::directory(target);
    let entries = entries::all(target, &read, &directory);
    let mut named = wishes.endpoints.clone();
    if manager.present() == Some(&true) {
        let all = entries.present().map(|list| list.items.as_slice()).unwrap_or_default();
        named.extend(all.iter().flat_map(|entry| entries::endpoints(entry, false)));
    }
    let runner = Runner {
        manager,
        config: places.used().map(|used| used.path.clone()),
        config_named_by: places.used().map(|used| used.named_by.clone()),
        entries,
        problems: problems(&read),
        bundles: bundles(target, &directory),
        system_id: places.used().and_then(|used| system_id(target, &used.path)),
        machine_system_id: machine_system_id(target),
        short: wishes.short.clone().into(),
        places: places::observe(target),
        volumes: Fact::Absent,
        given: Fact::Absent,
        sandbox: Fact::Absent,
        files: places.files(target),
    };
    (runner, named)
}

/// The facts of a declared context, all families that a configuration says something of.
pub fn declared(target: &Target<'_>, entry: &RunnerEntry) -> Facts {
    declared::observe(target, entry)
}

/// Whether our process is a runner that takes jobs: by its executable or the name it was started by, and the command.
fn is_manager(target: &Target<'_>) -> Fact<bool> {
    if !target.live {
        return Fact::Present(false);
    }
    words(target).map(|words| {
        let base = |path: &str| path.rsplit('/').next().unwrap_or(path) == "gitlab-runner";
        let executable = target.process.executable.as_deref().unwrap_or_default().trim_end_matches(" (deleted)");
        let named = base(executable) || words.first().is_some_and(|first| base(first));
        named && words.get(1).is_some_and(|command| command == "run" || command == "run-single")
    })
}

/// The words of the command line. They may be secrets, and are only asked for options that name files.
fn words(target: &Target<'_>) -> Fact<Vec<String>> {
    fact(target.process.command_line.as_ref().map_err(Clone::clone)).map(|text| {
        let words = text.split(|byte| *byte == 0).filter(|word| !word.is_empty()).take(MOST);
        words.map(|word| String::from_utf8_lossy(word).into_owned()).collect()
    })
}

fn read(target: &Target<'_>, path: &str) -> Fact<Read> {
    if let Some(reason) = incomplete(target) {
        return Fact::Unobserved(reason);
    }
    fact(target.root.read(path, CAP))
        .map(|text| Read { path: path.to_owned(), configuration: gitlab_runner::parse(&text) })
}

fn problems(read: &Fact<Read>) -> Fact<List<RunnerProblem>> {
    read.as_ref().map(|read| {
        let problem = |problem: &gitlab_runner::Problem| RunnerProblem {
            origin: format!("{}:{}", read.path, problem.line),
            key: problem.key.clone(),
            detail: problem.detail.clone(),
        };
        List::complete(read.configuration.problems.iter().map(problem).collect())
    })
}

fn bundles(target: &Target<'_>, directory: &Fact<String>) -> Fact<List<RunnerBundle>> {
    let listed = directory.as_ref().and_then(|directory| {
        let certificates = format!("{directory}/certs");
        fact(target.root.list(&certificates, MOST)).map(|(names, more)| (certificates, names, more))
    });
    listed.map(|(directory, names, more)| {
        let bundle = |name: String| {
            let host = name.strip_suffix(".crt")?.to_owned();
            (!host.ends_with(".auth")).then(|| RunnerBundle { host, path: format!("{directory}/{name}") })
        };
        let truncated = Reason::Truncated { at: MOST as u64, what: directory.clone() };
        List { items: names.into_iter().filter_map(bundle).collect(), more: more.then_some(truncated) }
    })
}

fn system_id(target: &Target<'_>, config: &str) -> Fact<String> {
    let directory = config.rsplit_once('/').map(|(directory, _)| directory).unwrap_or_default();
    let text = fact(target.root.read(&format!("{directory}/.runner_system_id"), 4096));
    text.and_then(|text| gitlab_runner::system_id(&text).into())
}

/// `github.com/denisbrodbeck/machineid`, `id_linux.go`: the first of the two files that can be read.
fn machine_system_id(target: &Target<'_>) -> Fact<String> {
    let read = |path| target.root.read(path, 4096);
    let text = match read("/var/lib/dbus/machine-id") {
        Err(LookError::NotFound { .. }) => read("/etc/machine-id"),
        other => other,
    };
    fact(text).and_then(|text| gitlab_runner::system_id_of(&String::from_utf8_lossy(&text)).into())
}

/// What our own rights reach may be more than the target's do.
fn incomplete(target: &Target<'_>) -> Option<Reason> {
    let missing = target.incomplete.join(", ");
    (!missing.is_empty()).then_some(Reason::IdentityIncomplete { missing })
}

#[cfg(test)]
mod tests;
