//! `parallax checks list` and `parallax checks test`.

use super::arguments::{Checks, Global};
use super::diagnose;
use super::exit::{Exit, Failure};
use super::output;
use crate::check::{Catalogue, examples};
use crate::report::text;

/// Lists the catalogue, or runs the examples of the check files.
pub(super) fn run(arguments: &Checks, _global: &Global) -> Result<Exit, Failure> {
    match arguments {
        Checks::List => list(),
        Checks::Test { directories } => test(directories),
    }
}

fn list() -> Result<Exit, Failure> {
    let catalogue = builtin()?;
    let width = catalogue.checks().map(|check| check.id().len()).max().unwrap_or_default();
    let lines: Vec<String> = catalogue
        .checks()
        .map(|check| format!("{:width$}  {:7}  {}", check.id(), check.severity().word(), check.title()))
        .collect();
    output::print(&lines.join("\n"));
    Ok(Exit::Coherent)
}

/// Every example must come to what its file says; a check without examples of all three outcomes is refused.
fn test(directories: &[std::path::PathBuf]) -> Result<Exit, Failure> {
    let mut catalogue = builtin()?;
    for directory in directories {
        catalogue = catalogue.with_directory(directory).map_err(|error| diagnose::usage(&error))?;
    }
    let results = examples::run(&catalogue).map_err(|error| diagnose::usage(&error))?;
    let failed: Vec<_> = results.iter().filter(|result| result.failure.is_some()).collect();
    for result in &failed {
        let reason = result.failure.as_deref().unwrap_or_default();
        output::print(&format!("FAILED {}: {}", result.name, text::plain(reason)));
    }
    output::print(&format!(
        "{} examples of {} checks: {} failed",
        results.len(),
        catalogue.checks().count(),
        failed.len()
    ));
    Ok(if failed.is_empty() { Exit::Coherent } else { Exit::Usage })
}

/// The embedded catalogue. It is tested; that it can't be read is our fault.
pub(super) fn builtin() -> Result<Catalogue, Failure> {
    Catalogue::builtin().map_err(|error| diagnose::broken(&error))
}
