//! The matrix of endpoints and contexts, folded: only endpoints of which contexts say different things, each answer with those who got it.

use super::summary::counted;
use super::text;
use crate::check::{EndpointAnswer, EndpointNote, Run};

/// The most characters of a line.
const LINE: usize = 400;

/// The endpoints of which contexts say different things.
pub fn differing(run: &Run) -> Vec<&EndpointNote> {
    run.endpoints.iter().filter(|note| note.answers.len() > 1).collect()
}

/// What those who got this answer say, and who they are; safe to print.
pub fn line(answer: &EndpointAnswer) -> String {
    text::short(&format!("{}: {}", answer.contexts.join(", "), answer.seen), LINE)
}

/// How many there are, in words.
pub fn counted_words(run: &Run) -> String {
    format!("{} answered differently from different contexts", counted(differing(run).len(), "endpoint"))
}
