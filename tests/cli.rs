//! The command line through the binary: exit codes, report files in each of them, and what a person is told who mistypes.
//!
//! What is compared are recorded snapshots; only `check` looks at the machine that it runs on.
#![expect(clippy::expect_used, clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::{Path, PathBuf};

use assert_cmd::Command;
use assert_cmd::assert::Assert;
use serde_json::Value;

fn parallax(arguments: &[&str]) -> Assert {
    let mut command = Command::new(env!("CARGO_BIN_EXE_parallax"));
    let command = command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", "/root").current_dir("/");
    command.args(arguments).timeout(std::time::Duration::from_secs(60)).assert()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

fn errors(run: &Assert) -> String {
    text(&run.get_output().stderr)
}

fn printed(run: &Assert) -> String {
    text(&run.get_output().stdout)
}

fn json(run: &Assert) -> Value {
    serde_json::from_slice(&run.get_output().stdout).expect("stdout is JSON and nothing else")
}

fn world(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name).display().to_string()
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

    fn write(&self, name: &str, content: &str) -> String {
        std::fs::write(self.path(name), content).expect("written");
        self.path(name).display().to_string()
    }

    /// The argument of `--output` for a JUnit file.
    fn junit(&self, name: &str) -> String {
        format!("junit={}", self.path(name).display())
    }

    /// The elements of this name in a JUnit file that was written.
    fn count(&self, file: &str, element: &str) -> usize {
        let xml = std::fs::read_to_string(self.path(file)).expect("the report was written");
        let document = roxmltree::Document::parse(&xml).expect("XML");
        document.descendants().filter(|node| node.has_tag_name(element)).count()
    }

    /// A recorded host, dated now.
    fn fresh_host(&self, age_ms: i64) {
        let mut snapshot: Value =
            serde_json::from_slice(&std::fs::read(world("healthy-host") + "/host.json").unwrap()).unwrap();
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock").as_millis();
        snapshot["taken_ms"] = (i64::try_from(now).unwrap() - age_ms).into();
        self.write("host.snapshot.json", &snapshot.to_string());
    }

    fn here(&self) -> String {
        self.0.path().display().to_string()
    }
}

#[test]
fn a_coherent_world_ends_with_0_and_its_report_has_no_failure() {
    let desk = Desk::new();
    let run = parallax(&["compare", &world("one-writer-repaired"), "--output", &desk.junit("r.xml")]).code(0);
    assert!(printed(&run).starts_with("coherent: "), "{}", printed(&run));
    assert!(desk.count("r.xml", "testcase") > 0);
    assert_eq!(desk.count("r.xml", "failure") + desk.count("r.xml", "error"), 0);
}

#[test]
fn an_incoherence_of_severity_error_ends_with_1_and_is_a_failure_in_the_report() {
    let desk = Desk::new();
    let run = parallax(&["compare", &world("one-writer-broken"), "--output", &desk.junit("r.xml")]).code(1);
    assert!(printed(&run).contains("store/one-writer"), "{}", printed(&run));
    assert!(desk.count("r.xml", "failure") >= 1);
}

#[test]
fn warnings_alone_end_with_4() {
    let desk = Desk::new();
    parallax(&["compare", &world("edited-configuration-broken"), "--output", &desk.junit("r.xml")]).code(4);
    assert!(desk.count("r.xml", "failure") >= 1);
}

#[test]
fn a_world_that_could_not_be_looked_at_ends_with_3_and_an_error_in_the_report() {
    let desk = Desk::new();
    let run = parallax(&["compare", &world("no-time"), "--output", &desk.junit("r.xml")]).code(3);
    assert!(printed(&run).starts_with("undetermined: "), "{}", printed(&run));
    assert!(desk.count("r.xml", "error") >= 1);
}

