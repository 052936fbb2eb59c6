//! Who sees what: the facts of one row in which its participants differ. Equal facts are folded into one line.

use comfy_table::{ContentArrangement, Table, presets};

use super::text;
use crate::check::Participant;

/// A cell longer than this many characters is cut, unless values are asked for in full.
const CELL: usize = 120;
/// A value longer than this many characters is cut even then; no fact that a person reads is longer.
const VALUE: usize = 4000;
/// Participants beyond this many are counted, not shown, unless values are asked for in full.
const SIDES: usize = 8;
/// Columns get at least this width; with less, the matrix is written as lines.
const COLUMN: usize = 14;

/// The participants of a row against the facts that differ between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matrix {
    names: Vec<String>,
    rows: Vec<(String, Vec<String>)>,
    equal: Vec<String>,
    hidden: usize,
}

impl Matrix {
    /// Lays the participants' values side by side. With one participant every fact is shown, since there is nothing to
    /// differ from. `whole` shows every participant and does not cut values to a cell.
    pub fn of(participants: &[Participant], whole: bool) -> Self {
        let most = if whole { VALUE } else { CELL };
        let paths = paths(participants);
        let shown = if whole { participants.len() } else { participants.len().min(SIDES) };
        let mut matrix = Self {
            names: participants.iter().take(shown).map(column_name).collect(),
            rows: Vec::new(),
            equal: Vec::new(),
            hidden: participants.len() - shown,
        };
        for path in paths {
            let values: Vec<_> = participants.iter().map(|side| value(side, path)).collect();
            if !differs(participants, path) {
                matrix.equal.push(text::short(path, CELL));
            } else {
                let cells = values.iter().take(shown).map(|value| match value {
                    None => "-".to_owned(),
                    Some(value) if whole => text::short(value, most),
                    Some(value) => text::short(&gist(participants, path, value), most),
                });
                matrix.rows.push((text::short(path, CELL), cells.collect()));
            }
        }
        matrix
    }

    /// The lines of the matrix, none wider than `width` unless a single word is: a table where it fits, else one line per value.
    pub fn lines(&self, width: usize) -> Vec<String> {
        let mut lines = self.table(width).unwrap_or_else(|| self.list());
        if self.hidden > 0 {
            lines.push(format!("({} more take part; -v shows them)", self.hidden));
        }
        if !self.equal.is_empty() {
            lines.push(format!("(equal in all: {})", self.equal.join(", ")));
        }
        lines
    }

    /// A column per participant, or `None` where that gives no readable table.
    fn table(&self, width: usize) -> Option<Vec<String>> {
        if self.names.len() < 2 || self.rows.is_empty() || width < COLUMN * (self.names.len() + 1) {
            return None;
        }
        let mut table = Table::new();
        table.load_style(presets::NOTHING).force_no_tty().set_content_arrangement(ContentArrangement::Dynamic);
        table.set_width(u16::try_from(width).unwrap_or(u16::MAX));
        table.set_header(std::iter::once("").chain(self.names.iter().map(String::as_str)));
        for (path, cells) in &self.rows {
            table.add_row(std::iter::once(path.as_str()).chain(cells.iter().map(String::as_str)));
        }
        table.column_mut(0)?.set_padding((0, 1));
        let lines: Vec<_> = table.lines().map(|line| line.trim_end().to_owned()).collect();
        let fits = lines.iter().all(|line| textwrap::core::display_width(line) <= width);
        fits.then_some(lines)
    }

    /// One line per value.
    fn list(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for (path, cells) in &self.rows {
            if let [only] = cells.as_slice() {
                lines.push(format!("{path} = {only}"));
                continue;
            }
            lines.push(format!("{path}:"));
            lines.extend(self.names.iter().zip(cells).map(|(name, cell)| format!("  {name}: {cell}")));
        }
        lines
    }
}

/// The facts of a row, in the order in which they are first named. A list of records is left out where their fields stand for themselves:
/// the check reads these, and the whole of it is long.
pub fn paths(participants: &[Participant]) -> Vec<&str> {
    let mut paths: Vec<&str> = Vec::new();
    for (path, _) in participants.iter().flat_map(|side| &side.values) {
        if !paths.contains(&path.as_str()) {
            paths.push(path);
        }
    }
    let all = paths.clone();
    let stands_apart = |path: &str| {
        let field = |other: &&str| other.strip_prefix(path).is_some_and(|rest| rest.starts_with('.'));
        path.ends_with("[]") && all.iter().any(field)
    };
    paths.retain(|path| !stands_apart(path));
    paths
}

