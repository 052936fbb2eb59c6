//! `parallax.toml`: what is looked at beyond the built-in lists, which views must be there, and what is waived.
//!
//! Read from the file that `--config` names, else `/etc/parallax/parallax.toml`, else `./parallax.toml`, and from one of them only: a
//! project's file never adds to or takes from the host's. The project's is used only where directory and file belong to the effective
//! user and no stranger may write them. Every key is known or refused; a mistake is shown with file, line and column. Must not look
//! at any target. Whether a waiver is expired or unused is judged elsewhere.

mod serving;
mod written;

use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use miette::Diagnostic;

use super::arguments::Looking;
use crate::check::Waiver;
use crate::probe::{Account, Wishes};

pub use serving::{Allow, Disclose, Serve};
pub use written::{Wrong, schema};

/// The longest file that is read, in bytes.
const CAP: u64 = 1 << 20;
/// The host's file.
const HOST: &str = "/etc/parallax/parallax.toml";
/// The project's file.
const PROJECT: &str = "parallax.toml";

/// Who wrote a configuration.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Author {
    /// There is none.
    #[default]
    Nobody,
    /// `--config` named it.
    Caller,
    /// It is the host's.
    Host,
    /// It is the working directory's.
    Project,
}

/// A configuration that was read in full.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Configuration {
    /// Who wrote it.
    pub author: Author,
    /// One sentence for the reader of a run: which file was used, or why none.
    pub note: String,
    /// Tools that are looked for on PATH, beside the built-in ones.
    pub tools: Vec<String>,
    /// Users that are contexts, beside the built-in ones.
    pub users: Vec<String>,
    /// Ids or names of contexts that must have been looked from; a missing one makes the run undetermined.
    pub require: Vec<String>,
    /// Ids or names of contexts that are put on the chain.
    pub context: Vec<String>,
    /// Which account the keys for an endpoint belong to; endpoints as `scheme://host:port`.
    pub accounts: Vec<Account>,
    /// Endpoints that every context is asked about: name and URL.
    pub endpoints: Vec<(String, String)>,
    /// Store paths that every cache is asked for.
    pub cache_paths: Vec<String>,
    /// The files on this host that endpoints take their certificates from: the endpoint's name and a path.
    pub certificates: Vec<(String, String)>,
    /// What is waived.
    pub waivers: Vec<Waiver>,
    /// The deadline of the whole run, in milliseconds.
    pub deadline_ms: Option<u64>,
    /// How `parallax serve` serves.
    pub serve: Serve,
    /// Whether no credential may be shown to the endpoint that it is for.
    pub no_credentials: bool,
    /// The directory with further checks, `checks` beside the file, if it is there.
    pub checks: Option<PathBuf>,
}

/// Why there is no configuration to go by: each ends the run as a mistake of usage.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum ConfigurationError {
    /// It is there, or was asked for, and can't be read.
    #[error("{path} could not be read: {source}")]
    Unreadable { path: String, source: std::io::Error },
    /// It is no regular file.
    #[error("{path} is not a regular file")]
    NotRegular { path: String },
    /// It is longer than any configuration.
    #[error("{path} is longer than {CAP} bytes")]
    TooLong { path: String },
    /// It is not text.
    #[error("{path} is not UTF-8")]
    NotText { path: String },
    /// What stands in it is wrong.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Wrong(Box<Wrong>),
}

/// Reads the configuration of this run.
pub fn load(explicit: Option<&Path>) -> Result<Configuration, ConfigurationError> {
    load_from(explicit, Path::new(HOST), Path::new("."))
}

/// Reads the configuration for what is done on behalf of others: the file that is named, else the host's, never a project's.
pub fn load_hosts(explicit: Option<&Path>) -> Result<Configuration, ConfigurationError> {
    let found = named_or_hosts(explicit, Path::new(HOST))?;
    Ok(found.unwrap_or_else(|| nothing(format!("no {HOST}; the built-in lists apply"))))
}

fn load_from(explicit: Option<&Path>, host: &Path, directory: &Path) -> Result<Configuration, ConfigurationError> {
    match named_or_hosts(explicit, host)? {
        Some(configuration) => Ok(configuration),
        None => load_projects(directory),
    }
}

fn named_or_hosts(explicit: Option<&Path>, host: &Path) -> Result<Option<Configuration>, ConfigurationError> {
    if let Some(path) = explicit {
        let text = match read(path)? {
            Some((text, _)) => text,
            None => return Err(unreadable(path, std::io::ErrorKind::NotFound.into())),
        };
        return parse(path, &text, Author::Caller).map(Some);
    }
    read(host)?.map(|(text, _)| parse(host, &text, Author::Host)).transpose()
}

