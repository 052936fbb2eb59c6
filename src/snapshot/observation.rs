//! The three states of a fact: present, absent, unobserved. They never blur: a value that could not be read has no
//! stand-in (`-1`, `""`, an empty list), only a [`Reason`].
//!
//! In memory an unobserved fact is written as a one-key object under [`MARKER`]; [`super::wire`] lifts those markers into the
//! snapshot's `unobserved` table, so that in a document the key is simply missing.

mod read;

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};

/// The key that marks an unobserved fact in a serialized tree.
pub const MARKER: &str = "$unobserved";
/// The key that marks a list of which only a part could be looked at.
pub const PARTIAL: &str = "$partial";

/// One observation of one fact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact<T> {
    /// We looked and this is what is there. An empty list is present.
    Present(T),
    /// We looked and it is not there.
    Absent,
    /// We could not look.
    Unobserved(Reason),
}

/// Why a fact could not be observed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "reason", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Reason {
    /// The file, socket or kernel object could not be read; `errno` is its symbolic name, such as `EACCES`.
    Unreadable { path: String, errno: String },
    /// It is there, but it is not a regular file (a FIFO, a device, a directory), so it was not opened.
    NotRegular { path: String, found: String },
    /// It could be read and does not parse; `line` is 1-based where there is one.
    Malformed { path: String, line: Option<u32>, detail: String },
    /// It did not answer within this time, in milliseconds.
    TimedOut { after_ms: u64, waiting_for: String },
    /// Only the first `at` bytes or elements were read.
    Truncated { at: u64, what: String },
    /// Only a parallax that runs in this context itself can tell; an entered child would answer for itself.
    NeedsNative { why: String },
    /// The answer depends on something that parallax does not emulate, such as an NSS module.
    NotEmulated { what: String },
    /// The identity of the context could not be taken on in full.
    IdentityIncomplete { missing: String },
    /// The context has no live process to read this from.
    NoProcess,
    /// The context could not be entered.
    NotEntered { why: String },
    /// The process ended, or changed, while it was looked at.
    Vanished,
    /// Left out of recorded and published snapshots.
    Withheld,
    /// The caller asked for it to be left out.
    Disabled { by: String },
    /// Equal would mean the same object; different means nothing (overlay, FUSE and network filesystems).
    WeakIdentity,
    /// The snapshot comes from a version that did not record this fact.
    NotRecorded,
}

impl fmt::Display for Reason {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { path, errno } => write!(out, "{path} could not be read ({errno})"),
            Self::NotRegular { path, found } => write!(out, "{path} is a {found}, not a regular file"),
            Self::Malformed { path, line: Some(line), detail } => write!(out, "{path}:{line}: {detail}"),
            Self::Malformed { path, line: None, detail } => write!(out, "{path}: {detail}"),
            Self::TimedOut { after_ms, waiting_for } => {
                write!(out, "no answer from {waiting_for} within {after_ms} ms")
            }
            Self::Truncated { at, what } => write!(out, "{what} was read only up to {at}"),
            Self::NeedsNative { why } => write!(out, "needs parallax to run in the context itself: {why}"),
            Self::NotEmulated { what } => write!(out, "depends on {what}, which is not emulated"),
            Self::IdentityIncomplete { missing } => {
                write!(out, "the identity could not be taken on in full: {missing}")
            }
            Self::NoProcess => out.write_str("no live process to read it from"),
            Self::NotEntered { why } => write!(out, "the context could not be entered: {why}"),
            Self::Vanished => out.write_str("the process ended while it was looked at"),
            Self::Withheld => out.write_str("left out of recorded snapshots"),
            Self::Disabled { by } => write!(out, "left out by {by}"),
            Self::WeakIdentity => out.write_str("this filesystem gives no identity that could prove a difference"),
            Self::NotRecorded => out.write_str("not recorded by the version that made this snapshot"),
        }
    }
}

impl<T> Default for Fact<T> {
    fn default() -> Self {
        Self::Unobserved(Reason::NotRecorded)
    }
}

impl<T> Fact<T> {
    /// The value, if it is present.
    pub fn present(&self) -> Option<&T> {
        match self {
            Self::Present(value) => Some(value),
            Self::Absent | Self::Unobserved(_) => None,
        }
    }

    /// Why it could not be looked at, if it could not.
    pub fn reason(&self) -> Option<&Reason> {
        match self {
            Self::Unobserved(reason) => Some(reason),
            Self::Present(_) | Self::Absent => None,
        }
    }

    /// Applies `change` to a present value; absent and unobserved stay what they are.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Fact<U> {
        match self {
            Self::Present(value) => Fact::Present(change(value)),
            Self::Absent => Fact::Absent,
            Self::Unobserved(reason) => Fact::Unobserved(reason),
        }
    }

    /// Continues with `next` on a present value; absent and unobserved stay what they are.
    pub fn and_then<U>(self, next: impl FnOnce(T) -> Fact<U>) -> Fact<U> {
        match self {
            Self::Present(value) => next(value),
            Self::Absent => Fact::Absent,
            Self::Unobserved(reason) => Fact::Unobserved(reason),
        }
    }

    /// A borrowed view.
    pub fn as_ref(&self) -> Fact<&T> {
        match self {
            Self::Present(value) => Fact::Present(value),
            Self::Absent => Fact::Absent,
            Self::Unobserved(reason) => Fact::Unobserved(reason.clone()),
        }
    }
}

impl<T> From<Option<T>> for Fact<T> {
    /// For places where looking succeeded: `None` means that it is not there.
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Absent, Self::Present)
    }
}

impl<T: Serialize> Serialize for Fact<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Present(value) => value.serialize(serializer),
            Self::Absent => serializer.serialize_none(),
            Self::Unobserved(reason) => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry(MARKER, reason)?;
                map.end()
            }
        }
    }
}

impl<T: JsonSchema> JsonSchema for Fact<T> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        format!("Fact_{}", T::schema_name()).into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Option::<T>::json_schema(generator)
    }
}

/// A list of which `more` says why there may be further elements that could not be looked at. What was found is certain;
/// that something is missing from it is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List<T> {
    /// What was found, in the order of the source.
    pub items: Vec<T>,
    /// Why there may be more, or `None` when the list is complete.
    pub more: Option<Reason>,
}

impl<T> List<T> {
    /// A list that was read to its end.
    pub fn complete(items: Vec<T>) -> Self {
        Self { items, more: None }
    }
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self::complete(Vec::new())
    }
}

impl<T: Serialize> Serialize for List<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.more {
            None => self.items.serialize(serializer),
            Some(reason) => {
                let mut map = serializer.serialize_map(Some(2))?;
                map.serialize_entry(PARTIAL, &self.items)?;
                map.serialize_entry(MARKER, reason)?;
                map.end()
            }
        }
    }
}

impl<T: JsonSchema> JsonSchema for List<T> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        format!("List_{}", T::schema_name()).into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Vec::<T>::json_schema(generator)
    }
}
