//! The snapshot document: what was seen, what is not there and what could not be looked at survive being written and read, and never blur.
#![expect(clippy::expect_used, reason = "a test may fail loudly")]

use parallax::snapshot::{MARKER, Reason, Snapshot};
use serde_json::{Value, json};

/// A snapshot of this very process' context, as the built binary takes it.
fn own() -> (Vec<u8>, Snapshot) {
    let output =
        std::process::Command::new(env!("CARGO_BIN_EXE_parallax")).arg("probe").output().expect("parallax runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let snapshot = Snapshot::from_json(&output.stdout).expect("it reads what it writes");
    (output.stdout, snapshot)
}

/// The paths of all facts that are present or absent in a tree, outside of lists.
fn leaves(tree: &Value, path: &str, found: &mut Vec<String>) {
    match tree {
        Value::Object(map) if !map.contains_key(MARKER) => {
            for (key, inner) in map {
                leaves(inner, &format!("{path}/{key}"), found);
            }
        }
        _ => found.push(path.to_owned()),
    }
}

fn rewritten(snapshot: &Snapshot, path: &str, value: Value) -> Option<Snapshot> {
    let mut tree = snapshot.facts_tree();
    *tree.pointer_mut(path)? = value;
    // A plain leaf of a list's element has no states; it is left alone.
    let facts = serde_json::from_value(tree).ok()?;
    Some(Snapshot { facts, ..snapshot.clone() })
}

#[test]
fn a_document_reads_back_as_what_was_written() {
    let (text, snapshot) = own();
    let written: Value = serde_json::from_slice(&text).expect("JSON");
    assert_eq!(snapshot.to_json(), written);
    let blank = Snapshot { facts: Default::default(), ..snapshot };
    let again = Snapshot::from_json(blank.to_json().to_string().as_bytes()).expect("it reads");
    assert_eq!(again, blank);
}

#[test]
fn every_fact_has_three_states_that_round_trip_to_three_different_texts() {
    let (_, snapshot) = own();
    let mut paths = Vec::new();
    leaves(&snapshot.facts_tree(), "", &mut paths);
    assert!(paths.len() > 80, "{}", paths.len());
    let reason = Reason::Unreadable { path: "/x".into(), errno: "EACCES".into() };
    for path in paths {
        let states = [
            snapshot.clone(),
            rewritten(&snapshot, &path, Value::Null).unwrap_or_else(|| panic!("{path} can be absent")),
            rewritten(&snapshot, &path, json!({ MARKER: reason }))
                .unwrap_or_else(|| panic!("{path} can be unobserved")),
        ];
        let texts = states.each_ref().map(|state| state.to_json().to_string());
        for (state, text) in states.iter().zip(&texts) {
            assert_eq!(Snapshot::from_json(text.as_bytes()).as_ref().ok(), Some(state), "{path}");
        }
        assert_ne!(texts[1], texts[2], "{path}: absent and unobserved");
        assert_ne!(texts[0], texts[2], "{path}: seen and unobserved");
        let name = path.trim_start_matches('/').replace('/', ".");
        let document: Value = serde_json::from_str(&texts[2]).expect("JSON");
        assert_eq!(document["unobserved"][&name], json!(reason), "{name} is named in the table");
        assert!(document["facts"].pointer(&path).is_none(), "{name} has no stand-in");
    }
}

#[test]
fn an_empty_list_is_neither_absent_nor_unobserved() {
    let (_, snapshot) = own();
    let path = "/tools/missing";
    let text = |value: Value| rewritten(&snapshot, path, value).expect("a state").to_json().to_string();
    let reason = json!({ MARKER: Reason::NoProcess });
    let (empty, absent, unobserved) = (text(json!([])), text(Value::Null), text(reason));
    assert!(empty != absent && absent != unobserved && empty != unobserved);
}

#[test]
fn a_document_of_another_version_is_refused_by_name() {
    let (_, snapshot) = own();
    let mut document = snapshot.to_json();
    document["schema"] = json!("parallax.snapshot/2");
    let error = Snapshot::from_json(document.to_string().as_bytes()).expect_err("it is refused").to_string();
    assert!(error.contains("parallax.snapshot/2") && error.contains("parallax.snapshot/1"), "{error}");
}
