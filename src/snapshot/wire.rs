//! Between the tree in memory, where an unobserved fact is a marker in its place, and the document, where its key is missing and
//! the reason stands in a table: `unobserved["store.db.mode"]`, `unobserved["network.endpoints[3].listening"]`, and
//! `unobserved["credentials.s3[*]"]` for a list of which only a part could be looked at.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::observation::{MARKER, PARTIAL};

/// The path suffix that stands for the elements that could not be looked at.
pub const REST: &str = "[*]";
/// The most steps that a path has.
const DEEPEST: usize = 32;

/// Takes the markers out of `tree` and returns them by path.
pub fn lift(tree: &mut Value) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    lift_at(tree, "", &mut found);
    found
}

fn lift_at(value: &mut Value, path: &str, found: &mut BTreeMap<String, Value>) {
    if let Value::Object(map) = value
        && map.contains_key(PARTIAL)
    {
        if let Some(reason) = map.remove(MARKER) {
            found.insert(format!("{path}{REST}"), reason);
        }
        *value = map.remove(PARTIAL).unwrap_or(Value::Null);
    }
    match value {
        Value::Object(map) => {
            let keys: Vec<String> = map.keys().cloned().collect();
            for key in keys {
                let at = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                let reason = map.get(&key).and_then(marker).cloned();
                if let Some(reason) = reason {
                    found.insert(at, reason);
                    map.remove(&key);
                } else if let Some(inner) = map.get_mut(&key) {
                    lift_at(inner, &at, found);
                }
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                lift_at(item, &format!("{path}[{index}]"), found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The reason in a marker object; a partial list is none.
fn marker(value: &Value) -> Option<&Value> {
    value.as_object().filter(|map| map.len() == 1).and_then(|map| map.get(MARKER))
}

/// Puts the reasons back in their places. Returns the first path that leads nowhere.
pub fn lower(tree: &mut Value, unobserved: &BTreeMap<String, Value>) -> Result<(), String> {
    // Longest first: a partial list is wrapped only after the markers of its elements are in place.
    let mut paths: Vec<_> = unobserved.iter().collect();
    paths.sort_by_key(|(path, _)| (path.ends_with(REST), usize::MAX - path.len()));
    for (path, reason) in paths {
        put(tree, path, reason).ok_or_else(|| path.clone())?;
    }
    Ok(())
}

fn put(tree: &mut Value, path: &str, reason: &Value) -> Option<()> {
    // No fact lies deeper. A path from a stranger must not make a tree that is too deep to be dropped.
    if path.split(['.', '[']).count() > DEEPEST {
        return None;
    }
    if let Some(list) = path.strip_suffix(REST) {
        let place = walk(tree, list)?;
        let items = std::mem::take(place);
        let mut map = Map::new();
        map.insert(PARTIAL.into(), items.is_array().then_some(items)?);
        map.insert(MARKER.into(), reason.clone());
        *place = Value::Object(map);
        return Some(());
    }
    let (parent, key) = path.rsplit_once('.').unwrap_or(("", path));
    let map = walk(tree, parent)?.as_object_mut()?;
    let mut wrapped = Map::new();
    wrapped.insert(MARKER.into(), reason.clone());
    map.insert(key.to_owned(), Value::Object(wrapped));
    Some(())
}

/// Follows `a.b[3].c`, through partial lists too. Missing objects on the way are made: a family of which nothing could be
/// looked at is not in the document.
fn walk<'a>(tree: &'a mut Value, path: &str) -> Option<&'a mut Value> {
    let mut place = tree;
    for step in path.split('.').filter(|step| !step.is_empty()) {
        let (name, indices) = step.split_once('[').map_or((step, ""), |(name, rest)| (name, rest));
        let map = place.as_object_mut()?;
        place = map.entry(name.to_owned()).or_insert_with(|| Value::Object(Map::new()));
        for index in indices.split('[').filter(|index| !index.is_empty()) {
            if place.as_object().is_some_and(|map| map.contains_key(PARTIAL)) {
                place = place.get_mut(PARTIAL)?;
            }
            place = place.get_mut(index.strip_suffix(']')?.parse::<usize>().ok()?)?;
        }
    }
    Some(place)
}
