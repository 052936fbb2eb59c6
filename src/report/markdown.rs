//! Markdown for a comment on a merge request: the verdict, what is incoherent with who sees what, and everything else folded.
//!
//! Foreign text stands in code spans (`inline`), where GitLab makes neither markup nor a mention, reference, link or emoji of it; no line
//! begins with it, so that it gives no quick action. Words of letters alone stand outside of them, so that a sentence reads as one.
//!
//! A comment holds 1,000,000 characters in GitLab. [`MOST`] are written, and what is left out is counted.

mod inline;

use self::inline::{cell, code, prose};
use super::endpoints::{differing, line};
use super::matrix::{differs, gist, paths, value};
use super::summary::{counted, first_line, past_lines};
use super::{Style, text};
use crate::check::{Finding, Outcome, Participant, Run};

/// The most bytes of findings; with the folded parts a comment stays below three times as much.
pub const MOST: usize = 60_000;
/// The most bytes of a folded part.
const FOLDED: usize = 20_000;
/// The most characters of a sentence and of a value.
const SENTENCE: usize = 600;
const VALUE: usize = 120;
/// The most columns of a matrix; further participants are counted.
const SIDES: usize = 6;

/// Renders a run as a comment.
pub fn render(run: &Run, _style: &Style) -> String {
    let mut parts = vec![format!("**parallax {}** {}", inline::word(&run.command), prose(&first_line(run)))];
    if let Some(job) = job(run) {
        parts.push(job);
    }
    if run.comparisons() == 0 {
        parts.push("Nothing was compared, so nothing is known.".to_owned());
    }
    parts.extend(list(run.missing.iter().map(|view| format!("missing: the required view {}", code(view, SENTENCE)))));
    let mut found: Vec<_> = run.findings.iter().filter(|row| row.outcome == Outcome::Incoherent).collect();
    found.sort_by_key(|row| (row.severity, row.caused_by.is_some()));
    parts.extend(within(found.into_iter().map(incoherent).collect(), MOST, "incoherent finding"));
    let told = differing(run).into_iter().map(|note| {
        let answers: Vec<_> = note.answers.iter().map(|answer| format!("  - {}", prose(&line(answer)))).collect();
        format!("- {}\n{}", code(&note.endpoint, VALUE), answers.join("\n"))
    });
    parts.extend(folded("answered differently", "endpoint", told.collect()));
    let rows = |outcome: Outcome| run.findings.iter().filter(move |row| row.outcome == outcome);
    parts.extend(folded("unknown", "row", rows(Outcome::Unknown).map(unknown).collect()));
    let past = past_lines(run);
    let held = rows(Outcome::Held).map(held).chain(past.iter().map(|line| format!("- {}", prose(line))));
    let title = if run.baseline.is_some() { "in the baseline" } else { "held" };
    parts.extend(folded(title, "finding", held.collect()));
    parts.extend(folded("waived", "row", rows(Outcome::Waived).map(waived).collect()));
    let limited = run.contexts.iter().filter(|context| !context.limits.is_empty());
    let limits = limited.map(|context| {
        format!("- {}: {}", code(&context.id, VALUE), prose(&text::short(&context.limits.join("; "), SENTENCE)))
    });
    parts.extend(folded("with limits", "context", limits.collect()));
    let notes = run.notes.iter().map(|note| format!("- {}", prose(&text::short(note, SENTENCE))));
    parts.extend(folded("to read", "note", notes.collect()));
    parts.join("\n\n") + "\n"
}

/// The comment of a run that came to nothing.
pub fn failed_run(message: &str, command: &str) -> String {
    let said = message.lines().filter(|line| !line.trim().is_empty()).take(40);
    let lines: Vec<_> = said.map(|line| format!("- {}", code(line, SENTENCE))).collect();
    format!("**parallax {} failed**\n\n{}\n", inline::word(command), lines.join("\n"))
}

fn job(run: &Run) -> Option<String> {
    let job = run.job.as_ref()?;
    let known = [("job", &job.id), ("runner", &job.runner), ("commit", &job.commit)];
    let said: Vec<_> =
        known.iter().filter_map(|(word, value)| Some(format!("{word} {}", code(value.as_ref()?, VALUE)))).collect();
    (!said.is_empty()).then(|| said.join(", "))
}

