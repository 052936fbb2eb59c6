//! `parallax.toml`: what is looked at beyond the built-in lists, which views must be there, and what is waived.
//!
//! Read from the file that `--config` names, else `/etc/parallax/parallax.toml`, else `./parallax.toml`, and from one of them only: a
//! project's file never adds to or takes from the host's. The project's is used only where directory and file belong to the effective
//! user and nobody else may write them. Every key is known or refused; a mistake is shown with file, line and column. Must not look
//! at any target. Whether a waiver is expired or unused is judged elsewhere.

use std::fmt;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use jiff::civil::Date;
use miette::{Diagnostic, NamedSource, SourceSpan};
use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;
use toml::value::Datetime;
use url::Url;

use crate::probe::{Account, Wishes};

/// The longest file that is read, in bytes.
const CAP: u64 = 1 << 20;
/// The host's file.
const HOST: &str = "/etc/parallax/parallax.toml";
/// How a day is written.
const DAY: &str = "write a day, such as 2027-01-31, without quotes";
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
    /// What is waived.
    pub waivers: Vec<Waiver>,
    /// The deadline of the whole run, in milliseconds.
    pub deadline_ms: Option<u64>,
    /// The directory with further checks, `checks` beside the file, if it is there.
    pub checks: Option<PathBuf>,
}

/// One `[[waive]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiver {
    /// The check's id, such as `store/one-writer`.
    pub check: String,
    /// Ids or names of the contexts that it is waived for; empty for all.
    pub contexts: Vec<String>,
    /// The finding's subject; without one every subject.
    pub subject: Option<String>,
    /// Why.
    pub reason: String,
    /// The last day on which it holds.
    pub until: Date,
    /// The file in which it stands, with `(project)` behind it where the project wrote it.
    pub by: String,
    /// 1-based line of its `check`.
    pub line: usize,
}

/// The file as written.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(title = "parallax.toml", rename = "Configuration")]
struct Written {
    /// Tools that are looked for on PATH, beside the built-in ones.
    #[schemars(with = "Vec<String>")]
    tools: Vec<Spanned<String>>,
    /// Users that are contexts, beside the built-in ones.
    #[schemars(with = "Vec<String>")]
    users: Vec<Spanned<String>>,
    /// Ids or names of contexts that must have been looked from.
    #[schemars(with = "Vec<String>")]
    require: Vec<Spanned<String>>,
    /// Ids or names of contexts that are put on the chain.
    #[schemars(with = "Vec<String>")]
    context: Vec<Spanned<String>>,
    /// All keys for one endpoint are meant to be the same account.
    account: Vec<WrittenAccount>,
    /// Endpoints that every context is asked about.
    endpoint: Vec<WrittenEndpoint>,
    /// Findings that are known and accepted until a day.
    waive: Vec<WrittenWaiver>,
    /// The deadline of the whole run, in milliseconds.
    #[schemars(with = "Option<u64>", range(min = 1))]
    deadline_ms: Option<Spanned<u64>>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Account")]
struct WrittenAccount {
    /// Its name.
    #[schemars(with = "String")]
    name: Spanned<String>,
    /// The endpoint's URL; what follows the port does not matter.
    #[schemars(with = "String")]
    endpoint: Spanned<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Endpoint")]
struct WrittenEndpoint {
    /// Its name.
    #[schemars(with = "String")]
    name: Spanned<String>,
    /// Its URL, without a user or password.
    #[schemars(with = "String")]
    url: Spanned<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Waiver")]
struct WrittenWaiver {
    /// The check's id, such as `store/one-writer`.
    #[schemars(with = "String")]
    check: Spanned<String>,
    /// Ids or names of contexts; left out or empty for all.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    contexts: Vec<Spanned<String>>,
    /// The finding's subject; without one every subject.
    #[schemars(with = "Option<String>")]
    subject: Option<Spanned<String>>,
    /// Why.
    #[schemars(with = "String")]
    reason: Spanned<String>,
    /// The last day on which it holds, a TOML date.
    #[schemars(with = "String", regex(pattern = r"^\d{4}-\d{2}-\d{2}$"))]
    until: Spanned<Datetime>,
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

/// One mistake in a file, with its place.
#[derive(Debug, thiserror::Error, Diagnostic)]
#[error("{message}")]
pub struct Wrong {
    message: String,
    #[help]
    help: Option<String>,
    #[source_code]
    text: NamedSource<String>,
    #[label]
    span: Option<SourceSpan>,
}

/// The JSON Schema of `parallax.toml`.
pub fn schema() -> schemars::Schema {
    schemars::schema_for!(Written)
}

/// Reads the configuration of this run.
pub fn load(explicit: Option<&Path>) -> Result<Configuration, ConfigurationError> {
    load_from(explicit, Path::new(HOST), Path::new("."))
}

fn load_from(explicit: Option<&Path>, host: &Path, directory: &Path) -> Result<Configuration, ConfigurationError> {
    if let Some(path) = explicit {
        let text = match read(path)? {
            Some((text, _)) => text,
            None => return Err(unreadable(path, std::io::ErrorKind::NotFound.into())),
        };
        return parse(path, &text, Author::Caller);
    }
    if let Some((text, _)) = read(host)? {
        return parse(host, &text, Author::Host);
    }
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
    let file = File { path: path.display().to_string(), text };
    read_text(&file, author).map_err(ConfigurationError::Wrong).map(|configuration| {
        let checks = path.with_file_name("checks");
        Configuration { checks: checks.is_dir().then_some(checks), ..configuration }
    })
}

/// A text and its name, for pointing into it.
struct File<'a> {
    path: String,
    text: &'a str,
}

impl File<'_> {
    fn wrong(
        &self,
        span: Option<std::ops::Range<usize>>,
        message: impl fmt::Display,
        help: Option<String>,
    ) -> Box<Wrong> {
        let source_text = NamedSource::new(&self.path, without_userinfo(self.text));
        let message = without_userinfo(&message.to_string());
        Box::new(Wrong { message, help, text: source_text, span: span.map(SourceSpan::from) })
    }

