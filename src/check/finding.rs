//! A finding: one row of one check, the contexts that took part with each one's values, and the outcome.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a row came to. The order is the order of precedence in a summary: the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The claim does not hold.
    Incoherent,
    /// It could not be compared.
    Unknown,
    /// It holds.
    Coherent,
    /// Incoherent or unknown, and recorded so in the baseline.
    Held,
    /// Incoherent or unknown, and waived with a reason.
    Waived,
    /// There was nothing that this check is about.
    NotApplicable,
}

impl Outcome {
    /// The word used in every report.
    pub fn word(self) -> &'static str {
        match self {
            Self::Incoherent => "incoherent",
            Self::Unknown => "unknown",
            Self::Coherent => "coherent",
            Self::Held => "held",
            Self::Waived => "waived",
            Self::NotApplicable => "not-applicable",
        }
    }

    /// Where its rows stand in a run: incoherent, unknown, held, waived, coherent, not applicable.
    pub fn place(self) -> u8 {
        match self {
            Self::Incoherent => 0,
            Self::Unknown => 1,
            Self::Held => 2,
            Self::Waived => 3,
            Self::Coherent => 4,
            Self::NotApplicable => 5,
        }
    }
}

/// How bad an incoherence is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// A verified break, or documented loss of data.
    Error,
    /// A difference that is likely to hurt.
    Warning,
}

impl Severity {
    /// The word used in every report.
    pub fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// One side of a row: a context, or several that were folded because every fact that the check reads is equal in them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Participant {
    /// The name that stands for them: the most specific one's.
    pub name: String,
    /// The ids of all of them, sorted.
    pub contexts: Vec<String>,
    /// The facts that the check reads, by path, and their values in words; in the order of the paths.
    pub values: Vec<(String, String)>,
}

/// A fact that could not be observed and decided that a row is unknown.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Unseen {
    /// The context's id.
    pub context: String,
    /// The fact's path.
    pub fact: String,
    /// The reason, in words.
    pub reason: String,
}

/// One row of one check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// The check's id, such as `store/one-writer`.
    pub check: String,
    /// The check's title: the claim in words.
    pub title: String,
    /// Which gap it belongs to.
    pub gap: String,
    /// How bad an incoherence of this check is.
    pub severity: Severity,
    /// What the row came to.
    pub outcome: Outcome,
    /// What the row is about: an element or key, and the participants' names. Stable from run to run; (check, subject) is unique in a run.
    pub subject: String,
    /// Who took part.
    pub participants: Vec<Participant>,
    /// One sentence that names the fact and who sees what. For `unknown`: what could not be compared.
    pub message: String,
    /// Why it matters, for an incoherent row; else empty.
    pub why: String,
    /// What to do, for an incoherent row; else empty.
    pub fix: String,
    /// Why it is unknown.
    pub unseen: Vec<Unseen>,
    /// The finding that this one is a symptom of: check and subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caused_by: Option<(String, String)>,
    /// Why it is waived, until when, and by which configuration file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiver: Option<Waived>,
    /// What the row would be without the baseline that holds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<Outcome>,
    /// How many comparisons of values the row stands for.
    pub comparisons: u64,
    /// What it shares with its causes and symptoms, such as `cache.example:443`; empty where the check does not say. In no report: it ties rows.
    #[serde(skip)]
    pub about: Vec<String>,
}

/// What a waiver says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Waived {
    /// The reason given.
    pub reason: String,
    /// The last day, as `YYYY-MM-DD`.
    pub until: String,
    /// The configuration file that holds it.
    pub by: String,
    /// What the row would have been.
    pub instead_of: Outcome,
}
