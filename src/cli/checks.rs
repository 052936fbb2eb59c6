//! `parallax checks list` and `parallax checks test`.

use std::path::Path;

use super::arguments::{Checks, Global};
use super::exit::{Exit, Failure};
use super::{configuration, diagnose, output};
use crate::check::{Catalogue, examples};
use crate::report::text;

/// Lists the catalogue, or runs the examples of the check files.
pub(super) fn run(arguments: &Checks, global: &Global) -> Result<Exit, Failure> {
    match arguments {
        Checks::List => list(global),
        Checks::Test { directories } => test(directories),
    }
}

fn list(global: &Global) -> Result<Exit, Failure> {
    let catalogue = with_projects(global)?;
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
    // Recorded snapshots are named from the directory that holds `checks/`.
    let root = directories.first().and_then(|directory| directory.parent()).unwrap_or(Path::new("."));
    let trials = examples::run(&catalogue, root);
    let mut failed = 0;
    for trial in &trials {
        if let Some(failure) = &trial.failure {
            failed += 1;
            output::print(&format!("FAILED {}:{}: {}", trial.check, trial.line, text::plain(&failure.to_string())));
        }
    }
    output::print(&format!("{} examples of {} checks: {failed} failed", trials.len(), catalogue.checks().count()));
    Ok(if failed == 0 { Exit::Coherent } else { Exit::Usage })
}

/// The embedded catalogue and the checks beside the configuration file that is used.
pub(super) fn with_projects(global: &Global) -> Result<Catalogue, Failure> {
    let configuration = configuration::load(global.config.as_deref()).map_err(|error| diagnose::usage(&error))?;
    match &configuration.checks {
        Some(directory) => builtin()?.with_directory(directory).map_err(|error| diagnose::usage(&error)),
        None => builtin(),
    }
}

/// The embedded catalogue. It is tested; that it can't be read is our fault.
pub(super) fn builtin() -> Result<Catalogue, Failure> {
    Catalogue::builtin().map_err(|error| diagnose::broken(&error))
}
