//! `parallax doctor`: look from every context of this host and compare.

use super::arguments::{Doctor, Global};
use super::evaluate::{self, Views};
use super::exit::{Exit, Failure};
use super::job::{Asked, Job};
use super::{configuration, diagnose, gather, output, views};

/// The container of a job, where one was asked for.
fn throwaway(arguments: &Doctor, configuration: &configuration::Configuration) -> Result<Option<Job>, Failure> {
    let Some(runner) = &arguments.job.runner else { return Ok(None) };
    let asked = Asked {
        runner,
        file: arguments.job.runner_config.as_deref(),
        image: arguments.job.image.as_deref(),
        pull: arguments.job.pull,
        deadline: gather::deadline(&arguments.looking, configuration),
    };
    Job::make(&asked).map(Some)
}

/// Looks, compares, reports; and publishes, if asked.
pub(super) fn run(arguments: &Doctor, global: &Global) -> Result<Exit, Failure> {
    let started = evaluate::Started::now();
    let configuration = configuration::load(global.config.as_deref()).map_err(|error| diagnose::usage(&error))?;
    let baselines = output::begin("doctor", &arguments.reports)?;
    let job = throwaway(arguments, &configuration)?;
    let mut gathered = gather::everything(&arguments.looking, &configuration)?;
    if let Some(job) = job {
        gathered.notes.push(job.note.clone());
        job.remove()?;
    }
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
