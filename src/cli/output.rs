//! Where text goes: reports to stdout and to the files that were asked for, messages to stderr. stdout carries only what was asked for.

use std::io::{IsTerminal, Write};

use super::arguments::{Colour, Global, Output, ReportFormat, Reports};
use super::baseline::Baselines;
use super::exit::{Exit, Failure};
use crate::check::Run;
use crate::report::{self, Format, Style, text};

impl From<ReportFormat> for Format {
    fn from(format: ReportFormat) -> Self {
        match format {
            ReportFormat::Table => Self::Table,
            ReportFormat::Json => Self::Json,
            ReportFormat::Junit => Self::Junit,
            ReportFormat::Markdown => Self::Markdown,
            ReportFormat::Log => Self::Log,
            ReportFormat::Codequality => Self::Codequality,
        }
    }
}

/// How stdout wants to be written to.
pub(super) fn style(global: &Global, format: Format) -> Style {
    let terminal = std::io::stdout().is_terminal();
    let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    let colour = match global.color {
        // GitLab colours a log though no terminal reads it.
        Colour::Auto if format == Format::Log => wanted,
        Colour::Auto => terminal && wanted && !dumb,
        Colour::Always => true,
        Colour::Never => false,
    };
    let columns = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    let measured = || {
        rustix::termios::tcgetwinsize(std::io::stdout())
            .ok()
            .map(|size| usize::from(size.ws_col))
            .filter(|width| *width > 0)
    };
    let width = columns.or_else(measured).unwrap_or(100);
    Style { colour, width, verbose: global.verbose, links: terminal && colour }
}

/// What stdout gets: what was asked for, else sections where GitLab shows them, else a table.
fn format(reports: &Reports) -> Format {
    let in_job = || std::env::var_os("GITLAB_CI").is_some_and(|value| value == "true");
    match reports.format {
        Some(format) => format.into(),
        None if in_job() => Format::Log,
        None => Format::Table,
    }
}

/// Before anything is looked at: reads the baselines, and writes into every report file that the run has not ended, so that the report of an
/// earlier run never stands for one that is killed.
pub(super) fn begin(command: &str, reports: &Reports) -> Result<Baselines, Failure> {
    let baselines = Baselines::open(reports)?;
    let unended = "the run has not ended: parallax is at work, or was killed";
    for file in &reports.output {
        // What is no file, such as /dev/stdout, is written to once.
        if std::fs::metadata(&file.file).map_or(true, |metadata| metadata.is_file()) {
            // A file that can't be written is said once, at the end.
            let _ = written(file, &report::failed_run(file.format.into(), unended, command));
        }
    }
    Ok(baselines)
}

/// Writes a finished run everywhere, and says what it came to.
pub(super) fn finish(run: &Run, reports: &Reports, global: &Global) -> Exit {
    let format = format(reports);
    print(&report::render(format, run, &style(global, format)));
    let exit = Exit::from(run.verdict());
    let plain = Style { verbose: global.verbose, ..Style::default() };
    // Every file is tried, also after one that can't be written.
    let written: Vec<bool> =
        reports.output.iter().map(|file| write_file(file, &report::render(file.format.into(), run, &plain))).collect();
    if !written.contains(&false) || exit == Exit::Incoherent { exit } else { Exit::Failed }
}

/// Says why a command came to nothing, in every report that was asked for.
pub(super) fn failed(command: &str, reports: Option<&Reports>, failure: &Failure) -> Exit {
    say(failure.message());
    if let Some(reports) = reports {
        let format = format(reports);
        // A person has read it on stderr.
        if !matches!(format, Format::Table | Format::Log) {
            print(&report::failed_run(format, failure.message(), command));
        }
        reports.output.iter().for_each(|file| write_failed(command, file, failure.message()));
    }
    failure.exit()
}

/// Writes one report of a command that came to nothing.
pub(super) fn write_failed(command: &str, file: &Output, message: &str) {
    write_file(file, &report::failed_run(file.format.into(), message, command));
}

/// A report that was asked for is there also where its directory was not.
fn written(file: &Output, content: &str) -> std::io::Result<()> {
    let directory = file.file.parent().filter(|directory| !directory.as_os_str().is_empty());
    directory.map_or(Ok(()), std::fs::create_dir_all)?;
    std::fs::write(&file.file, content)
}

fn write_file(file: &Output, content: &str) -> bool {
    match written(file, content) {
        Ok(()) => true,
        Err(error) => {
            say(&format!("{} can't be written: {error}", file.file.display()));
            false
        }
    }
}

/// Prints to stdout. A reader that went away is no error.
pub(super) fn print(content: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(content.as_bytes());
    if !content.is_empty() && !content.ends_with('\n') {
        let _ = stdout.write_all(b"\n");
    }
    let _ = stdout.flush();
}

/// Says something on stderr, made safe line by line.
pub(super) fn say(message: &str) {
    let mut stderr = std::io::stderr().lock();
    for (index, line) in message.trim_end().lines().enumerate() {
        let prefix = if index == 0 { "parallax: " } else { "" };
        let _ = writeln!(stderr, "{prefix}{}", text::plain(line));
    }
}
