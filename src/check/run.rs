//! A whole run as reports see it: findings, contexts, notes, and the verdict that the exit code is taken from.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::baseline::Against;
use super::finding::{Finding, Outcome, Severity};
use crate::snapshot::PipelineJob;

/// A whole run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// `doctor`, `check` or `compare`.
    pub command: String,
    /// The machine's name.
    pub host: String,
    /// The continuous-integration job that the run was made for, where there is exactly one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<PipelineJob>,
    /// The version of parallax.
    pub version: String,
    /// When it began, in milliseconds since 1970.
    pub started_ms: i64,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// The contexts that were compared, and those that could not be, in the order of their ids.
    pub contexts: Vec<ContextNote>,
    /// How many contexts are not on the chain.
    pub off_chain: usize,
    /// What else a reader must know: sources that could not be read, required views that are missing, which configuration was used.
    pub notes: Vec<String>,
    /// Required views that are missing: each makes the run undetermined.
    pub missing: Vec<String>,
    /// Whether unknown rows may pass (`--allow-unknown`).
    pub allow_unknown: bool,
    /// The baseline that it was held against.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<Against>,
    /// What each context says of each endpoint that its configuration names, by endpoint.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub endpoints: Vec<EndpointNote>,
    /// All rows, incoherent first, then unknown, held, waived, coherent, not applicable; within those by check and subject.
    pub findings: Vec<Finding>,
}

/// One endpoint, and what is said of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EndpointNote {
    /// `host:port`.
    pub endpoint: String,
    /// Each answer once, with the contexts that got it; in the order of the first of them.
    pub answers: Vec<EndpointAnswer>,
}

/// What some contexts say of an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EndpointAnswer {
    /// The ids of the contexts, sorted.
    pub contexts: Vec<String>,
    /// What was seen, in words.
    pub seen: String,
}

/// One context of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ContextNote {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// `native`, `entered`, `read`, `declared` or `none`.
    pub entry: String,
    /// What looking from it lacks.
    pub limits: Vec<String>,
    /// How long looking took, in milliseconds.
    pub took_ms: u64,
    /// How many of its facts could not be observed.
    pub unobserved: usize,
}

/// What a run comes to; the exit code is taken from it in one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Everything that was compared agrees.
    Coherent,
    /// At least one incoherence of severity error.
    Incoherent,
    /// Only checks of severity warning are incoherent, or unknown.
    Warnings,
    /// It could not be determined.
    Undetermined,
}

impl Run {
    /// How many comparisons were made. A run may be read from a document, whose numbers are anyone's.
    pub fn comparisons(&self) -> u64 {
        self.findings.iter().fold(0, |sum, finding| sum.saturating_add(finding.comparisons))
    }

    /// How many rows came to this outcome.
    pub fn count(&self, outcome: Outcome) -> usize {
        self.findings.iter().filter(|finding| finding.outcome == outcome).count()
    }

    /// `incoherent > unknown > warnings > coherent`; nothing compared at all is undetermined, never coherent. An unknown row of a warning is
    /// a warning: were it coherent, a fact that can't be read any more would improve the verdict.
    pub fn verdict(&self) -> Verdict {
        let any = |outcome, severity| {
            self.findings.iter().any(|finding| finding.outcome == outcome && finding.severity == severity)
        };
        let unknown = any(Outcome::Unknown, Severity::Error) && !self.allow_unknown;
        if any(Outcome::Incoherent, Severity::Error) {
            Verdict::Incoherent
        } else if !self.missing.is_empty() || self.comparisons() == 0 || unknown {
            Verdict::Undetermined
        } else if any(Outcome::Incoherent, Severity::Warning)
            || (any(Outcome::Unknown, Severity::Warning) && !self.allow_unknown)
        {
            Verdict::Warnings
        } else {
            Verdict::Coherent
        }
    }
}