#[test]
fn nothing_compared_is_never_coherent_even_where_unknown_rows_may_pass() {
    let desk = Desk::new();
    let healthy = std::fs::read_to_string(world("healthy-host") + "/host.json").unwrap();
    let mut snapshot: Value = serde_json::from_str(&healthy).unwrap();
    snapshot["facts"] = serde_json::json!({});
    snapshot["unobserved"] = serde_json::json!({});
    let file = desk.write("host.json", &snapshot.to_string());
    let run = parallax(&["compare", &file, "--allow-unknown", "--format", "json"]).code(3);
    assert_eq!(json(&run)["summary"]["comparisons"], 0);
}

#[test]
fn a_command_line_that_is_wrong_ends_with_2_and_the_report_is_written_all_the_same() {
    let desk = Desk::new();
    let (apart, joined) = (desk.junit("a.xml"), format!("--output={}", desk.junit("b.xml")));
    let run = parallax(&["doctor", "--nonsense", "--output", &apart, &joined]).code(2);
    assert!(errors(&run).contains("--nonsense"), "{}", errors(&run));
    assert_eq!(printed(&run), "");
    for file in ["a.xml", "b.xml"] {
        assert_eq!(desk.count(file, "error"), 1, "{file}");
    }
    for wrong in
        [vec!["compare"], vec!["frobnicate"], vec!["doctor", "--deadline", "soon"], vec!["doctor", "--output", "pdf=x"]]
    {
        parallax(&wrong).code(2);
    }
}

#[test]
fn a_configuration_that_is_wrong_ends_with_2_names_its_place_and_writes_the_report() {
    let desk = Desk::new();
    let config = desk.write("parallax.toml", "users = [\"a\"]\nrequires = [\"host\"]\n");
    let run =
        parallax(&["compare", &world("healthy-host"), "--config", &config, "--output", &desk.junit("r.xml")]).code(2);
    let said = errors(&run);
    assert!(said.contains("parallax.toml:2:1") && said.contains("require"), "{said}");
    assert_eq!(desk.count("r.xml", "error"), 1);
}

#[test]
fn an_expired_waiver_ends_with_2_and_a_waiver_of_an_unknown_check_too() {
    let desk = Desk::new();
    let waiver = |check: &str, until: &str| {
        let text = format!("[[waive]]\ncheck = \"{check}\"\nreason = \"known\"\nuntil = {until}\n");
        let config = desk.write("parallax.toml", &text);
        parallax(&["compare", &world("one-writer-broken"), "--config", &config])
    };
    assert!(errors(&waiver("store/one-writer", "2020-01-01").code(2)).contains("2020-01-01"));
    assert!(errors(&waiver("store/one-writr", "2099-01-01").code(2)).contains("store/one-writer"));
}

#[test]
fn a_report_that_cannot_be_written_ends_with_70_and_the_others_are_written() {
    let desk = Desk::new();
    let below_a_file = format!("json={}/r.json", desk.write("file", ""));
    let (lost, kept) = (below_a_file.as_str(), desk.junit("r.xml"));
    let run = parallax(&["compare", &world("one-writer-repaired"), "--output", lost, "--output", &kept]).code(70);
    assert!(errors(&run).matches("file/r.json").count() == 1, "{}", errors(&run));
    assert!(desk.count("r.xml", "testcase") > 0);
    // A found incoherence is not hidden by it.
    parallax(&["compare", &world("one-writer-broken"), "--output", lost]).code(1);
}

#[test]
fn views_that_cannot_be_published_end_with_70_and_an_error_in_the_report() {
    let desk = Desk::new();
    let file = desk.write("file", "");
    let arguments = ["doctor", "--offline", "--publish", &format!("{file}/views"), "--output", &desk.junit("r.xml")];
    parallax(&arguments).code(70);
    assert_eq!(desk.count("r.xml", "error"), 1);
}

#[test]
fn a_file_that_is_no_snapshot_is_named_with_line_and_column() {
    let desk = Desk::new();
    let file = desk.write("broken.json", "{\n  \"schema\": \"parallax.snapshot/1\",\n  oops\n}\n");
    let run = parallax(&["compare", &file, "--output", &desk.junit("r.xml")]).code(2);
    assert!(errors(&run).contains("broken.json: line 3, column 3"), "{}", errors(&run));
    assert_eq!(desk.count("r.xml", "error"), 1);
    let other = desk.write("other.json", "{\"schema\": \"parallax.snapshot/99\"}");
    assert!(errors(&parallax(&["compare", &other]).code(2)).contains("parallax.snapshot/99"));
}

