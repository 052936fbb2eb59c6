//! The caches family: whose signatures this context trusts, and what the binary caches that its own configuration names serve it.
//!
//! Asks each http, https, `s3://` and `file://` substituter that somebody sets for its `nix-cache-info` and for a few paths, and verifies the signatures of those
//! that it serves, against the keys in use here and against those of the other contexts of the run. A login is shown only to the host that it is for, only
//! where it is refused without one, and only over a certificate that this context's own roots sign; a redirect is never followed. A bucket is asked with
//! the key that Nix would show it, by the rules of `logins`. Does not judge whether a path should have been served or trusted.

mod attic;
mod bucket;
mod cachix;
mod directory;
mod fetch;
mod keys;
mod login;
mod paths;
mod serve;
pub mod standing;

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::Target;
use crate::formats::endpoint_url::EndpointUrl;
use crate::probe::logins::bucket::{Bucket, Buckets};
use crate::probe::reach::plan::{self, Question};
use crate::snapshot::endpoint::NamedEndpoint;
use crate::snapshot::facts::{Caches, Facts, Nix, ServedCache};
use crate::snapshot::{Fact, List, Reason};
use serve::Asked;
use standing::Keys;

/// The most time for all caches; below what a probe is given, so that what was seen by then is not lost.
const LIMIT: Duration = Duration::from_millis(5000);
/// The most caches that are asked.
const MAX_CACHES: usize = 32;

/// Looks at the keys and, in the second round, asks the caches. The endpoints are those that further configuration names.
pub fn observe(target: &Target<'_>, named: &[NamedEndpoint], facts: &Facts) -> (Caches, Vec<NamedEndpoint>) {
    let keys = keys::observe(target, &facts.nix);
    let attic = attic::observe(target);
    let cachix = cachix::observe(target);
    let endpoints = attic.endpoints().into_iter().chain(cachix.endpoint()).collect();
    let (served, attic_caches, cachix_caches) = match why_not(target) {
        Some(reason) => (Fact::Unobserved(reason.clone()), Fact::Unobserved(reason.clone()), Fact::Unobserved(reason)),
        None => {
            let cachix = cachix.ask(target, named, facts);
            (served(target, named, facts, &keys), attic.ask(target, named, facts, &keys), cachix)
        }
    };
    let seen = Caches { keys, served, attic: attic.seen, attic_caches, cachix_caches, ..cachix.seen() };
    (seen, endpoints)
}

fn why_not(target: &Target<'_>) -> Option<Reason> {
    match (&target.wishes.reach, super::network::joined(target)) {
        (Some(by), _) => Some(Reason::Disabled { by: by.clone() }),
        (None, Fact::Unobserved(reason)) => Some(reason),
        (None, _) => target.incomplete.first().map(|missing| Reason::IdentityIncomplete { missing: missing.clone() }),
    }
}

/// Whether a configuration sets a cache that can be asked.
pub fn names_any(nix: &Nix) -> bool {
    is_set(nix) && nix.substituters.present().into_iter().flatten().any(|text| kind_of(text).is_some())
}

/// What a context that sets no cache is served: nothing, as far as its settings are known.
pub fn none_named<T>(nix: &Nix) -> Fact<List<T>> {
    Fact::Present(List { items: Vec::new(), more: nix.substituters.reason().cloned() })
}

/// Whether anybody sets substituters; the built-in default is not asked.
fn is_set(nix: &Nix) -> bool {
    nix.settings.present().is_some_and(|list| list.items.iter().any(|setting| setting.name == "substituters"))
}

/// What kind of cache can be asked: a directory, one behind HTTP, or one in a bucket.
enum Kind {
    Directory(String),
    Http,
    Bucket,
}

fn kind_of(substituter: &str) -> Option<Kind> {
    let base = substituter.split('?').next().unwrap_or_default();
    match base.split_once("://") {
        Some(("file", path)) if path.starts_with('/') => Some(Kind::Directory(path.trim_end_matches('/').to_owned())),
        Some(("http" | "https", _)) => Some(Kind::Http),
        Some(("s3", bucket)) if !bucket.is_empty() => Some(Kind::Bucket),
        _ => None,
    }
}

fn served(
    target: &Target<'_>,
    named: &[NamedEndpoint],
    facts: &Facts,
    keys: &Fact<List<crate::snapshot::facts::TrustedKey>>,
) -> Fact<List<ServedCache>> {
    let nix = &facts.nix;
    let substituters = match &nix.substituters {
        Fact::Present(substituters) if is_set(nix) => substituters,
        _ => return none_named(nix),
    };
    let keys = Keys::new(keys, &target.wishes.public_keys);
    let candidates = paths::candidates(target, facts);
    let own: Vec<NamedEndpoint> = named.iter().filter(|one| one.named_by == "nix substituters").cloned().collect();
    let questions = plan::questions(target, &own, facts).questions;
    let written = super::nix::substituters_as_written(target);
    let logins = login::Logins::read(target, nix);
    let mut buckets = None;
    let mut list = List::complete(Vec::new());
    let mut asked = Vec::new();
    for (index, substituter) in substituters.iter().enumerate() {
        if list.items.len() == MAX_CACHES {
            list.more = Some(Reason::Truncated { at: MAX_CACHES as u64, what: "the caches that are asked".into() });
            break;
        }
        let mut cache = blank(substituter, nix, candidates.count());
        match kind_of(substituter) {
            Some(Kind::Directory(path)) => directory::observe(target, &path, &candidates, &keys, &mut cache),
            Some(Kind::Http) => {
                let url = EndpointUrl::parse(substituter);
                let Some(question) = questions.iter().find(|question| is_for(question, &url)) else { continue };
                let login = logins.of(written.get(index), question, &target.wishes.no_credentials);
                let one = Asked::new(question, url.path, login, &candidates, &keys);
                asked.push((list.items.len(), Asking::Http(Box::new(one))));
            }
            Some(Kind::Bucket) => {
                let buckets = buckets.get_or_insert_with(|| Buckets::new(target, named, facts));
                let Some(bucket) = buckets.of(substituter) else { continue };
                name_bucket(&mut cache, &bucket);
                let one = bucket::Asked::new(bucket, &candidates, &keys);
                asked.push((list.items.len(), Asking::Bucket(Box::new(one))));
            }
            None => continue,
        }
        list.items.push(cache);
    }
    ask(asked, &mut list.items);
    Fact::Present(list)
}

