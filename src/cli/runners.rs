//! What the runners' configuration says of other contexts. The runners are asked before everybody else: their entries become declared contexts, and the
//! jobs and helpers that they made are told which endpoints they will use and which places were meant to be mounted. Never a credential.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::time::Instant;

use super::exit::Failure;
use super::gather;
use crate::context::enter::{Entrance, Looked, Resume};
use crate::context::{Context, EnvironmentSource, RunnerPart, TakeOn};
use crate::formats::gitlab_runner::Volume;
use crate::probe::Wishes;
use crate::probe::runner::{RunnerWishes, endpoints};
use crate::snapshot::facts::{Facts, RunnerEntry};
use crate::snapshot::secret::RunKey;
use crate::snapshot::{ContextKind, Entry, Fact, Header, Reason};

/// The executors that make containers of a Docker engine on a machine that is known before the job.
const EXECUTOR: &str = "docker";

/// Asks the runners, adds a declared context for each entry, and tells the contexts that runners made.
pub(super) async fn tell(contexts: &mut Vec<Context>, deadline: Instant, wishes: &Wishes) -> Result<(), Failure> {
    let entries = ask(contexts, deadline, wishes).await?;
    let made: Vec<(usize, RunnerWishes)> = contexts
        .iter()
        .enumerate()
        .filter(|(_, context)| context.runner == RunnerPart::Made)
        .map(|(index, context)| (index, told(context, contexts, &entries)))
        .collect();
    for (index, wishes) in made {
        let asked = serde_json::to_value(wishes).map_err(|error| Failure::Broken(error.to_string()))?;
        if let Some(context) = contexts.get_mut(index) {
            context.asked = Some(asked);
        }
    }
    let runs_here = contexts.iter().any(|context| context.header.service.as_deref() == Some("dockerd"));
    let declared = declared(contexts.first(), &entries, runs_here)?;
    contexts.extend(declared);
    Ok(())
}

/// The entries that the runners of this host use.
async fn ask(contexts: &[Context], deadline: Instant, wishes: &Wishes) -> Result<Vec<RunnerEntry>, Failure> {
    let managers: Vec<&Context> = contexts.iter().filter(|context| context.runner == RunnerPart::Manager).collect();
    if managers.is_empty() {
        return Ok(Vec::new());
    }
    // Nothing that this key marks is compared with what the run itself sees.
    let key = Arc::new(RunKey::new(gather::random()?));
    let families = serde_json::to_value(Facts::default()).map_err(|error| Failure::Broken(error.to_string()))?;
    let later = || Reason::Disabled { by: "asking runners first".to_owned() };
    let others = families.as_object().into_iter().flatten().filter(|(name, _)| *name != "runner");
    let resume = Resume { given_up: others.map(|(name, _)| (name.clone(), later())).collect(), ..Resume::default() };
    let turns = managers.iter().map(|context| Ok((gather::request(context, &key, wishes, Some(""))?, resume.clone())));
    let turns = turns.collect::<Result<Vec<_>, Failure>>()?;
    let names: Vec<String> = managers.iter().map(|context| format!("the runner, as {}", context.header.name)).collect();
    let entrance = Arc::new(Entrance::new(managers.len()));
    let left = deadline.saturating_duration_since(Instant::now());
    let looks = gather::in_parallel(&entrance, turns, &names, deadline - left * 3 / 4).await?;
    Ok(looks.iter().flat_map(used).collect())
}

fn used(look: &Looked) -> Vec<RunnerEntry> {
    let entries = look.facts.runner.entries.present().map(|list| list.items.clone()).unwrap_or_default();
    let withheld = |entry| RunnerEntry { fingerprint: Fact::Unobserved(Reason::Withheld), ..entry };
    entries.into_iter().filter(|entry| is_plain(&entry.short)).map(withheld).collect()
}

/// The names of runners stand in ids.
fn is_plain(short: &str) -> bool {
    !short.is_empty() && short.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}

