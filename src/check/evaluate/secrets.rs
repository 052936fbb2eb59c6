//! Which secrets a row compares, by their fingerprints: those of the caller, and those of others. Kept for whoever counts how often a caller
//! may compare; shown to nobody.

use std::collections::BTreeSet;

use super::rows::Row;
use super::words::leaves;
use super::world::World;
use crate::check::disclosure::mark_among;
use crate::check::expression::Expression;
use crate::check::program::{Check, Side};
use crate::check::value::Value;
use crate::snapshot::schema::Disclosure as Mark;

/// The fingerprints that a row compares.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Secrets {
    /// Those of the caller's own context.
    pub own: BTreeSet<String>,
    /// Those of other contexts.
    pub others: BTreeSet<String>,
}

/// Whether an expression reads a secret, and not only something beside one.
fn reads_secret(expression: &Expression) -> bool {
    let paths = || expression.reads.iter().map(|read| read.path.as_str());
    paths().any(|path| mark_among(path, paths()) == Mark::Never)
}

/// The facts of a side that are secrets: the context's, and those of the element.
fn secrets_of(side: &Side) -> (Vec<&String>, Vec<&String>) {
    let of_context = || side.shown.iter().map(String::as_str);
    let of_element = || side.shown_element.iter().map(|(path, _)| path.as_str());
    let shown = side.shown.iter().filter(|path| mark_among(path, of_context()) == Mark::Never);
    let element = side.shown_element.iter().filter(|(path, _)| mark_among(path, of_element()) == Mark::Never);
    (shown.collect(), element.map(|(_, below)| below).collect())
}

/// Whether a side reads a secret of its rows.
pub fn reads_secrets(side: &Side) -> bool {
    let (of_context, of_element) = secrets_of(side);
    !of_context.is_empty() || !of_element.is_empty() || made_of_secrets(side)
}

/// Whether the elements were made by an expression that reads a secret.
fn made_of_secrets(side: &Side) -> bool {
    side.over.as_ref().is_some_and(|over| over.path.is_empty() && reads_secret(&over.list))
}

/// Whether rows are linked by a secret: then the very existence of a row says that two are equal.
pub fn links_secrets(check: &Check) -> bool {
    let by_secret = |side: &Side| {
        side.link.as_ref().is_some_and(|link| reads_secret(link) || (link.of_element && made_of_secrets(side)))
    };
    check.program.sides.iter().any(by_secret)
}

impl Secrets {
    /// Adds what this row brings into the comparison.
    pub fn add(&mut self, world: &World, side: &Side, row: &Row<'_>) {
        if !world.has_own() || !reads_secrets(side) {
            return;
        }
        let (of_context, of_element) = secrets_of(side);
        let mut found = Vec::new();
        if let Some(context) = world.contexts.get(row.context) {
            of_context.into_iter().for_each(|path| leaves(&context.tree, path, &mut found));
        }
        match &row.element {
            Some(Value::Record(tree, _)) if !made_of_secrets(side) => {
                of_element.into_iter().for_each(|below| leaves(tree, below, &mut found))
            }
            Some(_) if of_element.is_empty() && !made_of_secrets(side) => {}
            Some(element) => found.push(Ok(element.clone())),
            None => {}
        }
        let texts = found.into_iter().filter_map(Result::ok).filter(|value| !matches!(value, Value::Null));
        let texts: Vec<String> = texts.map(|value| super::rows::canonical(&value)).collect();
        for context in &row.members {
            let place = if world.is_own(*context) { &mut self.own } else { &mut self.others };
            place.extend(texts.iter().cloned());
        }
    }
}
