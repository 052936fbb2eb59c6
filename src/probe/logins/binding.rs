//! Which key is for which endpoint, as the client that is configured with both would have it; decided before anything is sent.
//!
//! * a key of the environment or of a profile: the endpoint of that environment or profile (`AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL`, `endpoint_url`);
//! * an alias of `mc`: the alias' own URL;
//! * the key of a runner's cache (`[runners.cache.s3]`): that section's server and bucket;
//! * a substituter `s3://bucket?endpoint=…&profile=…` of Nix: the key of that profile, else the one that the AWS chain ends in.
//!
//! A key for which nothing names an endpoint is for AWS by default; it is no row here: nobody named AWS.

use url::Url;

use super::route::{Barred, Route, Ways, route};
use crate::formats::endpoint_url::EndpointUrl;
use crate::probe::Target;
use crate::probe::credentials::Held;
use crate::probe::reach::bundle::Bundles;
use crate::probe::reach::plan::Client;
use crate::snapshot::endpoint::NamedEndpoint;
use crate::snapshot::facts::{Facts, S3Key};
use crate::snapshot::secret::Secret;
use crate::snapshot::{Fact, Reason};

/// Where nobody sets a region (`aws-sdk-cpp`, `mc`, Nix).
const DEFAULT_REGION: &str = "us-east-1";
/// What a binary cache has at its root; what Nix asks for first.
const CACHE_MARK: &str = "nix-cache-info";

/// What lies in no bucket of a runner: its key may have the right to objects alone, and none to list them.
const NO_OBJECT: &str = "parallax-asks-whether-the-bucket-is-there";

/// A key, and the one endpoint that may see it.
pub struct Binding {
    pub used_by: String,
    pub origin: String,
    pub endpoint: String,
    pub route: Result<Route, Barred>,
    pub account: Fact<String>,
    pub access_key_id: Fact<String>,
    /// Secret and session token; without them nothing is signed.
    pub secret: Option<(Secret, Option<Secret>)>,
    pub bucket: Option<String>,
    /// The object that is read; without one the bucket, or the list of buckets, is listed.
    pub object: Option<&'static str>,
    pub region: String,
    /// Whether the client tries again with the region that an answer names (`mc` does, the SDKs do not).
    pub follows_region: bool,
    /// Why it is not known what would be asked with.
    pub unknown: Option<Reason>,
    pub placeholder: bool,
    /// Whether the client that has no key here might be given one by the machine, whose metadata service is not asked.
    pub perhaps_role: bool,
}

/// All bindings of this context, and why there may be more.
pub fn of_keys(
    target: &Target<'_>,
    named: &[NamedEndpoint],
    facts: &Facts,
    keys: Vec<Held<S3Key>>,
) -> (Vec<Binding>, Option<Reason>) {
    let bundles = Bundles::new(target, &facts.nix);
    let mut ways = Ways { target, facts, names: &facts.network.names, bundles };
    let mut more = facts.credentials.s3.present().and_then(|list| list.more.clone());
    let mut bindings: Vec<Binding> = substituters(target, facts, &keys)
        .into_iter()
        .filter_map(|one| of_substituter(&mut ways, one, named))
        .collect();
    for key in keys {
        match &key.entry.endpoint {
            Fact::Present(_) => bindings.extend(of_key(&mut ways, key, named)),
            Fact::Absent => {}
            Fact::Unobserved(reason) => more = more.or(Some(reason.clone())),
        }
    }
    if bindings.len() > super::MAX_ASKED {
        bindings.truncate(super::MAX_ASKED);
        let what = "the keys that are asked about".to_owned();
        more = Some(Reason::Truncated { at: super::MAX_ASKED as u64, what });
    }
    (bindings, more)
}

/// The endpoint among those that this context's own configuration names; none is asked that is not there.
fn among<'a>(
    named: &'a [NamedEndpoint],
    endpoint: &EndpointUrl,
    by: impl Fn(&str) -> bool,
) -> Option<&'a NamedEndpoint> {
    let is = |one: &&NamedEndpoint| {
        let url = EndpointUrl::parse(&one.url);
        by(&one.named_by)
            && (&url.scheme, &url.host) == (&endpoint.scheme, &endpoint.host)
            && url.effective_port() == endpoint.effective_port()
    };
    named.iter().find(is)
}

