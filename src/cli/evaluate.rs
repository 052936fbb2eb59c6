//! From snapshots to a run: the chain, the catalogue with the project's own checks, waivers, required views.

use std::collections::BTreeSet;
use std::time::Instant;

use super::configuration::Configuration;
use super::diagnose;
use super::exit::Failure;
use super::{endpoints, left_out};
use crate::check::disclosure::WITHHELD;
use crate::check::{self, Catalogue, ContextNote, Disclosure, Finding, Judged, Options, Run};
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

/// For whom a run is made that is not for the host's own people.
pub(super) struct Told<'a> {
    /// What they are told.
    pub(super) disclosure: &'a Disclosure,
    /// Keeps back what they may not compare now.
    pub(super) hold: &'a dyn Fn(&mut Judged<'_>),
}

/// Evaluates all checks over the contexts on the chain.
pub(super) fn run(
    command: &str,
    started: &Started,
    views: Views,
    configuration: &Configuration,
    allow_unknown: bool,
) -> Result<Run, Failure> {
    run_for(None, command, started, views, configuration, allow_unknown)
}

/// The same, for a caller where there is one: outcomes come from everything that was seen, words from what the caller is told.
pub(super) fn run_for(
    told: Option<&Told<'_>>,
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
    let catalogue = catalogue(configuration)?;
    // A caller is compared with a part of the host, so a waiver may find nothing to waive.
    let (left_out, said) = left_out::checks(&catalogue, &on_chain);
    notes.extend(said);
    let options = Options { partial: told.is_some(), left_out, ..options(configuration) };
    let mut judged = check::judge(&catalogue, &on_chain, told.map(|told| told.disclosure));
    if let Some(told) = told {
        (told.hold)(&mut judged);
    } else {
        notes.extend(left_out::rows(&mut judged, &on_chain, &options.left_out));
    }
    let findings = judged.finish(&options).map_err(|error| Failure::Usage(error.to_string()))?;
    Ok(Run {
        command: command.to_owned(),
        host: on_chain.first().map(|snapshot| snapshot.context.host.clone()).unwrap_or_default(),
        job: only_job(&on_chain),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started_ms: started.ms,
        took_ms: started.elapsed_ms(),
        off_chain: all - on_chain.len(),
        contexts: on_chain.iter().map(|snapshot| note(snapshot, told.map(|told| told.disclosure))).collect(),
        notes,
        missing,
        allow_unknown,
        baseline: None,
        // Whose endpoints lead where is told in rows, as far as a caller may know it.
        endpoints: if told.is_some() { Vec::new() } else { endpoints::notes(&on_chain) },
        findings,
    })
}

/// The built-in checks, and those beside the configuration.
fn catalogue(configuration: &Configuration) -> Result<Catalogue, Failure> {
    let catalogue = Catalogue::builtin().map_err(|error| diagnose::broken(&error))?;
    match &configuration.checks {
        Some(directory) => catalogue.with_directory(directory).map_err(|error| diagnose::usage(&error)),
        None => Ok(catalogue),
    }
}

fn options(configuration: &Configuration) -> Options {
    Options { today: today(), waivers: configuration.waivers.clone(), ..Options::default() }
}

/// What the checks beside the configuration come to over one context. Nothing is waived.
pub(super) fn of_project(snapshot: Snapshot, configuration: &Configuration) -> Result<Vec<Finding>, Failure> {
    let builtin = Catalogue::builtin().map_err(|error| diagnose::broken(&error))?;
    let options = Options { waivers: Vec::new(), ..options(configuration) };
    let found = check::evaluate(&catalogue(configuration)?, &[snapshot], &options);
    let found = found.map_err(|error| Failure::Usage(error.to_string()))?;
    Ok(found.into_iter().filter(|finding| builtin.get(&finding.check).is_none()).collect())
}

/// Applies the configuration's waivers to findings that were made elsewhere.
pub(super) fn waive(findings: &mut [Finding], configuration: &Configuration) -> Result<(), Failure> {
    let catalogue = catalogue(configuration)?;
    check::waive(&catalogue, &options(configuration), &BTreeSet::new(), findings)
        .map_err(|error| Failure::Usage(error.to_string()))
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
fn note(snapshot: &Snapshot, to: Option<&Disclosure>) -> ContextNote {
    let (id, name) = to.map_or_else(
        || (snapshot.context.id.clone(), snapshot.context.name.clone()),
        |to| to.called(&snapshot.context),
    );
    let limits = &snapshot.context.limits;
    let told = to.is_none_or(|to| to.is_open() || to.is_own(&snapshot.context.id));
    let unobserved = snapshot.to_json().get("unobserved").and_then(|table| table.as_object().map(serde_json::Map::len));
    ContextNote {
        id,
        name,
        entry: match snapshot.context.entry {
            Entry::Native => "native",
            Entry::Entered => "entered",
            Entry::Read => "read",
            Entry::Declared => "declared",
            Entry::None => "none",
        }
        .to_owned(),
        limits: if told || limits.is_empty() { limits.clone() } else { vec![WITHHELD.to_owned()] },
        took_ms: snapshot.took_ms,
        unobserved: unobserved.unwrap_or_default(),
    }
}

/// The date that waivers are held against, in UTC.
fn today() -> jiff::civil::Date {
    jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date()
}
