//! The document for programs: `parallax.findings/1`.
//!
//! Its types are its own, so that a change inside parallax never changes the document by accident. Lists keep the order of the run;
//! there is no hash map. Every text from a target is made [`plain`](super::text::plain), so that it is safe to print.

use schemars::{JsonSchema, Schema};
use serde::Serialize;

use super::summary::verdict_word;
use super::text::{lines, plain};
use super::{Style, text};
use crate::check::{self, ContextNote, Outcome, Run, Severity};

/// The name and version of the document. A field may be added within a version; none changes its meaning or goes away.
pub const SCHEMA: &str = "parallax.findings/1";

/// A whole run.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "parallax.findings/1")]
struct Document {
    /// `parallax.findings/1`.
    schema: &'static str,
    /// The version of parallax that wrote it.
    version: String,
    /// The subcommand: `doctor`, `check` or `compare`.
    command: String,
    /// The machine's name; `null` where the run failed before it was known.
    host: Option<String>,
    /// When the run began, in milliseconds since 1970; `null` where it failed before.
    started_ms: Option<i64>,
    /// How long it took, in milliseconds; `null` where it failed.
    took_ms: Option<u64>,
    /// What it comes to.
    summary: Summary,
    /// Why there is no result: usage or configuration is wrong, or parallax itself failed. `null` otherwise.
    failure: Option<String>,
    /// Required views that are missing.
    missing: Vec<String>,
    /// What else a reader must know.
    notes: Vec<String>,
    /// The contexts, in the order of their ids.
    contexts: Vec<Context>,
    /// All rows: incoherent first, then unknown, waived, coherent, not applicable; within those by check and subject.
    findings: Vec<Finding>,
}

/// What a run comes to.
#[derive(Debug, Serialize, JsonSchema)]
struct Summary {
    /// `coherent`, `incoherent` (at least one of severity error), `warnings` (incoherences of severity warning only),
    /// `undetermined`, or `failed` (there is a `failure`).
    verdict: &'static str,
    /// How many comparisons were made. Without any, nothing is known.
    comparisons: u64,
    /// How many contexts took part.
    contexts: usize,
    /// How many contexts are not on the chain and were left out.
    off_chain: usize,
    /// Whether unknown rows were allowed to pass.
    allow_unknown: bool,
    /// Rows by outcome.
    rows: Rows,
}

/// Rows by outcome.
#[derive(Debug, Default, Serialize, JsonSchema)]
struct Rows {
    /// Incoherent, in checks of severity error.
    incoherent_errors: usize,
    /// Incoherent, in checks of severity warning.
    incoherent_warnings: usize,
    /// Could not be compared.
    unknown: usize,
    /// Compared, and the claim holds.
    coherent: usize,
    /// Waived.
    waived: usize,
    /// There was nothing to compare.
    not_applicable: usize,
}

/// One context.
#[derive(Debug, Serialize, JsonSchema)]
struct Context {
    /// Its id.
    id: String,
    /// Its name.
    name: String,
    /// `native`, `entered`, `read`, `declared` or `none`.
    entry: String,
    /// What looking from it lacks.
    limits: Vec<String>,
    /// How long looking took, in milliseconds.
    took_ms: u64,
    /// How many of its facts could not be observed.
    unobserved: usize,
}

/// One row of one check.
#[derive(Debug, Serialize, JsonSchema)]
struct Finding {
    /// The check's id.
    check: String,
    /// What the row is about; stable from run to run.
    subject: String,
    /// `incoherent`, `unknown`, `coherent`, `waived` or `not-applicable`.
    outcome: &'static str,
    /// `error` or `warning`: how bad an incoherence of this check is.
    severity: &'static str,
    /// The claim in words.
    title: String,
    /// Which gap it belongs to.
    gap: String,
    /// One sentence: who sees what, or what could not be compared.
    message: String,
    /// What it breaks; empty where nothing is.
    why: String,
    /// What to do; empty where nothing is.
    fix: String,
    /// Who took part, and each one's values.
    participants: Vec<Participant>,
    /// Why it is unknown; empty for other outcomes.
    reasons: Vec<Reason>,
    /// The finding that this one is a symptom of.
    caused_by: Option<Cause>,
    /// Why it is waived.
    waiver: Option<Waiver>,
    /// How many comparisons the row stands for.
    comparisons: u64,
}

/// One side of a row.
#[derive(Debug, Serialize, JsonSchema)]
struct Participant {
    /// The name that stands for its contexts.
    name: String,
    /// The ids of the contexts that see the same.
    contexts: Vec<String>,
    /// What they see.
    values: Vec<Value>,
}

/// One fact and its value in words.
#[derive(Debug, Serialize, JsonSchema)]
struct Value {
    /// The fact's path.
    fact: String,
    /// Its value.
    value: String,
}

/// A fact that could not be observed.
#[derive(Debug, Serialize, JsonSchema)]
struct Reason {
    /// The context's id.
    context: String,
    /// The fact's path.
    fact: String,
    /// Why.
    reason: String,
}

/// A finding, named.
#[derive(Debug, Serialize, JsonSchema)]
struct Cause {
    /// The check's id.
    check: String,
    /// The subject.
    subject: String,
}