fn of_key(ways: &mut Ways<'_>, key: Held<S3Key>, named: &[NamedEndpoint]) -> Option<Binding> {
    let Held { entry, secret, session, .. } = key;
    let endpoint = entry.endpoint.present()?.clone();
    let url = EndpointUrl::parse(&endpoint);
    let is_mc = entry.provider.starts_with("mc-");
    let alias = format!("mc alias {}", entry.name);
    let is_runner = entry.provider == "gitlab-runner";
    let own = if is_runner { "gitlab-runner" } else { "AWS" };
    let named = among(named, &url, |by| if is_mc { by == alias } else { by.starts_with(own) })?;
    // An alias without a key asks as nobody; that is no login.
    if entry.access_key_id == Fact::Absent && secret.is_none() {
        return None;
    }
    let half = (entry.access_key_id == Fact::Absent || secret.is_none())
        .then(|| malformed(&entry.origin, "half of a key: the id without the secret, or the reverse"));
    let client = if is_mc || is_runner { Client::Go } else { Client::Aws };
    let bucket = if is_runner { runner_bucket(ways.facts, &entry.name) } else { Fact::Absent };
    let plain = bucket.present().is_none_or(|bucket| is_plain(bucket));
    let odd = (!plain).then(|| malformed(&entry.origin, "not the name of a bucket"));
    Some(Binding {
        used_by: format!("{} {}", entry.provider, entry.name),
        route: route(ways, &url, &named.named_by, client),
        endpoint,
        unknown: entry.access_key_id.reason().or(bucket.reason()).cloned().or(half).or(odd),
        placeholder: entry.placeholder == Fact::Present(true),
        perhaps_role: false,
        secret: secret.map(|secret| (secret, session)),
        object: bucket.present().map(|_| NO_OBJECT),
        bucket: bucket.present().filter(|_| plain).cloned(),
        region: entry.region.present().cloned().unwrap_or_else(|| DEFAULT_REGION.to_owned()),
        follows_region: is_mc,
        account: entry.account,
        access_key_id: entry.access_key_id,
        origin: entry.origin,
    })
}

/// The bucket of a runner's cache (`[runners.cache.s3] BucketName`), by the public start of the runner's token.
fn runner_bucket(facts: &Facts, short: &str) -> Fact<String> {
    facts.runner.entries.as_ref().and_then(|list| {
        let entry = list.items.iter().find(|entry| entry.short == short);
        entry.map_or(Fact::Absent, |entry| entry.cache_bucket.clone())
    })
}

/// What can be the name of a bucket, and part of a path as it is.
fn is_plain(bucket: &str) -> bool {
    bucket.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte))
}

/// A substituter that is a bucket, and the key that Nix would read it with.
struct Bucket {
    url: Url,
    origin: String,
    /// Absent where Nix has none.
    key: Fact<Signer>,
}

struct Signer {
    access_key_id: Fact<String>,
    origin: String,
    placeholder: bool,
    secret: Option<(Secret, Option<Secret>)>,
}

fn parameter(url: &Url, name: &str) -> Option<String> {
    let value = url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
    value.filter(|value| !value.is_empty())
}

fn substituters(target: &Target<'_>, facts: &Facts, keys: &[Held<S3Key>]) -> Vec<Bucket> {
    if !super::is_client(target.wishes.service.as_deref()) {
        return Vec::new();
    }
    let urls = facts.nix.substituters.present().map(Vec::as_slice).unwrap_or_default();
    urls.iter().filter_map(|url| bucket(url, facts, keys)).collect()
}

fn bucket(substituter: &str, facts: &Facts, keys: &[Held<S3Key>]) -> Option<Bucket> {
    let url = substituter.starts_with("s3://").then(|| Url::parse(substituter).ok()).flatten()?;
    let origin = facts.nix.settings.present().and_then(|list| {
        let setting = list.items.iter().find(|setting| setting.name == "substituters")?;
        setting.origins.last().cloned()
    });
    let key = signer(parameter(&url, "profile").as_deref(), facts, keys);
    Some(Bucket { key, origin: origin.unwrap_or_else(|| "nix.conf".to_owned()), url })
}

/// The one of a substituter; none for what is no bucket at an endpoint that is named.
pub fn of_cache(
    ways: &mut Ways<'_>,
    named: &[NamedEndpoint],
    keys: &[Held<S3Key>],
    substituter: &str,
) -> Option<Binding> {
    let one = bucket(substituter, ways.facts, keys)?;
    of_substituter(ways, one, named)
}

