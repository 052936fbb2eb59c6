//! Snapshots of contexts that a test makes up, where what is tested is the judging alone.

use parallax::snapshot::Snapshot;
use serde_json::{Value, json};

/// A context of this id with these facts.
pub fn context(id: &str, facts: Value) -> Snapshot {
    let (kind, name) = id.split_once(':').unwrap_or((id, id));
    let document = json!({
        "schema": "parallax.snapshot/1", "version": "t", "taken_ms": 0, "took_ms": 0,
        "context": { "id": id, "kind": kind, "name": name, "boot": "b", "host": "h", "entry": "read",
                     "service": (kind == "service").then_some(name) },
        "facts": facts, "unobserved": {},
    });
    Snapshot::from_json(document.to_string().as_bytes()).unwrap_or_else(|error| panic!("{error}"))
}
