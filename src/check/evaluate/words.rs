//! From rows to findings: participants, messages, and the reasons of what is unknown.

use super::rows::{Row, at};
use super::secrets::Secrets;
use super::told;
use super::world::World;
use crate::check::disclosure::{Disclosure, WITHHELD};
use crate::check::expression::Frame;
use crate::check::finding::{Finding, Outcome, Participant, Unseen};
use crate::check::program::{Check, Side};
use crate::check::template::Part;
use crate::check::value::{Cause, Evaluated, Tree, Value};

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
    pub secrets: Secrets,
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
    let mut values = Vec::new();
    let closed = world.telling.is_some_and(Disclosure::is_closed) && !world.is_own(row.context);
    if let Some(context) = world.contexts.get(row.context).filter(|_| !closed) {
        let of = |path: &String| (path.clone(), shown(world, row.context, path, &context.tree, path));
        values.extend(side.shown.iter().map(of));
        if let Some(Value::Record(tree, _)) = &row.element {
            let of = |(path, below): &(String, String)| (path.clone(), shown(world, row.context, path, tree, below));
            values.extend(side.shown_element.iter().map(of));
        } else if let Some(element) = &row.element {
            let only = [Ok(element.clone())];
            let of = |path: &String| one(told::values(world, row.context, path, &only));
            values.extend(side.shown_element.iter().map(|(path, _)| (path.clone(), of(path))));
        }
    }
    values.sort();
    values.dedup();
    Participant { name: world.name(row.context).to_owned(), contexts: ids(world, &row.members), values }
}

/// The ids of these contexts, sorted.
pub fn ids(world: &World, members: &[usize]) -> Vec<String> {
    let mut ids: Vec<String> = members.iter().map(|context| world.id(*context).to_owned()).collect();
    ids.sort();
    ids
}

fn one(told: Option<Vec<String>>) -> String {
    told.map_or_else(|| WITHHELD.to_owned(), |values| values.join(", "))
}

/// The values of a context at `path`, which stand in `tree` at `below`.
fn shown(world: &World, context: usize, path: &str, tree: &Tree, below: &str) -> String {
    let mut found = Vec::new();
    leaves(tree, below, &mut found);
    let rest = if found.len() > SHOWN { ", …" } else { "" };
    let single = found.len() == 1 && !below.contains("[]");
    found.truncate(SHOWN);
    match told::values(world, context, path, &found) {
        None => WITHHELD.to_owned(),
        Some(values) if single => values.join(", "),
        Some(values) => format!("[{}{rest}]", values.join(", ")),
    }
}

/// Every value at a path, list by list.
pub fn leaves<'t>(tree: &'t Tree, path: &str, found: &mut Vec<Evaluated<'t>>) {
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
pub fn subject(world: &World, check: &Check, frame: &mut Frame<'_>, participants: &[Participant]) -> String {
    let names: Vec<&str> = participants.iter().map(|participant| participant.name.as_str()).collect();
    let names = names.join(" / ");
    match &check.program.subject {
        None => names,
        Some(subject) => format!("{} ({names})", told::element(world, check, frame, subject)),
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
pub fn message(world: &World, check: &Check, frames: &mut [Frame<'_>]) -> String {
    let mut message = String::new();
    for part in &check.program.message.parts {
        match part {
            Part::Words(words) => message.push_str(words),
            Part::Value(expression) => {
                let mut values: Vec<String> = Vec::new();
                for frame in frames.iter_mut() {
                    let value = told::expression(world, check, frame, expression);
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
        for context in members[place] {
            let (fact, reason) = if world.tells_reasons(*context) {
                (fact.to_owned(), cause.words())
            } else {
                (without_indices(fact), WITHHELD.to_owned())
            };
            unseen.push(Unseen { context: world.id(*context).to_owned(), fact, reason });
        }
    }
    unseen.sort();
    unseen.dedup();
    unseen
}

/// A path that does not say how long a list is: `network.endpoints[].listening`.
fn without_indices(path: &str) -> String {
    path.chars().filter(|letter| !letter.is_ascii_digit() || !path.contains('[')).collect()
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
