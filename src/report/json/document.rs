//! The types of the document, one field after another as they are written. They are its own, so that a change inside parallax never
//! changes the document by accident. Unknown fields are read over: a field may be added within a version.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A whole run.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "parallax.findings/1")]
pub(super) struct Document {
    /// `parallax.findings/1`.
    pub schema: String,
    /// The version of parallax that wrote it.
    pub version: String,
    /// The subcommand: `doctor`, `check` or `compare`.
    pub command: String,
    /// The machine's name; `null` where the run failed before it was known.
    pub host: Option<String>,
    /// The continuous-integration job that the run was made for, where there is exactly one; else `null`.
    #[serde(default)]
    pub job: Option<Job>,
    /// When the run began, in milliseconds since 1970; `null` where it failed before.
    pub started_ms: Option<i64>,
    /// How long it took, in milliseconds; `null` where it failed.
    pub took_ms: Option<u64>,
    /// What it comes to.
    pub summary: Summary,
    /// Why there is no result: usage or configuration is wrong, or parallax itself failed. `null` otherwise.
    pub failure: Option<String>,
    /// Required views that are missing.
    pub missing: Vec<String>,
    /// What else a reader must know.
    pub notes: Vec<String>,
    /// The baseline that the run was held against; else `null`.
    #[serde(default)]
    pub baseline: Option<Baseline>,
    /// The contexts, in the order of their ids.
    pub contexts: Vec<Context>,
    /// What each context says of each endpoint that its configuration names; empty where none was asked.
    #[serde(default)]
    pub endpoints: Vec<Endpoint>,
    /// All rows: incoherent first, then unknown, held, waived, coherent, not applicable; within those by check and subject.
    pub findings: Vec<Finding>,
}

/// One endpoint.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(super) struct Endpoint {
    /// `host:port`.
    pub endpoint: String,
    /// Each answer once; more than one where contexts differ.
    pub answers: Vec<Answer>,
}

/// What some contexts say of an endpoint.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(super) struct Answer {
    /// The ids of the contexts.
    pub contexts: Vec<String>,
    /// What was seen, in words.
    pub seen: String,
}

/// A continuous-integration job. What is not known of it is `null`.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(super) struct Job {
    /// The job's id.
    pub id: Option<String>,
    /// The runner, by the public start of its token.
    pub runner: Option<String>,
    /// The project's id.
    pub project: Option<String>,
    /// The pipeline's id.
    pub pipeline: Option<String>,
    /// The commit.
    pub commit: Option<String>,
}

/// What a run comes to.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(super) struct Summary {
    /// `coherent`, `incoherent` (at least one of severity error), `warnings` (incoherences of severity warning only),
    /// `undetermined`, or `failed` (there is a `failure`).
    pub verdict: String,
    /// How many comparisons were made. Without any, nothing is known.
    pub comparisons: u64,
    /// How many contexts took part.
    pub contexts: usize,
    /// How many contexts are not on the chain and were left out.
    pub off_chain: usize,
    /// Whether unknown rows were allowed to pass.
    pub allow_unknown: bool,
    /// Rows by outcome.
    pub rows: Rows,
}

/// Rows by outcome.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
pub(super) struct Rows {
    /// Incoherent, in checks of severity error.
    pub incoherent_errors: usize,
    /// Incoherent, in checks of severity warning.
    pub incoherent_warnings: usize,
    /// Could not be compared.
    pub unknown: usize,
    /// Compared, and the claim holds.
    pub coherent: usize,
    /// Held by the baseline.
    #[serde(default)]
    pub held: usize,
    /// Waived.
    pub waived: usize,
    /// There was nothing to compare.
    pub not_applicable: usize,
}

/// One context.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(super) struct Context {
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

/// One row of one check.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(super) struct Finding {
    /// The check's id.
    pub check: String,
    /// What the row is about; stable from run to run.
    pub subject: String,
    /// `incoherent`, `unknown`, `coherent`, `held`, `waived` or `not-applicable`.
    pub outcome: String,
    /// `error` or `warning`: how bad an incoherence of this check is.
    pub severity: String,
    /// The claim in words.
    pub title: String,
    /// Which gap it belongs to.
    pub gap: String,
    /// One sentence: who sees what, or what could not be compared.
    pub message: String,
    /// What it breaks; empty where nothing is.
    pub why: String,
    /// What to do; empty where nothing is.
    pub fix: String,
    /// Who took part, and each one's values.
    pub participants: Vec<Participant>,
    /// Why it is unknown; empty for other outcomes.
    pub reasons: Vec<Reason>,
    /// The finding that this one is a symptom of.
    pub caused_by: Option<Cause>,
    /// Why it is waived.
    pub waiver: Option<Waiver>,
    /// The outcome without the baseline that holds it; `null` for a row that is not held.
    #[serde(default)]
    pub held: Option<String>,
    /// How many comparisons the row stands for.
    pub comparisons: u64,
}

/// One side of a row.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(super) struct Participant {
    /// The name that stands for its contexts.
    pub name: String,
    /// The ids of the contexts that see the same.
    pub contexts: Vec<String>,
    /// What they see.
    pub values: Vec<Value>,
}

/// One fact and its value in words.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(super) struct Value {
    /// The fact's path.
    pub fact: String,
    /// Its value.
    pub value: String,
}

/// A fact that could not be observed.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(super) struct Reason {
    /// The context's id.
    pub context: String,
    /// The fact's path.
    pub fact: String,
    /// Why.
    pub reason: String,
}

/// A finding, named.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(super) struct Cause {
    /// The check's id.
    pub check: String,
    /// The subject.
    pub subject: String,
}

/// A baseline, and what became of those of its findings that the run does not have.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(super) struct Baseline {
    /// The file.
    pub file: String,
    /// The recorded findings that are neither held nor open as something else.
    pub past: Vec<Past>,
}

/// A recorded finding that the run does not have.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(super) struct Past {
    /// The check's id.
    pub check: String,
    /// The subject.
    pub subject: String,
    /// `coherent now` and `no longer seen` are gone; `waived now` and `could not be determined` are not.
    pub fate: String,
}

/// What a waiver says.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(super) struct Waiver {
    /// The reason given.
    pub reason: String,
    /// The last day, as `YYYY-MM-DD`.
    pub until: String,
    /// The configuration file that holds it.
    pub by: String,
    /// The outcome without it.
    pub instead_of: String,
}
