//! Foreign text made safe: names, values and reasons come from targets, and a target may be hostile.
//!
//! [`plain`] is the one function that every report sends foreign text through. What it lets through is one line of printable
//! characters: valid in XML 1.0, without a terminal escape, and shown in the order in which it is stored. Nothing is dropped
//! silently: what cannot be shown as it is becomes visible (`␛`, `␊`, `⟨U+202E⟩`).
//!
//! Markup (`<`, `&`, `]]>`, Markdown) is the format's own business: each escapes what is special in it.

use serde::Serialize;
use sha2::{Digest, Sha256};

/// Foreign text as one line of printable characters. A control character becomes its picture (U+2400 and following), anything else
/// that is invisible, turns the direction of writing or is no character becomes `⟨U+XXXX⟩`.
pub fn plain(foreign: &str) -> String {
    let mut shown = String::with_capacity(foreign.len());
    for char in foreign.chars() {
        match char {
            '\u{0}'..='\u{1f}' => shown.push(picture(char)),
            '\u{7f}' => shown.push('␡'),
            _ if is_unprintable(char) => shown.push_str(&format!("⟨U+{:04X}⟩", u32::from(char))),
            _ => shown.push(char),
        }
    }
    shown
}

/// Text of several lines, each made [`plain`]; for prose of check files, where line ends mean something.
pub fn lines(prose: &str) -> String {
    prose.lines().map(plain).collect::<Vec<_>>().join("\n")
}

/// [`plain`], cut after `most` characters; a cut is marked and says how much is missing.
pub fn short(foreign: &str, most: usize) -> String {
    match foreign.char_indices().nth(most) {
        None => plain(foreign),
        Some((cut, _)) => {
            let missing = foreign.len() - cut;
            format!("{}… ({missing} more bytes)", plain(&foreign[..cut]))
        }
    }
}

/// A name that stands for `foreign` in a place where names identify: [`plain`], at most `most` characters. Where that changed
/// anything, a digest of the original follows, so that different originals keep different names and the name is the same in
/// every run.
pub fn name(foreign: &str, most: usize) -> String {
    let shown = plain(foreign);
    if shown == foreign && shown.chars().count() <= most {
        return shown;
    }
    let digest = Sha256::digest(foreign.as_bytes());
    let kept: String = shown.chars().take(most).collect();
    let mut named = format!("{kept} #");
    for byte in digest.iter().take(6) {
        named.push_str(&format!("{byte:02x}"));
    }
    named
}

/// A document as indented JSON in which no invisible character stands raw: it may be printed to a terminal, and holds the same values.
pub fn json<T: Serialize>(document: &T) -> serde_json::Result<String> {
    Ok(escaped(&serde_json::to_string_pretty(document)?))
}

/// [`json`], on one line.
pub fn json_line<T: Serialize>(document: &T) -> serde_json::Result<String> {
    Ok(escaped(&serde_json::to_string(document)?))
}

fn escaped(raw: &str) -> String {
    let mut shown = String::with_capacity(raw.len());
    for char in raw.chars() {
        // The structure is ASCII, so each of these stands in a string. serde_json has escaped U+0000 to U+001F.
        if char == '\u{7f}' || is_unprintable(char) {
            char.encode_utf16(&mut [0; 2]).iter().for_each(|unit| shown.push_str(&format!("\\u{unit:04x}")));
        } else {
            shown.push(char);
        }
    }
    shown
}

fn picture(control: char) -> char {
    char::from_u32(0x2400 + u32::from(control)).unwrap_or('\u{fffd}')
}

/// Controls beyond ASCII (C1), bidirectional controls (the set of UAX #9), zero-width and other default-ignorable characters,
/// line and paragraph separators, noncharacters (XML 1.0 forbids U+FFFE and U+FFFF), private use and tags.
fn is_unprintable(char: char) -> bool {
    let is_noncharacter = matches!(char, '\u{fdd0}'..='\u{fdef}') || u32::from(char) & 0xfffe == 0xfffe;
    is_noncharacter
        || matches!(
            char,
            '\u{80}'..='\u{9f}'
                | '\u{ad}'
                | '\u{34f}'
                | '\u{61c}'
                | '\u{115f}'..='\u{1160}'
                | '\u{17b4}'..='\u{17b5}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{3164}'
                | '\u{e000}'..='\u{f8ff}'
                | '\u{fe00}'..='\u{fe0f}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff0}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e0fff}'
                | '\u{f0000}'..='\u{10ffff}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_escape_becomes_visible() {
        assert_eq!(plain("\u{1b}[31mred\u{1b}[0m"), "␛[31mred␛[0m");
        assert_eq!(plain("\u{9b}2J"), "⟨U+009B⟩2J");
    }

    #[test]
    fn a_document_holds_no_raw_escape_and_the_same_values() {
        let hostile = "\u{9b}2J\u{7f}\u{202e}\u{1b}\u{e0001}é";
        let shown = json(&hostile).expect("JSON");
        assert_eq!(shown, r#""\u009b2J\u007f\u202e\u001b\udb40\udc01é""#);
        assert_eq!(serde_json::from_str::<String>(&shown).expect("JSON"), hostile);
    }

    #[test]
    fn a_value_cannot_forge_a_second_line() {
        assert_eq!(plain("a\r\nb\tc\0d\u{2028}e\u{85}f"), "a␍␊b␉c␀d⟨U+2028⟩e⟨U+0085⟩f");
    }

    #[test]
    fn text_is_shown_in_the_order_in_which_it_is_stored() {
        assert_eq!(plain("exe\u{202e}gpj\u{2066}"), "exe⟨U+202E⟩gpj⟨U+2066⟩");
    }

    #[test]
    fn ordinary_text_of_any_script_is_left_alone() {
        let text = "Grüße, 東京, здравствуй, مرحبا, e\u{301}, \"<&>' ]]> 🦀";
        assert_eq!(plain(text), text);
    }

    #[test]
    fn making_text_plain_twice_changes_nothing() {
        let once = plain("\u{1b}\u{fffe}\u{10ffff}x\u{7f}");
        assert_eq!(plain(&once), once);
    }

    #[test]
    fn names_that_would_look_alike_keep_apart() {
        assert_ne!(name("a\nb", 50), name("a␊b", 50));
        assert_ne!(name(&"x".repeat(100), 50), name(&"x".repeat(101), 50));
        assert_eq!(name("a, b", 50), "a, b");
    }

    #[test]
    fn a_cut_says_how_much_is_missing() {
        assert_eq!(short("abcdef", 4), "abcd… (2 more bytes)");
        assert_eq!(short("äöü", 3), "äöü");
    }
}
