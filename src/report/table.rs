//! The default view: one screen for a person.
//!
//! In this order: the verdict and the counts; each incoherence with who sees what, what it breaks and what to do, its symptoms
//! beneath it, errors before warnings; endpoints that are answered differently; what could not be compared, grouped by reason; what was waived; which contexts could not
//! be looked at; notes. With `verbose` every other row follows, and every context.

use std::collections::{BTreeMap, BTreeSet};

use super::endpoints::{differing, line};
use super::matrix::Matrix;
use super::page::{Ink, Page};
use super::summary::{counted, decides, first_line, past_lines};
use super::{Style, text};
use crate::check::{Finding, Outcome, Run, Severity, Verdict};

/// A sentence longer than this many characters is cut.
const SENTENCE: usize = 1000;
/// How many check ids a group of unknown rows names before it counts the rest.
const NAMED: usize = 4;
/// How many groups of unknown rows, limits and notes are shown before the rest is counted.
const SHOWN: usize = 12;

/// Renders a run for a person.
pub fn render(run: &Run, style: &Style) -> String {
    let mut page = Page::new(style);
    verdict(&mut page, run);
    incoherent(&mut page, run, style);
    endpoints(&mut page, run, style);
    unknown(&mut page, run, style);
    held(&mut page, run, style);
    waived(&mut page, run, style);
    contexts(&mut page, run, style);
    notes(&mut page, run, style);
    if style.verbose {
        rows(&mut page, run, &[Outcome::Unknown, Outcome::Coherent, Outcome::NotApplicable]);
    } else if run.findings.iter().any(|finding| finding.outcome != Outcome::Incoherent) {
        page.gap();
        page.text(Ink::Dim, 0, "-v lists every row and every context");
    }
    page.finish()
}

/// What a person is told when a run came to nothing.
pub fn failed_run(message: &str, command: &str) -> String {
    format!("failed: {} (parallax {})\n", text::short(message, SENTENCE), text::short(command, SENTENCE))
}

/// The first line, and what keeps a run from being coherent beside its rows.
pub(super) fn verdict(page: &mut Page, run: &Run) {
    let ink = match run.verdict() {
        Verdict::Coherent => Ink::Good,
        Verdict::Incoherent => Ink::Bad,
        Verdict::Warnings | Verdict::Undetermined => Ink::Warn,
    };
    page.text(ink, 0, &first_line(run));
    if run.comparisons() == 0 {
        page.gap();
        page.text(Ink::Warn, 0, "nothing was compared, so nothing is known");
    }
    for view in &run.missing {
        page.gap();
        page.labelled(
            Ink::Warn,
            0,
            "missing: ",
            &format!("the required view {} was not there", text::short(view, SENTENCE)),
        );
    }
}

/// The finding that heads the group of this one: the end of the chain of causes that are incoherent in this run. A chain that
/// bites its own tail has no head, so each of its findings heads itself.
fn head<'a>(by_key: &BTreeMap<(&'a str, &'a str), &'a Finding>, finding: &'a Finding) -> (&'a str, &'a str) {
    let own = (finding.check.as_str(), finding.subject.as_str());
    let mut at = own;
    for _ in 0..=by_key.len() {
        let cause = by_key.get(&at).and_then(|found| found.caused_by.as_ref());
        match cause.map(|(check, subject)| (check.as_str(), subject.as_str())).filter(|key| by_key.contains_key(key)) {
            None => return at,
            Some(cause) => at = cause,
        }
    }
    own
}

/// The incoherent rows, each symptom beneath its cause.
pub(super) fn incoherent(page: &mut Page, run: &Run, style: &Style) {
    let found = || run.findings.iter().filter(|finding| finding.outcome == Outcome::Incoherent);
    let by_key: BTreeMap<_, _> = found().map(|one| ((one.check.as_str(), one.subject.as_str()), one)).collect();
    let mut symptoms: BTreeMap<(&str, &str), Vec<&Finding>> = BTreeMap::new();
    let mut heads = Vec::new();
    for finding in found() {
        let key = head(&by_key, finding);
        if key == (finding.check.as_str(), finding.subject.as_str()) {
            heads.push(finding);
        } else {
            symptoms.entry(key).or_default().push(finding);
        }
    }
    let mut groups: Vec<_> = heads
        .into_iter()
        .map(|finding| {
            (finding, symptoms.remove(&(finding.check.as_str(), finding.subject.as_str())).unwrap_or_default())
        })
        .collect();
    groups.sort_by_key(|(finding, below)| below.iter().map(|one| one.severity).fold(finding.severity, Severity::min));
    for (finding, below) in groups {
        page.gap();
        one_incoherent(page, finding, &below, style);
    }
}

