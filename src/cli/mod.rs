//! The only layer that prints, reads the environment and exits; and the one place where contexts meet probes.
//!
//! One file per subcommand. Each returns the [`Exit`] it came to or the [`Failure`] that stopped it; only [`run`] turns that into
//! an exit code, and whatever happens, every report file that was asked for is written.

pub mod arguments;

mod answer;
mod baseline;
mod beacons;
mod check;
mod checks;
mod compare;
pub mod configuration;
mod contexts;
mod diagnose;
mod doctor;
mod endpoints;
mod evaluate;
pub mod exit;
mod explain;
mod gather;
mod handshake;
mod job;
mod left_out;
mod linked;
pub mod look;
mod named_paths;
mod output;
mod pages;
mod probe;
mod progress;
mod round_two;
mod runners;
mod schema;
mod serve;
mod trust;
mod views;

use std::process::ExitCode;

use clap::Parser;

use arguments::{Arguments, Command, Reports};
use exit::{Exit, Failure};

/// Runs the program: parses, dispatches, and turns what came of it into an exit code.
pub fn run() -> ExitCode {
    if std::env::args_os().nth(1).is_some_and(|first| first == crate::context::enter::ARGUMENT) {
        return look::run();
    }
    if std::env::args_os().nth(1).is_some_and(|first| first == crate::context::throwaway::HOLD) {
        crate::context::throwaway::hold(std::env::args().nth(2).as_deref());
        return Exit::Coherent.into();
    }
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return refused(&error),
    };
    let reports = reports_of(&arguments.command).cloned();
    let name = name_of(&arguments.command);
    let outcome = std::panic::catch_unwind(|| dispatch(&arguments))
        .unwrap_or_else(|_| Err(Failure::Broken("an internal error; please report it with the text above".into())));
    match outcome {
        Ok(exit) => exit.into(),
        Err(failure) => output::failed(name, reports.as_ref(), &failure).into(),
    }
}

fn dispatch(arguments: &Arguments) -> Result<Exit, Failure> {
    let global = &arguments.global;
    match &arguments.command {
        Command::Doctor(doctor) => doctor::run(doctor, global),
        Command::Check(check) => check::run(check, global),
        Command::Serve(serve) => serve::run(serve, global),
        Command::Probe(probe) => probe::run(probe, global),
        Command::Compare(compare) => compare::run(compare, global),
        Command::Contexts(contexts) => contexts::run(contexts, global),
        Command::Explain(explain) => explain::run(explain, global),
        Command::Checks(checks) => checks::run(checks, global),
        Command::Schema(schema) => schema::run(schema),
        Command::Completions { shell } => schema::completions(*shell),
        Command::Pages { directory } => pages::run(directory),
    }
}

/// A command line that clap refuses, or `--help` and `--version`, which it answers. Report files are found by hand then.
fn refused(error: &clap::Error) -> ExitCode {
    let _ = error.print();
    if !error.use_stderr() {
        return Exit::Coherent.into();
    }
    let words: Vec<String> = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    let name = words.get(1).map_or("parallax", String::as_str);
    for file in arguments::report_files(&words) {
        output::write_failed(name, &file, &error.render().to_string());
    }
    Exit::Usage.into()
}

fn reports_of(command: &Command) -> Option<&Reports> {
    match command {
        Command::Doctor(doctor) => Some(&doctor.reports),
        Command::Check(check) => Some(&check.reports),
        Command::Compare(compare) => Some(&compare.reports),
        _ => None,
    }
}

fn name_of(command: &Command) -> &'static str {
    match command {
        Command::Doctor(_) => "doctor",
        Command::Check(_) => "check",
        Command::Serve(_) => "serve",
        Command::Probe(_) => "probe",
        Command::Compare(_) => "compare",
        Command::Contexts(_) => "contexts",
        Command::Explain(_) => "explain",
        Command::Checks(_) => "checks",
        Command::Schema(_) => "schema",
        Command::Completions { .. } => "completions",
        Command::Pages { .. } => "pages",
    }
}
