//! The keys of a runner's S3 cache, for the credentials family: a runner signs the URLs that its jobs' helpers use.

use secrecy::ExposeSecret;

use super::files::Places;
use super::{Target, is_manager, read};
use crate::formats::endpoint_url::EndpointUrl;
use crate::formats::gitlab_runner::{Runner, S3};
use crate::snapshot::secret::Secret;
use crate::snapshot::{Fact, List, Reason};

/// Adds the keys of the configuration that the runner of this context uses; none elsewhere. `complete` fills in what follows from origin, endpoint and key.
pub fn add<K>(target: &Target<'_>, keys: &mut List<K>, complete: impl Fn(Found<'_>) -> K) {
    match is_manager(target) {
        Fact::Present(true) => {}
        Fact::Present(false) | Fact::Absent => return,
        // Whether it is a runner is not known: then it may have a key.
        Fact::Unobserved(reason) => {
            keys.more.get_or_insert(reason);
            return;
        }
    }
    match Places::of(target, true).used().and_then(|used| read(target, &used.path)) {
        Fact::Present(read) => {
            let lacking = |problem: &crate::formats::gitlab_runner::Problem| Reason::Malformed {
                path: read.path.clone(),
                line: Some(problem.line),
                detail: problem.detail.clone(),
            };
            keys.more = keys.more.take().or_else(|| read.configuration.problems.first().map(lacking));
            for runner in &read.configuration.runners {
                keys.items.extend(of(runner, &read.path).map(&complete));
            }
        }
        Fact::Absent => {}
        Fact::Unobserved(reason) => {
            keys.more.get_or_insert(reason);
        }
    }
}

/// One key as the file has it.
pub struct Found<'a> {
    /// The runner, by the public start of its token.
    pub short: &'a str,
    /// The file and line.
    pub origin: String,
    pub access_key: &'a str,
    pub secret: Option<Secret>,
    /// `scheme://host:port`; none for AWS itself.
    pub endpoint: Option<String>,
    pub region: Option<&'a str>,
}

fn of<'a>(runner: &'a Runner, path: &str) -> Option<Found<'a>> {
    let s3 = runner.cache.as_ref()?.s3.as_ref().filter(|s3| s3.uses_its_keys())?;
    let key = s3.access_key.as_ref()?;
    Some(Found {
        short: &runner.short,
        origin: format!("{path}:{}", key.line),
        access_key: &key.value,
        secret: s3.secret_key.as_ref().map(|secret| Secret::from(secret.expose_secret())),
        endpoint: S3::url(s3).map(|url| EndpointUrl::parse(&url).origin()),
        region: s3.location.as_deref().filter(|location| !location.is_empty()),
    })
}
