//! Renderings of a run: one file per format. Each is a pure function of the run and the [`Style`]: no file, no clock, no
//! environment, no exit code, and no judgement of its own.
//!
//! Everything that comes from a target (names, values, reasons) passes [`text::plain`] on its way out; nothing here writes it raw.

pub mod baseline;
pub mod codequality;
mod endpoints;
pub mod explain;
pub mod json;
pub mod junit;
pub mod log;
pub mod markdown;
mod matrix;
mod page;
pub mod summary;
pub mod table;
pub mod text;

use crate::check::Run;

/// A format that a run can be rendered in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// One screen for a person.
    Table,
    /// The versioned document for programs, [`json::SCHEMA`].
    Json,
    /// JUnit XML, as GitLab reads it.
    Junit,
    /// Markdown for a comment on a merge request.
    Markdown,
    /// GitLab's job log: [`Format::Table`] in sections.
    Log,
    /// Code Quality JSON, as GitLab reads it.
    Codequality,
}

impl Format {
    /// All of them, in the order in which a help text names them.
    pub const ALL: [Self; 6] = [Self::Table, Self::Json, Self::Junit, Self::Markdown, Self::Log, Self::Codequality];

    /// The word on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Json => "json",
            Self::Junit => "junit",
            Self::Markdown => "markdown",
            Self::Log => "log",
            Self::Codequality => "codequality",
        }
    }
}

/// How a rendering for people looks. Table and log depend on it; the others do not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// Whether SGR colour sequences are written.
    pub colour: bool,
    /// The number of columns that no line exceeds; at least [`Style::NARROWEST`] is assumed.
    pub width: usize,
    /// Whether rows that are not incoherent are listed one by one, and values are shown in full.
    pub verbose: bool,
    /// Whether check ids are written as terminal hyperlinks (OSC 8) to their pages, where the package names a home page.
    pub links: bool,
}

impl Style {
    /// The narrowest width that is laid out for.
    pub const NARROWEST: usize = 40;

    /// The width that is laid out for.
    pub fn columns(&self) -> usize {
        self.width.max(Self::NARROWEST)
    }
}

impl Default for Style {
    /// What a pipe gets: no colour, no links, 100 columns.
    fn default() -> Self {
        Self { colour: false, width: 100, verbose: false, links: false }
    }
}

/// Renders a run.
pub fn render(format: Format, run: &Run, style: &Style) -> String {
    match format {
        Format::Table => table::render(run, style),
        Format::Json => json::render(run, style),
        Format::Junit => junit::render(run, style),
        Format::Markdown => markdown::render(run, style),
        Format::Log => log::render(run, style),
        Format::Codequality => codequality::render(run, style),
    }
}

/// Renders a run that came to nothing: usage or configuration is wrong, or parallax itself failed. A report file that was asked
/// for is written in these cases too, so that a missing file never reads as success.
pub fn failed_run(format: Format, message: &str, command: &str) -> String {
    match format {
        Format::Table => table::failed_run(message, command),
        Format::Json => json::failed_run(message, command),
        Format::Junit => junit::failed_run(message, command),
        Format::Markdown => markdown::failed_run(message, command),
        Format::Log => log::failed_run(message, command),
        Format::Codequality => codequality::failed_run(message, command),
    }
}