#[test]
fn what_is_no_file_of_snapshots_is_refused_and_never_waited_for() {
    let desk = Desk::new();
    assert!(errors(&parallax(&["compare", "/nonexistent"]).code(2)).contains("/nonexistent"));
    assert!(errors(&parallax(&["compare", &desk.here()]).code(2)).contains("no snapshot"));
    let fifo = desk.path("fifo.json").display().to_string();
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    assert!(errors(&parallax(&["compare", &fifo]).code(2)).contains("not a regular file"));
}

#[test]
fn two_snapshots_of_one_context_are_refused() {
    let run = parallax(&["compare", &world("one-writer-broken"), &world("one-writer-repaired")]).code(2);
    let said = errors(&run);
    assert!(said.contains("one-writer-broken") && said.contains("one-writer-repaired"), "{said}");
    assert!(said.contains("both snapshots of"), "{said}");
}

#[test]
fn the_order_of_the_files_does_not_matter() {
    let mut files: Vec<String> = std::fs::read_dir(world("one-writer-broken"))
        .unwrap()
        .map(|entry| entry.unwrap().path().display().to_string())
        .collect();
    let findings = |files: &[String]| {
        let arguments: Vec<&str> =
            ["compare", "--format", "json"].into_iter().chain(files.iter().map(String::as_str)).collect();
        json(&parallax(&arguments).code(1))["findings"].clone()
    };
    files.sort();
    let sorted = findings(&files);
    files.reverse();
    assert_eq!(findings(&files), sorted);
}

#[test]
fn a_required_view_that_is_missing_ends_with_3_and_is_named() {
    let desk = Desk::new();
    let config = desk.write("parallax.toml", "require = [\"service:frobnicator\"]\n");
    let arguments = ["compare", &world("one-writer-repaired"), "--config", &config, "--output", &desk.junit("r.xml")];
    let run = parallax(&arguments).code(3);
    assert!(printed(&run).contains("service:frobnicator"), "{}", printed(&run));
    assert_eq!(desk.count("r.xml", "error"), 1);
}

#[test]
fn a_check_is_explained_and_so_is_a_fact() {
    let check = printed(&parallax(&["explain", "store/one-writer"]).code(0));
    assert!(check.contains("store/one-writer") && check.contains("store.db"), "{check}");
    let fact = printed(&parallax(&["explain", "store.db.mode"]).code(0));
    assert!(fact.contains("store.db.mode"), "{fact}");
    let element = printed(&parallax(&["explain", "network.endpoints.listening"]).code(0));
    assert!(element.contains("network.endpoints[].listening"), "{element}");
}

#[test]
fn what_is_mistyped_is_met_with_what_was_probably_meant() {
    assert!(errors(&parallax(&["explain", "store/one-writter"]).code(2)).contains("did you mean store/one-writer?"));
    assert!(errors(&parallax(&["explain", "store.db.mod"]).code(2)).contains("did you mean store.db.mode?"));
    assert!(errors(&parallax(&["explain", "unlike/anything-there-is"]).code(2)).contains("parallax checks list"));
    assert!(errors(&parallax(&["docter"]).code(2)).contains("doctor"));
}

#[test]
fn every_schema_is_json_schema_and_the_recorded_snapshots_use_its_names() {
    for document in ["snapshot", "findings", "check", "config"] {
        let schema = json(&parallax(&["schema", document]).code(0));
        assert!(schema["$schema"].as_str().is_some_and(|uri| uri.contains("json-schema.org")), "{document}");
        assert!(schema["properties"].is_object(), "{document}");
    }
    let schema = json(&parallax(&["schema", "snapshot"]).code(0));
    let snapshot: Value =
        serde_json::from_slice(&std::fs::read(world("healthy-host") + "/host.json").unwrap()).unwrap();
    for name in snapshot.as_object().unwrap().keys() {
        assert!(schema["properties"].get(name).is_some(), "{name}");
    }
}