    fn line(&self, at: usize) -> usize {
        self.text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
    }

    /// A text that says something.
    fn filled(&self, what: &str, value: &Spanned<String>) -> Result<String, Box<Wrong>> {
        let text = value.get_ref().trim();
        if text.is_empty() {
            return Err(self.wrong(Some(value.span()), format_args!("{what} is empty"), None));
        }
        Ok(text.to_owned())
    }

    fn all_filled(&self, what: &str, values: &[Spanned<String>]) -> Result<Vec<String>, Box<Wrong>> {
        values.iter().map(|value| self.filled(what, value)).collect()
    }

    fn url(&self, value: &Spanned<String>) -> Result<Url, Box<Wrong>> {
        let wrong = |message: &str, help: &str| Err(self.wrong(Some(value.span()), message, Some(help.to_owned())));
        let example = "write it as https://host:port";
        let Ok(url) = Url::parse(value.get_ref()) else { return wrong("not a URL", example) };
        if !url.has_host() || url.port_or_known_default().is_none() {
            return wrong("a URL without host or port", example);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return wrong("a URL with a user or password", "leave it out: parallax takes no credentials from here");
        }
        Ok(url)
    }
}

fn read_text(file: &File<'_>, author: Author) -> Result<Configuration, Box<Wrong>> {
    let written: Written = toml::from_str(file.text)
        .map_err(|error| file.wrong(error.span(), error.message(), help_for(error.message())))?;
    if let Some(deadline) = written.deadline_ms.as_ref().filter(|deadline| *deadline.get_ref() == 0) {
        return Err(file.wrong(Some(deadline.span()), "a deadline of nothing", Some("give it in milliseconds".into())));
    }
    let by = match author {
        Author::Project => format!("{} (project)", file.path),
        Author::Nobody | Author::Caller | Author::Host => file.path.clone(),
    };
    let waivers = written.waive.iter().map(|waiver| waived(file, waiver, &by));
    Ok(Configuration {
        author,
        note: format!("configuration: {by}"),
        tools: file.all_filled("a tool's name", &written.tools)?,
        users: file.all_filled("a user's name", &written.users)?,
        require: file.all_filled("a context's name", &written.require)?,
        context: file.all_filled("a context's name", &written.context)?,
        accounts: accounts(file, &written.account)?,
        endpoints: endpoints(file, &written.endpoint)?,
        waivers: waivers.collect::<Result<_, _>>()?,
        deadline_ms: written.deadline_ms.map(Spanned::into_inner),
        checks: None,
    })
}

fn accounts(file: &File<'_>, written: &[WrittenAccount]) -> Result<Vec<Account>, Box<Wrong>> {
    let mut accounts: Vec<Account> = Vec::new();
    for account in written {
        let name = file.filled("an account's name", &account.name)?;
        let url = file.url(&account.endpoint)?;
        let port = url.port_or_known_default().unwrap_or_default();
        let endpoint = format!("{}://{}:{port}", url.scheme(), url.host_str().unwrap_or_default());
        if let Some(other) = accounts.iter().find(|other| other.endpoint == endpoint) {
            let message = format!("{endpoint} has the account {} already", other.name);
            return Err(file.wrong(Some(account.endpoint.span()), message, None));
        }
        accounts.push(Account { name, endpoint });
    }
    Ok(accounts)
}

fn endpoints(file: &File<'_>, written: &[WrittenEndpoint]) -> Result<Vec<(String, String)>, Box<Wrong>> {
    let mut endpoints: Vec<(String, String)> = Vec::new();
    for endpoint in written {
        let name = file.filled("an endpoint's name", &endpoint.name)?;
        if endpoints.iter().any(|(other, _)| *other == name) {
            let message = format!("there is an endpoint {name} already");
            return Err(file.wrong(Some(endpoint.name.span()), message, None));
        }
        endpoints.push((name, file.url(&endpoint.url)?.into()));
    }
    Ok(endpoints)
}

fn waived(file: &File<'_>, waiver: &WrittenWaiver, by: &str) -> Result<Waiver, Box<Wrong>> {
    Ok(Waiver {
        check: file.filled("the check's id", &waiver.check)?,
        contexts: file.all_filled("a context's name", &waiver.contexts)?,
        subject: waiver.subject.as_ref().map(|subject| file.filled("the subject", subject)).transpose()?,
        reason: file.filled("the reason", &waiver.reason)?,
        until: day(file, &waiver.until)?,
        by: by.to_owned(),
        line: file.line(waiver.check.span().start),
    })
}

fn day(file: &File<'_>, until: &Spanned<Datetime>) -> Result<Date, Box<Wrong>> {
    let Datetime { date: Some(date), time: None, offset: None } = until.get_ref() else {
        return Err(file.wrong(Some(until.span()), "not a day", Some(DAY.to_owned())));
    };
    let parts = (i16::try_from(date.year), i8::try_from(date.month), i8::try_from(date.day));
    let day = match parts {
        (Ok(year), Ok(month), Ok(day)) => Date::new(year, month, day).ok(),
        _ => None,
    };
    day.ok_or_else(|| file.wrong(Some(until.span()), "there is no such day", None))
}

/// The text with the userinfo of every URL in it covered, each byte by one sign so that places stay: a diagnostic shows lines of the
/// file, and ends in a log.
fn without_userinfo(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("://") {
        let authority = after.split(['/', '"', '\'', '\n', ' ']).next().unwrap_or_default();
        let covered = authority.rfind('@').unwrap_or_default();
        shown.extend([before, "://", &"*".repeat(covered)]);
        rest = after.get(covered..).unwrap_or_default();
    }
    shown.push_str(rest);
    shown
}

/// What to write instead: the nearest of the names that the message of an unknown key lists, or how a day is written.
fn help_for(message: &str) -> Option<String> {
    if message.ends_with("expected a TOML datetime") {
        return Some(DAY.to_owned());
    }
    let mut names = message.strip_prefix("unknown field `")?.split('`').step_by(2);
    let unknown = names.next()?;
    let distance = |name: &&str| strsim::damerau_levenshtein(unknown, name);
    let nearest = names.filter(|name| !name.is_empty()).min_by_key(distance)?;
    (distance(&nearest) <= 3).then(|| format!("did you mean `{nearest}`?"))
}

impl Configuration {
    /// What of it the probes must know.
    pub fn wishes(&self, offline: bool) -> Wishes {
        Wishes {
            tools: self.tools.clone(),
            accounts: self.accounts.clone(),
            endpoints: self.endpoints.clone(),
            offline,
            ..Wishes::default()
        }
    }
}

#[cfg(test)]
mod tests;
