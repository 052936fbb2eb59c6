//! From snapshots to a run: the chain, the catalogue with the project's own checks, waivers, required views.

use std::time::Instant;

use super::configuration::Configuration;
use super::diagnose;
use super::exit::Failure;
use super::{endpoints, left_out};
use crate::check::{self, Catalogue, ContextNote, Options, Run};
use crate::context::chain;
use crate::snapshot::{Entry, PipelineJob, Snapshot};

/// When a command began.
pub(super) struct Started {
    at: Instant,
    /// In milliseconds since 1970.
    pub(super) ms: i64,
}

impl Started {
    /// Now.
    pub(super) fn now() -> Self {
        Self { at: Instant::now(), ms: jiff::Timestamp::now().as_millisecond() }
    }

    /// Milliseconds since then.
    pub(super) fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.at.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// What was gathered, from wherever.
#[derive(Default)]
pub(super) struct Views {
    pub(super) snapshots: Vec<Snapshot>,
    /// Contexts that are put on the chain by name.
    pub(super) widened: Vec<String>,
    /// Views that must be there.
    pub(super) required: Vec<String>,
    /// What else a reader must know.
    pub(super) notes: Vec<String>,
}

/// Evaluates all checks over the contexts on the chain.
pub(super) fn run(
    command: &str,
    started: &Started,
    views: Views,
    configuration: &Configuration,
    allow_unknown: bool,
) -> Result<Run, Failure> {
    let Views { mut snapshots, widened, mut required, mut notes } = views;
    snapshots.sort_by(|one, other| one.context.id.cmp(&other.context.id));
    required.extend(configuration.require.iter().cloned());
    let all = snapshots.len();
    let on_chain = on_chain(snapshots, &[widened, configuration.context.clone()].concat());
    let missing = missing(&required, &on_chain);
    notes.extend(Some(configuration.note.clone()).filter(|note| !note.is_empty()));
    notes.extend(without_nix(&on_chain));
    let mut catalogue = Catalogue::builtin().map_err(|error| diagnose::broken(&error))?;
    if let Some(directory) = &configuration.checks {
        catalogue = catalogue.with_directory(directory).map_err(|error| diagnose::usage(&error))?;
    }
    let (left_out, said) = left_out::checks(&catalogue, &on_chain);
    notes.extend(said);
    let options = Options { today: today(), waivers: configuration.waivers.clone(), left_out };
    let findings =
        check::evaluate(&catalogue, &on_chain, &options).map_err(|error| Failure::Usage(error.to_string()))?;
    Ok(Run {
        command: command.to_owned(),
        host: on_chain.first().map(|snapshot| snapshot.context.host.clone()).unwrap_or_default(),
        job: only_job(&on_chain),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started_ms: started.ms,
        took_ms: started.elapsed_ms(),
        off_chain: all - on_chain.len(),
        contexts: on_chain.iter().map(note).collect(),
        notes,
        missing,
        allow_unknown,
        baseline: None,
        endpoints: endpoints::notes(&on_chain),
        findings,
    })
}

/// The job that all jobs' contexts are part of; where there are several, the run is none's.
fn only_job(snapshots: &[Snapshot]) -> Option<PipelineJob> {
    let mut jobs = snapshots.iter().filter_map(|snapshot| snapshot.context.job.as_ref());
    let first = jobs.next()?;
    jobs.all(|other| other.id == first.id).then(|| first.clone())
}

/// Says that there was no Nix, where that was seen: a reader must not take the silence of its checks for agreement.
fn without_nix(snapshots: &[Snapshot]) -> Option<String> {
    let used = |snapshot: &Snapshot| snapshot.facts.store.used.present() != Some(&false);
    let none = !snapshots.is_empty() && !snapshots.iter().any(used);
    none.then(|| "no Nix: no context has a client on PATH, a NIX_ variable or a daemon".to_owned())
}

/// The snapshots on the chain, with the reasons in their headers.
fn on_chain(snapshots: Vec<Snapshot>, widened: &[String]) -> Vec<Snapshot> {
    let reasons = chain::on_chain(&snapshots);
    let named =
        |snapshot: &Snapshot| widened.iter().any(|name| *name == snapshot.context.id || *name == snapshot.context.name);
    snapshots
        .into_iter()
        .zip(reasons)
        .filter_map(|(mut snapshot, mut reasons)| {
            if named(&snapshot) {
                reasons.push("asked for".to_owned());
            }
            snapshot.context.chain = reasons;
            (!snapshot.context.chain.is_empty()).then_some(snapshot)
        })
        .collect()
}

/// The required views that are not there, or that nothing could be seen from.
fn missing(required: &[String], snapshots: &[Snapshot]) -> Vec<String> {
    let seen = |name: &String| {
        snapshots.iter().any(|snapshot| {
            let context = &snapshot.context;
            (context.id == *name || context.name == *name) && context.entry != Entry::None
        })
    };
    let mut missing: Vec<String> = required.iter().filter(|name| !seen(name)).cloned().collect();
    missing.sort();
    missing.dedup();
    missing
}

/// What a report says of a context.
fn note(snapshot: &Snapshot) -> ContextNote {
    let unobserved = snapshot.to_json().get("unobserved").and_then(|table| table.as_object().map(serde_json::Map::len));
    ContextNote {
        id: snapshot.context.id.clone(),
        name: snapshot.context.name.clone(),
        entry: match snapshot.context.entry {
            Entry::Native => "native",
            Entry::Entered => "entered",
            Entry::Read => "read",
            Entry::Declared => "declared",
            Entry::None => "none",
        }
        .to_owned(),
        limits: snapshot.context.limits.clone(),
        took_ms: snapshot.took_ms,
        unobserved: unobserved.unwrap_or_default(),
    }
}

/// The date that waivers are held against, in UTC.
fn today() -> jiff::civil::Date {
    jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date()
}
