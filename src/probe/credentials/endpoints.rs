//! Endpoints that this context's configuration names: normal forms, and the substituters of Nix.

use url::Url;

use crate::probe::Target;
use crate::snapshot::Fact;
use crate::snapshot::endpoint::NamedEndpoint;
use crate::snapshot::facts::Nix;

/// The substituter that Nix has when nobody sets one.
const DEFAULT_SUBSTITUTER: &str = "https://cache.nixos.org";

/// `scheme://host:port`, the port made explicit; `None` for what is no http or https URL with a host.
pub(super) fn normal(url: &str) -> Option<String> {
    let url = network(url)?;
    Some(format!("{}://{}:{}", url.scheme(), url.host_str()?, url.port_or_known_default()?))
}

/// The URL without userinfo, query and fragment.
pub(super) fn public(url: &str) -> Option<String> {
    let mut url = network(url)?;
    url.set_username("").ok()?;
    url.set_password(None).ok()?;
    url.set_query(None);
    url.set_fragment(None);
    Some(url.into())
}

fn network(url: &str) -> Option<Url> {
    let url = Url::parse(url.trim()).ok()?;
    (matches!(url.scheme(), "http" | "https") && url.has_host()).then_some(url)
}

/// Adds an endpoint, if the URL is one.
pub(super) fn name(named: &mut Vec<NamedEndpoint>, url: &str, named_by: String, origin: String) {
    named.extend(public(url).map(|url| NamedEndpoint { url, named_by, origin }));
}

/// The account that `parallax.toml` gives to an endpoint. Where it names no account at all, no endpoint has one.
pub fn account(target: &Target<'_>, endpoint: &Fact<String>) -> Fact<String> {
    if target.wishes.accounts.is_empty() {
        return Fact::Absent;
    }
    endpoint.as_ref().and_then(|endpoint| {
        let mut accounts = target.wishes.accounts.iter();
        let account = accounts.find(|account| normal(&account.endpoint).as_ref() == Some(endpoint));
        account.map(|account| account.name.clone()).into()
    })
}

/// Adds the substituters that some file or `NIX_CONFIG` sets. The built-in default is not named by anybody.
pub(super) fn substituters(nix: &Nix, named: &mut Vec<NamedEndpoint>) {
    let settings = nix.settings.present().map(|list| list.items.as_slice()).unwrap_or_default();
    let setting = settings.iter().find(|setting| setting.name == "substituters");
    let Some(deciding) = setting.and_then(|setting| setting.origins.last()) else { return };
    let requests = nix.requests.present().map(|list| list.items.as_slice()).unwrap_or_default();
    for substituter in nix.substituters.present().into_iter().flatten() {
        let same = |value: &str| value.trim_end_matches('/') == substituter.trim_end_matches('/');
        let request = requests.iter().find(|request| request.setting.ends_with("substituters") && same(&request.value));
        let origin = match request {
            Some(request) => &request.origin,
            None if same(DEFAULT_SUBSTITUTER) => continue,
            None => deciding,
        };
        named.extend(substituter_endpoint(substituter, origin));
    }
}

/// The endpoint behind a substituter; `None` where it is no http or https URL of a host.
pub fn substituter_endpoint(substituter: &str, origin: &str) -> Option<NamedEndpoint> {
    // An object store shows a cache only to who signs the question.
    let by = if substituter.starts_with("s3://") { "nix s3 substituters" } else { "nix substituters" };
    let url = public(&address(substituter)?)?;
    Some(NamedEndpoint { url, named_by: by.to_owned(), origin: origin.to_owned() })
}

/// Where a substituter is reached: for `s3://bucket?endpoint=…` the endpoint, without one that of the region at AWS
/// (`nix.conf(5)`, S3 binary cache store: `endpoint`, `scheme`, `region`, by default `us-east-1`).
fn address(substituter: &str) -> Option<String> {
    let Some(url) = substituter.starts_with("s3://").then(|| Url::parse(substituter).ok()).flatten() else {
        return Some(substituter.to_owned());
    };
    let parameter = |name: &str| {
        let value = url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
        value.filter(|value| !value.is_empty())
    };
    let scheme = parameter("scheme").unwrap_or_else(|| "https".to_owned());
    Some(match parameter("endpoint") {
        Some(endpoint) if endpoint.contains("://") => endpoint,
        Some(endpoint) => format!("{scheme}://{endpoint}"),
        None => {
            let region = parameter("region").unwrap_or_else(|| "us-east-1".to_owned());
            let end = if region.starts_with("cn-") { ".cn" } else { "" };
            format!("{scheme}://s3.{region}.amazonaws.com{end}")
        }
    })
}
