//! `parallax schema` and `parallax completions`: documents about parallax itself.

use clap::CommandFactory;

use super::arguments::{Arguments, Document, Schema};
use super::exit::{Exit, Failure};
use super::{configuration, output};
use crate::{check, report, snapshot};

/// Prints a JSON Schema.
pub(super) fn run(arguments: &Schema) -> Result<Exit, Failure> {
    output::print(&text(arguments.document)?);
    Ok(Exit::Coherent)
}

/// The schema of a document, as it is printed.
pub(super) fn text(document: Document) -> Result<String, Failure> {
    let schema = match document {
        Document::Snapshot => snapshot::schema::document(),
        Document::Findings => report::json::schema(),
        Document::Baseline => check::Baseline::schema(),
        Document::Check => check::definition::schema(),
        Document::Config => configuration::schema(),
    };
    serde_json::to_string_pretty(&schema)
        .map_err(|error| Failure::Broken(format!("the schema can't be written: {error}")))
}

/// Prints a completion script.
pub(super) fn completions(shell: clap_complete::Shell) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "parallax", &mut script);
    output::print(&String::from_utf8_lossy(&script));
    Ok(Exit::Coherent)
}