fn is_for(question: &Question, url: &EndpointUrl) -> bool {
    let path = EndpointUrl::parse(&question.url).path;
    Some(&question.host) == url.host.as_ref()
        && Some(question.port) == url.effective_port()
        && question.tls == (url.scheme.as_deref() == Some("https"))
        && path.trim_end_matches('/') == url.path.trim_end_matches('/')
}

/// What is known of a cache before it is asked.
fn blank(substituter: &str, nix: &Nix, asked: usize) -> ServedCache {
    let (base, query) = substituter.split_once('?').unwrap_or((substituter, ""));
    let exempt = query.split('&').any(|pair| matches!(pair, "trusted=true" | "trusted=1" | "trusted=yes"));
    let url = base.trim_end_matches('/').to_owned();
    ServedCache {
        known_as: known_as(&url),
        url,
        origin: origin(substituter, nix),
        exempt,
        asked: u32::try_from(asked).unwrap_or(u32::MAX),
        ..ServedCache::default()
    }
}

fn known_as(url: &str) -> Vec<String> {
    let parsed = EndpointUrl::parse(url);
    let host = parsed.host.iter().cloned();
    let with_port = parsed.effective_port().zip(parsed.host.as_ref()).map(|(port, host)| format!("{host}:{port}"));
    host.chain(with_port).chain([format!("substituters {url}")]).collect()
}

fn origin(substituter: &str, nix: &Nix) -> String {
    let requests = nix.requests.present().map(|list| list.items.as_slice()).unwrap_or_default();
    let request = requests.iter().find(|one| one.setting == "substituters" && one.value == substituter);
    let settings = nix.settings.present().map(|list| list.items.as_slice()).unwrap_or_default();
    let setting = settings.iter().find(|setting| setting.name == "substituters");
    let deciding = setting.and_then(|setting| setting.origins.last()).cloned();
    request.map(|request| request.origin.clone()).or(deciding).unwrap_or_default()
}

/// A bucket's name is one at its endpoint; at another one it is another bucket.
fn name_bucket(cache: &mut ServedCache, bucket: &Bucket) {
    let endpoint = bucket.endpoint();
    cache.url = format!("{}?endpoint={}", cache.url, endpoint.origin());
    let with_port = endpoint.effective_port().zip(endpoint.host.as_ref()).map(|(port, host)| format!("{host}:{port}"));
    cache.known_as =
        endpoint.host.iter().cloned().chain(with_port).chain([format!("substituters {}", cache.url)]).collect();
}

/// A cache that is asked over a network.
enum Asking {
    Http(Box<Asked>),
    Bucket(Box<bucket::Asked>),
}

impl Asking {
    fn unanswered(&self, cache: &mut ServedCache, reason: &Reason) {
        match self {
            Self::Http(one) => one.unanswered(cache, reason),
            Self::Bucket(one) => one.unanswered(cache, reason),
        }
    }

    async fn ask(self, cache: ServedCache, deadline: Instant) -> ServedCache {
        match self {
            Self::Http(one) => one.ask(cache, deadline).await,
            Self::Bucket(one) => one.ask(cache).await,
        }
    }
}

/// Asks all of them at once; what is late is told as such.
fn ask(asked: Vec<(usize, Asking)>, caches: &mut [ServedCache]) {
    let late = Reason::TimedOut {
        after_ms: u64::try_from(LIMIT.as_millis()).unwrap_or(u64::MAX),
        waiting_for: "the cache".into(),
    };
    for (at, asked) in &asked {
        if let Some(cache) = caches.get_mut(*at) {
            asked.unanswered(cache, &late);
        }
    }
    let work = asked.into_iter().filter_map(|(at, asked)| {
        let cache = caches.get(at)?.clone();
        Some(async move { (at, asked.ask(cache, Instant::now() + LIMIT).await) })
    });
    for (at, answer) in all(work.collect::<Vec<_>>(), LIMIT) {
        if let Some(cache) = caches.get_mut(at) {
            *cache = answer;
        }
    }
}

/// Does all of this work at once; what is late is left out.
fn all<T: Send + 'static>(
    work: impl IntoIterator<Item = impl Future<Output = T> + Send + 'static>,
    limit: Duration,
) -> Vec<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
    let Ok(runtime) = runtime else { return Vec::new() };
    let mut done = Vec::new();
    runtime.block_on(async {
        let deadline = Instant::now() + limit;
        let mut running: JoinSet<T> = work.into_iter().collect();
        while let Ok(Some(one)) = tokio::time::timeout_at(deadline, running.join_next()).await {
            done.extend(one);
        }
    });
    runtime.shutdown_background();
    done
}

#[cfg(test)]
mod tests;
