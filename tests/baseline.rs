//! The baseline through the binary, over recorded worlds: what it records, what it holds, what it never makes better, and which files it refuses.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

fn parallax(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_parallax"));
    command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", "/root").current_dir("/");
    command.args(arguments).output().expect("parallax runs")
}

fn world(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name).display().to_string()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

/// A directory for what a test writes.
struct Desk(tempfile::TempDir);

impl Desk {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn name(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// Records a world's findings; returns the file.
    fn recorded(&self, world: &str) -> String {
        let file = self.name("baseline.json");
        let output = parallax(&["compare", world, "--write-baseline", &file]);
        assert!(self.path("baseline.json").exists(), "{}", text(&output.stderr));
        file
    }

    /// A copy of a world in which one context's fact could not be observed.
    fn without(&self, world: &str, context: &str, family: &str, group: &str, fact: &str) -> String {
        let copy = self.path("world");
        std::fs::create_dir_all(&copy).unwrap();
        for entry in std::fs::read_dir(world).unwrap() {
            let path = entry.unwrap().path();
            let bytes = std::fs::read(&path).unwrap();
            std::fs::write(copy.join(path.file_name().unwrap()), bytes).unwrap();
        }
        let file = copy.join(context);
        let mut document: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        let taken = document["facts"][family][group].as_object_mut().unwrap().remove(fact);
        assert!(taken.is_some(), "{fact} was observed");
        document["unobserved"][format!("{family}.{group}.{fact}")] =
            json!({"reason": "timed-out", "after_ms": 1, "waiting_for": "a test"});
        std::fs::write(&file, document.to_string()).unwrap();
        copy.display().to_string()
    }
}

/// Runs a comparison against a baseline: exit code and document.
fn held(world: &str, baseline: &str) -> (i32, Value) {
    let output = parallax(&["compare", world, "--baseline", baseline, "--format", "json"]);
    let document = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{} {}", text(&output.stdout), text(&output.stderr)));
    (output.status.code().unwrap(), document)
}

fn fates(document: &Value) -> Vec<String> {
    let of = |past: &Value| format!("{} {}", past["check"].as_str().unwrap(), past["fate"].as_str().unwrap());
    document["baseline"]["past"].as_array().unwrap().iter().map(of).collect()
}

const JOB: &str = "container-parallax-world-job.json";

#[test]
fn a_first_run_is_recorded_and_a_second_one_passes() {
    let desk = Desk::new();
    let broken = world("one-writer-broken");
    let file = desk.name("baseline.json");
    let first = parallax(&["compare", &broken, "--write-baseline", &file]);
    assert_eq!(first.status.code(), Some(1), "recording changes nothing of what the run comes to");
    assert!(text(&first.stdout).contains("3 findings recorded in"), "{}", text(&first.stdout));

    let second = parallax(&["compare", &broken, "--baseline", &file]);
    assert_eq!(second.status.code(), Some(0), "{}", text(&second.stdout));
    let said = text(&second.stdout);
    assert!(
        said.starts_with("coherent: 0 incoherent, 0 unknown, ") && said.contains(", 3 held by the baseline;"),
        "{said}"
    );
    let (_, document) = held(&broken, &file);
    let held: Vec<_> = document["findings"].as_array().unwrap().iter().filter(|row| row["outcome"] == "held").collect();
    assert_eq!(held.len(), 3);
    assert!(held.iter().all(|row| row["held"] == "incoherent" && row["severity"] == "error"));
}

#[test]
fn the_file_is_stable_and_shows_one_finding_per_line() {
    let desk = Desk::new();
    let broken = world("one-writer-broken");
    let file = desk.recorded(&broken);
    let first = std::fs::read_to_string(&file).unwrap();
    // Written again over itself, and while it is held.
    parallax(&["compare", &broken, "--baseline", &file, "--write-baseline", &file]);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), first);
    let findings: Vec<_> = first.lines().filter(|line| line.contains("\"check\":")).collect();
    assert_eq!(findings.len(), 3, "{first}");
    assert!(findings.is_sorted(), "{first}");
    let left: Vec<_> = std::fs::read_dir(desk.0.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["baseline.json"], "no draft is left behind");
    let schema: Value = serde_json::from_slice(&parallax(&["schema", "baseline"]).stdout).unwrap();
    let document: Value = serde_json::from_str(&first).unwrap();
    for key in document["findings"][0].as_object().unwrap().keys() {
        assert!(schema["$defs"]["Entry"]["properties"][key].is_object(), "{key}");
    }
}

#[test]
fn only_what_is_new_fails() {
    let desk = Desk::new();
    let file = desk.recorded(&world("edited-configuration-broken"));
    let (code, document) = held(&world("ignored-cache-broken"), &file);
    assert_eq!(code, 1);
    assert_eq!(document["summary"]["rows"]["incoherent_errors"], 2);
    assert_eq!(document["summary"]["rows"]["held"], 0);
}

#[test]
fn a_repaired_finding_is_said_to_be_gone_in_the_words_that_are_true() {
    let desk = Desk::new();
    let file = desk.recorded(&world("one-writer-broken"));
    let (code, document) = held(&world("one-writer-repaired"), &file);
    assert_eq!(code, 0);
    let fates = fates(&document);
    assert_eq!(fates.len(), 3, "{fates:?}");
    assert!(fates.iter().any(|fate| fate.ends_with("coherent now")), "{fates:?}");
    assert!(fates.iter().any(|fate| fate.ends_with("no longer seen")), "{fates:?}");
    let table = text(&parallax(&["compare", &world("one-writer-repaired"), "--baseline", &file]).stdout);
    assert!(
        table.contains("0 held by the baseline (3 gone)") && table.contains("gone, coherent now: store/"),
        "{table}"
    );
}

