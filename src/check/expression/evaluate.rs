//! Evaluation in three values (Kleene): a value, or everything that decided that there is none. Total: it never panics, recurses no
//! deeper than the parser allows, and stops after [`STEPS`].

use std::borrow::Cow;
use std::rc::Rc;

use super::compare::{contains, equal, ordered};
use super::{Expression, Fold, Function, LOCALS, Node};
use crate::check::value::{Cause, Evaluated, Unknown, Value};

/// How many steps one evaluation may take. A claim over the endpoints of two contexts takes some hundred.
const STEPS: u32 = 100_000;

/// The values that the variables of an expression are bound to.
#[derive(Debug, Clone)]
pub struct Frame<'t> {
    places: Vec<Value<'t>>,
    /// Which contexts are bound at the first two places.
    owners: [Option<usize>; 2],
    steps: u32,
}

impl<'t> Frame<'t> {
    /// A frame in which nothing is bound yet.
    pub fn new() -> Self {
        Self { places: vec![Value::Null; LOCALS], owners: [None; 2], steps: 0 }
    }

    /// Binds the value at `place`.
    pub fn bind(mut self, place: usize, value: Value<'t>) -> Self {
        self.set(place, value);
        self
    }

    /// Says which context the value at `place` is.
    pub fn of(mut self, place: usize, context: usize) -> Self {
        if let Some(owner) = self.owners.get_mut(place) {
            *owner = Some(context);
        }
        self
    }

    /// Which context is bound at `place`.
    pub fn owner(&self, place: usize) -> Option<usize> {
        self.owners.get(place).copied().flatten()
    }

    fn set(&mut self, place: usize, value: Value<'t>) {
        if self.places.len() <= place {
            self.places.resize(place + 1, Value::Null);
        }
        if let Some(slot) = self.places.get_mut(place) {
            *slot = value;
        }
    }