fn one_incoherent(page: &mut Page, finding: &Finding, symptoms: &[&Finding], style: &Style) {
    page.labelled(severity_ink(finding), 0, &format!("{}: ", finding.severity.word()), &sentence(finding));
    for line in Matrix::of(&finding.participants, style.verbose).lines(page.beside(4)) {
        page.text(Ink::Plain, 4, &line);
    }
    if !finding.why.is_empty() {
        page.labelled(Ink::Plain, 2, "breaks: ", &prose(&finding.why, style));
    }
    if !finding.fix.is_empty() {
        page.labelled(Ink::Strong, 2, "do:     ", &prose(&finding.fix, style));
    }
    if let Some((check, subject)) = finding.caused_by.as_ref().filter(|_| symptoms.is_empty()) {
        let cause = format!("{} ({})", text::short(check, SENTENCE), text::short(subject, SENTENCE));
        page.labelled(Ink::Plain, 2, "cause:  ", &cause);
    }
    for symptom in symptoms {
        page.labelled(Ink::Plain, 2, "so:     ", &format!("{} ({})", sentence(symptom), text::plain(&symptom.check)));
    }
    page.command(2, "more:   ", "parallax explain", &text::name(&finding.check, 80), style.links);
}

/// The endpoints of which contexts say different things.
fn endpoints(page: &mut Page, run: &Run, style: &Style) {
    let found = differing(run);
    let shown = if style.verbose { found.len() } else { SHOWN };
    for note in found.iter().take(shown) {
        page.gap();
        page.labelled(Ink::Plain, 0, "endpoint: ", &text::short(&note.endpoint, SENTENCE));
        note.answers.iter().for_each(|answer| page.text(Ink::Plain, 4, &line(answer)));
    }
    rest(page, found.len().saturating_sub(shown), "endpoint");
}

/// What could not be compared, grouped by reason, so that one cause of many unknown rows is read once.
pub(super) fn unknown(page: &mut Page, run: &Run, style: &Style) {
    let mut by_reason: BTreeMap<String, Reason<'_>> = BTreeMap::new();
    for finding in run.findings.iter().filter(|finding| finding.outcome == Outcome::Unknown) {
        let (context, why) = match finding.unseen.first() {
            Some(unseen) => (Some(text::short(&unseen.context, SENTENCE)), text::short(&unseen.reason, SENTENCE)),
            None => (None, sentence(finding)),
        };
        let reason = by_reason.entry(why).or_default();
        reason.contexts.extend(context);
        reason.checks.insert(&finding.check);
        reason.decides |= decides(run, finding);
    }
    if by_reason.is_empty() {
        return;
    }
    let mut reasons: Vec<_> = by_reason.into_iter().collect();
    reasons.sort_by_key(|(_, reason)| !reason.decides);
    page.gap();
    let shown = if style.verbose { reasons.len() } else { SHOWN };
    for (why, reason) in reasons.iter().take(shown) {
        let mut line = format!("{} could not be compared", counted(reason.checks.len(), "check"));
        match reason.contexts.len() {
            0 => {}
            1 => line.push_str(&format!(" for {}", some(&reason.contexts, style))),
            many => line.push_str(&format!(" for {many} contexts ({})", some(&reason.contexts, style))),
        }
        line.push_str(&format!(": {why}"));
        page.labelled(if reason.decides { Ink::Warn } else { Ink::Dim }, 0, "unknown: ", &line);
        let checks = reason.checks.iter().map(|check| text::plain(check)).collect();
        page.text(Ink::Dim, 9, &some(&checks, style));
    }
    rest(page, reasons.len().saturating_sub(shown), "reason");
}

/// What one reason kept from being compared.
#[derive(Default)]
struct Reason<'a> {
    contexts: BTreeSet<String>,
    checks: BTreeSet<&'a str>,
    decides: bool,
}

