//! From rows to findings: participants, messages, and the reasons of what is unknown.

use super::rows::{Row, at};
use super::world::World;
use crate::check::expression::Frame;
use crate::check::finding::{Finding, Outcome, Participant, Unseen};
use crate::check::program::{Check, Side};
use crate::check::template::Part;
use crate::check::value::{Cause, Evaluated, Tree, Value, show};

/// How many values of a list a finding shows.
const SHOWN: usize = 8;

/// What a finding is made of.
pub struct Draft<'a> {
    pub outcome: Outcome,
    pub subject: String,
    pub participants: Vec<Participant>,
    pub message: String,
    pub unseen: Vec<Unseen>,
    pub comparisons: u64,
    /// What causes and symptoms share.
    pub about: Vec<String>,
    pub check: &'a Check,
}

impl Draft<'_> {
    pub fn finding(self) -> Finding {
        let check = self.check;
        let incoherent = self.outcome == Outcome::Incoherent;
        let told = |text: &str| if incoherent { text.to_owned() } else { String::new() };
        Finding {
            check: check.id.clone(),
            title: check.title().to_owned(),
            gap: check.gap().to_owned(),
            severity: check.severity(),
            outcome: self.outcome,
            subject: self.subject,
            participants: self.participants,
            message: self.message,
            why: told(check.why()),
            fix: told(check.fix()),
            unseen: self.unseen,
            caused_by: None,
            waiver: None,
            held: None,
            comparisons: self.comparisons,
            about: self.about,
        }
    }
}

/// The participant that a row is.
pub fn participant(world: &World, side: &Side, row: &Row<'_>) -> Participant {
    let context = world.contexts.get(row.context);
    let mut values = Vec::new();
    if let Some(context) = context {
        values.extend(side.shown.iter().map(|path| (path.clone(), shown(&context.tree, path))));
    }
    if let Some(Value::Record(tree, _)) = &row.element {
        values.extend(side.shown_element.iter().map(|(path, below)| (path.clone(), shown(tree, below))));
    } else if let Some(element) = &row.element {
        values.extend(side.shown_element.iter().map(|(path, _)| (path.clone(), element.shown())));
    }
    values.sort();
    values.dedup();
    Participant {
        name: context.map_or(String::new(), |context| context.name.clone()),
        contexts: ids(world, &row.members),
        values,
    }
}

/// The ids of these contexts, sorted.
pub fn ids(world: &World, members: &[usize]) -> Vec<String> {
    let mut ids: Vec<String> =
        members.iter().filter_map(|at| world.contexts.get(*at)).map(|context| context.id.clone()).collect();
    ids.sort();
    ids
}

fn shown(tree: &Tree, path: &str) -> String {
    let mut found = Vec::new();
    leaves(tree, path, &mut found);
    match (found.as_slice(), path.contains("[]")) {
        ([one], false) => show(one),
        (several, _) => {
            let shown: Vec<String> = several.iter().take(SHOWN).map(show).collect();
            let rest = if several.len() > SHOWN { ", …" } else { "" };
            format!("[{}{rest}]", shown.join(", "))
        }
    }
}

fn leaves<'t>(tree: &'t Tree, path: &str, found: &mut Vec<Evaluated<'t>>) {
    let (list, rest) = path.split_once("[]").map_or((path, None), |(list, rest)| (list, Some(rest)));
    match (at(tree, list), rest) {
        (None, _) => {}
        (Some(tree), None) => found.push(Value::of(tree, 0)),
        (Some(Tree::List(items, more)), Some(rest)) => {
            items.iter().for_each(|item| leaves(item, rest.trim_start_matches('.'), found));
            found.extend(more.iter().map(|hole| Err(vec![Cause::Unobserved((**hole).clone(), 0)])));
        }
        (Some(tree), Some(_)) => found.push(Value::of(tree, 0)),
    }
}

/// The subject: what the row is about, and who takes part.
pub fn subject(check: &Check, frame: &mut Frame<'_>, participants: &[Participant]) -> String {
    let names: Vec<&str> = participants.iter().map(|participant| participant.name.as_str()).collect();
    let names = names.join(" / ");
    match &check.program.subject {
        None => names,
        Some(subject) => format!("{} ({names})", show(&frame.evaluate(subject))),
    }
}

/// What the rows share with their causes and symptoms, each text once; what is unknown is shared with nothing.
pub fn about(check: &Check, frames: &mut [Frame<'_>]) -> Vec<String> {
    let Some(about) = &check.program.about else { return Vec::new() };
    let mut texts = Vec::new();
    for frame in frames {
        let Ok(value) = frame.evaluate(about) else { continue };
        let items = value.elements().map_or_else(|| vec![Ok(value.clone())], |(items, _)| items);
        texts.extend(items.into_iter().filter_map(|item| match item {
            Ok(Value::Text(text)) => Some(text.into_owned()),
            _ => None,
        }));
    }
    texts.sort();
    texts.dedup();
    texts
}

/// The sentence of an incoherent row; a placeholder that differs between the frames gives each value once.
pub fn message(check: &Check, frames: &mut [Frame<'_>]) -> String {
    let mut message = String::new();
    for part in &check.program.message.parts {
        match part {
            Part::Words(words) => message.push_str(words),
            Part::Value(expression) => {
                let mut values: Vec<String> = Vec::new();
                for frame in frames.iter_mut() {
                    let value = show(&frame.evaluate(expression));
                    if !values.contains(&value) {
                        values.push(value);
                    }
                }
                message.push_str(&values.join(" and "));
            }
        }
    }
    message
}

/// The reasons, for every context that they hold of. `members` are the contexts behind the first and the second place.
pub fn unseen(world: &World, members: [&[usize]; 2], causes: &[Cause]) -> Vec<Unseen> {
    let mut unseen = Vec::new();
    for cause in causes {
        let (place, fact) = match cause {
            Cause::Unobserved(hole, owner) => (owner % 2, hole.path.as_str()),
            Cause::Weak(path, owner) => (owner % 2, path.as_str()),
            Cause::Mistake(_) => (0, "the check's expression"),
        };
        for context in ids(world, members[place]) {
            unseen.push(Unseen { context, fact: fact.to_owned(), reason: cause.words() });
        }
    }
    unseen.sort();
    unseen.dedup();
    unseen
}

/// The sentence of an unknown row.
pub fn unknown_message(unseen: &[Unseen]) -> String {
    match unseen {
        [] => "could not be compared".to_owned(),
        [first, rest @ ..] => {
            let more = if rest.is_empty() { String::new() } else { format!(", and {} more", rest.len()) };
            format!(
                "could not be compared: {} of {}: {}{more}",
                first.fact,
                first.context,
                crate::check::value::safe(&first.reason)
            )
        }
    }
}

/// The sentence of a row that holds.
pub fn coherent_message(check: &Check) -> String {
    check.title().to_owned()
}
