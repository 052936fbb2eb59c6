//! Foreign text in Markdown: one line, in code spans, of which neither CommonMark nor GitLab makes anything.
//!
//! Sources: CommonMark 0.31 (6.1 code spans), GitHub Flavored Markdown 0.29 (4.10 tables: `\|` in a cell is a pipe in code too), GitLab's
//! references, mentions, emoji and quick actions, none of which reaches into code.

use crate::report::text;

/// The longest word of digits, or of the letters `a` to `f`, that stands bare: from seven on GitLab takes it for a commit.
const HEX: usize = 6;

/// A code span of foreign text, cut after `most` characters. Fenced by one backtick more than the longest run in it.
pub fn code(foreign: &str, most: usize) -> String {
    span(&text::short(foreign, most))
}

/// A code span for a cell of a table. A pipe is escaped, as cells need it in code too; after a backslash, where readers differ about what is
/// escaped by what, it is shown as its number.
pub fn cell(foreign: &str, most: usize) -> String {
    let shown = text::short(foreign, most).replace("\\|", "\\⟨U+007C⟩").replace('|', "\\|");
    // A backslash before the end of the cell would escape nothing within a span, but the closing fence keeps it from the pipe anyway.
    span(&shown)
}

/// What may stand before and after a word of a sentence.
const OPENING: char = '(';
const CLOSING: [char; 5] = [',', '.', ';', ':', ')'];

/// A sentence: words that can mean nothing stand bare, everything else in code spans, with the punctuation of the sentence outside of them.
pub fn prose(foreign: &str) -> String {
    let shown = text::plain(&foreign.split_whitespace().collect::<Vec<_>>().join(" "));
    let (mut parts, mut odd) = (Vec::new(), Vec::new());
    for word in shown.split(' ').filter(|word| !word.is_empty()) {
        let without_lead = word.trim_start_matches(OPENING);
        let core = without_lead.trim_end_matches(CLOSING);
        let (lead, trail) = (&word[..word.len() - without_lead.len()], &without_lead[core.len()..]);
        if is_harmless(core, !trail.is_empty()) {
            flush(&mut odd, &mut parts);
            parts.push(word.to_owned());
        } else if core.is_empty() || (lead.is_empty() && trail.is_empty()) {
            odd.push(word);
        } else {
            if !lead.is_empty() {
                flush(&mut odd, &mut parts);
            }
            odd.push(core);
            parts.push(format!("{lead}{}{trail}", span(&odd.join(" "))));
            odd.clear();
        }
    }
    flush(&mut odd, &mut parts);
    parts.join(" ")
}

fn flush(odd: &mut Vec<&str>, parts: &mut Vec<String>) {
    if !odd.is_empty() {
        parts.push(span(&odd.join(" ")));
        odd.clear();
    }
}

/// A word of ours, or a code span.
pub fn word(foreign: &str) -> String {
    if is_harmless(foreign, false) { foreign.to_owned() } else { code(foreign, 100) }
}

/// Letters and few digits, in parts with hyphens or an apostrophe between them.
fn is_harmless(word: &str, is_closed: bool) -> bool {
    let is_plain = |part: &str| !part.is_empty() && part.chars().all(char::is_alphanumeric);
    let is_hex = word.len() > HEX && word.chars().all(|char| char.is_ascii_hexdigit());
    // `ABC-12` may be an issue of a tracker, and `1.` and `1)` begin a list.
    let digits = word.chars().filter(|char| char.is_numeric()).count();
    let is_reference = digits > 0 && word.contains('-');
    let is_number = is_closed && digits == word.chars().count();
    word.split(['-', '\'']).all(is_plain) && !is_hex && !is_reference && !is_number
}

fn span(plain: &str) -> String {
    if plain.is_empty() {
        return "(empty)".to_owned();
    }
    let longest = plain.split(|char| char != '`').map(str::len).max().unwrap_or_default();
    let fence = "`".repeat(longest + 1);
    let pad = if plain.starts_with(['`', ' ']) || plain.ends_with(['`', ' ']) { " " } else { "" };
    format!("{fence}{pad}{plain}{pad}{fence}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_stays_readable() {
        assert_eq!(
            prose("container:job writes /nix/var/nix/db itself, beside @all and #1"),
            "`container:job` writes `/nix/var/nix/db` itself, beside `@all` and `#1`"
        );
        assert_eq!(
            prose("commit deadbee, PROJ-12 of the daemon-user"),
            "commit `deadbee`, `PROJ-12` of the daemon-user"
        );
        assert_eq!(prose("(/nix/a b.c: d), the job's"), "(`/nix/a` `b.c`: d), the job's");
        assert_eq!(prose("1. a"), "`1`. a");
    }

    #[test]
    fn a_fence_is_longer_than_any_run_in_it() {
        assert_eq!(code("a``b`c", 50), "```a``b`c```");
        assert_eq!(code("`", 50), "`` ` ``");
    }

    #[test]
    fn a_pipe_never_ends_a_cell() {
        assert_eq!(cell("a|b\\|c", 50), "`a\\|b\\⟨U+007C⟩c`");
    }
}
