//! Runs the examples of check files: `parallax checks test`, and this project's own tests.

use std::fs;
use std::path::Path;

use serde_json::Value;
use thiserror::Error;

use super::catalogue::Catalogue;
use super::definition::{Example, ExampleContext};
use super::evaluate::evaluate_alone;
use super::finding::{Finding, Outcome};
use super::program::Check;
use crate::snapshot::{ContextKind, Entry, Header, ReadError, Snapshot, wire};

/// What came of one example.
#[derive(Debug)]
pub struct Trial {
    /// The check's id.
    pub check: String,
    /// Which example of the file, counted from 1; 0 for the file as a whole.
    pub number: usize,
    /// The line at which it stands in the file.
    pub line: usize,
    /// Why it failed, if it did.
    pub failure: Option<ExampleError>,
}

/// Why an example fails.
#[derive(Debug, Error)]
pub enum ExampleError {
    /// Another outcome than it says.
    #[error("expected {}, got {}{}", expected.word(), got.word(), details.iter().map(|line| format!("\n    {line}")).collect::<String>())]
    Outcome {
        /// As the file says.
        expected: Outcome,
        /// As it came.
        got: Outcome,
        /// Each finding in one line.
        details: Vec<String>,
    },
    /// No finding has this subject.
    #[error("no finding has the subject {subject:?}; there are: {}", there.join(", "))]
    Subject {
        /// As the file says.
        subject: String,
        /// The subjects that there are.
        there: Vec<String>,
    },
    /// An outcome has no example.
    #[error("no example shows it {}", .0.word())]
    Missing(Outcome),
    /// A context written in the file is none.
    #[error("context {id}: {problem}")]
    Context {
        /// Its id.
        id: String,
        /// Why.
        problem: String,
    },
    /// A recorded snapshot is none.
    #[error("{path}: {source}")]
    Snapshot {
        /// The file.
        path: String,
        /// Why.
        source: ReadError,
    },
    /// A file or directory could not be read.
    #[error("{path}: {source}")]
    Unreadable {
        /// Which.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// It has no contexts.
    #[error("it has neither `snapshots` nor a `context`")]
    Empty,
}

/// Runs every example of every check. `root` is the directory that `snapshots` paths begin at.
pub fn run(catalogue: &Catalogue, root: &Path) -> Vec<Trial> {
    catalogue.checks().flat_map(|check| run_check(check, root)).collect()
}

fn run_check(check: &Check, root: &Path) -> Vec<Trial> {
    let trial = |number, line, failure| Trial { check: check.id.clone(), number, line, failure };
    let mut trials = Vec::new();
    for (index, example) in check.definition.examples.iter().enumerate() {
        let line =
            check.source.get(..example.outcome.span().start).map_or(1, |before| before.matches('\n').count() + 1);
        trials.push(trial(index + 1, line, run_example(check, example, root).err()));
    }
    for outcome in [Outcome::Incoherent, Outcome::Coherent, Outcome::Unknown] {
        if !check.definition.examples.iter().any(|example| *example.outcome.get_ref() == outcome) {
            trials.push(trial(0, 1, Some(ExampleError::Missing(outcome))));
        }
    }
    trials
}

fn run_example(check: &Check, example: &Example, root: &Path) -> Result<(), ExampleError> {
    let snapshots = snapshots(example, root)?;
    let findings = evaluate_alone(check, &snapshots);
    let expected = *example.outcome.get_ref();
    let got = match &example.subject {
        None => findings.iter().map(|finding| finding.outcome).min().unwrap_or(Outcome::NotApplicable),
        Some(subject) => {
            let found = findings.iter().find(|finding| finding.subject == *subject);
            let there = || findings.iter().map(|finding| format!("{:?}", finding.subject)).collect();
            found.ok_or_else(|| ExampleError::Subject { subject: subject.clone(), there: there() })?.outcome
        }
    };
    if got == expected {
        return Ok(());
    }
    let line = |finding: &Finding| format!("{} {}: {}", finding.outcome.word(), finding.subject, finding.message);
    Err(ExampleError::Outcome { expected, got, details: findings.iter().map(line).collect() })
}

/// The snapshots of one example: the recorded ones, and those written in the file.
pub fn snapshots(example: &Example, root: &Path) -> Result<Vec<Snapshot>, ExampleError> {
    let mut found = Vec::new();
    if let Some(directory) = &example.snapshots {
        let directory = root.join(directory.get_ref());
        let unreadable = |path: &Path, source| ExampleError::Unreadable { path: path.display().to_string(), source };
        let entries = fs::read_dir(&directory).map_err(|error| unreadable(&directory, error))?;
        let mut paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>();
        let paths = paths.as_mut().map_err(|error| unreadable(&directory, std::io::Error::other(error.to_string())))?;
        paths.sort();
        for path in paths.iter().filter(|path| path.extension().is_some_and(|ending| ending == "json")) {
            let text = fs::read(path).map_err(|error| unreadable(path, error))?;
            let shown = || path.display().to_string();
            found.push(Snapshot::from_json(&text).map_err(|source| ExampleError::Snapshot { path: shown(), source })?);
        }
    }
    for context in &example.contexts {
        found.push(written(context.get_ref())?);
    }
    if found.is_empty() { Err(ExampleError::Empty) } else { Ok(found) }
}

/// Stands for a fact that was looked for and is not there, while the tree is made.
const ABSENT: &str = "$absent";

fn written(context: &ExampleContext) -> Result<Snapshot, ExampleError> {
    let wrong = |problem: String| ExampleError::Context { id: context.id.clone(), problem };
    let (prefix, rest) = context.id.split_once(':').unwrap_or((&context.id, &context.id));
    let kind = match context.kind {
        Some(kind) => kind,
        None => serde_json::from_value::<ContextKind>(Value::from(prefix))
            .map_err(|_| wrong(format!("`{prefix}` is no kind of context; say `kind`")))?,
    };
    let mut facts = serde_json::to_value(&context.facts).map_err(|error| wrong(error.to_string()))?;
    let mut markers = std::collections::BTreeMap::new();
    for path in &context.absent {
        markers.insert(path.clone(), Value::from(ABSENT));
    }
    for (path, reason) in &context.unobserved {
        markers.insert(path.clone(), serde_json::to_value(reason).map_err(|error| wrong(error.to_string()))?);
    }
    wire::lower(&mut facts, &markers).map_err(|path| wrong(format!("`{path}` leads nowhere")))?;
    nulls(&mut facts);
    let name = context.name.clone().unwrap_or_else(|| rest.to_owned());
    let named =
        |given: &Option<String>, of: ContextKind| given.clone().or_else(|| (kind == of).then(|| rest.to_owned()));
    Ok(Snapshot {
        context: Header {
            id: context.id.clone(),
            kind,
            service: named(&context.service, ContextKind::Service),
            user: named(&context.user, ContextKind::User),
            name,
            image: context.image.clone(),
            role: context.role.clone(),
            job: None,
            chain: Vec::new(),
            boot: context.boot.clone().unwrap_or_else(|| "boot".to_owned()),
            host: context.host.clone().unwrap_or_else(|| "host".to_owned()),
            process: None,
            entry: Entry::Read,
            host_root: None,
            limits: Vec::new(),
        },
        taken_ms: 0,
        took_ms: 0,
        version: "example".to_owned(),
        facts: serde_json::from_value(facts).map_err(|error| wrong(error.to_string()))?,
    })
}

fn nulls(value: &mut Value) {
    match value {
        Value::Object(map) if map.values().any(|reason| reason == ABSENT) && map.len() == 1 => *value = Value::Null,
        Value::Object(map) => map.values_mut().for_each(nulls),
        Value::Array(items) => items.iter_mut().for_each(nulls),
        _ => {}
    }
}
