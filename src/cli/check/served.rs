//! A run that the host's server came to, made this job's own: what is required here, what this project waives, and its own checks.
//!
//! Must not make the host's verdict better than it is, but by a waiver that says whose it is.

use super::super::configuration::Configuration;
use super::super::evaluate::{self, Started};
use super::super::exit::Failure;
use crate::check::Run;
use crate::snapshot::Snapshot;

/// Makes the host's run this job's.
pub(super) fn own(
    mut run: Run,
    started: &Started,
    required: &[String],
    configuration: &Configuration,
    allow_unknown: bool,
    snapshot: Snapshot,
) -> Result<Run, Failure> {
    run.command = "check".to_owned();
    run.started_ms = started.ms;
    run.allow_unknown = allow_unknown;
    run.job = snapshot.context.job.clone().or(run.job);
    let required = required.iter().chain(&configuration.require);
    run.missing.extend(required.filter(|name| !is_seen(&run, name)).cloned().collect::<Vec<_>>());
    run.missing.sort();
    run.missing.dedup();
    run.notes.extend(Some(configuration.note.clone()).filter(|note| !note.is_empty()));
    if configuration.checks.is_some() {
        // The host evaluates its own checks only; the project's are about what can be seen from here.
        run.findings.extend(evaluate::of_project(snapshot, configuration)?);
        run.notes.push("the project's own checks were evaluated over this job's own view only".to_owned());
    }
    evaluate::waive(&mut run.findings, configuration)?;
    run.findings.sort_by(|one, two| {
        (one.outcome.place(), &one.check, &one.subject).cmp(&(two.outcome.place(), &two.check, &two.subject))
    });
    run.took_ms = started.elapsed_ms();
    Ok(run)
}

/// Whether the host compared a context of this id or name, and saw something from it.
fn is_seen(run: &Run, name: &String) -> bool {
    run.contexts.iter().any(|context| (context.id == *name || context.name == *name) && context.entry != "none")
}

/// One sentence for the reader: who compared, and with which version where that is another.
pub(super) fn note(run: &Run, socket: &std::path::Path) -> String {
    let own = env!("CARGO_PKG_VERSION");
    let other = if run.version == own { String::new() } else { format!(", parallax {}, not {own}", run.version) };
    format!("compared by the host's server on {}{other}", socket.display())
}
