//! `parallax.toml` as it is written: its keys, what each value must be, and how a mistake is shown in its place.
//!
//! Reads a text and nothing else. No diagnostic shows the userinfo of a URL.

use std::fmt;

use jiff::civil::Date;
use miette::{Diagnostic, NamedSource, SourceSpan};
use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;
use toml::value::Datetime;
use url::Url;

use super::serving::{self, WrittenServe};
use super::{Author, Configuration, Serve};
use crate::check::Waiver;
use crate::formats::store_path::StorePath;
use crate::probe::Account;

/// How a day is written.
const DAY: &str = "write a day, such as 2027-01-31, without quotes";

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
    /// Paths that caches are asked for, to see who signed them.
    cache: Vec<WrittenCache>,
    /// Findings that are known and accepted until a day.
    waive: Vec<WrittenWaiver>,
    /// How `parallax serve` serves; a project's file has no say in it.
    serve: Option<WrittenServe>,
    /// The deadline of the whole run, in milliseconds.
    #[schemars(with = "Option<u64>", range(min = 1))]
    deadline_ms: Option<Spanned<u64>>,
    /// Whether credentials are left out: none is shown to the endpoint that it is for.
    no_credentials: bool,
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
    /// The file on this host that the service takes its certificate from, as an absolute path: what it shows is held against it.
    #[schemars(with = "Option<String>")]
    certificate: Option<Spanned<String>>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Cache")]
struct WrittenCache {
    /// A store path that the caches should serve, such as a build that was pushed.
    #[schemars(with = "String")]
    path: Spanned<String>,
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

/// A text and its name, for pointing into it.
pub(super) struct File<'a> {
    path: String,
    text: &'a str,
}

impl File<'_> {
    pub(super) fn wrong(
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
    pub(super) fn filled(&self, what: &str, value: &Spanned<String>) -> Result<String, Box<Wrong>> {
        let text = value.get_ref().trim();
        if text.is_empty() {
            return Err(self.wrong(Some(value.span()), format_args!("{what} is empty"), None));
        }
        Ok(text.to_owned())
    }

    pub(super) fn all_filled(&self, what: &str, values: &[Spanned<String>]) -> Result<Vec<String>, Box<Wrong>> {
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

/// Reads the text of the file at `path`. Whether there are further checks beside it is not looked at here.
pub(super) fn read(path: &str, text: &str, author: Author) -> Result<Configuration, Box<Wrong>> {
    let file = &File { path: path.to_owned(), text };
    let written: Written = toml::from_str(file.text)
        .map_err(|error| file.wrong(error.span(), error.message(), help_for(error.message())))?;
    if let Some(deadline) = written.deadline_ms.as_ref().filter(|deadline| *deadline.get_ref() == 0) {
        return Err(file.wrong(Some(deadline.span()), "a deadline of nothing", Some("give it in milliseconds".into())));
    }
    let by = match author {
        Author::Project => format!("{} (project)", file.path),
        Author::Nobody | Author::Caller | Author::Host => file.path.clone(),
    };
    let (serve, unused) = served(file, written.serve.as_ref(), author)?;
    let waivers = written.waive.iter().map(|waiver| waived(file, waiver, &by));
    Ok(Configuration {
        author,
        note: format!("configuration: {by}{unused}"),
        tools: file.all_filled("a tool's name", &written.tools)?,
        users: file.all_filled("a user's name", &written.users)?,
        require: file.all_filled("a context's name", &written.require)?,
        context: file.all_filled("a context's name", &written.context)?,
        accounts: accounts(file, &written.account)?,
        endpoints: endpoints(file, &written.endpoint)?,
        cache_paths: cache_paths(file, &written.cache)?,
        certificates: certificates(file, &written.endpoint)?,
        waivers: waivers.collect::<Result<_, _>>()?,
        deadline_ms: written.deadline_ms.map(Spanned::into_inner),
        serve,
        no_credentials: written.no_credentials,
        checks: None,
    })
}

/// How to serve, and what to say of a `[serve]` that is not used. Even that one must be right.
fn served(
    file: &File<'_>,
    written: Option<&WrittenServe>,
    author: Author,
) -> Result<(Serve, &'static str), Box<Wrong>> {
    let read = written.map(|written| serving::read(file, written)).transpose()?;
    match (read, author) {
        (Some(_), Author::Project) => Ok((Serve::default(), "; its [serve] is not used, which is for the host's file")),
        (Some(serve), _) => Ok((serve, "")),
        (None, _) => Ok((Serve::default(), "")),
    }
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

fn cache_paths(file: &File<'_>, written: &[WrittenCache]) -> Result<Vec<String>, Box<Wrong>> {
    let path = |cache: &WrittenCache| {
        let path = file.filled("a store path", &cache.path)?;
        match StorePath::with_directory(&path) {
            Some(_) => Ok(path),
            None => {
                let help = "write it as /nix/store/<hash>-<name>".to_owned();
                Err(file.wrong(Some(cache.path.span()), "not a store path", Some(help)))
            }
        }
    };
    written.iter().map(path).collect()
}

/// Name of the endpoint and path.
fn certificates(file: &File<'_>, written: &[WrittenEndpoint]) -> Result<Vec<(String, String)>, Box<Wrong>> {
    let mut certificates = Vec::new();
    for endpoint in written {
        let Some(path) = &endpoint.certificate else { continue };
        let text = file.filled("a certificate's path", path)?;
        if !text.starts_with('/') {
            let help = "a path on this host, such as /etc/ssl/certs/cache.pem".to_owned();
            return Err(file.wrong(Some(path.span()), "not an absolute path", Some(help)));
        }
        if file.url(&endpoint.url)?.scheme() != "https" {
            let message = "a certificate for an endpoint without TLS";
            return Err(file.wrong(Some(path.span()), message, Some("its url begins with https://".to_owned())));
        }
        certificates.push((file.filled("an endpoint's name", &endpoint.name)?, text));
    }
    Ok(certificates)
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