    /// The value of an expression here.
    pub fn evaluate(&mut self, expression: &Expression) -> Evaluated<'t> {
        self.value_of(&expression.node)
    }

    /// The value of one node here, with a budget of its own.
    pub fn value_of(&mut self, node: &Node) -> Evaluated<'t> {
        self.steps = STEPS;
        let mut value = self.step(node);
        if let Err(causes) = &mut value {
            causes.sort();
            causes.dedup();
        }
        value
    }

    fn step(&mut self, node: &Node) -> Evaluated<'t> {
        self.steps = self.steps.saturating_sub(1);
        if self.steps == 0 {
            return mistake(format!("the expression takes more than {STEPS} steps"));
        }
        match node {
            Node::Slot(place) => Ok(self.places.get(*place).cloned().unwrap_or(Value::Null)),
            Node::Null => Ok(Value::Null),
            Node::Bool(value) => Ok(Value::Bool(*value)),
            Node::Int(value) => Ok(Value::Int(*value)),
            Node::Text(text) => Ok(Value::Text(Cow::Owned(text.to_string()))),
            Node::List(items) => {
                let items = items.iter().map(|item| self.step(item)).collect();
                Ok(Value::Made(Rc::new(items), None))
            }
            Node::Select(operand, field) => self.select(operand, field),
            Node::Index(list, index) => self.index(list, index),
            Node::Not(operand) => self.truth(operand).map(|value| Value::Bool(!value)),
            Node::And(one, two) => self.junction(one, two, false),
            Node::Or(one, two) => self.junction(one, two, true),
            Node::If(parts) => match self.truth(&parts[0])? {
                true => self.step(&parts[1]),
                false => self.step(&parts[2]),
            },
            Node::Equal(one, two, compared, negated) => {
                let (one, two) = self.both(one, two)?;
                equal(&one, &two, compared).map(|equal| Value::Bool(equal != *negated))
            }
            Node::In(item, list, compared) => {
                let (item, list) = self.both(item, list)?;
                // Every comparison is a step: two long lists are the way to spend a budget.
                self.spend(&list);
                contains(&list, &item, compared).map(Value::Bool)
            }
            Node::Order(order, one, two) => {
                let (one, two) = self.both(one, two)?;
                ordered(*order, &one, &two).map(Value::Bool)
            }
            Node::Add(one, two) => {
                let (one, two) = self.both(one, two)?;
                add(one, two)
            }
            Node::Call(function, operand, argument) => {
                let operand = self.step(operand)?;
                match argument {
                    None => of_one(*function, operand),
                    Some(argument) => of_text(*function, &operand, &self.step(argument)?),
                }
            }
            Node::Fold(fold, list, place, condition, body) => {
                self.fold(*fold, list, *place, condition.as_deref(), body)
            }
        }
    }

    fn spend(&mut self, list: &Value<'t>) {
        let elements = match list {
            Value::Seen(items, ..) => items.len(),
            Value::Made(items, _) => items.len(),
            _ => 0,
        };
        self.steps = self.steps.saturating_sub(u32::try_from(elements).unwrap_or(u32::MAX)).max(1);
    }

    /// Both operands; where either is unknown, what decided in both.
    fn both(&mut self, one: &Node, two: &Node) -> Result<(Value<'t>, Value<'t>), Unknown> {
        match (self.step(one), self.step(two)) {
            (Ok(one), Ok(two)) => Ok((one, two)),
            (Err(mut one), Err(two)) => {
                one.extend(two);
                Err(one)
            }
            (Err(causes), Ok(_)) | (Ok(_), Err(causes)) => Err(causes),
        }
    }

    fn truth(&mut self, node: &Node) -> Result<bool, Unknown> {
        match self.step(node)? {
            Value::Bool(value) => Ok(value),
            other => Err(not_a_condition(&other)),
        }
    }

    /// `&&` and `||`: the operand that decides does so whatever the other one is.
    fn junction(&mut self, one: &Node, two: &Node, decisive: bool) -> Evaluated<'t> {
        let one = self.truth(one);
        if one == Ok(decisive) {
            return Ok(Value::Bool(decisive));
        }
        match (one, self.truth(two)) {
            (_, Ok(value)) if value == decisive => Ok(Value::Bool(decisive)),
            (Ok(_), Ok(_)) => Ok(Value::Bool(!decisive)),
            (Err(mut one), Err(two)) => {
                one.extend(two);
                Err(one)
            }
            (Err(causes), Ok(_)) | (Ok(_), Err(causes)) => Err(causes),
        }
    }

    fn select(&mut self, operand: &Node, field: &str) -> Evaluated<'t> {
        match self.step(operand)? {
            Value::Record(tree, owner) => match tree.field(field) {
                Some(value) => Value::of(value, owner),
                // The types say that it exists, so a snapshot that lacks it never recorded it.
                None => mistake(format!("`{field}` is not in this snapshot")),
            },
            other => mistake(format!("`.{field}` is asked of a value that is {}", other.kind())),
        }
    }

    fn index(&mut self, list: &Node, index: &Node) -> Evaluated<'t> {
        let (list, index) = self.both(list, index)?;
        let (Some((mut items, more)), Value::Int(index)) = (list.elements(), index) else {
            return mistake(format!("`[]` is asked of a value that is {}", list.kind()));
        };
        // Which place an element of a partial list has in the whole one is not known.
        if let Some(causes) = more {
            return Err(causes);
        }
        match usize::try_from(index) {
            Ok(index) if index < items.len() => items.swap_remove(index),
            _ => mistake(format!("the list has no element {index}")),
        }
    }

    fn fold(&mut self, fold: Fold, list: &Node, place: usize, condition: Option<&Node>, body: &Node) -> Evaluated<'t> {
        let list = self.step(list)?;
        let Some((elements, more)) = list.elements() else {
            return mistake(format!("a list is needed, and this is {}", list.kind()));
        };
        let mut state = Folded::new(fold, more);
        for element in elements {
            let kept = self.element(place, &element, condition.or(fold.tests().then_some(body)));
            let mapped = match (&kept, fold) {
                (Ok(false), _) => None,
                (_, Fold::Map) => Some(element.and_then(|element| {
                    self.set(place, element);
                    self.step(body)
                })),
                _ => Some(element),
            };
            if let Some(result) = state.take(kept, mapped) {
                return Ok(Value::Bool(result));
            }
        }
        state.finish()
    }

    /// Whether the condition holds for an element; without a condition, it does.
    fn element(&mut self, place: usize, element: &Evaluated<'t>, test: Option<&Node>) -> Result<bool, Unknown> {
        let Some(test) = test else { return Ok(true) };
        self.set(place, element.clone()?);
        self.truth(test)
    }
}

impl Default for Frame<'_> {
    fn default() -> Self {
        Self::new()
    }
}

impl Fold {
    /// Whether the body is a condition.
    fn tests(self) -> bool {
        self != Self::Map
    }
}

/// A comprehension under way.
struct Folded<'t> {
    fold: Fold,
    found: usize,
    made: Vec<Evaluated<'t>>,
    unknown: Unknown,
}

