//! The command line, as clap types. Nothing outside `cli` knows them.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Looks at one host from every execution context on it and reports where the views disagree.
#[derive(Debug, Parser)]
#[command(name = "parallax", version, about, long_about = None, max_term_width = 100, after_help = AFTER_HELP)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
    #[command(flatten)]
    pub global: Global,
}

const AFTER_HELP: &str = "Nothing on the host or in a target is changed. \
Exit codes: 0 coherent, 1 incoherent, 2 usage or configuration, 3 could not be determined, 4 warnings only, 70 parallax failed.";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Look from every context of this host and compare
    Doctor(Doctor),
    /// The first job of a pipeline: look from here, get the other views from the host, compare
    Check(Check),
    /// Give this host's verdicts to its jobs over a Unix socket
    Serve(Serve),
    /// Print the snapshot of one context
    Probe(Probe),
    /// Compare recorded snapshots
    Compare(Compare),
    /// List the contexts of this host and how each can be entered, or why not
    Contexts(Contexts),
    /// Say why a check exists, what fails and how to mend it; or what a fact means
    Explain(Explain),
    /// The catalogue of checks
    #[command(subcommand)]
    Checks(Checks),
    /// Print a JSON Schema
    Schema(Schema),
    /// Print a completion script
    Completions {
        /// For which shell
        shell: clap_complete::Shell,
    },
    /// Write the generated pages of docs/
    #[command(hide = true)]
    Pages {
        /// The docs directory
        directory: PathBuf,
    },
}

/// What every command takes.
#[derive(Debug, Args)]
pub struct Global {
    /// Configuration file; else /etc/parallax/parallax.toml, else ./parallax.toml if it is yours
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Colour in the output
    #[arg(long, global = true, value_enum, default_value_t = Colour::Auto, value_name = "WHEN")]
    pub color: Colour,
    /// Show more: all rows, all facts
    #[arg(short, long, global = true)]
    pub verbose: bool,
}

/// When to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Colour {
    /// On a terminal without NO_COLOR.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Where reports go.
#[derive(Debug, Clone, Args)]
pub struct Reports {
    /// What to print to stdout [default: table; log in a GitLab job, where GITLAB_CI is true]
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub format: Option<ReportFormat>,
    /// Write a report to a file too; may be given several times
    #[arg(long, value_name = "FORMAT=FILE", value_parser = output)]
    pub output: Vec<Output>,
    /// Let rows pass that could not be compared; they are counted in the first line
    #[arg(long)]
    pub allow_unknown: bool,
    /// Fail on findings only that this file does not record
    #[arg(long, value_name = "FILE")]
    pub baseline: Option<PathBuf>,
    /// Record the findings of this run in a file; it changes nothing of what the run comes to
    #[arg(long, value_name = "FILE")]
    pub write_baseline: Option<PathBuf>,
}

/// A report format, on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// For people: one screen.
    Table,
    /// parallax.findings/1.
    Json,
    /// For GitLab and other readers of JUnit.
    Junit,
    /// For a comment on a merge request.
    Markdown,
    /// For GitLab's job log: the table in sections.
    Log,
    /// For GitLab's Code Quality.
    Codequality,
}

/// One `--output`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    pub format: ReportFormat,
    pub file: PathBuf,
}

/// The report files of a command line that could not be parsed: what follows `--output`, wherever it is well-formed.
pub fn report_files(words: &[String]) -> Vec<Output> {
    let after =
        words.iter().zip(words.iter().skip(1)).filter(|(word, _)| *word == "--output").map(|(_, value)| value.as_str());
    let joined = words.iter().filter_map(|word| word.strip_prefix("--output="));
    after.chain(joined).filter_map(|text| output(text).ok()).collect()
}

fn output(text: &str) -> Result<Output, String> {
    let (format, file) = text.split_once('=').ok_or("expected FORMAT=FILE, such as junit=parallax.xml")?;
    let format = ReportFormat::from_str(format, true)?;
    if file.is_empty() {
        return Err("the file name is empty".into());
    }
    Ok(Output { format, file: file.into() })
}

/// How long, and at what, to look.
#[derive(Debug, Clone, Args)]
pub struct Looking {
    /// The run ends by then, whatever hangs [default: deadline_ms of parallax.toml, else 30]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub deadline: Option<Duration>,
    /// Ask no name server
    #[arg(long)]
    pub offline: bool,
    /// Show no credential to the endpoint that it is for
    #[arg(long)]
    pub no_credentials: bool,
    /// Also look from this user; may be given several times
    #[arg(long = "user", value_name = "NAME")]
    pub users: Vec<String>,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let value: f64 = text.parse().map_err(|_| "expected a number of seconds".to_owned())?;
    if !(0.1..=86_400.0).contains(&value) {
        return Err("expected 0.1 to 86400 seconds".into());
    }
    Ok(Duration::from_secs_f64(value))
}

