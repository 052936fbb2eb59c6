//! The snapshot document: header, facts, and the table of what could not be observed. Versioned, ordered, readable for ever.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::facts::Facts;
use super::{Fact, ObjectId, wire};

/// The schema name of this version.
pub const SCHEMA: &str = "parallax.snapshot/1";

/// What kind of context a snapshot is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ContextKind {
    /// parallax's own namespaces and identity.
    Host,
    /// A user in the host's namespaces.
    User,
    /// A known service.
    Service,
    /// Anything in namespaces of its own.
    Container,
    /// Inside a Nix build.
    Build,
    /// Another machine.
    Remote,
    /// What a configuration file says that a context should be.
    Declared,
}

impl ContextKind {
    /// The word used in ids and check files.
    pub fn word(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::User => "user",
            Self::Service => "service",
            Self::Container => "container",
            Self::Build => "build",
            Self::Remote => "remote",
            Self::Declared => "declared",
        }
    }
}

/// How the observations were made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Entry {
    /// parallax runs there.
    Native,
    /// A child took on the context's identity and network and looked beneath its root.
    Entered,
    /// From files and procfs only.
    Read,
    /// From a configuration file.
    Declared,
    /// Not at all; every fact is unobserved.
    None,
}

/// The continuous-integration job that a context belongs to, as the runner's labels say, or the job's own variables. Public throughout: what a
/// pipeline shows of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PipelineJob {
    /// The job's id (`CI_JOB_ID`, label `job.id`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The runner, by the public start of its token (`CI_RUNNER_SHORT_TOKEN`, label `runner.id`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runner: Option<String>,
    /// The project's id (`CI_PROJECT_ID`, label `project.id`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// The pipeline's id (`CI_PIPELINE_ID`, label `pipeline.id`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pipeline: Option<String>,
    /// The commit (`CI_COMMIT_SHA`, label `job.sha`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
}

/// Whose values a snapshot holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// Unique among the snapshots of one run: `host`, `user:root`, `service:nix-daemon`, `container:web`.
    pub id: String,
    /// The kind.
    pub kind: ContextKind,
    /// The name that findings use; stable from run to run.
    pub name: String,
    /// The known service, by its name in `services.toml`; a container that a runner takes jobs in is `gitlab-runner` too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The user's name, for users.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The container's image, as the engine names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// The continuous-integration role that labels or variables give it: `job`, `helper`, `service`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// The job that it is part of, where it has such a role and labels or variables say so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<PipelineJob>,
    /// Whether it has to do with the deployment chain, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chain: Vec<String>,
    /// Which machine and boot: equal for all contexts of one running kernel.
    pub boot: String,
    /// The machine's name, for display.
    pub host: String,
    /// Whether its root directory is the host's own, private mounts aside; none where nothing was compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_root: Option<bool>,
    /// Which process represents it, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<ObjectId>,
    /// How it was looked at.
    pub entry: Entry,
    /// What that entry lacks, in words; empty when nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<String>,
}

impl Header {
    /// One that says nothing yet but whose it is, on which machine.
    pub fn new(kind: ContextKind, id: String, boot: String, host: String) -> Self {
        Self {
            name: id.clone(),
            id,
            kind,
            service: None,
            user: None,
            image: None,
            role: None,
            job: None,
            chain: Vec::new(),
            boot,
            host,
            host_root: None,
            process: None,
            entry: Entry::Entered,
            limits: Vec::new(),
        }
    }
}

/// All observations of one context at one instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Whose.
    pub context: Header,
    /// When looking began, in milliseconds since 1970.
    pub taken_ms: i64,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// The version of parallax.
    pub version: String,
    /// What was seen.
    pub facts: Facts,
}

/// The document as it is written.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    /// `parallax.snapshot/1`.
    schema: String,
    /// The version of parallax that looked.
    version: String,
    /// When looking began, in milliseconds since 1970.
    taken_ms: i64,
    /// How long it took, in milliseconds.
    took_ms: u64,
    /// Whose values these are.
    context: Header,
    /// What was seen. A key that is missing here stands in `unobserved`; `null` means: looked, not there.
    #[schemars(with = "Facts")]
    facts: Value,
    /// Why a fact could not be observed, by its path; `path[*]` for the rest of a list.
    #[schemars(with = "BTreeMap<String, super::Reason>")]
    unobserved: BTreeMap<String, Value>,
}