fn load_projects(directory: &Path) -> Result<Configuration, ConfigurationError> {
    let project = directory.join(PROJECT);
    // Asked before it is read: what is not to be trusted is not parsed either.
    let doubt = match distrusted(directory, &project) {
        Ok(doubt) => doubt,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Ok(nothing("no parallax.toml; the built-in lists apply".to_owned()));
        }
        Err(error) => return Err(unreadable(&project, error)),
    };
    if let Some(doubt) = doubt {
        return Ok(nothing(format!("{} is not used: {doubt}", project.display())));
    }
    match read(&project)? {
        // Looked at again on the open file: the name may lead elsewhere by now.
        Some((text, metadata)) => match foreign("the file", &metadata, 0o022) {
            None => parse(&project, &text, Author::Project),
            Some(doubt) => Ok(nothing(format!("{} is not used: {doubt}", project.display()))),
        },
        None => Ok(nothing("no parallax.toml; the built-in lists apply".to_owned())),
    }
}

fn nothing(note: String) -> Configuration {
    Configuration { note, ..Configuration::default() }
}

/// Why the working directory's file is not to be trusted.
fn distrusted(directory: &Path, file: &Path) -> std::io::Result<Option<String>> {
    let file = foreign("the file", &std::fs::metadata(file)?, 0o022);
    // Directories of a user's own group are often writable to it; the file decides then.
    Ok(file.or(foreign("its directory", &std::fs::metadata(directory)?, 0o002)))
}

fn foreign(what: &str, metadata: &std::fs::Metadata, others: u32) -> Option<String> {
    let user = rustix::process::geteuid().as_raw();
    if metadata.uid() != user {
        return Some(format!("{what} belongs to uid {}, not to uid {user}", metadata.uid()));
    }
    let mode = metadata.mode() & 0o7777;
    (mode & others != 0).then(|| format!("{what} can be written by others (mode {mode:04o})"))
}

/// The text of a file, or `None` where there is none. A FIFO is refused and never waited for.
fn read(path: &Path) -> Result<Option<(String, std::fs::Metadata)>, ConfigurationError> {
    let nonblocking = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or_default();
    let file = match std::fs::OpenOptions::new().read(true).custom_flags(nonblocking).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(path, error)),
    };
    let metadata = file.metadata().map_err(|error| unreadable(path, error))?;
    let shown = path.display().to_string();
    if !metadata.is_file() {
        return Err(ConfigurationError::NotRegular { path: shown });
    }
    let mut bytes = Vec::new();
    file.take(CAP + 1).read_to_end(&mut bytes).map_err(|error| unreadable(path, error))?;
    if bytes.len() as u64 > CAP {
        return Err(ConfigurationError::TooLong { path: shown });
    }
    let text = String::from_utf8(bytes).map_err(|_| ConfigurationError::NotText { path: shown })?;
    Ok(Some((text, metadata)))
}

fn unreadable(path: &Path, source: std::io::Error) -> ConfigurationError {
    ConfigurationError::Unreadable { path: path.display().to_string(), source }
}

/// Reads a text as configuration.
pub fn parse(path: &Path, text: &str, author: Author) -> Result<Configuration, ConfigurationError> {
    written::read(&path.display().to_string(), text, author).map_err(ConfigurationError::Wrong).map(|configuration| {
        let checks = path.with_file_name("checks");
        // What may judge is trusted like the file beside it: a directory that others may write is not used, and that is said.
        let (checks, note) = match std::fs::metadata(&checks) {
            Ok(metadata) if metadata.is_dir() => match foreign("checks/ beside it", &metadata, 0o022) {
                None => (Some(checks), configuration.note.clone()),
                Some(why) => (None, format!("{}; {why} and was not used", configuration.note)),
            },
            Ok(_) | Err(_) => (None, configuration.note.clone()),
        };
        Configuration { checks, note, ..configuration }
    })
}

impl Configuration {
    /// What of it, and of the command line, the probes must know.
    pub(super) fn wishes(&self, looking: &Looking) -> Wishes {
        let offline = looking.offline.then(|| "--offline".to_owned());
        let by_option = looking.no_credentials.then(|| "--no-credentials".to_owned());
        let by_file = self.no_credentials.then(|| "no_credentials of parallax.toml".to_owned());
        Wishes {
            tools: self.tools.clone(),
            accounts: self.accounts.clone(),
            endpoints: self.endpoints.clone(),
            cache_paths: self.cache_paths.clone(),
            certificates: self.certificates.clone(),
            offline: looking.offline,
            no_credentials: by_option.or(by_file).or_else(|| offline.clone()),
            reach: offline,
            ..Wishes::default()
        }
    }
}

#[cfg(test)]
mod tests;
