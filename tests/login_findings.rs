//! What the checks of logins and caches say of a host, through the built-in catalogue: one fault is one finding, of those whom it concerns.

mod contexts;

use parallax::check::{Catalogue, Finding, Options, Outcome, evaluate};
use parallax::snapshot::Snapshot;
use serde_json::{Value, json};

/// A context in mount and network namespaces of these numbers.
fn context(id: &str, (mounts, network): (u64, u64), mut facts: Value) -> Snapshot {
    let namespace = |number: u64| format!("namespace:b:{number}");
    facts["identity"] = json!({ "process": { "live": true },
        "namespaces": { "mnt": namespace(mounts), "net": namespace(network), "user": namespace(1), "pid": namespace(1) } });
    contexts::context(id, facts)
}

fn incoherent(check: &str, snapshots: &[Snapshot]) -> Vec<Finding> {
    let catalogue = Catalogue::builtin().unwrap_or_else(|error| panic!("{error}"));
    let findings = evaluate(&catalogue, snapshots, &Options::default()).unwrap_or_else(|error| panic!("{error}"));
    findings.into_iter().filter(|one| one.check == check && one.outcome == Outcome::Incoherent).collect()
}

fn key(used_by: &str, id: Option<&str>, outcome: &str) -> Value {
    let mut key = json!({ "used_by": used_by, "origin": "/root/.aws/credentials:2", "endpoint": "http://minio.example:9000",
        "host": "minio.example", "port": 9000, "bucket": "cache", "outcome": outcome });
    if let Some(id) = id {
        key["access_key_id"] = json!(id);
    }
    key
}

fn with(keys: &[Value], store: &str) -> Value {
    json!({ "logins": { "s3": keys }, "store": { "used": true, "chosen": { "kind": store } } })
}

#[test]
fn one_wrong_secret_in_one_file_is_one_finding_whoever_reads_the_file_and_for_whatever() {
    let uses = ["profile default", "nix substituters"].map(|used_by| key(used_by, Some("KEY"), "wrong-secret"));
    let host = [
        context("user:root", (1, 1), with(&uses, "local")),
        // A daemon that remounts its store has mounts of its own.
        context("service:nix-daemon", (2, 1), with(&uses, "local")),
    ];
    let found = incoherent("logins/right-secret", &host);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!(found[0].participants[0].contexts, ["service:nix-daemon", "user:root"]);
    let job = context("container:job", (3, 3), with(&uses, "local"));
    assert_eq!(incoherent("logins/right-secret", &[&host[..], &[job]].concat()).len(), 2, "another file");
}

#[test]
fn a_client_of_the_daemon_needs_no_key_for_a_bucket_that_the_daemon_reads() {
    let daemon = |key| context("service:nix-daemon", (2, 1), with(&[key], "local"));
    let may = || key("nix substituters", Some("KEY"), "accepted");
    let may_not = || key("nix substituters", None, "no-key");
    let alice = |key, store| context("user:alice", (1, 1), with(&[key], store));
    assert!(incoherent("logins/same-access", &[daemon(may()), alice(may_not(), "daemon")]).is_empty());
    assert_eq!(incoherent("logins/same-access", &[daemon(may()), alice(may_not(), "local")]).len(), 1);
    assert_eq!(incoherent("logins/same-access", &[daemon(may_not()), alice(may(), "daemon")]).len(), 1);
}

#[test]
fn a_cache_that_refuses_is_told_without_empty_quotes() {
    let cache = json!({ "url": "s3://cache?endpoint=http://minio.example:9000", "known_as": ["minio.example"],
        "origin": "/etc/nix/nix.conf:3", "exempt": false, "answers": true, "asked": 1, "admitted": false, "status": null,
        "login": "/root/.aws/credentials:2", "login_status": 403 });
    let facts = json!({ "caches": { "served": [cache] }, "store": { "used": true, "chosen": { "kind": "local" } } });
    let found = incoherent("caches/admitted", &[context("service:nix-daemon", (2, 1), facts)]);
    assert_eq!(found.len(), 1);
    assert!(!found[0].message.contains("\"\""), "{}", found[0].message);
    assert!(found[0].message.contains("at once; status 403 with its login"), "{}", found[0].message);
}
