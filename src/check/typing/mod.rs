//! Holds the expressions of a check file against the types of the facts: a name, a function or a comparison that can't mean anything
//! is refused with its place and, where there is one near, the name that was meant.

mod functions;
mod operators;
mod types;
mod walk;

pub use types::{Shape, Type};
pub use walk::{Scope, Typed};

use std::ops::Range;

/// Why an expression is refused, and where in its text.
#[derive(Debug)]
pub struct Problem {
    /// What is wrong.
    pub problem: String,
    /// Bytes of the expression's text.
    pub at: Range<usize>,
    /// What was probably meant.
    pub help: Option<String>,
}

/// `did you mean ...`, where one of the candidates is near.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let near = |candidate: &str| strsim::damerau_levenshtein(name, candidate);
    candidates
        .into_iter()
        .map(|candidate| (near(candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len().max(name.len()) / 3)
        .min()
        .map(|(_, candidate)| format!("did you mean `{candidate}`?"))
}
