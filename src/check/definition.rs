//! The check file: one TOML document that names a link between contexts and a claim that must hold between them. This page is
//! the reference of the format. What is read here is only *shaped*; [`super::typing`] holds its expressions against the facts.
//!
//! The id of a check is its path below the directory of checks: `checks/store/one-writer.toml` is `store/one-writer`.
//!
//! # The keys
//!
//! | key | needed | meaning |
//! |---|---|---|
//! | `title` | always | the claim in words, one sentence without a full stop |
//! | `gap` | always | `definition-vs-runtime`, `context-vs-network`, `cache-vs-deployment` or `trust-boundary` |
//! | `severity` | always | `error` (a verified break, or documented loss of data) or `warning` |
//! | `relation` | always | `each`, `agree` or `between` |
//! | `where` | no | `each`, `agree`: which rows take part; without it all do |
//! | `from`, `to` | no | `between`: which contexts stand on side `a`, which on side `b`; without it all do |
//! | `over` | no | `each`, `agree`: a list; one row per element, bound as `e` |
//! | `over.a`, `over.b` | no | `between`: a list of side `a`, of side `b`; one row per element, bound as `ea`, `eb` |
//! | `link` | `agree`, `between` | the shared thing: rows with equal values are compared. In `between` it is asked of both sides as `c` (and `e`) |
//! | `link.a`, `link.b` | or these | `between`: one expression per side, over `a` (and `ea`), `b` (and `eb`) |
//! | `claim` | `each`, `between` | what must be true |
//! | `value` | `agree` | what is compared within a group |
//! | `expect` | no | `agree`: `equal` (default), `distinct`, or `overlap` (lists that have an element in common) |
//! | `absent` | no | `agree`: `skip` (default: a row whose value is absent takes no part) or `value` (absent is a value of its own) |
//! | `partners` | no | `between`: `all` (default: one finding per pair) or `some` (one finding per `a`; one partner for which the claim holds is enough) |
//! | `unmatched` | no | `between`: what an `a` without partner is: `coherent`, `incoherent`, `unknown`, `not-applicable` (default: no finding) |
//! | `subject` | with `over` | an expression: the stable, human name of what the row is about, such as `e.url` |
//! | `about` | no | an expression, a text or a list of texts: what causes and symptoms share, such as a host and port; without it the subject's element |
//! | `message` | always | one sentence that names the fact and who sees what, with `{expression}` in braces; `{{` and `}}` are braces |
//! | `why` | always | what breaks, in the words a person would search for |
//! | `fix` | always | what to do; says so when it widens trust |
//! | `caused-by` | no | ids of checks of whose findings these are symptoms when both fire on the same element and contexts |
//! | `[[example]]` | three at least | recorded or inline contexts and the outcome they must give: `incoherent`, `coherent`, `unknown` at least once each |
//!
//! # The expressions
//!
//! The Common Expression Language, over these variables:
//!
//! | variable | is | in |
//! |---|---|---|
//! | `c` | the context | `each`, `agree`; and a `link` that is asked of both sides |
//! | `e` | the element of `over` | the same |
//! | `a`, `b` | the two contexts | `between` |
//! | `ea`, `eb` | their elements | `between` with `over.a`, `over.b` |
//! | `key` | the value of the link that the rows share | `value`, `claim`, `subject`, `message` |
//!
//! A context has the fields `id`, `kind`, `name`, `service`, `user`, `image`, `role`, `boot`, `host`, `entry` (absent ones are `null`)
//! and the families of facts: `identity`, `network`, `store`, `tools`, `credentials`, `nix`, `reach`. In `from` and `over.a` only `a` is bound, in `to` and
//! `over.b` only `b`; in `where`, `from` and `to` the element is bound too; conditions joined by `&&` that do not name it are asked first,
//! once per context. In the message of an `agree` check, and for `b` with `partners = "some"`, a placeholder gives the differing values one after the other.
//!
//! Operators: `== != < <= > >= in && || ! ?: +` and indexing of lists. Functions: `size(x)`, `string(x)`, `x.startsWith(s)`, `x.endsWith(s)`,
//! `x.contains(s)`, `x.lowerAscii()`, and over lists `x.exists(i, p)`, `x.all(i, p)`, `x.exists_one(i, p)`, `x.filter(i, p)`, `x.map(i, v)`, `x.map(i, p, v)`.
//! There is no `has()`: a fact that was looked for and is not there is `== null`. What could not be observed makes the result unknown unless the rest
//! decides it: `false && unknown` is false, `true || unknown` is true. A list of which only a part was seen answers for what it holds and is unknown
//! for the rest. The identity of a file on overlay, FUSE and network filesystems proves equality only. Selecting from `null`, comparing it by order and
//! using it as a condition is a mistake that makes the row unknown and says so: guard with `x == true` or `x != null`.
//!
//! A link whose value is `null` links nothing; a list is one link per element. A fact that is unobserved in `where`, `from`, `to`, `over` or `link` gives one
//! unknown finding per check and context.
//!
//! # Examples in a check file
//!
//! ```toml
//! [[example]]
//! outcome   = "incoherent"
//! snapshots = "fixtures/seed-db-mounted"   # a directory of recorded snapshots, from the directory above checks/
//!
//! [[example]]
//! outcome = "unknown"                      # the worst outcome among this check's findings ...
//! subject = "web / nix-daemon"             # ... or, with `subject`, the outcome of that one
//!
//! [[example.context]]
//! id = "container:web"                     # kind and name are taken from it unless they are given
//! facts.store.db.writable = true           # what is not given is unobserved
//! facts.network.endpoints = [{ url = "http://127.0.0.1:9000", loopback = true, listening = false }]
//! absent = ["store.chosen.url"]            # looked for and not there
//! unobserved = { "store.db.mode" = { reason = "unreadable", path = "/nix/var/nix/db", errno = "EACCES" } }
//! ```

