//! Runs the built `parallax doctor` and reads its JSON.

use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::fixtures::Recording;

/// What a run of the binary came to.
pub struct Report {
    pub code: i32,
    pub json: Value,
    pub errors: String,
    /// How long the run took, seen from outside.
    pub took: Duration,
    recording: Option<Recording>,
}

/// `parallax` as cargo built it, with nothing inherited but PATH.
pub fn parallax() -> Command {
    let mut command = Command::new(crate::fixtures::binary());
    command.current_dir("/").env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("HOME", "/root");
    command
}

/// `parallax doctor --format json` with further arguments and variables.
pub fn doctor(arguments: &[&str], variables: &[(&str, String)]) -> Report {
    let mut command = parallax();
    command.args(["doctor", "--format", "json"]).args(arguments);
    command.envs(variables.iter().map(|(name, value)| (*name, value.as_str())));
    let begun = Instant::now();
    let report = read(&command.output().expect("parallax runs"));
    Report { took: begun.elapsed(), recording: Recording::of(&report.json, arguments, variables), ..report }
}

/// Reads the report of a finished run.
pub fn read(output: &Output) -> Report {
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    let json = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!("the report is JSON ({error}): {}\n{errors}", String::from_utf8_lossy(&output.stdout))
    });
    Report { code: output.status.code().unwrap_or(-1), json, errors, took: Duration::ZERO, recording: None }
}

impl Report {
    /// All findings.
    pub fn findings(&self) -> Vec<&Value> {
        self.json["findings"].as_array().expect("findings").iter().collect()
    }

    /// The findings of a check whose subject holds all of these words.
    pub fn rows(&self, check: &str, words: &[&str]) -> Vec<&Value> {
        let matches = |finding: &&Value| {
            let subject = finding["subject"].as_str().unwrap_or_default();
            finding["check"] == check && words.iter().all(|word| subject.contains(word))
        };
        self.findings().into_iter().filter(matches).collect()
    }

    /// Findings of an outcome, in short.
    pub fn with_outcome(&self, outcome: &str) -> Vec<String> {
        let wanted = |finding: &&Value| finding["outcome"] == outcome;
        self.findings()
            .into_iter()
            .filter(wanted)
            .map(|f| format!("{} [{}]: {} {}", f["check"], f["subject"], f["message"], f["unseen"]))
            .collect()
    }

    /// The one row of a check with these words in its subject.
    pub fn row(&self, check: &str, words: &[&str]) -> &Value {
        let rows = self.rows(check, words);
        assert_eq!(rows.len(), 1, "one row of {check} with {words:?}; all of that check: {:#?}", self.rows(check, &[]));
        rows[0]
    }

    /// Writes the whole report where a failed test can be looked into.
    /// A recorded world goes to `fixtures/`.
    pub fn keep(&self, name: &str) {
        self.recording.iter().for_each(|recording| recording.keep(name));
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("world");
        let _ = std::fs::create_dir_all(&directory);
        let _ = std::fs::write(directory.join(format!("{name}.json")), format!("{:#}", self.json));
    }
}

/// The failing world names its row `incoherent`, and in the repaired world the same row, check and subject, is `coherent`.
pub fn assert_twins(name: &str, broken: &Report, repaired: &Report, check: &str, words: &[&str]) {
    broken.keep(&format!("{name}-broken"));
    repaired.keep(&format!("{name}-repaired"));
    assert_mended(broken, repaired, check, words);
}

/// The same of worlds that are not recorded: what is published of them does not show the fault.
pub fn assert_mended(broken: &Report, repaired: &Report, check: &str, words: &[&str]) {
    let row = broken.row(check, words);
    assert_eq!(row["outcome"], "incoherent", "{row:#}\n{}", broken.errors);
    let subject = row["subject"].as_str().expect("a subject");
    let twin: Vec<_> =
        repaired.findings().into_iter().filter(|f| f["check"] == check && f["subject"] == subject).collect();
    assert_eq!(twin.len(), 1, "the repaired world has the row {check} [{subject}]: {:#?}", repaired.rows(check, &[]));
    assert_eq!(twin[0]["outcome"], "coherent", "{:#}", twin[0]);
    let left = repaired.with_outcome("incoherent");
    assert!(left.is_empty(), "the repaired world has no finding: {left:#?}");
    assert_ne!(broken.code, 0);
    assert_eq!(repaired.code, 0, "{:#?}", repaired.with_outcome("unknown"));
}
