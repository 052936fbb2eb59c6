//! The document read back into a run. It may come from another machine or another version: what does not fit is an error with its place,
//! and a document that claims another verdict than its rows come to is refused, so that nothing is lost without a word.
//!
//! Reads what it is given, whole: the caller bounds its size. Unknown fields are read over.

use serde::Deserialize;
use thiserror::Error;

use super::SCHEMA;
use super::document::{Baseline, Context, Document, Endpoint, Finding, Job, Participant, Waiver};
use crate::check::finding::Waived;
use crate::check::{
    self, Against, ContextNote, EndpointAnswer, EndpointNote, Fate, Outcome, Past, Run, Severity, Unseen,
};
use crate::report::summary::verdict_word;
use crate::report::text;
use crate::snapshot::PipelineJob;

/// Why a document is no run.
#[derive(Debug, Error)]
pub enum ReadError {
    /// It is no JSON, or a field is missing or has another type; the message holds line and column.
    #[error("no {SCHEMA} document: {}", text::plain(&.0.to_string()))]
    Shape(#[from] serde_json::Error),
    /// It is another document, or another version of this one.
    #[error("this is a {} document, and {SCHEMA} is read here", text::short(.found, 100))]
    Schema {
        /// What it says it is.
        found: String,
    },
    /// It tells of a run that failed.
    #[error("the run failed: {}", text::short(.message, 2000))]
    Failed {
        /// What the run said.
        message: String,
    },
    /// A word is none of those that may stand in its place.
    #[error("findings[{row}]: {field} is {}, which is not known here", text::short(.found, 100))]
    Word {
        /// Which finding, counted from 0.
        row: usize,
        /// The field.
        field: &'static str,
        /// What it holds.
        found: String,
    },
    /// What became of a recorded finding is said in words that are not known here.
    #[error("baseline: fate is {}, which is not known here", text::short(.found, 100))]
    Fate {
        /// What it says.
        found: String,
    },
    /// A field is null that only a failed run lacks.
    #[error("{field} is null, and there is no failure")]
    Null {
        /// The field.
        field: &'static str,
    },
    /// Its verdict is not the one that its rows come to.
    #[error("the verdict is {}, and its rows come to {rows}: it was written by another version, or changed", text::short(.says, 100))]
    Contradiction {
        /// What the document says.
        says: String,
        /// What its rows come to.
        rows: &'static str,
    },
}

/// What every document of ours begins with.
#[derive(Deserialize)]
struct Head {
    schema: String,
}

/// Reads a document back into the run that it was written from.
pub fn read(json: &[u8]) -> Result<Run, ReadError> {
    let head: Head = serde_json::from_slice(json)?;
    if head.schema != SCHEMA {
        return Err(ReadError::Schema { found: head.schema });
    }
    let document: Document = serde_json::from_slice(json)?;
    if let Some(message) = document.failure {
        return Err(ReadError::Failed { message });
    }
    let says = document.summary.verdict;
    let findings = document.findings.into_iter().enumerate();
    let run = Run {
        command: document.command,
        host: document.host.ok_or(ReadError::Null { field: "host" })?,
        job: document.job.map(PipelineJob::from),
        version: document.version,
        started_ms: document.started_ms.ok_or(ReadError::Null { field: "started_ms" })?,
        took_ms: document.took_ms.ok_or(ReadError::Null { field: "took_ms" })?,
        contexts: document.contexts.into_iter().map(ContextNote::from).collect(),
        off_chain: document.summary.off_chain,
        notes: document.notes,
        missing: document.missing,
        allow_unknown: document.summary.allow_unknown,
        baseline: document.baseline.map(against).transpose()?,
        endpoints: document.endpoints.into_iter().map(EndpointNote::from).collect(),
        findings: findings.map(|(row, finding)| one(row, finding)).collect::<Result<_, _>>()?,
    };
    let rows = verdict_word(run.verdict());
    if says == rows { Ok(run) } else { Err(ReadError::Contradiction { says, rows }) }
}

fn one(row: usize, finding: Finding) -> Result<check::Finding, ReadError> {
    Ok(check::Finding {
        severity: severity(row, finding.severity)?,
        outcome: outcome(row, "outcome", finding.outcome)?,
        waiver: finding.waiver.map(|waiver| waived(row, waiver)).transpose()?,
        held: finding.held.map(|found| outcome(row, "held", found)).transpose()?,
        check: finding.check,
        title: finding.title,
        gap: finding.gap,
        subject: finding.subject,
        participants: finding.participants.into_iter().map(check::Participant::from).collect(),
        message: finding.message,
        why: finding.why,
        fix: finding.fix,
        unseen: finding
            .reasons
            .into_iter()
            .map(|unseen| Unseen { context: unseen.context, fact: unseen.fact, reason: unseen.reason })
            .collect(),
        caused_by: finding.caused_by.map(|cause| (cause.check, cause.subject)),
        comparisons: finding.comparisons,
        about: Vec::new(),
    })
}

fn waived(row: usize, waiver: Waiver) -> Result<Waived, ReadError> {
    let instead_of = outcome(row, "waiver.instead_of", waiver.instead_of)?;
    Ok(Waived { reason: waiver.reason, until: waiver.until, by: waiver.by, instead_of })
}

fn outcome(row: usize, field: &'static str, found: String) -> Result<Outcome, ReadError> {
    let all = [
        Outcome::Incoherent,
        Outcome::Unknown,
        Outcome::Coherent,
        Outcome::Held,
        Outcome::Waived,
        Outcome::NotApplicable,
    ];
    all.into_iter().find(|outcome| outcome.word() == found).ok_or(ReadError::Word { row, field, found })
}

fn against(baseline: Baseline) -> Result<Against, ReadError> {
    let all = [Fate::Coherent, Fate::NotSeen, Fate::Waived, Fate::Undetermined];
    let past = baseline.past.into_iter().map(|past| {
        let fate =
            all.into_iter().find(|fate| fate.words() == past.fate).ok_or(ReadError::Fate { found: past.fate })?;
        Ok(Past { check: past.check, subject: past.subject, fate })
    });
    Ok(Against { by: baseline.file, past: past.collect::<Result<_, ReadError>>()? })
}

fn severity(row: usize, found: String) -> Result<Severity, ReadError> {
    let all = [Severity::Error, Severity::Warning];
    all.into_iter().find(|severity| severity.word() == found).ok_or(ReadError::Word { row, field: "severity", found })
}

impl From<Job> for PipelineJob {
    fn from(job: Job) -> Self {
        Self { id: job.id, runner: job.runner, project: job.project, pipeline: job.pipeline, commit: job.commit }
    }
}

impl From<Endpoint> for EndpointNote {
    fn from(endpoint: Endpoint) -> Self {
        let answers = endpoint.answers.into_iter();
        let answers = answers.map(|answer| EndpointAnswer { contexts: answer.contexts, seen: answer.seen });
        Self { endpoint: endpoint.endpoint, answers: answers.collect() }
    }
}

impl From<Context> for ContextNote {
    fn from(context: Context) -> Self {
        Self {
            id: context.id,
            name: context.name,
            entry: context.entry,
            limits: context.limits,
            took_ms: context.took_ms,
            unobserved: context.unobserved,
        }
    }
}

impl From<Participant> for check::Participant {
    fn from(side: Participant) -> Self {
        let values = side.values.into_iter().map(|value| (value.fact, value.value)).collect();
        Self { name: side.name, contexts: side.contexts, values }
    }
}
