//! What the caller chose to do without: rows that nothing else keeps from being compared are told in a note, and are no reason to fail. Through the
//! binary, over what it saw on this machine and over recorded worlds.
#![expect(clippy::expect_used, reason = "a test that cannot go on fails")]

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

fn parallax(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_parallax"));
    command.args(arguments).env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").current_dir("/");
    command
}

/// The exit code and the report.
fn report(mut command: Command) -> (Option<i32>, Value) {
    let output = command.args(["--format", "json"]).output().expect("parallax runs");
    let said = String::from_utf8_lossy(&output.stderr);
    (output.status.code(), serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}")))
}

fn compared(path: &Path) -> (Option<i32>, Value) {
    report(parallax(&["compare", &path.display().to_string()]))
}

fn rows(report: &Value, check: &str) -> Vec<Value> {
    let rows = report["findings"].as_array().expect("rows").iter();
    rows.filter(|row| row["check"] == check && row["outcome"] != "not-applicable").cloned().collect()
}

fn notes(report: &Value, words: &str) -> usize {
    report["notes"].as_array().expect("notes").iter().filter(|note| note.to_string().contains(words)).count()
}

/// A cache on loopback that admits nobody without a login.
fn private() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 8192]);
            let _ = stream.write_all(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        }
    });
    port
}

#[test]
fn whether_a_login_would_do_is_not_asked_without_credentials_and_fails_nobody() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name).display().to_string();
    std::fs::write(path("netrc"), "machine 127.0.0.1 login ci password x\n").expect("written");
    let settings = format!("substituters = http://127.0.0.1:{}\nnetrc-file = {}\n", private(), path("netrc"));
    std::fs::write(path("nix.conf"), settings).expect("written");
    let mut probe = parallax(&["probe", "--no-credentials"]);
    // A state directory of its own: whoever has no daemon downloads for himself.
    probe.env("NIX_CONF_DIR", directory.path()).env("NIX_STATE_DIR", path("state"));
    probe.env("NIX_STORE_DIR", path("store"));
    let view = directory.path().join("view.json");
    std::fs::write(&view, probe.output().expect("parallax runs").stdout).expect("written");
    let (code, told) = compared(&view);
    assert_eq!((code, notes(&told, "left out by --no-credentials: ")), (Some(0), 1), "{told:#}");
    assert!(rows(&told, "caches/admitted").is_empty(), "{told:#}");
    // A rule of parallax is no choice, and neither is a cache that was late; beside one of them the choice explains nothing.
    let late = json!({"reason": "timed-out", "after_ms": 1, "waiting_for": "a test"});
    for other in [json!({"reason": "disabled", "by": "the rule that no credential goes to a link-local address"}), late]
    {
        let text = std::fs::read(&view).expect("the view");
        let mut document: Value = serde_json::from_slice(&text).expect("JSON");
        document["unobserved"]["caches.served[0].admitted"] = other;
        let changed = directory.path().join("changed.json");
        std::fs::write(&changed, document.to_string()).expect("written");
        let (code, told) = compared(&changed);
        assert_eq!((code, rows(&told, "caches/admitted").len()), (Some(3), 1), "{told:#}");
    }
}

#[test]
fn what_one_context_alone_does_not_show_fails_no_comparison_and_hides_no_incoherence() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let (code, told) = compared(&fixtures.join("daemon-fetches-repaired"));
    assert_eq!((code, notes(&told, "left out by looking from one context alone: 1 row was")), (Some(0), 1), "{told:#}");
    assert!(rows(&told, "reach/answers-on-loopback").is_empty(), "{told:#}");
    let (code, told) = compared(&fixtures.join("daemon-fetches-broken"));
    let broken = rows(&told, "reach/daemon-fetches");
    assert!(code == Some(1) && broken.iter().any(|row| row["outcome"] == "incoherent"), "{told:#}");
    // What the daemons of views that were each taken alone were not asked.
    let directory = tempfile::tempdir().expect("a directory");
    for file in std::fs::read_dir(fixtures.join("daemon-fetches-repaired")).expect("the world").flatten() {
        let text = std::fs::read(file.path()).expect("a view");
        let mut document: Value = serde_json::from_slice(&text).expect("JSON");
        document["facts"]["reach"].as_object_mut().expect("reach").remove("linked");
        let unobserved = document["unobserved"].as_object_mut().expect("a table");
        unobserved.retain(|fact, _| !fact.starts_with("reach.linked"));
        let alone = json!({"reason": "disabled", "by": "looking from one context alone"});
        unobserved.insert("reach.linked".to_owned(), alone);
        std::fs::write(directory.path().join(file.file_name()), document.to_string()).expect("written");
    }
    let (code, told) = compared(directory.path());
    assert_eq!(code, Some(0), "{told:#}");
    assert!(rows(&told, "reach/daemon-connects").is_empty(), "{told:#}");
    assert_eq!(notes(&told, "no daemon was asked for its clients' endpoints (left out by looking from"), 1, "{told:#}");
}

#[test]
fn a_name_that_only_a_server_knows_is_not_asked_for_offline_and_fails_nobody() {
    let mut doctor = parallax(&["doctor", "--offline"]);
    doctor.env("NIX_CONFIG", "substituters = https://cache.example.test");
    let (_, told) = report(doctor);
    assert_eq!(notes(&told, "left out by --offline: "), 1, "{told:#}");
    let unknown: Vec<Value> =
        told["findings"].as_array().expect("rows").iter().filter(|row| row["outcome"] == "unknown").cloned().collect();
    assert!(!unknown.iter().any(|row| row["message"].to_string().contains("left out by --offline")), "{unknown:#?}");
    assert!(rows(&told, "network/name-known").is_empty(), "{told:#}");
}

#[test]
fn what_a_daemon_could_not_be_asked_matters_to_nobody_where_nobody_uses_it() {
    let world = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/root-lost-repaired");
    let unasked = |with_clients: bool| {
        let directory = tempfile::tempdir().expect("a directory");
        for file in std::fs::read_dir(&world).expect("the world").flatten() {
            let text = std::fs::read(file.path()).expect("a view");
            let mut document: Value = serde_json::from_slice(&text).expect("JSON");
            if document["context"]["service"] == "nix-daemon" {
                document["facts"]["paths"].as_object_mut().expect("paths").remove("seen");
                let unobserved = document["unobserved"].as_object_mut().expect("a table");
                unobserved.retain(|fact, _| !fact.starts_with("paths.seen"));
                unobserved
                    .insert("paths.seen".to_owned(), json!({"reason": "truncated", "at": 20000, "what": "roots"}));
            } else if !with_clients {
                continue;
            }
            std::fs::write(directory.path().join(file.file_name()), document.to_string()).expect("written");
        }
        rows(&compared(directory.path()).1, "paths/gc-root")
    };
    let with_clients = unasked(true);
    assert!(with_clients.iter().any(|row| row["outcome"] == "unknown"), "{with_clients:#?}");
    assert_eq!(unasked(false), Vec::<Value>::new());
}