/// What a context that a runner made is asked. A helper speaks to server and cache; where a job has none, the job itself stands for it.
fn told(context: &Context, all: &[Context], entries: &[RunnerEntry]) -> RunnerWishes {
    let job = context.header.job.as_ref();
    let short = job.and_then(|job| job.runner.clone());
    let entry = short.as_ref().and_then(|short| entries.iter().find(|entry| entry.short == *short));
    let id = job.and_then(|job| job.id.as_ref());
    let is_helper = |other: &Context| {
        other.runner == RunnerPart::Made
            && other.header.role.as_deref() == Some("helper")
            && other.header.job.as_ref().and_then(|job| job.id.as_ref()) == id
    };
    let speaks = match context.header.role.as_deref() {
        Some("helper") => true,
        Some("job") => !all.iter().any(is_helper),
        _ => false,
    };
    let is_job = context.header.role.as_deref() == Some("job");
    RunnerWishes {
        endpoints: entry.filter(|_| speaks).map(|entry| endpoints(entry, true)).unwrap_or_default(),
        places: entry.filter(|_| is_job).map(places),
        short,
        ..RunnerWishes::default()
    }
}

/// Where a runner mounts directories of the host.
fn places(entry: &RunnerEntry) -> Vec<String> {
    let written = entry.volumes.present().map(Vec::as_slice).unwrap_or_default();
    let volumes = written.iter().filter_map(|text| Volume::parse(text, 0).ok());
    volumes.filter(|volume| volume.is_bind() && !volume.is_expanded()).map(|volume| volume.destination).collect()
}

/// One context per entry, looked at from the host's own root: there the engine finds what it mounts.
fn declared(host: Option<&Context>, entries: &[RunnerEntry], runs_here: bool) -> Result<Vec<Context>, Failure> {
    let Some(host) = host.filter(|context| context.header.kind == ContextKind::Host) else { return Ok(Vec::new()) };
    let mut seen = BTreeSet::new();
    let of_docker = entries.iter().filter(|entry| entry.executor.present().is_some_and(|name| name == EXECUTOR));
    let context = |entry: &RunnerEntry| {
        let wishes = RunnerWishes {
            elsewhere: elsewhere(entry, runs_here),
            declared: Some(Box::new(entry.clone())),
            ..RunnerWishes::default()
        };
        let asked = serde_json::to_value(wishes).map_err(|error| Failure::Broken(error.to_string()))?;
        Ok(Context {
            header: Header {
                id: format!("declared:runner:{}", entry.short),
                name: format!("runner:{}", entry.short),
                kind: ContextKind::Declared,
                entry: Entry::Declared,
                limits: Vec::new(),
                process: None,
                host_root: None,
                ..host.header.clone()
            },
            process: None,
            take: TakeOn { join_network: false, join_user: false, ..host.take.clone() },
            environment: EnvironmentSource::None,
            runner: RunnerPart::None,
            asked: Some(asked),
            binds: None,
        })
    };
    of_docker.filter(|entry| seen.insert(entry.short.clone())).map(context).collect()
}

/// Why the machine of the engine is not the one that we look at. `runs_here` says that an engine runs in our own namespaces.
fn elsewhere(entry: &RunnerEntry, runs_here: bool) -> Option<String> {
    let engine = match &entry.engine {
        Fact::Present(engine) if engine.starts_with("unix://") => None,
        Fact::Present(engine) => Some(format!("its engine is at {engine}, and mounts directories of that machine")),
        Fact::Absent => None,
        Fact::Unobserved(reason) => Some(format!("which engine it asks could not be seen: {reason}")),
    };
    let marks = ["/.dockerenv", "/run/.containerenv"];
    let inside = || !runs_here && marks.iter().any(|mark| std::path::Path::new(mark).exists());
    engine.or_else(|| inside().then(|| "parallax itself stands in a container, and its engine does not".to_owned()))
}
