//! The job log, as GitLab shows it: incoherences open, everything else in sections that are folded until somebody opens them.
//!
//! A section is `ESC[0K section_start:SECONDS:NAME[options] CR ESC[0K header`, and GitLab takes nothing else for one. No foreign text holds an
//! escape or a carriage return once it is plain, so none opens or ends a section. Of escape sequences only SGR and these are written: GitLab
//! drops the others.

use super::page::Page;
use super::summary::{counted, decides};
use super::{Style, table, text};
use crate::check::{Outcome, Run};

/// The most lines of a section, and of the findings before them: a runner keeps 4 MiB of a log by default.
const LINES: usize = 400;
/// The most bytes of a line's worth of sections.
const BYTES: usize = 200_000;

/// Renders a run for a job log.
pub fn render(run: &Run, style: &Style) -> String {
    // What is folded may be long: it is there for whoever opens it.
    let style = Style { links: false, ..*style };
    let deep = Style { verbose: true, ..style };
    let mut log = cut(&written(&style, |page| {
        table::verdict(page, run);
        table::incoherent(page, run, &style);
    }));
    let unknown = run.count(Outcome::Unknown);
    let is_why = run.count(Outcome::Incoherent) == 0 && run.findings.iter().any(|finding| decides(run, finding));
    let mut add = |name: &str, header: String, open: bool, body: String| {
        if !body.trim().is_empty() {
            log.push_str(&section(run, name, &header, open, &cut(&body)));
        }
    };
    let count = |outcome: Outcome| counted(run.count(outcome), "row");
    add(
        "unknown",
        format!("unknown: {}", counted(unknown, "row")),
        is_why,
        written(&deep, |page| table::unknown(page, run, &deep)),
    );
    add(
        "held",
        format!("baseline: {} held", count(Outcome::Held)),
        false,
        written(&deep, |page| table::held(page, run, &deep)),
    );
    add(
        "waived",
        format!("waived: {}", count(Outcome::Waived)),
        false,
        written(&deep, |page| table::waived(page, run, &deep)),
    );
    let looked = counted(run.contexts.len(), "context");
    add("contexts", format!("contexts: {looked}"), false, written(&deep, |page| table::contexts(page, run, &deep)));
    add("notes", counted(run.notes.len(), "note"), false, written(&deep, |page| table::notes(page, run, &deep)));
    let rest = [Outcome::Coherent, Outcome::NotApplicable];
    let header = format!("coherent: {}, not applicable: {}", count(rest[0]), count(rest[1]));
    add("rows", header, false, written(&style, |page| table::rows(page, run, &rest)));
    log
}

/// What the log says of a run that came to nothing.
pub fn failed_run(message: &str, command: &str) -> String {
    table::failed_run(message, command)
}

fn written(style: &Style, write: impl FnOnce(&mut Page)) -> String {
    let mut page = Page::new(style);
    write(&mut page);
    page.finish()
}

/// A name is used once in a job's log, also where parallax runs there several times.
fn section(run: &Run, name: &str, header: &str, open: bool, body: &str) -> String {
    let seconds = run.started_ms.max(0) / 1000;
    let name = format!("parallax_{name}_{}", run.started_ms);
    let options = if open { "hide_duration=true" } else { "hide_duration=true,collapsed=true" };
    let header = text::plain(header);
    format!(
        "\u{1b}[0Ksection_start:{seconds}:{name}[{options}]\r\u{1b}[0K{header}\n{body}\u{1b}[0Ksection_end:{seconds}:{name}\r\u{1b}[0K\n"
    )
}

/// At most [`LINES`] lines and [`BYTES`] bytes; what is left out is said.
fn cut(body: &str) -> String {
    let (mut kept, mut lines) = (String::new(), body.lines());
    for (count, line) in lines.by_ref().enumerate() {
        if count == LINES || kept.len() + line.len() > BYTES {
            let more = counted(1 + lines.count(), "more line");
            kept.push_str(&format!("({more} left out; a JSON report, --output json=FILE, holds everything)\n"));
            return kept;
        }
        kept.push_str(line);
        kept.push('\n');
    }
    kept
}
