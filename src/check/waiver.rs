//! Waivers: a known finding that is accepted for a time, with a reason. An expired, unused or wrong waiver is an error of usage: it would
//! hide something else than it says.

use std::collections::BTreeSet;

use jiff::civil::Date;
use thiserror::Error;

use super::catalogue::Catalogue;
use super::evaluate::Options;
use super::finding::{Finding, Outcome, Waived};

/// One waiver: a `[[waive]]` of a configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiver {
    /// The check's id.
    pub check: String,
    /// Ids of contexts; a `*` at the end stands for anything. Empty: all. Of a pair, one side must lie among them; of a group, every context.
    pub contexts: Vec<String>,
    /// The finding's subject.
    pub subject: Option<String>,
    /// Why it is accepted.
    pub reason: String,
    /// The last day.
    pub until: Date,
    /// The file that holds it, with `(project)` behind it where the project wrote it.
    pub by: String,
    /// The line in it, counted from 1.
    pub line: usize,
}

/// What is wrong with waivers: every one of them.
#[derive(Debug, Error)]
#[error("{}", listed(.problems))]
pub struct WaiverError {
    /// In the order of the waivers.
    pub problems: Vec<WaiverProblem>,
}

/// What is wrong with one waiver.
#[derive(Debug, Error)]
#[error("{by}:{line}: {problem}")]
pub struct WaiverProblem {
    /// The file.
    pub by: String,
    /// The line.
    pub line: usize,
    /// What is wrong.
    pub problem: WaiverMistake,
}

/// What can be wrong with a waiver.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum WaiverMistake {
    /// Its last day has passed.
    #[error("the waiver of {check} expired on {until}")]
    Expired {
        /// The check.
        check: String,
        /// The last day.
        until: String,
    },
    /// No finding needs it.
    #[error("the waiver of {check} waives nothing: no finding of that check is incoherent or unknown there")]
    Unused {
        /// The check.
        check: String,
    },
    /// Its check does not exist.
    #[error("there is no check {check}{}", .nearest.as_ref().map(|nearest| format!("; {nearest}")).unwrap_or_default())]
    UnknownCheck {
        /// As written.
        check: String,
        /// What was probably meant.
        nearest: Option<String>,
    },
    /// It does not say why.
    #[error("the waiver of {check} gives no reason")]
    NoReason {
        /// The check.
        check: String,
    },
}

fn listed(problems: &[WaiverProblem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// Waives what the options say, or says what is wrong with them. Of the checks `in_part` some rows were not looked for.
pub fn apply(
    catalogue: &Catalogue,
    options: &Options,
    in_part: &BTreeSet<String>,
    findings: &mut [Finding],
) -> Result<(), WaiverError> {
    let mut problems = Vec::new();
    for waiver in &options.waivers {
        let problem = match mistake(catalogue, options.today, waiver) {
            Some(problem) => Some(problem),
            // What was not looked for can't be waived, and the next run may look for it.
            None if options.left_out.contains(&waiver.check) => None,
            None if waive(waiver, findings) || options.partial || in_part.contains(&waiver.check) => None,
            None => Some(WaiverMistake::Unused { check: waiver.check.clone() }),
        };
        if let Some(problem) = problem {
            problems.push(WaiverProblem { by: waiver.by.clone(), line: waiver.line, problem });
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(WaiverError { problems }) }
}

fn mistake(catalogue: &Catalogue, today: Date, waiver: &Waiver) -> Option<WaiverMistake> {
    let check = waiver.check.clone();
    if catalogue.get(&check).is_none() {
        return Some(WaiverMistake::UnknownCheck { nearest: catalogue.nearest(&check), check });
    }
    if waiver.reason.trim().is_empty() {
        return Some(WaiverMistake::NoReason { check });
    }
    (waiver.until < today).then(|| WaiverMistake::Expired { check, until: waiver.until.to_string() })
}

/// Waives the findings that it names; a finding that another waiver took counts as used too.
fn waive(waiver: &Waiver, findings: &mut [Finding]) -> bool {
    let mut used = false;
    for finding in findings.iter_mut().filter(|finding| covers(waiver, finding)) {
        match finding.outcome {
            Outcome::Incoherent | Outcome::Unknown => {
                let instead_of = finding.outcome;
                finding.waiver = Some(Waived {
                    reason: waiver.reason.clone(),
                    until: waiver.until.to_string(),
                    by: waiver.by.clone(),
                    instead_of,
                });
                finding.outcome = Outcome::Waived;
                used = true;
            }
            Outcome::Waived => used = true,
            Outcome::Coherent | Outcome::Held | Outcome::NotApplicable => {}
        }
    }
    used
}

fn covers(waiver: &Waiver, finding: &Finding) -> bool {
    let named = |context: &String| {
        waiver.contexts.iter().any(|pattern| match pattern.strip_suffix('*') {
            Some(prefix) => context.starts_with(prefix),
            None => pattern == context,
        })
    };
    let within = |participant: &super::Participant| participant.contexts.iter().all(named);
    let contexts = waiver.contexts.is_empty()
        || match finding.participants.as_slice() {
            [one, two] if !finding.subject.is_empty() => within(one) || within(two),
            several => !several.is_empty() && several.iter().all(within),
        };
    waiver.check == finding.check
        && contexts
        && waiver.subject.as_ref().is_none_or(|subject| *subject == finding.subject)
}
