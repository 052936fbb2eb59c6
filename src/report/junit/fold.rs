//! Rows that say the same are one case, so that a thousand contexts give a report that a person reads and GitLab takes: coherent and
//! not-applicable rows by check where they are many, unknown rows by check and reason.
//!
//! A row that fails or is held is never folded.

use std::collections::BTreeMap;

use super::suite::Mark;
use super::{MESSAGE, NAME};
use crate::check::{Finding, Outcome};
use crate::report::summary::counted;
use crate::report::text;

/// More coherent rows of one check than this are one case.
pub const COHERENT: usize = 100;
/// More not-applicable rows of one check than this are one case.
pub const NOT_APPLICABLE: usize = 20;
/// More unknown rows of one check and one reason than this are one case.
pub const UNKNOWN: usize = 5;
/// How many subjects a folded case names.
const NAMED: usize = 50;

/// Rows that stand in a report as one case.
pub struct Group<'a> {
    pub mark: Mark,
    pub rows: Vec<&'a Finding>,
}

/// What rows must have in common to be folded, the most that stay apart, and the rows themselves are in order of the run.
type Key<'a> = (&'a str, Mark, String);

/// The rows in the order of their first one.
pub fn groups<'a>(rows: Vec<(Mark, &'a Finding)>) -> Vec<Group<'a>> {
    let mut by_key: BTreeMap<Key<'a>, usize> = BTreeMap::new();
    for (mark, row) in &rows {
        if let Some((key, _)) = key(*mark, row) {
            *by_key.entry(key).or_default() += 1;
        }
    }
    let mut groups: Vec<Group<'a>> = Vec::new();
    let mut folded: BTreeMap<Key<'a>, usize> = BTreeMap::new();
    for (mark, row) in rows {
        let many = key(mark, row).filter(|(key, most)| by_key.get(key).is_some_and(|count| count > most));
        match many {
            None => groups.push(Group { mark, rows: vec![row] }),
            Some((key, _)) => {
                let at = *folded.entry(key).or_insert(groups.len());
                match groups.get_mut(at) {
                    Some(group) => group.rows.push(row),
                    None => groups.push(Group { mark, rows: vec![row] }),
                }
            }
        }
    }
    groups
}

fn key(mark: Mark, row: &Finding) -> Option<(Key<'_>, usize)> {
    let (reason, most) = match row.outcome {
        Outcome::Coherent => (String::new(), COHERENT),
        Outcome::NotApplicable => (String::new(), NOT_APPLICABLE),
        Outcome::Unknown => (reason(row), UNKNOWN),
        Outcome::Incoherent | Outcome::Held | Outcome::Waived => return None,
    };
    Some(((&row.check, mark, reason), most))
}

/// Why an unknown row is so, without the contexts.
fn reason(row: &Finding) -> String {
    let mut reasons: Vec<String> =
        row.unseen.iter().map(|unseen| format!("{}: {}", unseen.fact, unseen.reason)).collect();
    reasons.sort();
    reasons.dedup();
    if reasons.is_empty() { row.message.clone() } else { reasons.join("; ") }
}

/// A time or an id in a reason is another one in the next run.
fn without_numbers(reason: &str) -> String {
    let mut kept = String::new();
    for char in reason.chars() {
        match char {
            '0'..='9' if kept.ends_with('#') => {}
            '0'..='9' => kept.push('#'),
            other => kept.push(other),
        }
    }
    kept
}

impl Group<'_> {
    /// The name of the case: it holds no number, so that it is the same from run to run. `None` for a row that stands alone.
    pub fn name(&self) -> Option<String> {
        let [first, _, ..] = self.rows.as_slice() else { return None };
        Some(match first.outcome {
            Outcome::Unknown => {
                text::name(&format!("rows folded, not compared: {}", without_numbers(&reason(first))), NAME)
            }
            other => format!("rows folded, {}", other.word()),
        })
    }

    /// What a folded case says in one line.
    pub fn message(&self) -> String {
        let count = counted(self.rows.len(), "row");
        match self.rows.first() {
            Some(first) if first.outcome == Outcome::Unknown => {
                text::short(&format!("{count} could not be compared: {}", reason(first)), MESSAGE)
            }
            first => format!("{count} {}", first.map_or("", |row| row.outcome.word())),
        }
    }

    /// Whom it stands for.
    pub fn subjects(&self) -> String {
        let mut lines: Vec<_> = self.rows.iter().take(NAMED).map(|row| text::short(&row.subject, NAME)).collect();
        if self.rows.len() > NAMED {
            lines.push(format!("and {} more", self.rows.len() - NAMED));
        }
        lines.join("\n")
    }
}
