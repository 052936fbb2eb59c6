//! What a caller gives is used for what the server could not see, and for nothing else.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::filled;
use crate::snapshot::facts::Facts;
use crate::snapshot::{ContextKind, Entry, Fact, Header, List, ObjectId, Reason, Snapshot};

fn snapshot(facts: Facts) -> Snapshot {
    let context = Header {
        id: "container:job".into(),
        kind: ContextKind::Container,
        name: "job".into(),
        service: None,
        user: None,
        image: None,
        role: Some("job".into()),
        job: None,
        chain: Vec::new(),
        boot: "b".into(),
        host: "h".into(),
        host_root: None,
        process: None,
        entry: Entry::Entered,
        limits: Vec::new(),
    };
    Snapshot { context, taken_ms: 0, took_ms: 0, version: "0".into(), facts }
}

fn needs_native() -> Reason {
    Reason::NeedsNative { why: "it stands outside".into() }
}

fn document(snapshot: &Snapshot) -> Vec<u8> {
    snapshot.to_json().to_string().into_bytes()
}

#[test]
fn what_only_a_look_from_within_can_tell_is_filled_and_said() {
    let mut own = Facts::default();
    own.identity.umask = Fact::Unobserved(needs_native());
    own.identity.seccomp = Fact::Unobserved(Reason::TimedOut { after_ms: 1, waiting_for: "x".into() });
    own.identity.uid = Fact::Present(0);
    let mut given = Facts::default();
    given.identity.umask = Fact::Present("0077".into());
    given.identity.seccomp = Fact::Present("filter".into());
    given.identity.uid = Fact::Present(1000);
    let filled = filled(&document(&snapshot(given)), snapshot(own)).expect("it is read");
    assert_eq!(filled.facts.identity.umask, Fact::Present("0077".into()));
    assert!(
        matches!(filled.facts.identity.seccomp, Fact::Unobserved(Reason::TimedOut { .. })),
        "no vantage point mends it"
    );
    assert_eq!(filled.facts.identity.uid, Fact::Present(0), "what was seen stays");
    assert_eq!(filled.context.limits, ["1 facts are what the caller says of itself"]);
}

#[test]
fn processes_maps_and_fingerprints_are_nothing_that_a_caller_can_say() {
    let not_entered = || Reason::NotEntered { why: "no right".into() };
    let mut own = Facts::default();
    own.store.daemon.server = Fact::Unobserved(needs_native());
    own.identity.process.identity = Fact::Unobserved(not_entered());
    own.identity.host_uid = Fact::Unobserved(not_entered());
    own.credentials.s3 = Fact::Unobserved(not_entered());
    let mut given = json!(Facts::default());
    given["store"]["daemon"]["server"] = json!("object:b:process:1:1");
    given["identity"]["process"]["identity"] = json!("object:b:process:1:1");
    given["identity"]["host_uid"] = json!(0);
    given["credentials"]["s3"] = json!([{"provider": "environment", "name": "n", "origin": "o",
        "access_key_id": "AKIA", "fingerprint": "00ff"}]);
    let given: Facts = serde_json::from_value(given).expect("facts");
    // A document can't hold a fingerprint unless somebody wrote it there by hand.
    let mut by_hand = snapshot(given).to_json();
    by_hand["facts"]["credentials"]["s3"][0]["fingerprint"] = json!("00ff");
    let filled = filled(by_hand.to_string().as_bytes(), snapshot(own)).expect("it is read");
    assert!(filled.facts.store.daemon.server.present().is_none());
    assert!(filled.facts.identity.process.identity.present().is_none());
    assert!(filled.facts.identity.host_uid.present().is_none());
    let keys = filled.facts.credentials.s3.present().expect("the list was filled");
    assert_eq!(keys.items[0].access_key_id, Fact::Present("AKIA".into()));
    assert_eq!(keys.items[0].fingerprint, Fact::Unobserved(Reason::Withheld));
}

#[test]
fn a_list_is_completed_only_by_one_that_has_all_that_was_seen() {
    let partial = |more| Fact::Present(List { items: vec![provided("a")], more });
    fn provided(directory: &str) -> crate::snapshot::facts::PathEntry {
        crate::snapshot::facts::PathEntry {
            directory: directory.into(),
            exists: Fact::Present(true),
            writable: Fact::Present(false),
        }
    }
    let with = |items: Vec<_>| {
        let mut given = Facts::default();
        given.tools.path = Fact::Present(List::complete(items));
        let mut own = Facts::default();
        own.tools.path = partial(Some(needs_native()));
        filled(&document(&snapshot(given)), snapshot(own)).expect("it is read").facts.tools.path
    };
    let completed = with(vec![provided("b"), provided("a")]);
    assert_eq!(completed, Fact::Present(List::complete(vec![provided("a"), provided("b")])));
    assert_eq!(with(vec![provided("b")]), partial(Some(needs_native())));
}