#[derive(Debug, Args)]
pub struct Doctor {
    #[command(flatten)]
    pub reports: Reports,
    #[command(flatten)]
    pub looking: Looking,
    /// Put this context on the chain; may be given several times
    #[arg(long = "context", value_name = "ID")]
    pub contexts: Vec<String>,
    /// Write the snapshots, without fingerprints, into this directory, for jobs to compare with
    #[arg(long, value_name = "DIR")]
    pub publish: Option<PathBuf>,
    #[command(flatten)]
    pub job: ThrowawayJob,
}

/// The container of a job that is made for one run.
#[derive(Debug, Args)]
pub struct ThrowawayJob {
    /// Make the container that this GitLab runner would make for a job, look from it too, and remove it
    #[arg(long = "job", value_name = "RUNNER", help_heading = "A job's container, made for this run")]
    pub runner: Option<String>,
    /// The runner's config.toml [default: that of the running gitlab-runner, else /etc/gitlab-runner/config.toml]
    #[arg(long, value_name = "FILE", requires = "runner", help_heading = "A job's container, made for this run")]
    pub runner_config: Option<PathBuf>,
    /// The image to make it of, instead of the runner's own
    #[arg(long, value_name = "IMAGE", requires = "runner", help_heading = "A job's container, made for this run")]
    pub image: Option<String>,
    /// Pull the image if it is not there
    #[arg(long, requires = "runner", help_heading = "A job's container, made for this run")]
    pub pull: bool,
}

/// Where `serve` listens and `check` asks.
pub const SOCKET: &str = "/run/parallax/parallax.sock";
/// Where `check` looks for published views.
pub const VIEWS: &str = "/run/parallax/snapshots";

#[derive(Debug, Args)]
pub struct Check {
    #[command(flatten)]
    pub reports: Reports,
    #[command(flatten)]
    pub looking: Looking,
    /// Ask the host's server here [default: /run/parallax/parallax.sock, if it is there]
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,
    /// Without a server: the directory into which `doctor --publish` wrote on the host [default: /run/parallax/snapshots]
    #[arg(long, value_name = "DIR")]
    pub views: Option<PathBuf>,
    /// Without a server: a snapshot of another context, such as an artifact; may be given several times
    #[arg(long = "view", value_name = "FILE")]
    pub view: Vec<PathBuf>,
    /// Refuse published snapshots that are older than this many seconds
    #[arg(long, value_name = "SECONDS", default_value = "3600", value_parser = seconds)]
    pub max_age: Duration,
    /// A view that must be there, such as `service:nix-daemon`; may be given several times
    #[arg(long, value_name = "ID")]
    pub require: Vec<String>,
}

#[derive(Debug, Args)]
pub struct Serve {
    /// Where to listen [default: socket of [serve] in parallax.toml, else /run/parallax/parallax.sock]
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,
    /// Lay no copy of parallax beside the socket
    #[arg(long)]
    pub no_binary: bool,
    /// Know callers as on a kernel without SO_PEERPIDFD
    #[arg(long, hide = true)]
    pub without_peer_pidfd: bool,
}

#[derive(Debug, Args)]
#[group(skip)]
pub struct Probe {
    /// The context of this process
    #[arg(long, group = "target", value_name = "PID")]
    pub pid: Option<u32>,
    /// The container of this name or id
    #[arg(long, group = "target", value_name = "NAME")]
    pub container: Option<String>,
    /// A known service, such as nix-daemon
    #[arg(long, group = "target", value_name = "NAME")]
    pub service: Option<String>,
    /// A user
    #[arg(long, group = "target", value_name = "NAME")]
    pub user: Option<String>,
    /// Show no credential to the endpoint that it is for
    #[arg(long)]
    pub no_credentials: bool,
}

#[derive(Debug, Args)]
pub struct Compare {
    #[command(flatten)]
    pub reports: Reports,
    /// Snapshot files, or directories of them
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Contexts {
    #[command(flatten)]
    pub looking: Looking,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Explain {
    /// A check such as `store/one-writer`, or a fact such as `store.db.mode`
    pub id: String,
}

#[derive(Debug, Subcommand)]
pub enum Checks {
    /// List the checks
    List,
    /// Run the examples of the check files
    Test {
        /// Directories of check files, beside the built-in ones
        directories: Vec<PathBuf>,
    },
}

#[derive(Debug, Args)]
pub struct Schema {
    /// Of which document
    #[arg(value_enum)]
    pub document: Document,
}

/// A document that has a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Document {
    /// What a context looks like.
    Snapshot,
    /// What `--format json` prints.
    Findings,
    /// What `--write-baseline` writes.
    Baseline,
    /// A file in `checks/`.
    Check,
    /// parallax.toml.
    Config,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn report_files_are_found_in_a_command_line_that_is_wrong() {
        let words =
            ["parallax", "doctor", "--nonsense", "--output", "junit=a.xml", "--output=json=b.json"].map(String::from);
        let files: Vec<_> = super::report_files(&words).into_iter().map(|output| output.file).collect();
        assert_eq!(files, ["a.xml", "b.json"].map(std::path::PathBuf::from));
    }

    #[test]
    fn the_command_line_is_well_formed() {
        super::Arguments::command().debug_assert();
    }
}
