//! Judgement: check files are read and typed, ranged over rows of snapshots, and give findings.
//!
//! Reads snapshots and nothing else: no file of a target, no process, no clock but the date that waivers are held against, which is
//! handed in. Everything here runs the same from saved files on any machine.

pub mod baseline;
pub mod catalogue;
pub mod definition;
pub mod disclosure;
pub mod evaluate;
pub mod examples;
pub mod expression;
pub mod finding;
mod program;
mod refusal;
pub mod run;
mod template;
pub mod typing;
pub mod value;
pub mod waiver;

pub use baseline::{Against, Baseline, Fate, Past};
pub use catalogue::Catalogue;
pub use disclosure::{Disclosure, Level};
pub use evaluate::{Choice, Compared, Judged, Options, evaluate, judge};
pub use finding::{Finding, Outcome, Participant, Severity, Unseen};
pub use program::Check;
pub use refusal::{CatalogueError, Refusal};
pub use run::{ContextNote, EndpointAnswer, EndpointNote, Run, Verdict};
pub use waiver::{Waiver, WaiverError, apply as waive};