use std::collections::BTreeMap;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use toml::Spanned;

use super::finding::{Outcome, Severity};
use crate::snapshot::{ContextKind, Reason};

/// One check file as it is written.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Definition {
    /// The claim in words.
    pub title: String,
    /// Which gap it belongs to.
    pub gap: Gap,
    /// How bad an incoherence is.
    pub severity: Severity,
    /// How rows are compared.
    pub relation: Relation,
    /// Which rows take part (`each`, `agree`).
    #[serde(rename = "where")]
    #[schemars(with = "Option<String>")]
    pub condition: Option<Text>,
    /// Which contexts stand on side `a` (`between`).
    #[schemars(with = "Option<String>")]
    pub from: Option<Text>,
    /// Which contexts stand on side `b` (`between`).
    #[schemars(with = "Option<String>")]
    pub to: Option<Text>,
    /// The lists that rows are made of.
    #[schemars(with = "Option<Sides>")]
    pub over: Option<Spanned<Sides>>,
    /// The shared thing.
    #[schemars(with = "Option<Sides>")]
    pub link: Option<Spanned<Sides>>,
    /// What must be true (`each`, `between`).
    #[schemars(with = "Option<String>")]
    pub claim: Option<Text>,
    /// What is compared within a group (`agree`).
    #[schemars(with = "Option<String>")]
    pub value: Option<Text>,
    /// How the values of a group must relate (`agree`).
    #[schemars(with = "Option<Expect>")]
    pub expect: Option<Spanned<Expect>>,
    /// What an absent value is (`agree`).
    #[schemars(with = "Option<AbsentValue>")]
    pub absent: Option<Spanned<AbsentValue>>,
    /// For how many partners the claim must hold (`between`).
    #[schemars(with = "Option<Partners>")]
    pub partners: Option<Spanned<Partners>>,
    /// What an `a` without partner is (`between`).
    #[schemars(with = "Option<Unmatched>")]
    pub unmatched: Option<Spanned<Unmatched>>,
    /// The name of what the row is about.
    #[schemars(with = "Option<String>")]
    pub subject: Option<Text>,
    /// What the row shares with its causes and symptoms.
    #[schemars(with = "Option<String>")]
    pub about: Option<Text>,
    /// The sentence of an incoherent row.
    #[schemars(with = "String")]
    pub message: Text,
    /// What breaks.
    pub why: String,
    /// What to do.
    pub fix: String,
    /// Checks of whose findings these are symptoms.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub caused_by: Vec<Text>,
    /// Examples, which are run as tests.
    #[serde(default, rename = "example")]
    pub examples: Vec<Example>,
}

/// A text with its place in the file.
pub type Text = Spanned<String>;

/// Which two views of the deployment disagree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Gap {
    /// What was defined and what runs.
    DefinitionVsRuntime,
    /// What a context means by an address, and what the network makes of it.
    ContextVsNetwork,
    /// What a cache holds and what is deployed.
    CacheVsDeployment,
    /// Who trusts whom.
    TrustBoundary,
}

impl Gap {
    /// The word used in check files and reports.
    pub fn word(self) -> &'static str {
        match self {
            Self::DefinitionVsRuntime => "definition-vs-runtime",
            Self::ContextVsNetwork => "context-vs-network",
            Self::CacheVsDeployment => "cache-vs-deployment",
            Self::TrustBoundary => "trust-boundary",
        }
    }
}

