//! The counts and the words of the verdict that every report opens with: the one place where a verdict becomes a word.

use super::text;
use crate::check::{Finding, Outcome, Run, Severity, Verdict};

/// The word for a verdict, the same in every report.
pub fn verdict_word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Coherent => "coherent",
        Verdict::Incoherent => "incoherent",
        Verdict::Warnings => "warnings",
        Verdict::Undetermined => "undetermined",
    }
}

/// Whether an unknown row keeps the run from being coherent: its check is of severity error and unknown rows may not pass.
pub fn decides(run: &Run, finding: &Finding) -> bool {
    finding.outcome == Outcome::Unknown && finding.severity == Severity::Error && !run.allow_unknown
}

/// The first line of a report for people: the verdict, then what it was drawn from.
///
/// The number of comparisons is always there, so that a run that compared nothing cannot pass for one that found nothing.
pub fn first_line(run: &Run) -> String {
    let errors = run.findings.iter().filter(|finding| is_incoherent(finding, Severity::Error)).count();
    let warnings = run.findings.iter().filter(|finding| is_incoherent(finding, Severity::Warning)).count();
    let mut parts = vec![match (errors, warnings) {
        (0, 0) => "0 incoherent".to_owned(),
        (errors, 0) => format!("{errors} incoherent"),
        (errors, warnings) => {
            format!(
                "{} incoherent ({errors} {}, {})",
                errors + warnings,
                plural(errors, "error"),
                counted(warnings, "warning")
            )
        }
    }];
    let unknown = run.count(Outcome::Unknown);
    parts.push(format!("{unknown} unknown{}", if run.allow_unknown && unknown > 0 { " allowed" } else { "" }));
    parts.push(format!("{} coherent", run.count(Outcome::Coherent)));
    if let Some(line) = baseline_line(run) {
        parts.push(line);
    }
    if run.count(Outcome::Waived) > 0 {
        parts.push(format!("{} waived", run.count(Outcome::Waived)));
    }
    let mut line = format!(
        "{}: {}; {} in {}",
        verdict_word(run.verdict()),
        parts.join(", "),
        counted(run.comparisons(), "comparison"),
        counted(run.contexts.len(), "context")
    );
    if run.off_chain > 0 {
        line.push_str(&format!(", {} not on the chain", run.off_chain));
    }
    line
}

/// How many findings the baseline holds, and how many that it recorded are gone; `None` without a baseline.
pub fn baseline_line(run: &Run) -> Option<String> {
    let baseline = run.baseline.as_ref()?;
    let gone = match baseline.gone() {
        0 => String::new(),
        gone => format!(" ({gone} gone)"),
    };
    Some(format!("{} held by the baseline{gone}", run.count(Outcome::Held)))
}

/// What became of each recorded finding that the run does not have, one line each.
pub fn past_lines(run: &Run) -> Vec<String> {
    let past = run.baseline.iter().flat_map(|baseline| &baseline.past);
    past.map(|past| {
        let gone = if past.fate.is_gone() { "gone" } else { "not gone" };
        let (check, subject) = (text::short(&past.check, 300), text::short(&past.subject, 300));
        format!("{gone}, {}: {check} {subject}", past.fate.words())
    })
    .collect()
}

/// `1 row`, `2 rows`.
pub fn counted(count: impl TryInto<u64> + Copy + std::fmt::Display, noun: &str) -> String {
    format!("{count} {}", plural(count, noun))
}

fn plural(count: impl TryInto<u64>, noun: &str) -> String {
    if matches!(count.try_into(), Ok(1)) { noun.to_owned() } else { format!("{noun}s") }
}

fn is_incoherent(finding: &Finding, severity: Severity) -> bool {
    finding.outcome == Outcome::Incoherent && finding.severity == severity
}
