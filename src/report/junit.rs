//! JUnit XML, as GitLab reads it: one test case per (check, subject).
//!
//! | outcome | in the report |
//! |---|---|
//! | incoherent | `failure`, its type the severity |
//! | unknown | `error` where it decides the exit code (severity error, and unknown rows may not pass), else `skipped` |
//! | held, waived, not applicable | `skipped`, with the reason |
//! | coherent | a case that passes |
//! | a required view is missing, nothing was compared | `error` under the class `parallax.run` |
//! | endpoints are answered differently | `skipped` under the class `parallax.run`, with what each context says |
//! | the run failed | one `error` under the class `parallax.run` |
//!
//! `classname` is the check's id with dots for slashes and `name` the subject. GitLab takes a case's identity from
//! `suite_classname_name`, so that string is unique and holds nothing that changes from run to run. It shows the text of `failure`
//! and `error` elements rather than their attributes, so the evidence is there. Attributes and children share one name space in its reader, and
//! a `type` of `file`, `array`, `integer` and the like is cast: ours are `error`, `warning`, `unknown`, `missing` and the like only. There is no
//! `file`: GitLab would link it, and what is wrong with a host stands in no file of the repository.
//!
//! Reports are kept below [`MOST_BYTES`] and [`MOST_OBJECTS`]: rows that say the same are folded (`fold`), evidence is cut per case, and rows that
//! do not fit are counted in a case of their own whose result is the worst of theirs.

mod fold;
mod suite;

use self::fold::{Group, groups};
use self::suite::{Case, Mark, Suite};
use super::endpoints::{counted_words, differing, line};
use super::matrix::Matrix;
use super::summary::{baseline_line, decides, first_line, past_lines, verdict_word};
use super::{Style, text};
use crate::check::{Finding, Outcome, Run};

pub use self::fold::{COHERENT as MOST_COHERENT, NOT_APPLICABLE as MOST_NOT_APPLICABLE, UNKNOWN as MOST_UNKNOWN};

/// The most bytes that the cases of a report take, as written. GitLab refuses files above 30 MB.
pub const MOST_BYTES: usize = 8_000_000;
/// The most elements, attributes and texts that the cases of a report are. Some releases of GitLab 17.6 refused more than 250,000.
pub const MOST_OBJECTS: usize = 100_000;
/// The most characters of a name and of a message.
const NAME: usize = 300;
const MESSAGE: usize = 1000;
/// The class of cases that are about the run, not about a check.
const RUN: &str = "parallax.run";

/// Renders a run as JUnit XML.
pub fn render(run: &Run, _style: &Style) -> String {
    let mut suite = Suite::default();
    for view in &run.missing {
        let message = format!("the required view {} is missing", text::short(view, MESSAGE));
        let name = format!("view {}", text::name(view, NAME));
        suite.add(Case::new(RUN, &name, Mark::Error("missing"), &message, &first_line(run)));
    }
    if run.comparisons() == 0 {
        let message = "nothing was compared, so nothing is known";
        suite.add(Case::new(RUN, "compared", Mark::Error("undetermined"), message, &notes(run)));
    }
    if let Some(message) = baseline_line(run) {
        let body = std::iter::once(message.clone()).chain(past_lines(run)).collect::<Vec<_>>().join("\n");
        suite.add(Case::new(RUN, "baseline", Mark::Skipped("held"), &message, &body));
    }
    let mut rows: Vec<_> = run.findings.iter().map(|finding| (mark(run, finding), finding)).collect();
    rows.sort_by_key(|(mark, _)| mark.rank());
    let groups = groups(rows);
    let folded: usize = groups.iter().filter(|group| group.rows.len() > 1).map(|group| group.rows.len()).sum();
    groups.iter().for_each(|group| suite.add(case(group)));
    endpoints(&mut suite, run);
    suite.write(run.started_ms, &text::short(&run.host, NAME), &properties(run, folded))
}

/// What each context says of the endpoints that are answered differently: for reading beside the rows, and no result of its own.
fn endpoints(suite: &mut Suite, run: &Run) {
    let differing = differing(run);
    if !differing.is_empty() {
        let told = differing.iter().flat_map(|note| {
            let answers = note.answers.iter().map(|answer| format!("  {}", line(answer)));
            std::iter::once(text::short(&note.endpoint, MESSAGE)).chain(answers)
        });
        let body = told.collect::<Vec<_>>().join("\n");
        suite.add(Case::new(RUN, "endpoints", Mark::Skipped("endpoints"), &counted_words(run), &body));
    }
}

/// The report of a run that came to nothing: usage or configuration is wrong, or parallax itself failed.
pub fn failed_run(message: &str, command: &str) -> String {
    let mut suite = Suite::default();
    let body = format!("parallax {}\n\n{}", text::short(command, MESSAGE), text::lines(message));
    suite.add(Case::new(RUN, "ran", Mark::Error("failed"), &text::short(message, MESSAGE), &body));
    suite.write(0, "", &[("verdict", "failed".to_owned())])
}

