//! Which secrets a row compares, by their fingerprints: those of the caller, and those of others. Kept for whoever counts how often a caller
//! may compare; shown to nobody.

use std::collections::BTreeSet;

use super::rows::Row;
use super::words::leaves;
use super::world::World;
use crate::check::disclosure::mark;
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

fn is_secret(path: &str) -> bool {
    mark(path) == Mark::Never
}

/// Whether a side reads a secret of its rows.
pub fn reads_secrets(side: &Side) -> bool {
    let shown = side.shown.iter().chain(side.shown_element.iter().map(|(path, _)| path));
    shown.map(String::as_str).any(is_secret) || made_of_secrets(side)
}

/// Whether the elements were made by an expression that reads a secret.
fn made_of_secrets(side: &Side) -> bool {
    side.over
        .as_ref()
        .is_some_and(|over| over.path.is_empty() && over.list.reads.iter().any(|read| is_secret(&read.path)))
}

/// Whether rows are linked by a secret: then the very existence of a row says that two are equal.
pub fn links_secrets(check: &Check) -> bool {
    let links = check.program.sides.iter().filter_map(|side| side.link.as_ref());
    // Words of the header, such as `boot`, are no facts and no secrets; facts stand below their family.
    links.flat_map(|link| &link.reads).any(|read| read.path.contains('.') && is_secret(&read.path))
}

impl Secrets {
    /// Adds what this row brings into the comparison.
    pub fn add(&mut self, world: &World, side: &Side, row: &Row<'_>) {
        if !world.has_own() || !reads_secrets(side) {
            return;
        }
        let mut found = Vec::new();
        if let Some(context) = world.contexts.get(row.context) {
            side.shown.iter().filter(|path| is_secret(path)).for_each(|path| leaves(&context.tree, path, &mut found));
        }
        match &row.element {
            Some(Value::Record(tree, _)) => {
                let secret = side.shown_element.iter().filter(|(path, _)| is_secret(path));
                secret.for_each(|(_, below)| leaves(tree, below, &mut found));
            }
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
