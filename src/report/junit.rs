//! JUnit XML, as GitLab reads it: one test case per (check, subject).
//!
//! | outcome | in the report |
//! |---|---|
//! | incoherent | `failure`, its type the severity |
//! | unknown | `error` where it decides the exit code (severity error, and unknown rows may not pass), else `skipped` |
//! | waived, not applicable | `skipped`, with the reason |
//! | coherent | a case that passes |
//! | a required view is missing, nothing was compared | `error` under the class `parallax.run` |
//! | the run failed | one `error` under the class `parallax.run` |
//!
//! `classname` is the check's id with dots for slashes and `name` the subject. GitLab takes a case's identity from
//! `suite_classname_name`, so that string is unique and holds nothing that changes from run to run. It shows the text of `failure`
//! and `error` elements rather than their attributes, so the evidence is there. Attributes and children share one name space in its reader, and
//! a `type` of `file`, `array`, `integer` and the like is cast: ours are `error`, `warning`, `unknown`, `missing` and the like only.
//!
//! Reports are kept below [`MOST_BYTES`]: evidence is cut per case, and rows that do not fit are counted in a case of their own whose
//! result is the worst of theirs.

use std::collections::BTreeSet;

use junit_report::{Duration, OffsetDateTime, ReportBuilder, TestCase, TestResult, TestSuite};

use super::matrix::Matrix;
use super::summary::{counted, decides, first_line};
use super::{Style, text};
use crate::check::{Finding, Outcome, Run};

/// The most bytes that the cases of a report take, as written. GitLab refuses files above 30 MB.
pub const MOST_BYTES: usize = 8_000_000;
/// The most coherent rows that get a case of their own; GitLab refuses reports of very many elements.
pub const MOST_COHERENT: usize = 10_000;
/// The most bytes of evidence in one case.
const EVIDENCE: usize = 16_000;
/// The most characters of a name and of a message.
const NAME: usize = 300;
const MESSAGE: usize = 1000;
/// What a case takes beside its texts: tags, attribute names, the time.
const FRAME: usize = 200;
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
    let mut rows: Vec<_> = run.findings.iter().map(|finding| (mark(run, finding), finding)).collect();
    rows.sort_by_key(|(mark, _)| mark.rank());
    for (mark, finding) in rows {
        suite.add(row(mark, finding));
    }
    suite.write(run.started_ms, &run.host)
}

/// The report of a run that came to nothing: usage or configuration is wrong, or parallax itself failed.
pub fn failed_run(message: &str, command: &str) -> String {
    let mut suite = Suite::default();
    let body = format!("parallax {}\n\n{}", text::short(command, MESSAGE), text::lines(message));
    suite.add(Case::new(RUN, "ran", Mark::Error("failed"), &text::short(message, MESSAGE), &body));
    suite.write(0, "")
}