#[test]
fn a_published_view_counts_while_it_is_young_and_is_refused_by_its_age() {
    let desk = Desk::new();
    let ids = |report: &Value| -> Vec<String> {
        report["contexts"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect()
    };
    let look = |require: &[&str]| {
        let here = desk.here();
        let arguments = ["check", "--offline", "--format", "json", "--max-age", "60", "--views", &here];
        let arguments: Vec<&str> = arguments.into_iter().chain(require.iter().copied()).collect();
        let run = parallax(&arguments);
        (json(&run), run.get_output().status.code().unwrap_or(-1))
    };
    desk.fresh_host(1_000);
    assert!(ids(&look(&[]).0).contains(&"host".to_owned()));
    for age in [3_600_000, -3_600_000] {
        desk.fresh_host(age);
        let (report, code) = look(&["--require", "host"]);
        assert!(!ids(&report).contains(&"host".to_owned()), "{age}");
        assert!(report["notes"].to_string().contains("refused"), "{age}: {}", report["notes"]);
        assert_eq!(report["missing"], serde_json::json!(["host"]));
        assert!([1, 3].contains(&code), "{age}: {code}");
    }
}

#[test]
fn a_job_never_takes_another_containers_view() {
    let desk = Desk::new();
    desk.fresh_host(1_000);
    let container = std::fs::read(world("healthy-host") + "/container-parallax-world-job.json").unwrap();
    let mut container: Value = serde_json::from_slice(&container).unwrap();
    container["taken_ms"] = serde_json::from_slice::<Value>(&std::fs::read(desk.path("host.snapshot.json")).unwrap())
        .unwrap()["taken_ms"]
        .clone();
    desk.write("container.snapshot.json", &container.to_string());
    let run = parallax(&["check", "--offline", "--format", "json", "--views", &desk.here()]);
    let report = json(&run);
    assert!(report["notes"].to_string().contains("only host, users and services"), "{}", report["notes"]);
    assert!(!report["contexts"].to_string().contains("parallax-world-job"));
}

#[test]
fn what_there_is_not_is_named_with_what_there_is() {
    let said = errors(&parallax(&["probe", "--service", "frobnicator"]).code(2));
    assert!(said.contains("no service is called frobnicator"), "{said}");
    parallax(&["probe", "--pid", "4194305"]).code(2);
    parallax(&["probe", "--pid", "1", "--user", "root"]).code(2);
}

#[test]
fn the_snapshot_of_here_can_be_compared() {
    let desk = Desk::new();
    let snapshot = printed(&parallax(&["probe"]).code(0));
    let file = desk.write("here.json", &snapshot);
    let run = parallax(&["compare", &file, "--format", "json"]);
    assert_eq!(json(&run)["contexts"][0]["id"], "host");
}

#[test]
fn completions_are_scripts_that_know_the_commands() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = printed(&parallax(&["completions", shell]).code(0));
        assert!(script.contains("doctor") && script.contains("compare"), "{shell}");
    }
    parallax(&["completions", "tcsh"]).code(2);
}

#[test]
fn help_and_version_are_answers_and_the_exit_codes_are_in_the_help() {
    assert!(printed(&parallax(&["--help"]).code(0)).contains("3 could not be determined"));
    assert!(printed(&parallax(&["--version"]).code(0)).contains(env!("CARGO_PKG_VERSION")));
}

#[test]
fn colour_is_for_those_who_ask_for_it() {
    let escapes = |arguments: &[&str]| printed(&parallax(arguments)).contains('\u{1b}');
    let broken = world("one-writer-broken");
    assert!(!escapes(&["compare", &broken]));
    assert!(escapes(&["compare", &broken, "--color", "always"]));
    assert!(!escapes(&["compare", &broken, "--color", "always", "--format", "json"]));
}

#[test]
fn a_reader_that_goes_away_changes_no_exit_code() {
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_parallax"))
        .args(["compare", "-v", &world("one-writer-broken")])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    assert_eq!(text(&output.stderr), "");
}