/// What is known of the run as a whole, for whoever reads the file: GitLab reads over properties.
fn properties(run: &Run, folded: usize) -> Vec<(&'static str, String)> {
    let job = run.job.as_ref();
    let of = |name, value: Option<&String>| value.map(|value| (name, text::short(value, NAME)));
    let known = [
        of("ci.job", job.and_then(|job| job.id.as_ref())),
        of("ci.runner", job.and_then(|job| job.runner.as_ref())),
        of("ci.project", job.and_then(|job| job.project.as_ref())),
        of("ci.pipeline", job.and_then(|job| job.pipeline.as_ref())),
        of("ci.commit", job.and_then(|job| job.commit.as_ref())),
        of("baseline", run.baseline.as_ref().map(|baseline| &baseline.by)),
    ];
    let mut properties = vec![
        ("parallax.version", text::short(&run.version, NAME)),
        ("parallax.command", text::short(&run.command, NAME)),
        ("verdict", verdict_word(run.verdict()).to_owned()),
        ("summary", first_line(run)),
        ("rows.folded", folded.to_string()),
    ];
    properties.extend(known.into_iter().flatten());
    properties
}

fn mark(run: &Run, finding: &Finding) -> Mark {
    match finding.outcome {
        Outcome::Incoherent => Mark::Failure(finding.severity.word()),
        Outcome::Unknown if decides(run, finding) => Mark::Error("unknown"),
        Outcome::Unknown => Mark::Skipped("unknown"),
        Outcome::Held => Mark::Skipped("held"),
        Outcome::Waived => Mark::Skipped("waived"),
        Outcome::NotApplicable => Mark::Skipped("not-applicable"),
        Outcome::Coherent => Mark::Pass,
    }
}

/// The case of a row, or of rows that say the same.
fn case(group: &Group<'_>) -> Case {
    let Some(first) = group.rows.first() else {
        return Case::new(RUN, "rows", Mark::Pass, "", "");
    };
    let class = class(&first.check);
    if let Some(name) = group.name() {
        let message = group.message();
        let body =
            format!("{message}\n{}\nmore: parallax explain {}", group.subjects(), text::short(&first.check, NAME));
        return Case::new(&class, &name, group.mark, &message, &body);
    }
    // A row that is about nothing has no subject, and readers skip a case without a name.
    let subject = if first.subject.is_empty() { &first.check } else { &first.subject };
    let name = text::name(subject, NAME);
    let (message, body) = match group.mark {
        Mark::Pass => (String::new(), String::new()),
        Mark::Skipped(_) | Mark::Failure(_) | Mark::Error(_) => (reason(first), evidence(first)),
    };
    Case::new(&class, &name, group.mark, &message, &body)
}

/// The check's id with dots for slashes. GitLab joins suite, class and name by `_`, so there is none in a class: the first one ends it, and no
/// two pairs of class and name are one identity.
fn class(check: &str) -> String {
    let odd = |char: char| matches!(char, '_' | '.');
    if check.contains(odd) {
        // The line end makes `name` add a digest, which keeps what would look alike apart.
        return text::name(&format!("{check}\n"), NAME).replace('/', ".").replace('_', "-");
    }
    text::name(check, NAME).replace('/', ".").replace('_', "-")
}

/// One line that says why a case did not pass.
fn reason(finding: &Finding) -> String {
    match &finding.waiver {
        Some(waiver) if finding.outcome == Outcome::Waived => {
            let reason = text::short(&waiver.reason, MESSAGE);
            format!("waived until {} by {}: {reason}", text::plain(&waiver.until), text::short(&waiver.by, NAME))
        }
        _ if finding.outcome == Outcome::Held => {
            let instead = finding.held.unwrap_or(Outcome::Held).word();
            format!(
                "held by the baseline, {instead} ({}): {}",
                finding.severity.word(),
                text::short(&finding.message, MESSAGE)
            )
        }
        _ if finding.message.is_empty() => {
            format!("{}: {}", finding.outcome.word(), text::short(&finding.title, MESSAGE))
        }
        _ => text::short(&finding.message, MESSAGE),
    }
}

/// What a reader of the pipeline needs without a terminal: who sees what, what it breaks, what to do.
fn evidence(finding: &Finding) -> String {
    let mut lines = vec![reason(finding)];
    lines.extend(Matrix::of(&finding.participants, false).lines(100));
    for unseen in &finding.unseen {
        let line = format!("{} {}: {}", unseen.context, unseen.fact, unseen.reason);
        lines.push(text::short(&line, MESSAGE));
    }
    for (label, prose) in [("breaks", &finding.why), ("do", &finding.fix)] {
        if !prose.trim().is_empty() {
            lines.push(format!("{label}: {}", text::lines(prose.trim())));
        }
    }
    if let Some((check, subject)) = &finding.caused_by {
        lines.push(format!("cause: {} ({})", text::short(check, NAME), text::short(subject, NAME)));
    }
    lines.push(format!("more: parallax explain {}", text::short(&finding.check, NAME)));
    lines.join("\n")
}

fn notes(run: &Run) -> String {
    let notes = run.notes.iter().map(|note| text::short(note, MESSAGE));
    std::iter::once(first_line(run)).chain(notes).collect::<Vec<_>>().join("\n")
}