impl<'t> Folded<'t> {
    fn new(fold: Fold, more: Option<Unknown>) -> Self {
        Self { fold, found: 0, made: Vec::new(), unknown: more.unwrap_or_default() }
    }

    /// Takes one element; gives the result once it is decided.
    fn take(&mut self, kept: Result<bool, Unknown>, mapped: Option<Evaluated<'t>>) -> Option<bool> {
        match (self.fold, kept) {
            (Fold::Exists, Ok(true)) => return Some(true),
            (Fold::All, Ok(false)) => return Some(false),
            (Fold::ExistsOne, Ok(true)) => {
                self.found += 1;
                if self.found > 1 {
                    return Some(false);
                }
            }
            (Fold::Filter | Fold::Map, Ok(true)) => self.made.extend(mapped),
            (_, Ok(_)) => {}
            // Whether it belongs to a list that is being made is not known: there may be one more.
            (_, Err(causes)) => self.unknown.extend(causes),
        }
        None
    }

    fn finish(self) -> Evaluated<'t> {
        let made = matches!(self.fold, Fold::Filter | Fold::Map);
        if made {
            let more = (!self.unknown.is_empty()).then_some(self.unknown);
            return Ok(Value::Made(Rc::new(self.made), more));
        }
        if !self.unknown.is_empty() {
            return Err(self.unknown);
        }
        Ok(Value::Bool(match self.fold {
            Fold::All => true,
            Fold::ExistsOne => self.found == 1,
            _ => false,
        }))
    }
}

/// A value used as a condition.
pub fn condition(value: Evaluated<'_>) -> Result<bool, Unknown> {
    match value? {
        Value::Bool(value) => Ok(value),
        other => Err(not_a_condition(&other)),
    }
}

fn not_a_condition(value: &Value<'_>) -> Unknown {
    vec![Cause::Mistake(format!("a condition is needed, and this is {}", value.kind()))]
}

fn mistake<'t>(words: String) -> Evaluated<'t> {
    Err(vec![Cause::Mistake(words)])
}

fn add<'t>(one: Value<'t>, two: Value<'t>) -> Evaluated<'t> {
    match (&one, &two) {
        (Value::Int(one), Value::Int(two)) => {
            one.checked_add(*two).map_or_else(|| mistake("the sum is too large".to_owned()), |sum| Ok(Value::Int(sum)))
        }
        (Value::Text(one), Value::Text(two)) => Ok(Value::Text(Cow::Owned(format!("{one}{two}")))),
        _ => match (one.elements(), two.elements()) {
            (Some((mut items, more)), Some((others, rest))) => {
                items.extend(others);
                let unknown: Unknown = more.into_iter().chain(rest).flatten().collect();
                Ok(Value::Made(Rc::new(items), (!unknown.is_empty()).then_some(unknown)))
            }
            _ => mistake(format!("{} can't be added to {}", two.kind(), one.kind())),
        },
    }
}

fn of_one<'t>(function: Function, value: Value<'t>) -> Evaluated<'t> {
    let count = |count: usize| Ok(Value::Int(i64::try_from(count).unwrap_or(i64::MAX)));
    match (function, value) {
        (Function::Size, Value::Text(text)) => count(text.chars().count()),
        (Function::Size, value) => match value.elements() {
            Some((_, Some(causes))) => Err(causes),
            Some((items, None)) => count(items.len()),
            None => mistake(format!("`size` is asked of a value that is {}", value.kind())),
        },
        (Function::Text, Value::Int(value)) => Ok(Value::Text(Cow::Owned(value.to_string()))),
        (Function::Text, Value::Bool(value)) => Ok(Value::Text(Cow::Borrowed(if value { "true" } else { "false" }))),
        (Function::Text, Value::Text(text)) => Ok(Value::Text(text)),
        (Function::Lower, Value::Text(text)) => Ok(Value::Text(Cow::Owned(text.to_ascii_lowercase()))),
        (_, value) => mistake(format!("a text is needed, and this is {}", value.kind())),
    }
}

fn of_text<'t>(function: Function, text: &Value<'t>, part: &Value<'t>) -> Evaluated<'t> {
    let (Value::Text(text), Value::Text(part)) = (text, part) else {
        let other = if matches!(text, Value::Text(_)) { part } else { text };
        return mistake(format!("a text is needed, and this is {}", other.kind()));
    };
    Ok(Value::Bool(match function {
        Function::StartsWith => text.starts_with(&**part),
        Function::EndsWith => text.ends_with(&**part),
        _ => text.contains(&**part),
    }))
}
