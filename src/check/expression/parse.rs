//! CEL text to a syntax tree, by the `cel` crate's parser without its macros: comprehensions stay calls, so that a mistake in one is
//! shown where it was written.

use std::ops::Range;

use cel::common::ast::{IdedExpr, SourceInfo};

/// Longest expression, in bytes: far beyond any that a person reads, and bounded so that the parser is.
const LONGEST: usize = 4096;
/// Deepest nesting.
const DEEPEST: u16 = 48;

/// A parsed text.
pub struct Parsed {
    /// The tree.
    pub root: IdedExpr,
    places: SourceInfo,
}

/// Why a text is no expression, and where in it.
#[derive(Debug)]
pub struct Malformed {
    /// What is wrong.
    pub problem: String,
    /// Bytes of the text.
    pub at: Range<usize>,
}

impl Parsed {
    /// Parses `text`.
    pub fn new(text: &str) -> Result<Self, Malformed> {
        if text.trim().is_empty() {
            return Err(Malformed { problem: "an expression is expected".to_owned(), at: 0..text.len() });
        }
        if text.len() > LONGEST {
            let problem = format!("an expression has at most {LONGEST} bytes");
            return Err(Malformed { problem, at: 0..text.len() });
        }
        let parser = cel::Env::default().with_optional_support(false).parser().max_recursion_depth(DEEPEST);
        match parser.parse_with_source_info(text) {
            Ok((root, places)) => Ok(Self { root, places }),
            Err(errors) => Err(errors.errors.first().map_or_else(
                || Malformed { problem: "not an expression".to_owned(), at: 0..text.len() },
                |error| Malformed { problem: lower(&error.msg), at: place(text, error.pos) },
            )),
        }
    }

    /// The bytes of the token that stands for the node: the operator, the name, the dot before a field.
    pub fn token(&self, text: &str, node: &IdedExpr) -> Range<usize> {
        let Some((start, stop)) = self.places.offset_for(node.id) else { return 0..text.len() };
        bytes(text, start as usize, (stop as usize).saturating_add(1))
    }
}

/// Lines and columns of the parser count from 1.
fn place(text: &str, (line, column): (isize, isize)) -> Range<usize> {
    let line = usize::try_from(line).unwrap_or(1).max(1) - 1;
    let column = usize::try_from(column).unwrap_or(1).max(1) - 1;
    let before: usize = text.split_inclusive('\n').take(line).map(|line| line.chars().count()).sum();
    bytes(text, before + column, before + column + 1)
}

/// The parser counts characters.
fn bytes(text: &str, start: usize, stop: usize) -> Range<usize> {
    let at = |count: usize| text.char_indices().nth(count).map_or(text.len(), |(at, _)| at);
    let (start, stop) = (at(start), at(stop));
    start..stop.max(start)
}

/// Messages of the house begin in lower case; those of the parser do not, and may run over several lines.
fn lower(message: &str) -> String {
    let message = message.strip_prefix("Syntax error: ").unwrap_or(message);
    message.lines().next().unwrap_or_default().to_owned()
}