/// One finding: the sentence, the matrix, what it breaks, what to do.
fn incoherent(row: &Finding) -> String {
    let mut parts = vec![format!("**{}** {}", row.severity.word(), sentence(row))];
    parts.extend(matrix(&row.participants));
    let first = |written: &str| prose(&text::short(written.trim().split("\n\n").next().unwrap_or_default(), SENTENCE));
    let mut lines = Vec::new();
    for (label, written) in [("breaks", &row.why), ("do", &row.fix)] {
        if !written.trim().is_empty() {
            lines.push(format!("- {label}: {}", first(written)));
        }
    }
    if let Some((check, subject)) = &row.caused_by {
        lines.push(format!("- cause: {} {}", code(check, VALUE), code(subject, VALUE)));
    }
    lines.push(format!("- more: {}", code(&format!("parallax explain {}", text::short(&row.check, VALUE)), SENTENCE)));
    parts.push(lines.join("\n"));
    parts.join("\n\n")
}

/// Who sees what, where they differ.
fn matrix(participants: &[Participant]) -> Option<String> {
    let shown: Vec<_> = participants.iter().take(SIDES).collect();
    let mut paths = paths(participants);
    paths.retain(|path| differs(participants, path));
    if paths.is_empty() {
        return None;
    }
    let row = |cells: Vec<String>| format!("| {} |", cells.join(" | "));
    let mut lines = vec![
        row(std::iter::once("fact".to_owned()).chain(shown.iter().map(|side| cell(&side.name, VALUE))).collect()),
        row(vec!["---".to_owned(); shown.len() + 1]),
    ];
    for path in paths {
        let values = shown.iter().map(|side| {
            value(side, path).map_or_else(|| "-".to_owned(), |value| cell(&gist(participants, path, value), VALUE))
        });
        lines.push(row(std::iter::once(cell(path, VALUE)).chain(values).collect()));
    }
    if participants.len() > shown.len() {
        lines.push(String::new());
        lines.push(format!("({} more take part)", participants.len() - shown.len()));
    }
    Some(lines.join("\n"))
}

fn unknown(row: &Finding) -> String {
    let reasons: Vec<_> =
        row.unseen.iter().take(3).map(|lost| format!("{} {}: {}", lost.context, lost.fact, lost.reason)).collect();
    let reasons = if reasons.is_empty() {
        String::new()
    } else {
        format!(": {}", prose(&text::short(&reasons.join("; "), SENTENCE)))
    };
    format!("- {} {}{}", code(&row.check, VALUE), sentence(row), reasons)
}

fn held(row: &Finding) -> String {
    let instead = row.held.unwrap_or(row.outcome).word();
    format!("- held, {instead}, {}: {} {}", row.severity.word(), code(&row.check, VALUE), sentence(row))
}

fn waived(row: &Finding) -> String {
    let why = row.waiver.as_ref().map(|waiver| {
        let (until, reason) = (code(&waiver.until, VALUE), prose(&text::short(&waiver.reason, SENTENCE)));
        format!(" until {until}, {}: {reason}", waiver.instead_of.word())
    });
    format!("- {} {}{}", code(&row.check, VALUE), sentence(row), why.unwrap_or_default())
}

/// The message; the subject stands in where a row has none.
fn sentence(row: &Finding) -> String {
    if row.message.is_empty() { code(&row.subject, SENTENCE) } else { prose(&text::short(&row.message, SENTENCE)) }
}

fn list(lines: impl Iterator<Item = String>) -> Option<String> {
    let lines: Vec<_> = lines.map(|line| format!("- {line}")).collect();
    within_lines(&lines, FOLDED, "line")
}

/// A part that is folded; its summary holds no foreign text, because GitLab reads it as HTML.
fn folded(what: &str, noun: &str, lines: Vec<String>) -> Option<String> {
    let count = counted(lines.len(), noun);
    let kept = within_lines(&lines, FOLDED, noun)?;
    Some(format!("<details>\n<summary>{count} {what}</summary>\n\n{kept}\n\n</details>"))
}

fn within_lines(lines: &[String], most: usize, noun: &str) -> Option<String> {
    (!lines.is_empty()).then(|| within(lines.to_vec(), most, noun).join("\n"))
}

/// As many as fit, and how many did not.
fn within(parts: Vec<String>, most: usize, noun: &str) -> Vec<String> {
    let (all, mut bytes) = (parts.len(), 0);
    let mut kept: Vec<_> = parts
        .into_iter()
        .take_while(|part| {
            bytes += part.len();
            bytes <= most
        })
        .collect();
    if kept.len() < all {
        let more = counted(all - kept.len(), noun);
        kept.push(format!("- {more} left out here; the job log and the JSON report hold more"));
    }
    kept
}