/// The first few, and how many more; all with `verbose`.
fn some(names: &BTreeSet<String>, style: &Style) -> String {
    let most = if style.verbose { names.len() } else { NAMED };
    let named: Vec<_> = names.iter().take(most).map(String::as_str).collect();
    match names.len().saturating_sub(most) {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}

/// What the baseline holds, and what became of the rest of it.
pub(super) fn held(page: &mut Page, run: &Run, style: &Style) {
    let Some(baseline) = &run.baseline else { return };
    let found: Vec<_> = run.findings.iter().filter(|finding| finding.outcome == Outcome::Held).collect();
    let past = past_lines(run);
    if found.is_empty() && past.is_empty() {
        return;
    }
    page.gap();
    if style.verbose {
        for finding in found {
            let instead = finding.held.unwrap_or(finding.outcome).word();
            let line = format!(
                "{} ({}), {instead}, {}",
                sentence(finding),
                text::plain(&finding.check),
                finding.severity.word()
            );
            page.labelled(Ink::Dim, 0, "held: ", &line);
        }
    } else if !found.is_empty() {
        let line = format!(
            "{} recorded in {} (-v lists them)",
            counted(found.len(), "row"),
            text::short(&baseline.by, SENTENCE)
        );
        page.labelled(Ink::Dim, 0, "held: ", &line);
    }
    let shown = if style.verbose { past.len() } else { SHOWN };
    for line in past.iter().take(shown) {
        page.labelled(Ink::Dim, 0, "baseline: ", line);
    }
    rest(page, past.len().saturating_sub(shown), "recorded finding");
}

/// The waived rows.
pub(super) fn waived(page: &mut Page, run: &Run, style: &Style) {
    let found: Vec<_> = run.findings.iter().filter(|finding| finding.outcome == Outcome::Waived).collect();
    if found.is_empty() {
        return;
    }
    page.gap();
    if !style.verbose {
        page.labelled(
            Ink::Dim,
            0,
            "waived: ",
            &format!("{} (-v says why and until when)", counted(found.len(), "row")),
        );
        return;
    }
    for finding in found {
        let mut line = format!("{} ({})", sentence(finding), text::plain(&finding.check));
        if let Some(waiver) = &finding.waiver {
            line.push_str(&format!(
                ", {} until {} by {}: {}",
                waiver.instead_of.word(),
                text::plain(&waiver.until),
                text::plain(&waiver.by),
                text::short(&waiver.reason, SENTENCE)
            ));
        }
        page.labelled(Ink::Dim, 0, "waived: ", &line);
    }
}

/// The contexts from which looking lacks something; all of them with `verbose`.
pub(super) fn contexts(page: &mut Page, run: &Run, style: &Style) {
    let limited: Vec<_> = run.contexts.iter().filter(|context| style.verbose || !context.limits.is_empty()).collect();
    if limited.is_empty() {
        return;
    }
    page.gap();
    let shown = if style.verbose { limited.len() } else { SHOWN };
    for context in limited.iter().take(shown) {
        let mut line = text::short(&context.id, SENTENCE);
        if style.verbose {
            line.push_str(&format!(
                " ({}, {} ms, {} not observed)",
                text::plain(&context.entry),
                context.took_ms,
                counted(context.unobserved, "fact")
            ));
        }
        if !context.limits.is_empty() {
            let limits: Vec<_> = context.limits.iter().map(|limit| text::short(limit, SENTENCE)).collect();
            line.push_str(&format!(": {}", limits.join("; ")));
        }
        let ink = if context.entry == "none" { Ink::Warn } else { Ink::Dim };
        page.labelled(ink, 0, "context: ", &line);
    }
    rest(page, limited.len().saturating_sub(shown), "context");
}

/// What else a reader must know.
pub(super) fn notes(page: &mut Page, run: &Run, style: &Style) {
    if run.notes.is_empty() {
        return;
    }
    page.gap();
    let shown = if style.verbose { run.notes.len() } else { SHOWN };
    for note in run.notes.iter().take(shown) {
        page.labelled(Ink::Dim, 0, "note: ", &text::short(note, SENTENCE));
    }
    rest(page, run.notes.len().saturating_sub(shown), "note");
}

/// The rows that nothing else on the page shows one by one.
pub(super) fn rows(page: &mut Page, run: &Run, outcomes: &[Outcome]) {
    for &outcome in outcomes {
        page.gap();
        for finding in run.findings.iter().filter(|finding| finding.outcome == outcome) {
            let ink = if outcome == Outcome::Coherent { Ink::Good } else { Ink::Dim };
            let row = format!("{}  {}", text::plain(&finding.check), text::short(&finding.subject, SENTENCE));
            page.labelled(ink, 0, &format!("{}: ", outcome.word()), &row);
            for unseen in &finding.unseen {
                let why = format!("{} {}: {}", unseen.context, unseen.fact, unseen.reason);
                page.text(Ink::Dim, 4, &text::short(&why, SENTENCE));
            }
        }
    }
}

fn rest(page: &mut Page, hidden: usize, noun: &str) {
    if hidden > 0 {
        page.text(Ink::Dim, 0, &format!("{} more (-v shows all)", counted(hidden, noun)));
    }
}

/// The message; the subject stands in where a row has none.
fn sentence(finding: &Finding) -> String {
    let said = if finding.message.is_empty() { &finding.subject } else { &finding.message };
    text::short(said, SENTENCE)
}

/// Prose of a check file: its first paragraph as one line, all of it with `verbose`.
fn prose(written: &str, style: &Style) -> String {
    let written = written.trim();
    let kept = if style.verbose { written } else { written.split("\n\n").next().unwrap_or(written) };
    let words: Vec<_> = kept.split_whitespace().collect();
    text::short(&words.join(" "), SENTENCE)
}

fn severity_ink(finding: &Finding) -> Ink {
    match finding.severity {
        Severity::Error => Ink::Bad,
        Severity::Warning => Ink::Warn,
    }
}
