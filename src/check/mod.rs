//! Judgement: check files are read and typed, ranged over rows of snapshots, and give findings.
//!
//! Reads snapshots and nothing else: no file of a target, no process, no clock but the date that waivers are held against, which is
//! handed in. Everything here runs the same from saved files on any machine.

pub mod definition;
pub mod expression;
pub mod finding;
pub mod run;
pub mod value;

pub use finding::{Finding, Outcome, Participant, Severity, Unseen};
pub use run::{ContextNote, Run, Verdict};
mod stub;
pub use stub::*;
