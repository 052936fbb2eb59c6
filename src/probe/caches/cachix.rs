//! cachix: the server in its client's configuration, the public halves of its token and signing keys, and what the server says of the caches that
//! are used here.
//!
//! Reads `$XDG_CONFIG_HOME/cachix/cachix.dhall`, else `~/.config/cachix/cachix.dhall`, and the variables `CACHIX_AUTH_TOKEN` and `CACHIX_SIGNING_KEY`, which
//! go before it (`cachix/src/Cachix/Client/Config.hs`, `Commands.hs`). Only a server that the file names is asked, and shown this context's token, by the
//! rules of [`super::fetch`].

use std::collections::BTreeSet;
use std::time::Duration;

use zeroize::Zeroizing;

use super::attic::{bearer, is_at, is_current};
use super::fetch::{Reply, get_as, late};
use crate::formats::cachix_dhall::{self, CachixConfig};
use crate::formats::endpoint_url::EndpointUrl;
use crate::formats::nix_signature::PublicKey;
use crate::formats::{attic_config, cachix_answer};
use crate::probe::credentials::home;
use crate::probe::reach::plan::{self, Question};
use crate::probe::{Target, fact};
use crate::snapshot::endpoint::NamedEndpoint;
use crate::snapshot::facts::{Caches, CachixCache, CachixClient, CachixSigner, Facts};
use crate::snapshot::secret::Secret;
use crate::snapshot::{Fact, List, Reason};

/// The most time for all caches.
const LIMIT: Duration = Duration::from_millis(2500);
/// No such file is longer.
const CAP: usize = 1 << 20;
/// Where nobody sets another one.
const DEFAULT: &str = "https://cachix.org";
/// The most caches that are asked about.
const MAX_ASKED: usize = 32;
/// How the endpoint is called.
const NAMED_BY: &str = "cachix";

/// What is configured.
pub struct Cachix {
    client: Fact<List<CachixClient>>,
    signers: Fact<List<CachixSigner>>,
    /// The token never leaves but towards its server.
    token: Fact<Zeroizing<String>>,
    /// Whether the server stands in the file.
    named: bool,
}

/// Reads file and variables.
pub fn observe(target: &Target<'_>) -> Cachix {
    let (path, config) = config(target);
    let config = match config {
        Fact::Present(config) => Some(config),
        Fact::Absent => None,
        Fact::Unobserved(reason) => return unseen(&reason),
    };
    if let Some(reason) = target.unread(&["CACHIX_AUTH_TOKEN", "CACHIX_SIGNING_KEY"]) {
        return unseen(&reason);
    }
    let of_variable = |name: &str| {
        let text = target.variable(name).present().map(|text| text.trim());
        text.filter(|text| !text.is_empty()).map(|text| Zeroizing::new(text.to_owned()))
    };
    let (own_token, own_key) = (of_variable("CACHIX_AUTH_TOKEN"), of_variable("CACHIX_SIGNING_KEY"));
    let written = config.as_ref().and_then(|config| config.auth_token.clone());
    let token_origin = if own_token.is_some() { "CACHIX_AUTH_TOKEN" } else { path.as_str() };
    let token = Fact::from(own_token.or(written));
    let hostname = config.as_ref().and_then(|config| config.hostname.clone());
    let named = hostname.is_some();
    let endpoint = EndpointUrl::parse(hostname.as_deref().unwrap_or(DEFAULT));
    let mut clients = Vec::new();
    if config.is_some() || token.present().is_some() || own_key.is_some() {
        let origin = match (&config, &token) {
            (Some(_), _) => path.clone(),
            (None, Fact::Present(_)) => token_origin.to_owned(),
            (None, _) => "CACHIX_SIGNING_KEY".to_owned(),
        };
        clients.push(client(&endpoint, origin, token_origin, &token));
    }
    let signers = signers(config.as_ref(), &path, own_key.as_ref(), &endpoint);
    Cachix { client: Fact::Present(List::complete(clients)), signers: Fact::Present(signers), token, named }
}

fn unseen(reason: &Reason) -> Cachix {
    let token = Fact::Unobserved(reason.clone());
    Cachix { client: Fact::Unobserved(reason.clone()), signers: Fact::Unobserved(reason.clone()), token, named: false }
}

/// The file's path, and what it says.
fn config(target: &Target<'_>) -> (String, Fact<CachixConfig>) {
    let path = match target.variable("XDG_CONFIG_HOME") {
        Fact::Present(directory) if directory.starts_with('/') => Fact::Present(format!("{directory}/cachix")),
        _ => home(target).map(|home| format!("{}/.config/cachix", home.trim_end_matches('/'))),
    };
    let path = match path {
        Fact::Present(directory) => format!("{directory}/cachix.dhall"),
        Fact::Absent => return (String::new(), Fact::Absent),
        Fact::Unobserved(reason) => return (String::new(), Fact::Unobserved(reason)),
    };
    let config = fact(target.root.read(&path, CAP)).map(Secret::new).and_then(|text| {
        cachix_dhall::parse(text.expose())
            .map_or_else(|error| Fact::Unobserved(malformed(&path, Some(error.line), error.to_string())), Fact::Present)
    });
    (path, config)
}