#[test]
fn an_incoherence_that_cannot_be_seen_any_more_is_unknown_and_counts() {
    let desk = Desk::new();
    let broken = world("one-writer-broken");
    let file = desk.recorded(&broken);
    let blind = desk.without(&broken, JOB, "store", "db", "writable");
    let (code, document) = held(&blind, &file);
    assert_eq!(code, 3, "{}", document["summary"]);
    assert!(fates(&document).iter().all(|fate| fate.ends_with("could not be determined")), "{:?}", fates(&document));
    let rows = document["findings"].as_array().unwrap();
    assert!(rows.iter().any(|row| row["check"] == "store/one-writer" && row["outcome"] == "unknown"));
}

#[test]
fn a_held_unknown_that_becomes_incoherent_or_loses_more_is_new() {
    let desk = Desk::new();
    let broken = world("one-writer-broken");
    let blind = desk.without(&broken, JOB, "store", "db", "writable");
    let file = desk.recorded(&blind);
    assert_eq!(held(&blind, &file).0, 0, "what was unknown then is held");
    let (code, document) = held(&broken, &file);
    assert_eq!(code, 1, "{}", document["summary"]);
    let blinder = desk.without(&blind, JOB, "store", "db", "exists");
    let (code, document) = held(&blinder, &file);
    assert_eq!(code, 3, "{}", document["summary"]);
}

#[test]
fn a_file_that_is_no_baseline_is_refused_with_its_place() {
    let desk = Desk::new();
    let entry = r#"{"check":"a/b","subject":"s","outcome":"incoherent","severity":"error"}"#;
    let cases = [
        ("{", ":1:1: no baseline: EOF"),
        (
            "{\n \"schema\": \"parallax.baseline/2\",\n \"findings\": []}",
            ":2:32: no baseline: \"parallax.baseline/2\" is not parallax.baseline/1",
        ),
        ("{\"schema\":\"parallax.baseline/1\",\"findings\":[],\"more\":1}", "unknown field `more`"),
        (
            &format!("{{\"schema\":\"parallax.baseline/1\",\"findings\":[\n{entry},\n{entry}]}}"),
            ":3:72: no baseline: a/b \"s\" stands here twice",
        ),
        (
            &format!("{{\"schema\":\"parallax.baseline/1\",\"findings\":[{}]}}", entry.replace("incoherent", "fine")),
            "unknown variant `fine`",
        ),
    ];
    for (content, said) in cases {
        std::fs::write(desk.path("b.json"), content).unwrap();
        for option in ["--baseline", "--write-baseline"] {
            let report = desk.name("r.xml");
            let output = parallax(&[
                "compare",
                &world("one-writer-broken"),
                option,
                &desk.name("b.json"),
                "--output",
                &format!("junit={report}"),
            ]);
            assert_eq!(output.status.code(), Some(2));
            assert!(
                text(&output.stderr).contains(&format!("b.json{}", if said.starts_with(':') { said } else { "" })),
                "{}",
                text(&output.stderr)
            );
            assert!(text(&output.stderr).contains(said), "{}", text(&output.stderr));
            assert_eq!(std::fs::read_to_string(desk.path("b.json")).unwrap(), content, "it is left as it was");
            assert!(std::fs::read_to_string(report).unwrap().contains("<error"));
        }
    }
}

#[test]
fn nothing_but_a_baseline_is_written_over() {
    let desk = Desk::new();
    std::fs::write(desk.path("precious"), "precious").unwrap();
    std::os::unix::fs::symlink(desk.path("precious"), desk.path("link")).unwrap();
    for name in ["precious", "link", "."] {
        let output = parallax(&["compare", &world("one-writer-broken"), "--write-baseline", &desk.name(name)]);
        assert_eq!(output.status.code(), Some(2), "{name}");
    }
    assert_eq!(std::fs::read_to_string(desk.path("precious")).unwrap(), "precious");
    let output = parallax(&["compare", &world("one-writer-broken"), "--baseline", &desk.name("none")]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("there is no such file; --write-baseline makes one"));
}

#[test]
fn contexts_that_were_one_side_and_are_fewer_are_held_and_the_reverse_is_new() {
    let desk = Desk::new();
    let broken = world("daemon-fetches-broken");
    let file = desk.recorded(&broken);
    let recorded: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let with = |change: &dyn Fn(&mut Vec<Value>)| {
        let mut document = recorded.clone();
        let entries = document["findings"].as_array_mut().unwrap();
        let entry = entries.iter_mut().find(|entry| entry["check"] == "reach/connects").expect("it is recorded");
        let subject = entry["subject"].as_str().unwrap().to_owned();
        let (thing, _) = subject.rsplit_once(" (").unwrap();
        entry["subject"] = format!("{thing} (somebody / somebody else)").into();
        change(entry["sides"].as_array_mut().unwrap());
        std::fs::write(&file, document.to_string()).unwrap();
        held(&broken, &file)
    };
    let (code, document) = with(&|sides| sides[0].as_array_mut().unwrap().push("user:gone".into()));
    assert_eq!((code, fates(&document)), (0, Vec::new()), "a part of what was recorded");
    let (code, _) = with(&|sides| sides.reverse());
    assert_eq!(code, 1, "the reverse is another finding");
    let (code, _) = with(&|sides| {
        let both: Vec<Value> = sides.iter().flat_map(|side| side.as_array().unwrap().clone()).collect();
        *sides = vec![both.into()];
    });
    assert_eq!(code, 1, "what was on one side disagrees now");
}