/// The key that Nix would take: that of the profile in the URL, else the one in which the AWS chain ends.
fn signer(profile: Option<&str>, facts: &Facts, keys: &[Held<S3Key>]) -> Fact<Signer> {
    let not_here = |what: &str| Fact::Unobserved(Reason::NotEmulated { what: what.to_owned() });
    let is = |key: &&Held<S3Key>| match profile {
        Some(profile) => key.entry.provider == "profile" && key.entry.name == profile,
        None => key.entry.chosen == Fact::Present(true),
    };
    if let Some(key) = keys.iter().find(is) {
        let copy = |secret: &Secret| Secret::new(secret.expose().to_vec());
        return Fact::Present(Signer {
            access_key_id: key.entry.access_key_id.clone(),
            origin: key.entry.origin.clone(),
            placeholder: key.entry.placeholder == Fact::Present(true),
            secret: key.secret.as_ref().map(|secret| (copy(secret), key.session.as_ref().map(copy))),
        });
    }
    if let Some(reason) = facts.credentials.s3.present().and_then(|list| list.more.clone()) {
        return Fact::Unobserved(reason);
    }
    match (profile, &facts.credentials.aws.provider) {
        (None, Fact::Absent) => Fact::Absent,
        (None, Fact::Unobserved(reason)) => Fact::Unobserved(reason.clone()),
        (None, Fact::Present(_)) => not_here("credentials that a service or a helper hands out"),
        (Some(_), _) => not_here("a profile that holds no key of its own"),
    }
}

fn of_substituter(ways: &mut Ways<'_>, one: Bucket, named: &[NamedEndpoint]) -> Option<Binding> {
    let bucket = one.url.host_str()?.to_owned();
    let region = parameter(&one.url, "region").unwrap_or_else(|| DEFAULT_REGION.to_owned());
    let scheme = parameter(&one.url, "scheme").unwrap_or_else(|| "https".to_owned());
    let end = if region.starts_with("cn-") { ".cn" } else { "" };
    let at_aws = || format!("s3.{region}.amazonaws.com{end}");
    let host = parameter(&one.url, "endpoint").unwrap_or_else(at_aws);
    let endpoint = EndpointUrl::parse(&if host.contains("://") { host } else { format!("{scheme}://{host}") });
    let named = among(named, &endpoint, crate::probe::network::is_nix)?;
    let odd = (!is_plain(&bucket)).then(|| malformed(&one.origin, "not the name of a bucket"));
    let (key, unknown) = match one.key {
        Fact::Present(signer) => (Some(signer), odd),
        Fact::Absent => (None, odd),
        Fact::Unobserved(reason) => (None, Some(reason)),
    };
    let port = endpoint.effective_port()?;
    let normal = format!("{}:{port}", EndpointUrl { port: None, ..endpoint.clone() }.origin());
    let perhaps_role = key.is_none() && unknown.is_none() && may_have_role(ways.target);
    Some(Binding {
        used_by: "nix substituters".to_owned(),
        perhaps_role,
        account: crate::probe::credentials::account_of(ways.target, &Fact::Present(normal.clone())),
        endpoint: normal,
        route: route(ways, &endpoint, &named.named_by, Client::Nix),
        origin: key.as_ref().map_or(one.origin, |key| key.origin.clone()),
        access_key_id: match (&key, &unknown) {
            (Some(key), _) => key.access_key_id.clone(),
            (None, Some(reason)) => Fact::Unobserved(reason.clone()),
            (None, None) => Fact::Absent,
        },
        placeholder: key.as_ref().is_some_and(|key| key.placeholder),
        secret: key.and_then(|key| key.secret),
        unknown,
        bucket: Some(bucket),
        object: Some(CACHE_MARK),
        region,
        follows_region: false,
    })
}

/// Whether the end of the AWS chain might still give a key: the role of an instance, which only its metadata service knows. Not where the chain is told
/// not to ask it, nor on a machine that says that somebody else than Amazon made it (`dmidecode(8)`; old instances say `Xen`).
fn may_have_role(target: &Target<'_>) -> bool {
    let disabled = target.variable("AWS_EC2_METADATA_DISABLED");
    if disabled.present().is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return false;
    }
    let maker = target.root.read("/sys/class/dmi/id/sys_vendor", 256).unwrap_or_default();
    let maker = String::from_utf8_lossy(&maker).trim().to_owned();
    maker.is_empty() || maker.starts_with("Amazon") || maker.starts_with("Xen")
}

fn malformed(path: &str, detail: &str) -> Reason {
    Reason::Malformed { path: path.to_owned(), line: None, detail: detail.to_owned() }
}

#[cfg(test)]
mod tests;
