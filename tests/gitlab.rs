//! What GitLab gets: recorded worlds through the built binary, read by GitLab's rules, which `gitlab/junit.py` tells anew, by xmllint, and by
//! the fields that its Code Quality needs.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn parallax(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_parallax"));
    command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", "/root").current_dir("/");
    command.args(arguments).envs(variables.iter().copied()).output().expect("parallax runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

/// Every recorded world that is a whole host.
fn worlds() -> Vec<String> {
    let entries = std::fs::read_dir(fixtures()).unwrap().map(|entry| entry.unwrap().path());
    let mut worlds: Vec<_> =
        entries.filter(|path| path.join("host.json").exists()).map(|path| path.display().to_string()).collect();
    worlds.sort();
    assert!(worlds.len() > 10, "{worlds:?}");
    worlds
}

fn world(name: &str) -> String {
    fixtures().join(name).display().to_string()
}

/// Runs a reader over a report.
fn fed(program: &str, arguments: &[&str], report: &[u8]) -> Output {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("these tests need {program}: {error}"));
    child.stdin.take().unwrap().write_all(report).unwrap();
    child.wait_with_output().unwrap()
}

/// What GitLab holds of a report.
fn gitlab(report: &[u8]) -> Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/gitlab/junit.py");
    let output = fed("python3", &[script.to_str().unwrap()], report);
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn cases(report: &[u8]) -> Vec<Value> {
    gitlab(report)["cases"].as_array().unwrap().clone()
}

/// The identities of a report: class and name. The recorder's own directory has another name each time.
fn identities(report: &[u8]) -> BTreeSet<String> {
    let place = |name: &str| match name.split_once("/parallax-world-") {
        Some((before, after)) => format!("{before}/DIR{}", &after[6..]),
        None => name.to_owned(),
    };
    let of = |case: &Value| format!("{} {}", case["class"].as_str().unwrap(), place(case["name"].as_str().unwrap()));
    cases(report).iter().map(of).collect()
}

#[test]
fn gitlab_reads_every_recorded_world_as_it_is_meant() {
    for world in worlds() {
        let report = parallax(&["compare", &world, "--format", "junit"], &[]).stdout;
        let json: Value =
            serde_json::from_slice(&parallax(&["compare", &world, "--format", "json"], &[]).stdout).unwrap();
        let lint = fed("xmllint", &["--noout", "-"], &report);
        assert!(lint.status.success(), "{world}: {}", text(&lint.stderr));
        let mut statuses: BTreeMap<String, usize> = BTreeMap::new();
        let seen = cases(&report);
        for case in &seen {
            *statuses.entry(case["status"].as_str().unwrap().to_owned()).or_default() += 1;
        }
        let rows = &json["summary"]["rows"];
        let count = |name: &str| usize::try_from(rows[name].as_u64().unwrap()).unwrap();
        let failures = statuses.get("failure").copied().unwrap_or_default();
        assert_eq!(failures, count("incoherent_errors") + count("incoherent_warnings"), "{world}");
        for finding in json["findings"].as_array().unwrap().iter().filter(|finding| finding["outcome"] == "incoherent")
        {
            let message = finding["message"].as_str().unwrap();
            let shown =
                |case: &&Value| case["status"] == "failure" && case["shown"].as_str().unwrap().contains(message);
            assert_eq!(seen.iter().filter(shown).count(), 1, "{world}: {message}");
        }
        let decides = count("unknown") > 0 && json["summary"]["verdict"] == "undetermined";
        assert!(!decides || statuses.contains_key("error"), "{world}: {statuses:?}");
        assert!(seen.iter().all(|case| case["file"].is_null() && case["name"] != ""), "{world}");
    }
}

#[test]
fn two_runs_with_new_containers_give_the_same_identities() {
    for name in ["edited-configuration", "mounted-bash"] {
        let (one, two) = (world(&format!("{name}-broken")), world(&format!("{name}-repaired")));
        let process = |world: &str| {
            let file = Path::new(world).join("service-nix-daemon.json");
            let file = if file.exists() { file } else { Path::new(world).join("container-parallax-world-job.json") };
            let snapshot: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
            snapshot["context"]["process"].clone()
        };
        assert_ne!(process(&one), process(&two), "{name} was recorded twice");
        let report = |world: &str| parallax(&["compare", world, "--format", "junit"], &[]).stdout;
        assert_eq!(identities(&report(&one)), identities(&report(&two)), "{name}");
    }
}

