//! Pages about one check and about one fact, as text for a terminal and as Markdown for the generated documentation.
//!
//! Takes plain structures, so that it need not know where they come from. Prose keeps its code spans; everything else that is
//! special in Markdown or HTML is escaped.

use super::page::{Ink, Page};
use super::{Style, text};

/// What there is to say about a check.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckPage {
    /// Its id, such as `store/one-writer`.
    pub id: String,
    /// The claim in words.
    pub title: String,
    /// `error` or `warning`.
    pub severity: String,
    /// Which gap it belongs to.
    pub gap: String,
    /// Which contexts are compared, how and why they are comparable, in words.
    pub relation: String,
    /// The facts that it reads, by path.
    pub facts: Vec<String>,
    /// What breaks.
    pub why: String,
    /// What to do.
    pub fix: String,
    /// The checks that it can be a symptom of.
    pub caused_by: Vec<String>,
    /// The file that defines it.
    pub source: String,
}

/// What there is to say about a fact.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FactPage {
    /// Its path, such as `store.db.mode`.
    pub path: String,
    /// Its type, in words.
    pub type_: String,
    /// What it means, in which unit, and where it is read.
    pub doc: String,
    /// The checks that read it.
    pub read_by: Vec<String>,
    /// Whom a server tells it, in words.
    pub told: String,
}

/// A check's page for a terminal.
pub fn check_text(check: &CheckPage, style: &Style) -> String {
    let mut page = Page::new(style);
    page.labelled(Ink::Strong, 0, &format!("{}: ", text::plain(&check.id)), &text::plain(&check.title));
    page.gap();
    page.labelled(Ink::Plain, 0, "severity:  ", &text::plain(&check.severity));
    page.labelled(Ink::Plain, 0, "gap:       ", &text::plain(&check.gap));
    page.labelled(Ink::Plain, 0, "compares:  ", &flow(&check.relation));
    listed(&mut page, "reads:     ", &check.facts);
    listed(&mut page, "caused by: ", &check.caused_by);
    page.labelled(Ink::Plain, 0, "defined:   ", &text::plain(&check.source));
    section(&mut page, "What breaks", &check.why);
    section(&mut page, "What to do", &check.fix);
    page.finish()
}

/// A fact's page for a terminal.
pub fn fact_text(fact: &FactPage, style: &Style) -> String {
    let mut page = Page::new(style);
    page.labelled(Ink::Strong, 0, &format!("{}: ", text::plain(&fact.path)), &text::plain(&fact.type_));
    paragraphs(&mut page, &fact.doc);
    page.gap();
    listed(&mut page, "read by: ", &fact.read_by);
    page.labelled(Ink::Plain, 0, "told:    ", &text::plain(&fact.told));
    page.finish()
}

/// A check's page for the documentation.
pub fn check_markdown(check: &CheckPage) -> String {
    let mut page = format!("# {}\n\n{}\n\n", escape(&check.id), escape(&check.title));
    for (label, value) in [("Severity", &check.severity), ("Gap", &check.gap), ("Compares", &check.relation)] {
        page.push_str(&format!("* {label}: {}\n", escape(&flow(value))));
    }
    for (label, ids) in [("Reads", &check.facts), ("Caused by", &check.caused_by)] {
        if !ids.is_empty() {
            page.push_str(&format!("* {label}: {}\n", codes(ids)));
        }
    }
    page.push_str(&format!("* Defined in: {}\n", code(&check.source)));
    for (heading, prose) in [("What breaks", &check.why), ("What to do", &check.fix)] {
        if !prose.trim().is_empty() {
            page.push_str(&format!("\n## {heading}\n\n{}\n", markdown_prose(prose)));
        }
    }
    page
}

/// A fact's page for the documentation.
pub fn fact_markdown(fact: &FactPage) -> String {
    let mut page = format!("# {}\n\n* Type: {}\n", escape(&fact.path), code(&fact.type_));
    if !fact.read_by.is_empty() {
        page.push_str(&format!("* Read by: {}\n", codes(&fact.read_by)));
    }
    page.push_str(&format!("* Told: {}\n", escape(&fact.told)));
    if !fact.doc.trim().is_empty() {
        page.push_str(&format!("\n{}\n", markdown_prose(&fact.doc)));
    }
    page
}

fn listed(page: &mut Page, label: &str, entries: &[String]) {
    if !entries.is_empty() {
        let entries: Vec<_> = entries.iter().map(|entry| text::plain(entry)).collect();
        page.labelled(Ink::Plain, 0, label, &entries.join(", "));
    }
}

fn section(page: &mut Page, heading: &str, prose: &str) {
    if !prose.trim().is_empty() {
        page.gap();
        page.text(Ink::Strong, 0, heading);
        paragraphs(page, prose);
    }
}

fn paragraphs(page: &mut Page, prose: &str) {
    for paragraph in prose.trim().split("\n\n").filter(|paragraph| !paragraph.trim().is_empty()) {
        page.gap();
        page.paragraph(&flow(paragraph));
    }
}

fn markdown_prose(prose: &str) -> String {
    let paragraphs = prose.trim().split("\n\n").map(flow).filter(|paragraph| !paragraph.is_empty());
    paragraphs.map(|paragraph| escape(&paragraph)).collect::<Vec<_>>().join("\n\n")
}

/// One paragraph as one plain line.
fn flow(prose: &str) -> String {
    text::plain(&prose.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn codes(ids: &[String]) -> String {
    ids.iter().map(|id| code(id)).collect::<Vec<_>>().join(", ")
}

/// A code span; a backtick cannot be escaped within one, so it becomes its look-alike.
fn code(value: &str) -> String {
    format!("`{}`", text::plain(value).replace('`', "ˋ"))
}

/// Markdown in which only code spans mean something: everything else that is special, HTML included, is escaped.
fn escape(prose: &str) -> String {
    let plain = text::plain(prose);
    let parts: Vec<_> = plain.split('`').collect();
    let spans_close = parts.len() % 2 == 1;
    let mut escaped = String::with_capacity(plain.len());
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            escaped.push_str(if spans_close { "`" } else { "\\`" });
        }
        if index % 2 == 1 && spans_close {
            escaped.push_str(part);
        } else {
            escape_outside_code(part, &mut escaped);
        }
    }
    match escaped.chars().next() {
        Some('#' | '-' | '+' | '=' | '~') => format!("\\{escaped}"),
        _ => escaped,
    }
}

fn escape_outside_code(part: &str, escaped: &mut String) {
    for char in part.chars() {
        match char {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '[' | ']' | '*' | '_' | '\\' | '|' | '!' => {
                escaped.push('\\');
                escaped.push(char);
            }
            _ => escaped.push(char),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn html_and_links_in_prose_are_text() {
        assert_eq!(escape("<script> [x](javascript:y) & *z*"), "&lt;script&gt; \\[x\\](javascript:y) &amp; \\*z\\*");
    }

    #[test]
    fn a_code_span_keeps_its_angle_brackets() {
        assert_eq!(escape("set `a<b>` there"), "set `a<b>` there");
    }

    #[test]
    fn a_lone_backtick_opens_nothing() {
        assert_eq!(escape("a ` <b>"), "a \\` &lt;b&gt;");
    }

    #[test]
    fn a_paragraph_cannot_become_a_heading() {
        assert_eq!(escape("# x"), "\\# x");
    }
}