#[test]
fn a_document_that_would_be_too_much_is_refused_with_the_reason() {
    let refused = |text: &str| filled(text.as_bytes(), snapshot(Facts::default())).expect_err("a refusal");
    assert!(refused("{").contains("no snapshot"));
    let mut deep = snapshot(Facts::default()).to_json();
    deep["unobserved"] = json!({ vec!["a"; 100_000].join("."): {"reason": "vanished"} });
    assert!(refused(&deep.to_string()).contains("names no fact"));
    let mut long = snapshot(Facts::default()).to_json();
    long["facts"] = json!({"nix": {"substituters": vec!["x"; 3000]}});
    long["unobserved"] = json!({});
    assert!(refused(&long.to_string()).contains("more than 2000 elements"));
    assert!(refused(&" ".repeat(3 << 20)).contains("longer than"));
}

/// Every leaf of a tree that was observed, with its path.
fn observed(value: &Value, path: &str, found: &mut Vec<(String, Value)>) {
    match value {
        Value::Object(map) if map.contains_key("$partial") => {
            for (index, item) in map["$partial"].as_array().into_iter().flatten().enumerate() {
                observed(item, &format!("{path}[{index}]"), found);
            }
        }
        Value::Object(map) if map.contains_key("$unobserved") => {}
        Value::Object(map) => map.iter().for_each(|(name, value)| observed(value, &format!("{path}.{name}"), found)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| observed(item, &format!("{path}[{index}]"), found));
        }
        leaf => found.push((path.to_owned(), leaf.clone())),
    }
}

/// Facts of which each leaf is present, absent or unobserved for one of some reasons.
fn facts() -> impl Strategy<Value = Facts> {
    let reason = || {
        prop_oneof![
            Just(needs_native()),
            Just(Reason::NotEntered { why: "w".into() }),
            Just(Reason::IdentityIncomplete { missing: "m".into() }),
            Just(Reason::Vanished),
            Just(Reason::TimedOut { after_ms: 1, waiting_for: "f".into() }),
        ]
    };
    fn fact<T: Clone + std::fmt::Debug + 'static>(
        value: impl Strategy<Value = T> + 'static,
        reason: impl Strategy<Value = Reason> + 'static,
    ) -> BoxedStrategy<Fact<T>> {
        prop_oneof![value.prop_map(Fact::Present), Just(Fact::Absent), reason.prop_map(Fact::Unobserved)].boxed()
    }
    let entry =
        (0..3_u8, fact(any::<bool>(), reason()), fact(any::<bool>(), reason())).prop_map(|(name, exists, writable)| {
            crate::snapshot::facts::PathEntry { directory: format!("/{name}"), exists, writable }
        });
    let list = (proptest::collection::vec(entry, 0..4), proptest::option::of(reason()))
        .prop_map(|(items, more)| List { items, more });
    let identity = (1..4_u64).prop_map(|inode| ObjectId::new("b", 1, inode, "ext4"));
    (
        (fact(0..3_u32, reason()), fact("[a-c]", reason()), fact(list, reason())),
        (fact(identity.clone(), reason()), fact(any::<bool>(), reason()), fact(identity, reason())),
        fact(proptest::collection::vec("[a-c]", 0..3), reason()),
    )
        .prop_map(|((uid, umask, path), (db, exists, server), substituters)| {
            let mut facts = Facts::default();
            (facts.identity.uid, facts.identity.umask, facts.tools.path) = (uid, umask, path);
            (facts.store.db.identity, facts.store.db.exists, facts.store.daemon.server) = (db, exists, server);
            facts.nix.substituters = substituters;
            facts
        })
}

proptest! {
    /// A lie can only stand where the server saw nothing.
    #[test]
    fn whatever_is_given_everything_that_the_server_observed_stays(own in facts(), given in facts()) {
        let filled = filled(&document(&snapshot(given)), snapshot(own.clone())).expect("it is read");
        let (mut before, mut after) = (Vec::new(), Vec::new());
        observed(&json!(own), "", &mut before);
        observed(&json!(filled.facts), "", &mut after);
        for leaf in before {
            prop_assert!(after.contains(&leaf), "{leaf:?} is gone");
        }
        prop_assert_eq!(filled.facts.store.daemon.server, own.store.daemon.server);
    }
}
