//! Why a check file is refused: the file, the place, what is wrong and what was probably meant.

use std::ops::Range;

use miette::{Diagnostic, NamedSource, SourceSpan};
use thiserror::Error;

/// One mistake in one check file.
#[derive(Debug, Error, Diagnostic)]
#[error("{file}:{line}:{column}: {problem}")]
pub struct Refusal {
    /// The file, as it is shown.
    pub file: String,
    /// Counted from 1.
    pub line: usize,
    /// In characters, counted from 1.
    pub column: usize,
    /// What is wrong.
    pub problem: String,
    /// What was probably meant.
    #[help]
    pub help: Option<String>,
    #[source_code]
    source_code: NamedSource<String>,
    #[label("here")]
    span: SourceSpan,
}

impl Refusal {
    /// A mistake at these bytes of `text`.
    pub fn new(file: &str, text: &str, at: Range<usize>, problem: String, help: Option<String>) -> Self {
        let start = (0..=at.start.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        let before = &text[..start];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |rest| rest.chars().count()) + 1;
        let length = at.end.min(text.len()).saturating_sub(start);
        Self {
            file: file.to_owned(),
            line,
            column,
            problem,
            help,
            source_code: NamedSource::new(file, text.to_owned()),
            span: SourceSpan::from((start, length)),
        }
    }
}

/// Why a catalogue could not be loaded.
#[derive(Debug, Error, Diagnostic)]
pub enum CatalogueError {
    /// Check files are refused; every mistake that was found.
    #[error("{}", listed(.refusals))]
    Refused {
        /// In the order of the files.
        #[related]
        refusals: Vec<Refusal>,
    },
    /// A directory or file could not be read.
    #[error("{path}: {source}")]
    Unreadable {
        /// Which.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// Two files have one id.
    #[error("the check {id} is defined twice: in {first} and in {second}")]
    Duplicate {
        /// The id.
        id: String,
        /// The file that was read first.
        first: String,
        /// The other one.
        second: String,
    },
}

fn listed(refusals: &[Refusal]) -> String {
    refusals.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
