//! A run becomes a document: every text as it is in the run, the counts and the verdict beside it.

use super::SCHEMA;
use super::document::{
    Answer, Baseline, Cause, Context, Document, Endpoint, Finding, Job, Participant, Past, Reason, Rows, Summary,
    Value, Waiver,
};
use crate::check::{self, ContextNote, Outcome, Run, Severity};
use crate::report::summary::verdict_word;
use crate::snapshot::PipelineJob;

impl From<&Run> for Document {
    fn from(run: &Run) -> Self {
        Self {
            schema: SCHEMA.to_owned(),
            version: run.version.clone(),
            command: run.command.clone(),
            host: Some(run.host.clone()),
            job: run.job.as_ref().map(Job::from),
            started_ms: Some(run.started_ms),
            took_ms: Some(run.took_ms),
            summary: Summary::from(run),
            failure: None,
            missing: run.missing.clone(),
            notes: run.notes.clone(),
            baseline: run.baseline.as_ref().map(Baseline::from),
            contexts: run.contexts.iter().map(Context::from).collect(),
            endpoints: run.endpoints.iter().map(Endpoint::from).collect(),
            findings: run.findings.iter().map(Finding::from).collect(),
        }
    }
}

impl From<&check::EndpointNote> for Endpoint {
    fn from(note: &check::EndpointNote) -> Self {
        let answer =
            |answer: &check::EndpointAnswer| Answer { contexts: answer.contexts.clone(), seen: answer.seen.clone() };
        Self { endpoint: note.endpoint.clone(), answers: note.answers.iter().map(answer).collect() }
    }
}

impl From<&PipelineJob> for Job {
    fn from(job: &PipelineJob) -> Self {
        Self {
            id: job.id.clone(),
            runner: job.runner.clone(),
            project: job.project.clone(),
            pipeline: job.pipeline.clone(),
            commit: job.commit.clone(),
        }
    }
}

impl From<&check::Against> for Baseline {
    fn from(against: &check::Against) -> Self {
        let past = |past: &check::Past| Past {
            check: past.check.clone(),
            subject: past.subject.clone(),
            fate: past.fate.words().to_owned(),
        };
        Self { file: against.by.clone(), past: against.past.iter().map(past).collect() }
    }
}

impl From<&Run> for Summary {
    fn from(run: &Run) -> Self {
        let incoherent = |severity: Severity| {
            let of = |row: &&check::Finding| row.outcome == Outcome::Incoherent && row.severity == severity;
            run.findings.iter().filter(of).count()
        };
        Self {
            verdict: verdict_word(run.verdict()).to_owned(),
            comparisons: run.comparisons(),
            contexts: run.contexts.len(),
            off_chain: run.off_chain,
            allow_unknown: run.allow_unknown,
            rows: Rows {
                incoherent_errors: incoherent(Severity::Error),
                incoherent_warnings: incoherent(Severity::Warning),
                unknown: run.count(Outcome::Unknown),
                coherent: run.count(Outcome::Coherent),
                held: run.count(Outcome::Held),
                waived: run.count(Outcome::Waived),
                not_applicable: run.count(Outcome::NotApplicable),
            },
        }
    }
}

impl From<&ContextNote> for Context {
    fn from(note: &ContextNote) -> Self {
        Self {
            id: note.id.clone(),
            name: note.name.clone(),
            entry: note.entry.clone(),
            limits: note.limits.clone(),
            took_ms: note.took_ms,
            unobserved: note.unobserved,
        }
    }
}

impl From<&check::Finding> for Finding {
    fn from(row: &check::Finding) -> Self {
        let cause = row.caused_by.as_ref();
        Self {
            check: row.check.clone(),
            subject: row.subject.clone(),
            outcome: row.outcome.word().to_owned(),
            severity: row.severity.word().to_owned(),
            title: row.title.clone(),
            gap: row.gap.clone(),
            message: row.message.clone(),
            why: row.why.clone(),
            fix: row.fix.clone(),
            participants: row.participants.iter().map(Participant::from).collect(),
            reasons: row.unseen.iter().map(Reason::from).collect(),
            caused_by: cause.map(|(check, subject)| Cause { check: check.clone(), subject: subject.clone() }),
            waiver: row.waiver.as_ref().map(|waiver| Waiver {
                reason: waiver.reason.clone(),
                until: waiver.until.clone(),
                by: waiver.by.clone(),
                instead_of: waiver.instead_of.word().to_owned(),
            }),
            held: row.held.map(|outcome| outcome.word().to_owned()),
            comparisons: row.comparisons,
        }
    }
}

impl From<&check::Participant> for Participant {
    fn from(side: &check::Participant) -> Self {
        let value = |(fact, value): &(String, String)| Value { fact: fact.clone(), value: value.clone() };
        Self {
            name: side.name.clone(),
            contexts: side.contexts.clone(),
            values: side.values.iter().map(value).collect(),
        }
    }
}

impl From<&check::Unseen> for Reason {
    fn from(unseen: &check::Unseen) -> Self {
        Self { context: unseen.context.clone(), fact: unseen.fact.clone(), reason: unseen.reason.clone() }
    }
}
