//! Code Quality, as GitLab reads it: a list of what is wrong, for the widget of a merge request.
//!
//! Incoherent rows, unknown rows that decide the exit code, required views that are missing, and a run that compared nothing or failed: none
//! of them gives an empty list, which would read as success. Held, waived and passing rows are left out: GitLab knows no such thing.
//!
//! | row | severity |
//! |---|---|
//! | incoherent, severity error | `critical` |
//! | incoherent, severity warning | `minor` |
//! | unknown that decides, a missing view, nothing compared | `major` |
//! | the run failed | `blocker` |

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::summary::{counted, decides};
use super::{Style, text};
use crate::check::{Finding, Outcome, Run, Severity};

/// GitLab needs a file of the repository. What is wrong with a host stands in none; this one every project has, and it names the job.
const FILE: &str = ".gitlab-ci.yml";
/// The most entries; what is beyond them is counted in one of its own.
pub const MOST: usize = 2_000;
/// The most characters of a description.
const SENTENCE: usize = 500;

/// One entry; all fields are those that GitLab requires, and `check_name`.
#[derive(Debug, Serialize)]
struct Entry {
    description: String,
    check_name: String,
    fingerprint: String,
    severity: &'static str,
    location: Location,
}

#[derive(Debug, Serialize)]
struct Location {
    path: &'static str,
    lines: Lines,
}

#[derive(Debug, Serialize)]
struct Lines {
    begin: u32,
}

impl Entry {
    /// `subject` tells entries of one check apart, and is the same in every run.
    fn new(check: &str, subject: &str, severity: &'static str, description: &str) -> Self {
        Self {
            description: text::short(description, SENTENCE),
            check_name: text::short(check, SENTENCE),
            fingerprint: fingerprint(check, subject),
            severity,
            location: Location { path: FILE, lines: Lines { begin: 1 } },
        }
    }
}

/// SHA-256 of check and subject, each with its length before it, so that no two pairs give the same text.
fn fingerprint(check: &str, subject: &str) -> String {
    let digest = Sha256::digest(format!("{}:{check}{}:{subject}", check.len(), subject.len()).as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Renders a run as Code Quality JSON.
pub fn render(run: &Run, _style: &Style) -> String {
    let mut entries = Vec::new();
    for view in &run.missing {
        entries.push(Entry::new(
            "parallax/required-view",
            view,
            "major",
            &format!("the required view {view} is missing"),
        ));
    }
    if run.comparisons() == 0 {
        entries.push(Entry::new("parallax/compared", "", "major", "nothing was compared, so nothing is known"));
    }
    let mut rows: Vec<_> = run.findings.iter().filter_map(|row| Some((rank(run, row)?, row))).collect();
    rows.sort_by_key(|((place, _), _)| *place);
    entries.extend(rows.into_iter().map(|((_, severity), row)| of(severity, row)));
    let more = entries.len().saturating_sub(MOST);
    if more > 0 {
        let worst = entries.get(MOST).map_or("major", |entry| entry.severity);
        entries.truncate(MOST);
        let said = format!(
            "{} left out to keep this report small; the JSON report holds all of them",
            counted(more, "finding")
        );
        entries.push(Entry::new("parallax/left-out", "", worst, &said));
    }
    write(&entries)
}

/// The report of a run that came to nothing.
pub fn failed_run(message: &str, command: &str) -> String {
    write(&[Entry::new("parallax/run", "", "blocker", &format!("parallax {command} failed: {message}"))])
}

/// The order of a row, the worst first, and its severity; `None` for rows that are not reported.
fn rank(run: &Run, row: &Finding) -> Option<(u8, &'static str)> {
    match (row.outcome, row.severity) {
        (Outcome::Incoherent, Severity::Error) => Some((0, "critical")),
        (Outcome::Unknown, _) if decides(run, row) => Some((1, "major")),
        (Outcome::Incoherent, Severity::Warning) => Some((2, "minor")),
        _ => None,
    }
}

fn of(severity: &'static str, row: &Finding) -> Entry {
    let said = if row.message.is_empty() { &row.title } else { &row.message };
    let description = match row.outcome {
        Outcome::Unknown => format!("could not be determined: {said}"),
        _ => said.clone(),
    };
    Entry::new(&row.check, &row.subject, severity, &description)
}

/// Strings and numbers always serialize; were that ever to change, the reader gets an entry that GitLab refuses aloud.
fn write(entries: &[Entry]) -> String {
    text::json(&entries).unwrap_or_else(|_| "the report could not be written".to_owned()) + "\n"
}
