//! Lines of at most so many columns, with or without colour. Text is wrapped first and coloured afterwards, so that an escape
//! sequence never counts as width and never spans a line end.

use textwrap::{Options, WordSeparator, WordSplitter};

use super::Style;

/// What a line is, for the eye.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ink {
    /// Nothing special.
    Plain,
    /// A heading.
    Strong,
    /// What is broken.
    Bad,
    /// What deserves a look.
    Warn,
    /// What is well.
    Good,
    /// What can be skipped.
    Dim,
}

impl Ink {
    /// The parameters of the SGR sequence (ECMA-48 8.3.117).
    fn sgr(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Strong => Some("1"),
            Self::Bad => Some("1;31"),
            Self::Warn => Some("1;33"),
            Self::Good => Some("1;32"),
            Self::Dim => Some("2"),
        }
    }
}

/// A page that is being written.
pub struct Page {
    columns: usize,
    colour: bool,
    written: String,
}

impl Page {
    /// An empty page.
    pub fn new(style: &Style) -> Self {
        Self { columns: style.columns(), colour: style.colour, written: String::new() }
    }

    /// How many columns are left beside an indentation.
    pub fn beside(&self, indent: usize) -> usize {
        self.columns - indent
    }

    /// Writes text indented by `indent` columns, and by two more where it is wrapped. Line ends in it are kept.
    pub fn text(&mut self, ink: Ink, indent: usize, text: &str) {
        for line in text.lines() {
            let deeper = indent + line.len() - line.trim_start_matches(' ').len();
            self.labelled(ink, deeper, "", line.trim_start_matches(' '));
        }
    }

    /// Writes a paragraph flush.
    pub fn paragraph(&mut self, text: &str) {
        let options = Options::new(self.columns)
            .word_separator(WordSeparator::AsciiSpace)
            .word_splitter(WordSplitter::NoHyphenation);
        for line in textwrap::wrap(text, options) {
            self.raw(Ink::Plain, line.trim_end());
        }
    }

    /// Writes a label and text beside it; where it is wrapped, the text goes on below itself.
    pub fn labelled(&mut self, ink: Ink, indent: usize, label: &str, text: &str) {
        let indent = indent.min(self.columns / 2);
        let first = format!("{}{label}", " ".repeat(indent));
        let hang = if label.is_empty() { indent + 2 } else { indent + textwrap::core::display_width(label) };
        let rest = " ".repeat(hang.min(self.columns / 2));
        // Broken at blanks only: a path is not cut at its hyphens and slashes, where a person would copy half of it.
        let options = Options::new(self.columns)
            .initial_indent(&first)
            .subsequent_indent(&rest)
            .word_separator(WordSeparator::AsciiSpace)
            .word_splitter(WordSplitter::NoHyphenation);
        for line in textwrap::wrap(text, options) {
            self.raw(ink, line.trim_end());
        }
    }

    /// Writes a command about a check, whose id becomes a terminal hyperlink where `link` is set, the package names a home page and
    /// the line needs no wrapping. `id` must be plain.
    pub fn command(&mut self, indent: usize, label: &str, command: &str, id: &str, link: bool) {
        let line = format!("{}{label}{command} ", " ".repeat(indent));
        let home = env!("CARGO_PKG_HOMEPAGE");
        if link
            && !home.is_empty()
            && textwrap::core::display_width(&line) + textwrap::core::display_width(id) <= self.columns
        {
            self.written.push_str(&format!("{line}{}\n", hyperlink(&format!("{home}/checks/{id}"), id)));
        } else {
            self.labelled(Ink::Plain, indent, label, &format!("{command} {id}"));
        }
    }

    /// An empty line between sections; never two, never at the top.
    pub fn gap(&mut self) {
        if !self.written.is_empty() && !self.written.ends_with("\n\n") {
            self.written.push('\n');
        }
    }

    /// The page.
    pub fn finish(self) -> String {
        self.written
    }

    fn raw(&mut self, ink: Ink, line: &str) {
        match ink.sgr().filter(|_| self.colour && !line.is_empty()) {
            Some(sgr) => {
                let text = line.trim_start_matches(' ');
                self.written.push_str(&line[..line.len() - text.len()]);
                self.written.push_str(&format!("\u{1b}[{sgr}m{text}\u{1b}[0m\n"));
            }
            None => {
                self.written.push_str(line);
                self.written.push('\n');
            }
        }
    }
}

/// OSC 8, as terminals that know it agree: a terminal that does not shows the text alone.
fn hyperlink(target: &str, shown: &str) -> String {
    format!("\u{1b}]8;;{target}\u{1b}\\{shown}\u{1b}]8;;\u{1b}\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hyperlink_is_opened_and_closed() {
        assert_eq!(hyperlink("https://a/b", "b"), "\u{1b}]8;;https://a/b\u{1b}\\b\u{1b}]8;;\u{1b}\\");
    }

    #[test]
    fn a_long_word_is_broken_rather_than_too_wide() {
        let mut page = Page::new(&Style { width: 40, ..Style::default() });
        page.labelled(Ink::Plain, 2, "breaks: ", &"x".repeat(500));
        assert!(page.finish().lines().all(|line| line.chars().count() <= 40));
    }

    #[test]
    fn colour_never_spans_a_line_end() {
        let mut page = Page::new(&Style { width: 40, colour: true, ..Style::default() });
        page.text(Ink::Bad, 0, &"word ".repeat(30));
        for line in page.finish().lines() {
            assert!(line.trim_start().starts_with("\u{1b}[1;31m") && line.ends_with("\u{1b}[0m"), "{line:?}");
        }
    }
}