#[test]
fn code_quality_holds_what_gitlab_requires_and_nothing_that_passes() {
    for world in worlds() {
        let run = || parallax(&["compare", &world, "--format", "codequality"], &[]);
        let (output, again) = (run(), run());
        assert_eq!(output.stdout, again.stdout, "fingerprints are the same in every run");
        let entries: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(entries.is_empty(), output.status.code() == Some(0), "{world}");
        let mut fingerprints = BTreeSet::new();
        for entry in &entries {
            assert!(!entry["description"].as_str().unwrap().is_empty());
            assert!(
                ["info", "minor", "major", "critical", "blocker", "unknown"]
                    .contains(&entry["severity"].as_str().unwrap())
            );
            let path = entry["location"]["path"].as_str().unwrap();
            assert!(!path.is_empty() && !path.starts_with('/') && !path.starts_with("./"), "{path}");
            assert!(entry["location"]["lines"]["begin"].as_u64().unwrap() >= 1);
            let fingerprint = entry["fingerprint"].as_str().unwrap();
            assert!(fingerprint.len() == 64 && fingerprints.insert(fingerprint.to_owned()));
        }
    }
    // A run that came to nothing must not read as one that found nothing.
    let failed = parallax(&["compare", "/nonexistent", "--format", "codequality"], &[]);
    let entries: Vec<Value> = serde_json::from_slice(&failed.stdout).unwrap();
    assert_eq!((failed.status.code(), &entries[0]["severity"]), (Some(2), &"blocker".into()));
}

#[test]
fn a_job_log_is_written_in_a_gitlab_job_unless_something_else_is_asked_for() {
    let broken = world("one-writer-broken");
    let shown = |arguments: &[&str], variables: &[(&str, &str)]| {
        text(&parallax(&[&["compare", broken.as_str()], arguments].concat(), variables).stdout)
    };
    let job = [("GITLAB_CI", "true")];
    let log = shown(&[], &job);
    assert!(log.contains("section_start:") && log.contains("\u{1b}[1;31m"), "{log}");
    assert!(!shown(&[], &[("GITLAB_CI", "true"), ("NO_COLOR", "1")]).contains("\u{1b}[1;31m"));
    assert!(!shown(&["--color", "never"], &job).contains("\u{1b}[1;31m"));
    for plain in [shown(&[], &[]), shown(&["--format", "table"], &job), shown(&[], &[("GITLAB_CI", "false")])] {
        assert!(!plain.contains('\u{1b}') && plain.starts_with("incoherent: 3 incoherent"), "{plain}");
    }
    // What is broken stands before the first section, and is not folded.
    assert!(log.find("writes /nix/var/nix/db").unwrap() < log.find("section_start:").unwrap());
}

#[test]
fn all_formats_are_written_to_files_and_stdout_carries_only_what_was_asked_for() {
    let desk = tempfile::tempdir().unwrap();
    let formats = ["table", "json", "junit", "markdown", "log", "codequality"];
    let files: Vec<String> = formats
        .iter()
        .map(|format| format!("{format}={}", desk.path().join("new/deep").join(format).display()))
        .collect();
    let mut arguments =
        vec!["compare".to_owned(), world("one-writer-broken"), "--format".to_owned(), "json".to_owned()];
    arguments.extend(files.iter().flat_map(|file| ["--output".to_owned(), file.clone()]));
    let output = parallax(&arguments.iter().map(String::as_str).collect::<Vec<_>>(), &[]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    assert_eq!(text(&output.stderr), "");
    serde_json::from_slice::<Value>(&output.stdout).unwrap();
    for format in formats {
        let written = std::fs::read_to_string(desk.path().join("new/deep").join(format)).unwrap();
        assert!(written.contains("service:nix-daemon"), "{format}: {written}");
        // A failed command leaves a report in every format too.
        let file = desk.path().join(format!("failed/{format}"));
        let failed = parallax(&["compare", "/nonexistent", "--output", &format!("{format}={}", file.display())], &[]);
        assert_eq!(failed.status.code(), Some(2));
        assert!(std::fs::read_to_string(file).unwrap().contains("/nonexistent"), "{format}");
    }
}

#[test]
fn a_run_that_is_killed_leaves_a_report_that_says_so() {
    let desk = tempfile::tempdir().unwrap();
    let report = desk.path().join("r.xml");
    std::fs::write(&report, "<testsuites/>").unwrap();
    // A snapshot that never ends: the reader of a FIFO that nobody writes would be refused, so it is the machine that is looked at, for long.
    let mut command = Command::new(env!("CARGO_BIN_EXE_parallax"));
    command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", "/root").current_dir("/");
    command.args(["doctor", "--offline", "--deadline", "60", "--output", &format!("junit={}", report.display())]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let begun = || std::fs::read_to_string(&report).unwrap().contains("has not ended");
    let until = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while !begun() && std::time::Instant::now() < until {
        std::thread::sleep(std::time::Duration::from_micros(200));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let seen = cases(&std::fs::read(&report).unwrap());
    assert_eq!((seen.len(), seen[0]["status"].as_str()), (1, Some("error")), "{seen:?}");
    assert!(seen[0]["shown"].as_str().unwrap().contains("the run has not ended"));
}
