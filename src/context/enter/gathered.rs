//! What the children of one context have told so far, and what becomes of the families that none of them finished.
//!
//! A family that was not received is unobserved in every leaf, with the reason; never absent and never left at its default.

use serde_json::Value;

use super::protocol::Resume;
use super::{Looked, Unfinished};
use crate::snapshot::facts::Facts;
use crate::snapshot::{Fact, Reason};

/// What is known so far.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    pub resume: Resume,
    pub limits: Vec<String>,
    /// Whether a child of this context was inside at least once.
    pub entered: bool,
    /// Why looking ended before the last family, if it did.
    pub ended: Option<Reason>,
}

impl Gathered {
    /// Gives up one family.
    pub fn give_up(&mut self, family: String, reason: Reason) {
        self.resume.given_up.insert(family, reason);
    }

    /// The facts of all families, each with what is known of it.
    pub fn finish(mut self, took_ms: u64) -> Looked {
        let facts = self.resume.assemble(self.ended.as_ref());
        let unfinished = self.resume.given_up.into_iter().map(|(family, reason)| Unfinished { family, reason });
        Looked {
            facts,
            endpoints: self.resume.endpoints,
            limits: self.limits,
            unfinished: unfinished.collect(),
            refused: if self.entered { None } else { self.ended },
            took_ms,
        }
    }
}

impl Looked {
    /// Gives every leaf that nobody looked at this reason.
    #[must_use]
    pub fn because(self, reason: &Reason) -> Self {
        let mut facts = tree(&self.facts);
        mark(&mut facts, reason);
        let facts = serde_json::from_value(facts)
            .unwrap_or_else(|error| unreachable!("a reason stands where a fact may stand: {error}"));
        Self { facts, ..self }
    }
}

impl Resume {
    /// The facts of all families: as they were seen, or unobserved for the reason for which they were given up, or for `otherwise`. A family
    /// that can't be read is given up here.
    pub fn assemble(&mut self, otherwise: Option<&Reason>) -> Facts {
        let mut facts = tree(&Facts::default());
        for (name, blank) in facts.as_object_mut().into_iter().flatten() {
            match self.known.get(name).map(|known| readable(name, known)) {
                Some(Ok(known)) => *blank = known,
                Some(Err(reason)) => {
                    mark(blank, &reason);
                    self.given_up.insert(name.clone(), reason);
                }
                None => {
                    if let Some(reason) = self.given_up.get(name).or(otherwise) {
                        mark(blank, reason);
                    }
                }
            }
        }
        serde_json::from_value(facts)
            .unwrap_or_else(|error| unreachable!("every family was read by itself before: {error}"))
    }
}

fn tree<T: serde::Serialize>(value: &T) -> Value {
    serde_json::to_value(value).unwrap_or_else(|error| unreachable!("facts have string keys only: {error}"))
}

/// Replaces "not recorded", which is what a blank leaf says, by the reason.
fn mark(value: &mut Value, reason: &Reason) {
    let blank = tree(&Fact::<()>::default());
    let marked = tree(&Fact::<()>::Unobserved(reason.clone()));
    replace(value, &blank, &marked);
}

fn replace(value: &mut Value, blank: &Value, marked: &Value) {
    if value == blank {
        *value = marked.clone();
    } else if let Some(map) = value.as_object_mut() {
        map.values_mut().for_each(|inner| replace(inner, blank, marked));
    }
}

/// Whether the child's facts are of the shape that they should be.
fn readable(family: &str, facts: &Value) -> Result<Value, Reason> {
    let whole = Value::Object([(family.to_owned(), facts.clone())].into_iter().collect());
    match serde_json::from_value::<Facts>(whole) {
        Ok(_) => Ok(facts.clone()),
        Err(error) => Err(failed_probe(family, &error.to_string())),
    }
}

/// Our own mistake, said as one.
pub(super) fn failed_probe(family: &str, detail: &str) -> Reason {
    Reason::Malformed { path: format!("the probe of {family}"), line: None, detail: detail.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_that_never_came_is_unobserved_in_every_leaf() {
        let mut gathered = Gathered { entered: true, ..Gathered::default() };
        let reason = Reason::TimedOut { after_ms: 7, waiting_for: "the probe of store".into() };
        gathered.give_up("store".into(), reason.clone());
        gathered.resume.known.insert("identity".into(), serde_json::json!({"uid": 1000, "gid": null}));
        let looked = gathered.finish(1);
        assert_eq!(looked.facts.store.db.mode, Fact::Unobserved(reason.clone()));
        assert_eq!(looked.facts.identity.uid, Fact::Present(1000));
        assert_eq!(looked.facts.identity.gid, Fact::Absent);
        assert_eq!(looked.unfinished, [Unfinished { family: "store".into(), reason }]);
    }

    #[test]
    fn facts_of_the_wrong_shape_are_unobserved_and_do_not_spoil_the_others() {
        let mut gathered = Gathered { entered: true, ..Gathered::default() };
        gathered.resume.known.insert("identity".into(), serde_json::json!({"uid": "root"}));
        gathered.resume.known.insert("tools".into(), serde_json::json!({}));
        let looked = gathered.finish(1);
        assert!(matches!(looked.facts.identity.uid, Fact::Unobserved(Reason::Malformed { .. })));
        assert_eq!(looked.unfinished.len(), 1);
    }

    #[test]
    fn a_context_that_was_not_entered_has_no_fact() {
        let why = Reason::Vanished;
        let looked = Gathered { ended: Some(why.clone()), ..Gathered::default() }.finish(1);
        assert_eq!(looked.facts.identity.uid, Fact::Unobserved(why.clone()));
        assert_eq!(looked.facts.network.loopback.up, Fact::Unobserved(why.clone()));
        assert_eq!(looked.refused, Some(why));
    }
}
