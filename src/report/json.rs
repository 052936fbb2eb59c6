//! The document for programs: `parallax.findings/1`, written and read back.
//!
//! Lists keep the order of the run; there is no hash map. A text from a target stands there as it is, with every character that is
//! invisible or acts on a terminal written as a JSON escape: the document is safe to print, and a run that is read back renders in every
//! format as the original does.

mod document;
mod read;
mod write;

use schemars::Schema;

use self::document::{Document, Rows, Summary};
pub use self::read::{ReadError, read};
use super::{Style, text};
use crate::check::Run;

/// The name and version of the document. A field may be added within a version; none changes its meaning or goes away.
pub const SCHEMA: &str = "parallax.findings/1";

/// Renders a run for programs.
pub fn render(run: &Run, _style: &Style) -> String {
    write(&Document::from(run))
}

/// The document of a run that came to nothing: verdict `failed`, no findings, the message in `failure`.
pub fn failed_run(message: &str, command: &str) -> String {
    write(&Document {
        schema: SCHEMA.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        command: command.to_owned(),
        host: None,
        job: None,
        started_ms: None,
        took_ms: None,
        summary: Summary {
            verdict: "failed".to_owned(),
            comparisons: 0,
            contexts: 0,
            off_chain: 0,
            allow_unknown: false,
            rows: Rows::default(),
        },
        failure: Some(message.to_owned()),
        missing: Vec::new(),
        notes: Vec::new(),
        baseline: None,
        contexts: Vec::new(),
        endpoints: Vec::new(),
        findings: Vec::new(),
    })
}

/// The JSON Schema of the document.
pub fn schema() -> Schema {
    schemars::schema_for!(Document)
}

/// Strings, numbers and lists always serialize; were that ever to change, the reader gets a document that says so.
fn write(document: &Document) -> String {
    match text::json(document) {
        Ok(json) => json + "\n",
        Err(problem) => {
            let failure = text::plain(&problem.to_string());
            serde_json::json!({ "schema": SCHEMA, "summary": { "verdict": "failed" }, "failure": failure }).to_string()
                + "\n"
        }
    }
}