fn malformed(path: &str, line: Option<u32>, detail: String) -> Reason {
    Reason::Malformed { path: path.to_owned(), line, detail }
}

fn client(endpoint: &EndpointUrl, origin: String, token_origin: &str, token: &Fact<Zeroizing<String>>) -> CachixClient {
    // A token that is no JWT says nothing of time, as one without these claims.
    let claims = token.as_ref().and_then(|token| attic_config::claims(token).into());
    CachixClient {
        endpoint: endpoint.with_path(),
        origin,
        token: token.as_ref().map(|_| token_origin.to_owned()),
        expires: claims.as_ref().and_then(|claims| claims.expires.map(|seconds| seconds.saturating_mul(1000)).into()),
        current: claims.and_then(|claims| {
            let says = claims.expires.is_some() || claims.not_before.is_some();
            says.then(|| is_current(&claims)).into()
        }),
    }
}

fn signers(
    config: Option<&CachixConfig>,
    path: &str,
    own: Option<&Zeroizing<String>>,
    endpoint: &EndpointUrl,
) -> List<CachixSigner> {
    let public = |name: &str, secret: &str, origin: &str| {
        let text = Zeroizing::new(format!("{name}:{}", secret.trim()));
        match PublicKey::of_secret(&text) {
            Ok(key) => Fact::Present(key.text()),
            Err(_) => Fact::Unobserved(malformed(origin, None, "no base64 of a signing key".to_owned())),
        }
    };
    let more = config
        .filter(|config| config.more)
        .map(|config| Reason::Truncated { at: config.caches.len() as u64, what: path.to_owned() });
    let mut list = List { items: Vec::new(), more };
    if let Some(secret) = own {
        let origin = "CACHIX_SIGNING_KEY".to_owned();
        let bare = public("x", secret, &origin).map(|text| text.trim_start_matches("x:").to_owned());
        list.items.push(CachixSigner {
            public_key: bare,
            in_use: Fact::Present(true),
            cache: Fact::Absent,
            url: Fact::Absent,
            key_name: Fact::Absent,
            origin,
        });
    }
    for cache in config.map(|config| config.caches.as_slice()).unwrap_or_default() {
        let Some(url) = url_of(endpoint, &cache.name) else { continue };
        let key_name = format!("{}.{}-1", cache.name, endpoint.host.as_deref().unwrap_or_default());
        list.items.push(CachixSigner {
            cache: Fact::Present(cache.name.clone()),
            url: Fact::Present(url),
            public_key: public(&key_name, &cache.secret_key, path),
            key_name: Fact::Present(key_name),
            origin: path.to_owned(),
            in_use: Fact::Present(own.is_none()),
        });
    }
    list
}

/// The substituter of a cache; none for what is no name of one.
fn url_of(endpoint: &EndpointUrl, cache: &str) -> Option<String> {
    let known = |letter: char| letter.is_ascii_alphanumeric() || letter == '-';
    let is_name = !cache.is_empty() && cache.len() <= 63 && cache.chars().all(known);
    let host = endpoint.host.as_ref().filter(|_| is_name)?;
    let of_cache = EndpointUrl { host: Some(format!("{cache}.{host}")), path: String::new(), ..endpoint.clone() };
    Some(of_cache.origin())
}

impl Cachix {
    /// The facts that nobody was asked for.
    pub fn seen(self) -> Caches {
        Caches { cachix: self.client, cachix_signers: self.signers, ..Caches::default() }
    }

    fn only(&self) -> Option<&CachixClient> {
        self.client.present().and_then(|list| list.items.first())
    }

    /// The server, as an endpoint that the file names. A server that is only the client's default is named by nobody.
    pub fn endpoint(&self) -> Option<NamedEndpoint> {
        let client = self.only().filter(|client| self.named && EndpointUrl::parse(&client.endpoint).host.is_some())?;
        let origin = client.origin.clone();
        Some(NamedEndpoint { url: client.endpoint.clone(), named_by: NAMED_BY.to_owned(), origin })
    }