/// Whether a fact tells the participants apart; one alone has nothing to agree with.
pub fn differs(participants: &[Participant], path: &str) -> bool {
    let first = participants.first().and_then(|side| value(side, path));
    participants.len() < 2 || participants.iter().any(|side| value(side, path) != first)
}

/// A list of many, of which another participant names one by the same word: the port that an endpoint has among all that are listened on.
pub fn gist(participants: &[Participant], path: &str, value: &str) -> String {
    let word = |path: &str| path.rsplit_once("[].").map(|(_, word)| word.to_owned());
    let Some(listed) = value.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) else { return value.to_owned() };
    let items: Vec<&str> = listed.split(", ").collect();
    let mut named = participants.iter().flat_map(|side| &side.values).filter(|(other, value)| {
        other != path && word(other).is_some() && word(other) == word(path) && items.contains(&value.as_str())
    });
    match named.next() {
        Some((_, one)) if items.len() > 1 => format!("{one} and {} more", items.len() - 1),
        _ => value.to_owned(),
    }
}

/// What a participant sees of a fact.
pub fn value<'a>(side: &'a Participant, path: &str) -> Option<&'a str> {
    side.values.iter().find(|(found, _)| found == path).map(|(_, value)| value.as_str())
}

/// The participant's name; `(+2)` says that two more contexts see the same.
fn column_name(side: &Participant) -> String {
    let name = text::short(&side.name, CELL);
    match side.contexts.len() {
        0 | 1 => name,
        many => format!("{name} (+{})", many - 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(name: &str, values: &[(&str, &str)]) -> Participant {
        let values = values.iter().map(|(path, value)| ((*path).to_owned(), (*value).to_owned())).collect();
        Participant { name: name.to_owned(), contexts: vec![name.to_owned()], values }
    }

    #[test]
    fn only_facts_that_differ_are_rows() {
        let sides =
            [side("host", &[("a.same", "1"), ("a.other", "2")]), side("job", &[("a.same", "1"), ("a.other", "3")])];
        let lines = Matrix::of(&sides, false).lines(80);
        assert!(
            lines.iter().any(|line| line.contains("a.other") && line.contains('2') && line.contains('3')),
            "{lines:?}"
        );
        assert_eq!(lines.last().unwrap(), "(equal in all: a.same)");
        assert_eq!(lines.iter().filter(|line| line.contains("a.same")).count(), 1);
    }

    #[test]
    fn records_are_not_shown_whole_beside_their_fields() {
        let sides =
            [side("host", &[("a.b[]", "[port: 1, name: x]"), ("a.b[].port", "[1]")]), side("job", &[("c", "1")])];
        let lines = Matrix::of(&sides, false).lines(80).join(" ");
        assert!(lines.contains("a.b[].port") && !lines.contains("name: x"), "{lines}");
    }

    #[test]
    fn of_many_ports_the_one_that_matters_is_shown() {
        let many: Vec<_> = (1..100).map(|port| port.to_string()).collect();
        let many = format!("[{}]", many.join(", "));
        let sides = [side("host", &[("l[].port", many.as_str())]), side("job", &[("e[].port", "77")])];
        let lines = |whole| Matrix::of(&sides, whole).lines(80).join(" ");
        assert!(lines(false).contains("77 and 98 more"), "{}", lines(false));
        assert!(lines(true).contains("98"), "all with -v: {}", lines(true));
    }

    #[test]
    fn a_fact_that_one_side_lacks_differs() {
        let sides = [side("host", &[("a.b", "1")]), side("job", &[])];
        let lines = Matrix::of(&sides, false).lines(80);
        assert!(lines.iter().any(|line| line.contains("a.b") && line.contains('-')), "{lines:?}");
    }

    #[test]
    fn folded_contexts_are_counted_in_the_name() {
        let mut folded = side("runner", &[("a", "1")]);
        folded.contexts = vec!["host".to_owned(), "runner".to_owned(), "user:root".to_owned()];
        let lines = Matrix::of(&[folded, side("job", &[("a", "2")])], false).lines(80);
        assert!(lines[0].contains("runner (+2)"), "{lines:?}");
    }

    #[test]
    fn too_many_columns_become_lines() {
        let sides: Vec<_> = (0..5).map(|n| side(&format!("c{n}"), &[("a", &n.to_string())])).collect();
        assert_eq!(Matrix::of(&sides, false).lines(60)[..2], ["a:".to_owned(), "  c0: 0".to_owned()]);
    }
}