/// Why a document is no snapshot.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Not JSON, or not of this shape.
    #[error("line {line}, column {column}: {detail}")]
    Shape { line: usize, column: usize, detail: String },
    /// Another schema.
    #[error("its schema is {found:?}; this version reads {SCHEMA:?}")]
    Schema { found: String },
    /// A path of the `unobserved` table that leads nowhere.
    #[error("unobserved[{path:?}] names no fact")]
    Path { path: String },
    /// A fact of the wrong type.
    #[error("facts: {detail}")]
    Facts { detail: String },
}

impl From<serde_json::Error> for ReadError {
    fn from(error: serde_json::Error) -> Self {
        Self::Shape { line: error.line(), column: error.column(), detail: error.to_string() }
    }
}

/// Why a text is no document: another schema has another shape, and is said first.
fn refused(text: &[u8], error: serde_json::Error) -> ReadError {
    let Ok(document) = serde_json::from_slice::<Value>(text) else { return error.into() };
    let found = document.get("schema").and_then(Value::as_str).unwrap_or_default();
    if found == SCHEMA { error.into() } else { ReadError::Schema { found: found.to_owned() } }
}

impl Snapshot {
    /// Writes the document.
    pub fn to_json(&self) -> Value {
        let mut facts = self.facts_tree();
        let unobserved = wire::lift(&mut facts);
        let document = Document {
            schema: SCHEMA.to_owned(),
            version: self.version.clone(),
            taken_ms: self.taken_ms,
            took_ms: self.took_ms,
            context: self.context.clone(),
            facts,
            unobserved,
        };
        serde_json::to_value(document).unwrap_or_else(|error| unreachable!("a snapshot has string keys only: {error}"))
    }

    /// Reads a document.
    pub fn from_json(text: &[u8]) -> Result<Self, ReadError> {
        let document: Document = serde_json::from_slice(text).map_err(|error| refused(text, error))?;
        if document.schema != SCHEMA {
            return Err(ReadError::Schema { found: document.schema });
        }
        let mut facts = document.facts;
        wire::lower(&mut facts, &document.unobserved).map_err(|path| ReadError::Path { path })?;
        let facts = serde_json::from_value(facts).map_err(|error| ReadError::Facts { detail: error.to_string() })?;
        Ok(Self {
            context: document.context,
            taken_ms: document.taken_ms,
            took_ms: document.took_ms,
            version: document.version,
            facts,
        })
    }

    /// The facts as a tree with markers in place, for evaluation.
    pub fn facts_tree(&self) -> Value {
        serde_json::to_value(&self.facts).unwrap_or_else(|error| unreachable!("facts have string keys only: {error}"))
    }

    /// The same snapshot without what only this run may compare: for recording and publishing.
    pub fn without_fingerprints(mut self) -> Self {
        let withheld = || Fact::Unobserved(super::Reason::Withheld);
        if let Fact::Present(list) = &mut self.facts.credentials.s3 {
            list.items
                .iter_mut()
                .filter(|key| key.fingerprint.present().is_some())
                .for_each(|key| key.fingerprint = withheld());
        }
        if let Fact::Present(list) = &mut self.facts.credentials.netrc {
            list.items
                .iter_mut()
                .filter(|entry| entry.fingerprint.present().is_some())
                .for_each(|entry| entry.fingerprint = withheld());
        }
        if let Fact::Present(list) = &mut self.facts.credentials.registries {
            list.items
                .iter_mut()
                .filter(|login| login.fingerprint.present().is_some())
                .for_each(|login| login.fingerprint = withheld());
        }
        if let Fact::Present(list) = &mut self.facts.runner.entries {
            let known = list.items.iter_mut().filter(|entry| entry.fingerprint.present().is_some());
            known.for_each(|entry| entry.fingerprint = withheld());
        }
        self
    }
}