/// What a waiver says.
#[derive(Debug, Serialize, JsonSchema)]
struct Waiver {
    /// The reason given.
    reason: String,
    /// The last day, as `YYYY-MM-DD`.
    until: String,
    /// The configuration file that holds it.
    by: String,
    /// The outcome without it.
    instead_of: &'static str,
}

/// Renders a run for programs.
pub fn render(run: &Run, _style: &Style) -> String {
    write(&Document::from(run))
}

/// The document of a run that came to nothing: verdict `failed`, no findings, the message in `failure`.
pub fn failed_run(message: &str, command: &str) -> String {
    write(&Document {
        schema: SCHEMA,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        command: plain(command),
        host: None,
        started_ms: None,
        took_ms: None,
        summary: Summary {
            verdict: "failed",
            comparisons: 0,
            contexts: 0,
            off_chain: 0,
            allow_unknown: false,
            rows: Rows::default(),
        },
        failure: Some(lines(message)),
        missing: Vec::new(),
        notes: Vec::new(),
        contexts: Vec::new(),
        findings: Vec::new(),
    })
}

/// The JSON Schema of the document.
pub fn schema() -> Schema {
    schemars::schema_for!(Document)
}

/// Strings, numbers and lists always serialize; were that ever to change, the reader gets a document that says so.
fn write(document: &Document) -> String {
    match serde_json::to_string_pretty(document) {
        Ok(json) => json + "\n",
        Err(problem) => {
            let failure = text::plain(&problem.to_string());
            serde_json::json!({ "schema": SCHEMA, "summary": { "verdict": "failed" }, "failure": failure }).to_string()
                + "\n"
        }
    }
}

fn each(texts: &[String]) -> Vec<String> {
    texts.iter().map(|text| plain(text)).collect()
}

impl From<&Run> for Document {
    fn from(run: &Run) -> Self {
        Self {
            schema: SCHEMA,
            version: plain(&run.version),
            command: plain(&run.command),
            host: Some(plain(&run.host)),
            started_ms: Some(run.started_ms),
            took_ms: Some(run.took_ms),
            summary: Summary::from(run),
            failure: None,
            missing: each(&run.missing),
            notes: each(&run.notes),
            contexts: run.contexts.iter().map(Context::from).collect(),
            findings: run.findings.iter().map(Finding::from).collect(),
        }
    }
}

impl From<&Run> for Summary {
    fn from(run: &Run) -> Self {
        let incoherent = |severity: Severity| {
            let of = |row: &&check::Finding| row.outcome == Outcome::Incoherent && row.severity == severity;
            run.findings.iter().filter(of).count()
        };
        Self {
            verdict: verdict_word(run.verdict()),
            comparisons: run.comparisons(),
            contexts: run.contexts.len(),
            off_chain: run.off_chain,
            allow_unknown: run.allow_unknown,
            rows: Rows {
                incoherent_errors: incoherent(Severity::Error),
                incoherent_warnings: incoherent(Severity::Warning),
                unknown: run.count(Outcome::Unknown),
                coherent: run.count(Outcome::Coherent),
                waived: run.count(Outcome::Waived),
                not_applicable: run.count(Outcome::NotApplicable),
            },
        }
    }
}

impl From<&ContextNote> for Context {
    fn from(note: &ContextNote) -> Self {
        Self {
            id: plain(&note.id),
            name: plain(&note.name),
            entry: plain(&note.entry),
            limits: each(&note.limits),
            took_ms: note.took_ms,
            unobserved: note.unobserved,
        }
    }
}

impl From<&check::Finding> for Finding {
    fn from(row: &check::Finding) -> Self {
        let cause = row.caused_by.as_ref();
        Self {
            check: plain(&row.check),
            subject: plain(&row.subject),
            outcome: row.outcome.word(),
            severity: row.severity.word(),
            title: plain(&row.title),
            gap: plain(&row.gap),
            message: plain(&row.message),
            why: lines(&row.why),
            fix: lines(&row.fix),
            participants: row.participants.iter().map(Participant::from).collect(),
            reasons: row.unseen.iter().map(Reason::from).collect(),
            caused_by: cause.map(|(check, subject)| Cause { check: plain(check), subject: plain(subject) }),
            waiver: row.waiver.as_ref().map(|waiver| Waiver {
                reason: lines(&waiver.reason),
                until: plain(&waiver.until),
                by: plain(&waiver.by),
                instead_of: waiver.instead_of.word(),
            }),
            comparisons: row.comparisons,
        }
    }
}

impl From<&check::Participant> for Participant {
    fn from(side: &check::Participant) -> Self {
        let value = |(fact, value): &(String, String)| Value { fact: plain(fact), value: plain(value) };
        Self {
            name: plain(&side.name),
            contexts: each(&side.contexts),
            values: side.values.iter().map(value).collect(),
        }
    }
}

impl From<&check::Unseen> for Reason {
    fn from(unseen: &check::Unseen) -> Self {
        Self { context: plain(&unseen.context), fact: plain(&unseen.fact), reason: plain(&unseen.reason) }
    }
}