    /// Asks the server for the caches that have a key here, or are set as substituters here.
    pub fn ask(&self, target: &Target<'_>, named: &[NamedEndpoint], facts: &Facts) -> Fact<List<CachixCache>> {
        let signers = match (&self.client, &self.signers) {
            (Fact::Unobserved(reason), _) | (_, Fact::Unobserved(reason)) => return Fact::Unobserved(reason.clone()),
            (_, signers) => signers.present().map(|list| list.items.as_slice()).unwrap_or_default(),
        };
        let more = facts.nix.substituters.reason().cloned();
        let mut list = List { items: Vec::new(), more };
        let Some(client) = self.only().filter(|_| self.named) else { return Fact::Present(list) };
        let own: Vec<NamedEndpoint> = named.iter().filter(|one| one.named_by == NAMED_BY).cloned().collect();
        let endpoint = EndpointUrl::parse(&client.endpoint);
        let questions = plan::questions(target, &own, facts).questions;
        let Some(question) = questions.iter().find(|question| is_at(question, &endpoint)) else {
            return Fact::Present(list);
        };
        for cache in caches(signers, facts, &endpoint) {
            if list.items.len() == MAX_ASKED {
                list.more = Some(Reason::Truncated { at: MAX_ASKED as u64, what: "the caches of cachix".to_owned() });
                break;
            }
            let signer =
                signers.iter().find(|one| one.cache.present() == Some(&cache) && one.in_use == Fact::Present(true));
            let signer = signer.map_or(Fact::Absent, |one| one.public_key.clone());
            let url = url_of(&endpoint, &cache).unwrap_or_default();
            list.items.push(CachixCache { cache, url, signer, ..CachixCache::default() });
        }
        self.answered(target, question, endpoint.path.trim_end_matches('/'), &mut list.items);
        Fact::Present(list)
    }

    fn answered(&self, target: &Target<'_>, question: &Question, base: &str, caches: &mut [CachixCache]) {
        let header = bearer(target, &self.token);
        let mut work = Vec::new();
        for (at, cache) in caches.iter_mut().enumerate() {
            fill(cache, Reply::Unclear(late(question, LIMIT)));
            let (question, header) = (question.clone(), header.clone());
            let path = format!("{base}/api/v1/cache/{}", cache.cache);
            work.push(async move { (at, get_as(&question, &path, &header, LIMIT).await) });
        }
        for (at, reply) in super::all(work, LIMIT) {
            if let Some(cache) = caches.get_mut(at) {
                fill(cache, reply);
            }
        }
    }
}

/// The names of the caches, sorted.
fn caches(signers: &[CachixSigner], facts: &Facts, endpoint: &EndpointUrl) -> BTreeSet<String> {
    let of_keys = signers.iter().filter_map(|signer| signer.cache.present().cloned());
    let substituters = facts.nix.substituters.present().map(Vec::as_slice).unwrap_or_default();
    let of_host = |host: String| {
        let name = host.strip_suffix(endpoint.host.as_deref()?)?.strip_suffix('.')?.to_owned();
        url_of(endpoint, &name).map(|_| name)
    };
    let set = substituters.iter().filter_map(|url| EndpointUrl::parse(url).host.and_then(of_host));
    of_keys.chain(set).collect()
}

fn fill(cache: &mut CachixCache, reply: Reply) {
    let (status, body) = match reply {
        Reply::Answer { status, body, .. } => (Fact::Present(status), (status == 200).then_some(body)),
        Reply::Nobody => (Fact::Absent, None),
        Reply::Unclear(reason) => (Fact::Unobserved(reason), None),
    };
    let said: Fact<cachix_answer::BinaryCache> =
        status.as_ref().and_then(|_| body.as_deref().and_then(cachix_answer::parse).into());
    cache.status = status;
    cache.public = said.as_ref().and_then(|said| said.is_public.into());
    let is_word = |word: &String| word.len() <= 32 && word.bytes().all(|byte| byte.is_ascii_alphanumeric());
    cache.permission = said.as_ref().and_then(|said| said.permission.clone().filter(is_word).into());
    cache.public_keys = said.and_then(|said| {
        let keys = said.public_signing_keys.map(|keys| {
            keys.iter().filter_map(|text| PublicKey::parse(text).ok()).map(|key| key.text()).collect::<Vec<_>>()
        });
        keys.into()
    });
}

#[cfg(test)]
mod tests {
    use super::{EndpointUrl, url_of};

    #[test]
    fn a_cache_is_a_name_before_the_servers_own() {
        let of = |endpoint: &str, cache: &str| url_of(&EndpointUrl::parse(endpoint), cache);
        assert_eq!(of("https://cachix.org", "team").as_deref(), Some("https://team.cachix.org"));
        assert_eq!(of("https://cachix.example:8443/x", "a-1").as_deref(), Some("https://a-1.cachix.example:8443"));
        for bad in ["", "a/b", "a.b", "a?b", "\u{e9}"] {
            assert_eq!(of("https://cachix.org", bad), None, "{bad}");
        }
    }
}
