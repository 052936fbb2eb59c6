//! The evidence model: what was observed in one context, and why something was not.
//!
//! Typed facts per family ([`facts`]), the three states of an observation ([`Fact`]), the identity of kernel objects
//! ([`ObjectId`]), secrets that cannot be written down ([`secret`]), and the versioned document that leaves a context
//! ([`Snapshot`]). Imports nothing else of ours, does no I/O, knows no verdict.

pub mod endpoint;
pub mod facts;
mod object;
mod observation;
mod record;
pub mod schema;
pub mod secret;
pub mod wire;

pub use object::{ObjectId, WEAK};
pub use observation::{Fact, List, MARKER, PARTIAL, Reason};
pub use record::{ContextKind, Entry, Header, PipelineJob, ReadError, SCHEMA, Snapshot};
