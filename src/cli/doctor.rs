//! `parallax doctor`: look from every context of this host and compare.

use super::arguments::{Doctor, Global};
use super::evaluate::{self, Views};
use super::exit::{Exit, Failure};
use super::{configuration, diagnose, gather, output, views};

/// Looks, compares, reports; and publishes, if asked.
pub(super) fn run(arguments: &Doctor, global: &Global) -> Result<Exit, Failure> {
    let started = evaluate::Started::now();
    let configuration = configuration::load(global.config.as_deref()).map_err(|error| diagnose::usage(&error))?;
    let baselines = output::begin("doctor", &arguments.reports)?;
    let gathered = gather::everything(&arguments.looking, &configuration)?;
    if let Some(directory) = &arguments.publish {
        views::publish(directory, &gathered.snapshots)?;
    }
    let users = arguments.looking.users.iter().chain(&configuration.users).map(|name| format!("user:{name}"));
    let views = Views {
        snapshots: gathered.snapshots,
        widened: arguments.contexts.clone(),
        // Who was asked for by name and is not there was not looked at.
        required: arguments.contexts.iter().cloned().chain(users).collect(),
        notes: gathered.notes,
    };
    let mut run = evaluate::run("doctor", &started, views, &configuration, arguments.reports.allow_unknown)?;
    baselines.apply(&mut run)?;
    Ok(output::finish(&run, &arguments.reports, global))
}