/// How rows are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Relation {
    /// Every row by itself.
    Each,
    /// Rows with an equal link, as a group.
    Agree,
    /// Pairs with an equal link.
    Between,
}

impl Relation {
    /// The word used in check files.
    pub fn word(self) -> &'static str {
        match self {
            Self::Each => "each",
            Self::Agree => "agree",
            Self::Between => "between",
        }
    }
}

/// How the values of a group must relate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Expect {
    /// All are equal.
    #[default]
    Equal,
    /// No two are equal.
    Distinct,
    /// Lists that have at least one element in common.
    Overlap,
}

/// What an absent value is to a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AbsentValue {
    /// The row takes no part.
    #[default]
    Skip,
    /// A value of its own, equal to itself only.
    Value,
}

/// For how many partners the claim must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Partners {
    /// For every one; a finding per pair.
    #[default]
    All,
    /// For one at least; a finding per `a`.
    Some,
}

/// What an `a` without partner is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Unmatched {
    /// The claim holds.
    Coherent,
    /// The claim does not hold.
    Incoherent,
    /// It could not be compared.
    Unknown,
    /// There is nothing to compare, and no finding.
    #[default]
    NotApplicable,
}

/// One expression, or one per side.
#[derive(Debug, Clone)]
pub enum Sides {
    /// `over = "..."`, `link = "..."`: its place is that of the key's value.
    One(String),
    /// `over.a`, `over.b`, `link.a`, `link.b`.
    Two {
        /// Side `a`.
        a: Option<Text>,
        /// Side `b`.
        b: Option<Text>,
    },
}

impl<'de> Deserialize<'de> for Sides {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Sides;
            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("an expression, or a table with `a` and `b`")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Sides, E> {
                Ok(Sides::One(text.to_owned()))
            }
            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Sides, M::Error> {
                let (mut a, mut b) = (None, None);
                while let Some(key) = map.next_key::<String>()? {
                    match key.as_str() {
                        "a" => a = Some(map.next_value()?),
                        "b" => b = Some(map.next_value()?),
                        other => return Err(de::Error::unknown_field(other, &["a", "b"])),
                    }
                }
                Ok(Sides::Two { a, b })
            }
        }
        deserializer.deserialize_any(Read)
    }
}

impl JsonSchema for Sides {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Sides".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({
            "description": "An expression, or one per side.",
            "oneOf": [
                { "type": "string" },
                {
                    "type": "object",
                    "properties": { "a": { "type": "string" }, "b": { "type": "string" } },
                    "additionalProperties": false
                }
            ]
        })
    }
}

/// The JSON Schema of a check file, for editors.
pub fn schema() -> Schema {
    schemars::schema_for!(Definition)
}

/// One example: contexts and the outcome that they must give.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Example {
    /// The worst outcome among the findings of this check, or the one of `subject`.
    #[schemars(with = "Outcome")]
    pub outcome: Spanned<Outcome>,
    /// Which finding is meant.
    pub subject: Option<String>,
    /// A directory of recorded snapshots, from the directory above `checks/`.
    #[schemars(with = "Option<String>")]
    pub snapshots: Option<Text>,
    /// Contexts written here.
    #[serde(default, rename = "context")]
    #[schemars(with = "Vec<ExampleContext>")]
    pub contexts: Vec<Spanned<ExampleContext>>,
}

/// One context written in a check file.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ExampleContext {
    /// Such as `container:web`.
    pub id: String,
    /// The kind; without it, the id's part before the colon.
    pub kind: Option<ContextKind>,
    /// The name; without it, the id's part after the colon.
    pub name: Option<String>,
    /// The known service; without it, the name of a context of kind `service`.
    pub service: Option<String>,
    /// The user; without it, the name of a context of kind `user`.
    pub user: Option<String>,
    /// The image.
    pub image: Option<String>,
    /// The role.
    pub role: Option<String>,
    /// The boot; equal in all contexts that do not say otherwise.
    pub boot: Option<String>,
    /// The machine; equal in all contexts that do not say otherwise.
    pub host: Option<String>,
    /// The facts that are present.
    #[serde(default)]
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    pub facts: toml::Table,
    /// Paths of facts that were looked for and are not there.
    #[serde(default)]
    pub absent: Vec<String>,
    /// Reasons why facts could not be observed, by path; `path[*]` for the rest of a list.
    #[serde(default)]
    pub unobserved: BTreeMap<String, Reason>,
}
