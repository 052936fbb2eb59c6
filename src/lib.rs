//! parallax looks at one host from every execution context on it and reports where the views disagree.
//!
//! # The words
//!
//! * **context**: namespaces + root directory + credentials + environment in which something runs.
//! * **probe**: observes one family of facts in the current context; never judges.
//! * **fact**: one typed field, with a path such as `store.db.mode`.
//! * **observation**: a fact that is *present*, *absent* (we looked; it is not there) or *unobserved* (we could not look,
//!   and here is why). The three never blur.
//! * **snapshot**: all observations of one context at one instant; the only thing that leaves a context.
//! * **link**: the shared thing that makes contexts comparable.
//! * **check**: a claim that must hold between contexts that share a link; one file in `checks/`.
//! * **row**, **finding**: a check ranges over rows; a finding is a row with subject, contexts, values and an outcome.
//! * **outcome**: `coherent`, `incoherent`, `unknown`, `not-applicable`, `waived`, `held`.
//! * **report**: a rendering of findings.
//!
//! # The arrows
//!
//! ```text
//! sys  formats  snapshot        leaves
//! probe   -> sys, formats, snapshot
//! context -> sys, formats, snapshot
//! check   -> snapshot
//! report  -> check, snapshot
//! serve   -> sys
//! cli     -> everything         the one place where contexts meet probes
//! ```
//!
//! One direction of travel: discover, enter, probe, snapshot, check, report. A check does no I/O, a probe does not know
//! what is right, a report decides nothing. `tests/architecture.rs` holds the code to this table.
#![forbid(unsafe_code)]

pub mod check;
pub mod cli;
pub mod context;
pub mod formats;
pub mod probe;
pub mod report;
pub mod snapshot;
pub mod sys;