/// What becomes of a case, with the word for its `type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    Failure(&'static str),
    Error(&'static str),
    Skipped(&'static str),
    Pass,
}

impl Mark {
    /// The worst first; the order in which a full report keeps cases.
    fn rank(self) -> u8 {
        match self {
            Self::Failure(_) => 0,
            Self::Error(_) => 1,
            Self::Skipped(_) => 2,
            Self::Pass => 3,
        }
    }
}

fn mark(run: &Run, finding: &Finding) -> Mark {
    match finding.outcome {
        Outcome::Incoherent => Mark::Failure(finding.severity.word()),
        Outcome::Unknown if decides(run, finding) => Mark::Error("unknown"),
        Outcome::Unknown => Mark::Skipped("unknown"),
        Outcome::Waived => Mark::Skipped("waived"),
        Outcome::NotApplicable => Mark::Skipped("not-applicable"),
        Outcome::Coherent => Mark::Pass,
    }
}

/// A test case whose texts are plain and cut.
struct Case {
    class: String,
    name: String,
    mark: Mark,
    message: String,
    body: String,
}

impl Case {
    /// `class`, `name` and `message` must be plain, `body` plain line by line.
    fn new(class: &str, name: &str, mark: Mark, message: &str, body: &str) -> Self {
        let mut kept = body;
        if kept.len() > EVIDENCE {
            kept = &kept[..kept.floor_char_boundary(EVIDENCE)];
        }
        let cut = body.len() - kept.len();
        let body =
            if cut > 0 { format!("{kept}…\n({cut} more bytes of evidence are left out)") } else { kept.to_owned() };
        Self { class: class.to_owned(), name: name.to_owned(), mark, message: message.to_owned(), body }
    }

    /// At least as many bytes as it takes as written.
    fn bytes(&self) -> usize {
        let attributes = [&self.class, &self.name, &self.message];
        FRAME + attributes.map(|text| escaped(text)).iter().sum::<usize>() + cdata(&self.body).len()
    }

    fn test_case(&self) -> TestCase {
        let mut case = TestCase::success(&self.name, Duration::ZERO);
        case.set_classname(&self.class);
        let message = self.message.clone();
        let cause = (!self.body.is_empty()).then(|| cdata(&self.body));
        case.result = match self.mark {
            Mark::Failure(word) => TestResult::Failure { type_: word.to_owned(), message, cause },
            Mark::Error(word) => TestResult::Error { type_: word.to_owned(), message, cause },
            Mark::Skipped(word) => TestResult::SkippedWithCause { type_: word.to_owned(), message, cause },
            Mark::Pass => TestResult::Success,
        };
        case
    }
}

/// Text for a CDATA section. The writer puts it between the marks as it is, so an end mark within it is split over two sections; a
/// reader joins them again. The one place where text reaches the writer that it does not escape itself.
fn cdata(plain: &str) -> String {
    plain.replace("]]>", "]]]]><![CDATA[>")
}

/// The length of an attribute's value as written.
fn escaped(plain: &str) -> usize {
    plain.len() + plain.bytes().filter(|byte| matches!(byte, b'<' | b'>' | b'&' | b'"' | b'\'')).count() * 5
}

fn row(mark: Mark, finding: &Finding) -> Case {
    let class = text::name(&finding.check, NAME).replace('/', ".");
    let name = text::name(&finding.subject, NAME);
    let (message, body) = match mark {
        Mark::Pass => (String::new(), String::new()),
        Mark::Skipped(_) | Mark::Failure(_) | Mark::Error(_) => (reason(finding), evidence(finding)),
    };
    Case::new(&class, &name, mark, &message, &body)
}

/// One line that says why a case did not pass.
fn reason(finding: &Finding) -> String {
    match &finding.waiver {
        Some(waiver) if finding.outcome == Outcome::Waived => {
            let reason = text::short(&waiver.reason, MESSAGE);
            format!("waived until {} by {}: {reason}", text::plain(&waiver.until), text::short(&waiver.by, NAME))
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

/// The cases of a report, unique and within its size.
#[derive(Default)]
struct Suite {
    cases: Vec<Case>,
    identities: BTreeSet<String>,
    bytes: usize,
    coherent: usize,
    left_out: usize,
    worst_left_out: Option<Mark>,
}

impl Suite {
    fn add(&mut self, mut case: Case) {
        let passes = case.mark == Mark::Pass;
        if self.bytes + case.bytes() > MOST_BYTES || (passes && self.coherent == MOST_COHERENT) {
            self.left_out += 1;
            self.worst_left_out = self.worst_left_out.into_iter().chain([case.mark]).min_by_key(|mark| mark.rank());
            return;
        }
        self.bytes += case.bytes();
        self.coherent += usize::from(passes);
        self.set_apart(&mut case);
        self.cases.push(case);
    }

    /// Two cases of one identity collapse in GitLab, so the later one gets a number.
    fn set_apart(&mut self, case: &mut Case) {
        let plain_name = case.name.clone();
        let mut number = 1_usize;
        while !self.identities.insert(format!("{}_{}", case.class, case.name)) {
            number += 1;
            case.name = format!("{plain_name} ({number})");
        }
    }

    /// `started_ms` in milliseconds since 1970.
    fn write(mut self, started_ms: i64, host: &str) -> String {
        if let Some(worst) = self.worst_left_out {
            let message = format!("{} left out to keep this report small", counted(self.left_out, "row"));
            let body = format!("{message}; the table and the JSON report hold all of them");
            let mark = if worst == Mark::Pass { Mark::Skipped("left-out") } else { worst };
            let mut case = Case::new(RUN, "rows left out", mark, &message, &body);
            self.set_apart(&mut case);
            self.cases.push(case);
        }
        let mut suite = TestSuite::new("parallax");
        suite.package = "parallax".to_owned();
        suite.hostname = text::short(host, NAME);
        let started = OffsetDateTime::from_unix_timestamp_nanos(i128::from(started_ms) * 1_000_000);
        suite.set_timestamp(
            started.ok().filter(|at| (0..=9999).contains(&at.year())).unwrap_or(OffsetDateTime::UNIX_EPOCH),
        );
        suite.add_testcases(self.cases.iter().map(Case::test_case));
        let mut written = Vec::new();
        match ReportBuilder::new().add_testsuite(suite).build().write_xml(&mut written) {
            Ok(()) => String::from_utf8_lossy(&written).into_owned() + "\n",
            Err(_) => UNWRITABLE.to_owned(),
        }
    }
}

/// Writing to memory does not fail; were it ever to, the report must not read as success.
const UNWRITABLE: &str = concat!(
    r#"<?xml version="1.0" encoding="utf-8"?><testsuites><testsuite name="parallax">"#,
    r#"<testcase classname="parallax.run" name="ran"><error>the report could not be written</error></testcase>"#,
    "</testsuite></testsuites>\n"
);
