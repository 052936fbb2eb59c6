//! What of a row may be shown to whom: without a caller everything, else what the [`Disclosure`] tells. Whatever is withheld says so.

use super::world::World;
use crate::check::disclosure::{Disclosure, WITHHELD};
use crate::check::expression::{Expression, FIRST, Frame, Node, Read, SECOND, SECOND_ELEMENT};
use crate::check::program::Check;
use crate::check::value::{Evaluated, Value, show};

/// What stands for a fact that was not observed, where the reason is withheld.
const UNSEEN: &str = "not observed (withheld)";

/// The values at a path of a context, as far as they are told.
pub fn values(world: &World, context: usize, path: &str, found: &[Evaluated<'_>]) -> Option<Vec<String>> {
    let Some((disclosure, is_own)) = world.telling.map(|telling| (telling, world.is_own(context))) else {
        return Some(found.iter().map(show).collect());
    };
    if !disclosure.tells(path, is_own) {
        return None;
    }
    Some(found.iter().map(|value| shown(disclosure, is_own, value)).collect())
}

/// A value that may be told; the reasons in it are told of the caller's own context only.
fn shown(disclosure: &Disclosure, is_own: bool, value: &Evaluated<'_>) -> String {
    match value {
        _ if is_own || disclosure.is_open() => show(value),
        Err(_) => UNSEEN.to_owned(),
        Ok(value) if says_reasons(value) => WITHHELD.to_owned(),
        Ok(value) => value.shown(),
    }
}

/// Whether a reason would show in it.
fn says_reasons(value: &Value<'_>) -> bool {
    let reason = |element: &Evaluated<'_>| element.as_ref().map_or(true, says_reasons);
    match value {
        Value::Record(..) => true,
        Value::Seen(..) | Value::Made(..) => value.elements().is_some_and(|(items, _)| items.iter().any(reason)),
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Text(_) => false,
    }
}

/// What an expression comes to, in words that may be told.
pub fn expression(world: &World, check: &Check, frame: &mut Frame<'_>, expression: &Expression) -> String {
    let Some(disclosure) = world.telling else { return show(&frame.evaluate(expression)) };
    if let Some(name) = name(world, frame, &expression.node) {
        return name;
    }
    if !is_told(world, disclosure, check, frame, expression) {
        return WITHHELD.to_owned();
    }
    let owners = [frame.owner(FIRST), frame.owner(SECOND)];
    let is_own = owners.into_iter().flatten().all(|context| world.is_own(context));
    shown(disclosure, is_own, &frame.evaluate(expression))
}

/// What a row is about, in words that may be told: a stand-in where they may not.
pub fn element(world: &World, check: &Check, frame: &mut Frame<'_>, subject: &Expression) -> String {
    match world.telling {
        Some(disclosure) if !is_told(world, disclosure, check, frame, subject) => {
            disclosure.stand_in(check.id(), &show(&frame.evaluate(subject)))
        }
        _ => expression(world, check, frame, subject),
    }
}

/// `a.name` and its like.
fn name(world: &World, frame: &Frame<'_>, node: &Node) -> Option<String> {
    let Node::Select(of, field) = node else { return None };
    let Node::Slot(place) = **of else { return None };
    let context = frame.owner(place)?;
    match &**field {
        "name" => Some(world.name(context).to_owned()),
        "id" => Some(world.id(context).to_owned()),
        _ => None,
    }
}

/// Whether everything that the expression reads may be told.
fn is_told(world: &World, disclosure: &Disclosure, check: &Check, frame: &Frame<'_>, expression: &Expression) -> bool {
    let owner = |read: &Read| frame.owner(if matches!(read.of, SECOND | SECOND_ELEMENT) { SECOND } else { FIRST });
    let all_told = |reads: &[Read], known: bool| {
        let paths = || reads.iter().map(|read| read.path.as_str());
        // Where nothing is bound, nothing is read.
        reads.iter().all(|read| {
            owner(read).is_none_or(|of| disclosure.tells_among(&read.path, paths(), known || world.is_own(of)))
        })
    };
    let sides = || check.program.sides.iter();
    // The element of a list that an expression made is as secret as what it was made of.
    let mut made = sides().filter_map(|side| side.over.as_ref()).filter(|over| over.path.is_empty());
    let element = !expression.of_element || made.all(|over| all_told(&over.list.reads, false));
    // A key is what both sides have: the caller knows it where it is a side.
    let own = [FIRST, SECOND].into_iter().filter_map(|place| frame.owner(place)).any(|context| world.is_own(context));
    let known = own && !disclosure.is_closed();
    let mut links = sides().filter_map(|side| side.link.as_ref());
    let key = !expression.of_key || links.all(|link| all_told(&link.reads, known));
    element && key && all_told(&expression.reads, false)
}
