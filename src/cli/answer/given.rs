//! What a caller gives of itself: the snapshot that parallax made inside of it. It is a stranger's word.
//!
//! It fills what the server's own look left open because it stood outside, in the caller's own context and nowhere else. It never changes what the
//! server observed, and never says what looks different from within: processes, maps of ids and secrets. Its header is not read at all.

use serde_json::Value;

use crate::snapshot::facts::Facts;
use crate::snapshot::schema::{self, Disclosure};
use crate::snapshot::{MARKER, PARTIAL, Snapshot};

/// The longest document, in bytes. One of a large job has a hundredth of it.
const LONGEST: usize = 2 << 20;
/// The most elements of one list.
const ELEMENTS: usize = 2_000;
/// Reasons that a look from within mends: the words of [`crate::snapshot::Reason`] in a document.
const MENDED: [&str; 3] = ["needs-native", "identity-incomplete", "not-entered"];
/// Facts that are numbered by the namespace one stands in: from within they are another process' or another user's.
const VIEWS: [&str; 6] = [
    "identity.process",
    "identity.host_uid",
    "identity.host_gid",
    "identity.uid_map",
    "identity.gid_map",
    "identity.namespaces",
];

/// A snapshot that a caller gave.
pub(super) struct Given {
    facts: Value,
}

impl Given {
    /// Reads the document, strictly.
    pub(super) fn read(body: &[u8]) -> Result<Self, String> {
        if body.len() > LONGEST {
            return Err(format!("the snapshot is longer than {LONGEST} bytes"));
        }
        let snapshot = Snapshot::from_json(body).map_err(|error| format!("the body is no snapshot: {error}"))?;
        let facts = snapshot.without_fingerprints().facts_tree();
        if let Some(path) = too_long(&facts, "") {
            return Err(format!("facts.{path} has more than {ELEMENTS} elements"));
        }
        Ok(Self { facts })
    }

    /// Fills what `own` left open.
    pub(super) fn fill(&self, own: &mut Snapshot) {
        let mut facts = own.facts_tree();
        let unseen = unseen_from_within();
        let mut count = 0;
        fill(&mut facts, &self.facts, "", &unseen, &mut count);
        // Both were facts of these types, and stay so.
        if let (1.., Ok(filled)) = (count, serde_json::from_value::<Facts>(facts)) {
            own.facts = filled;
            own.context.limits.push(format!("{count} facts are what the caller says of itself"));
        }
    }
}

/// The paths of facts that no caller can say.
fn unseen_from_within() -> Vec<String> {
    let marked = schema::fact_paths().into_iter().filter(|fact| fact.disclosure >= Disclosure::Host);
    marked.map(|fact| fact.path).chain(VIEWS.map(str::to_owned)).collect()
}

fn is_unseen(path: &str, unseen: &[String]) -> bool {
    unseen
        .iter()
        .any(|one| path.strip_prefix(one.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '['])))
}

/// The reason of a marker, or of the rest of a list.
fn reason(value: &Value) -> Option<&str> {
    value.get(MARKER)?.get("reason")?.as_str()
}

fn is_mended(value: &Value) -> bool {
    reason(value).is_some_and(|reason| MENDED.contains(&reason))
}

fn is_open(value: &Value) -> bool {
    value.get(MARKER).is_some()
}

fn fill(own: &mut Value, given: &Value, path: &str, unseen: &[String], count: &mut usize) {
    if is_unseen(path, unseen) {
        return;
    }
    if own.get(PARTIAL).is_some() {
        if is_mended(own) {
            fill_list(own, given, path, unseen, count);
        }
        return;
    }
    if is_open(own) {
        if is_mended(own) && !is_open(given) {
            *own = sayable(given, path, unseen);
            *count += 1;
        }
        return;
    }
    match (own, given) {
        (Value::Object(own), Value::Object(given)) if !given.contains_key(MARKER) => {
            for (name, value) in own.iter_mut() {
                let below = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                if let Some(given) = given.get(name) {
                    fill(value, given, &below, unseen, count);
                }
            }
        }
        // Elements are the same ones only where everything that was seen of them is.
        (Value::Array(own), Value::Array(given)) if own.len() == given.len() => {
            let below = format!("{path}[]");
            for (value, given) in own.iter_mut().zip(given).filter(|(own, given)| agrees(own, given)) {
                fill(value, given, &below, unseen, count);
            }
        }
        _ => {}
    }
}

/// The rest of a list of which the server saw a part; what it saw stays as it is.
fn fill_list(own: &mut Value, given: &Value, path: &str, unseen: &[String], count: &mut usize) {
    let (Some(seen), Some(given)) = (own.get(PARTIAL).and_then(Value::as_array), given.as_array()) else { return };
    let is_known = |one: &Value, all: &[Value]| all.iter().any(|other| agrees(one, other));
    // A list that lacks what is there is not this list.
    if !seen.iter().all(|item| is_known(item, given)) {
        return;
    }
    let below = format!("{path}[]");
    let rest = given.iter().filter(|item| !is_known(item, seen)).map(|item| sayable(item, &below, unseen));
    *own = Value::Array(seen.iter().cloned().chain(rest).collect());
    *count += 1;
}

/// What is given, without what no caller can say.
fn sayable(given: &Value, path: &str, unseen: &[String]) -> Value {
    match given {
        Value::Object(map) => {
            let withheld = || serde_json::json!({ MARKER: { "reason": "withheld" } });
            let entries = map.iter().map(|(name, value)| {
                let below = match name.as_str() {
                    MARKER => return (name.clone(), value.clone()),
                    PARTIAL => path.to_owned(),
                    name => format!("{path}.{name}"),
                };
                let said = if is_unseen(&below, unseen) { withheld() } else { sayable(value, &below, unseen) };
                (name.clone(), said)
            });
            Value::Object(entries.collect())
        }
        Value::Array(items) => {
            let below = format!("{path}[]");
            Value::Array(items.iter().map(|item| sayable(item, &below, unseen)).collect())
        }
        other => other.clone(),
    }
}

/// Whether two values differ in nothing that both saw.
fn agrees(one: &Value, two: &Value) -> bool {
    match (one, two) {
        (one, two) if is_open(one) || is_open(two) => true,
        (Value::Object(one), Value::Object(two)) => {
            one.iter().all(|(name, value)| two.get(name).is_none_or(|other| agrees(value, other)))
        }
        (Value::Array(one), Value::Array(two)) => {
            one.len() == two.len() && one.iter().zip(two).all(|(one, two)| agrees(one, two))
        }
        (one, two) => one == two,
    }
}

fn too_long(value: &Value, path: &str) -> Option<String> {
    match value {
        Value::Array(items) if items.len() > ELEMENTS => Some(path.to_owned()),
        Value::Array(items) => items.iter().find_map(|item| too_long(item, &format!("{path}[]"))),
        Value::Object(map) => map.iter().find_map(|(name, value)| {
            let below = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            too_long(value, &below)
        }),
        _ => None,
    }
}
