//! attic: the servers in its client's configuration, the public half of their tokens, and what they say of the caches that are set here.
//!
//! Reads `$XDG_CONFIG_HOME/attic/config.toml`, else `~/.config/attic/config.toml`. A token is shown to its own server only, by the rules of
//! [`super::fetch`]; its signature is never looked at.

use std::time::Duration;

use hyper::header::HeaderValue;
use zeroize::Zeroizing;

use super::fetch::{Reply, get_as, late};
use crate::formats::attic_config::{self, AtticServer as Written, Claims, claims};
use crate::formats::endpoint_url::EndpointUrl;
use crate::formats::{attic_answer, nix_signature};
use crate::probe::credentials::home;
use crate::probe::reach::plan::{self, Question};
use crate::probe::{Target, fact};
use crate::snapshot::endpoint::NamedEndpoint;
use crate::snapshot::facts::{AtticCache, AtticServer, Facts, TrustedKey};
use crate::snapshot::secret::Secret;
use crate::snapshot::{Fact, List, Reason};

/// The most time for all servers.
const LIMIT: Duration = Duration::from_millis(2500);
/// No such file is longer.
const CAP: usize = 1 << 20;

/// What the configuration holds.
pub struct Attic {
    /// The facts.
    pub seen: Fact<List<AtticServer>>,
    /// For each server what its token is, in the same order; these never leave.
    tokens: Vec<Fact<Zeroizing<String>>>,
}

/// Reads the configuration.
pub fn observe(target: &Target<'_>) -> Attic {
    let path = match target.variable("XDG_CONFIG_HOME") {
        Fact::Present(directory) if directory.starts_with('/') => {
            Fact::Present(format!("{directory}/attic/config.toml"))
        }
        _ => home(target).map(|home| format!("{}/.config/attic/config.toml", home.trim_end_matches('/'))),
    };
    let nothing = |seen| Attic { seen, tokens: Vec::new() };
    let path = match path {
        Fact::Present(path) => path,
        Fact::Absent => return nothing(Fact::Present(List::complete(Vec::new()))),
        Fact::Unobserved(reason) => return nothing(Fact::Unobserved(reason)),
    };
    let text = match fact(target.root.read(&path, CAP)).map(Secret::new) {
        Fact::Present(text) => text,
        Fact::Absent => return nothing(Fact::Present(List::complete(Vec::new()))),
        Fact::Unobserved(reason) => return nothing(Fact::Unobserved(reason)),
    };
    let config = match attic_config::parse(text.expose()) {
        Ok(config) => config,
        Err(error) => {
            let (line, detail) = (Some(error.line), error.to_string());
            return nothing(Fact::Unobserved(Reason::Malformed { path, line, detail }));
        }
    };
    let more = config.more.then(|| Reason::Truncated { at: config.servers.len() as u64, what: path.clone() });
    let mut list = List { items: Vec::new(), more };
    let mut tokens = Vec::new();
    for (name, written) in &config.servers {
        let (origin, token) = token(target, &path, written);
        let server = server(name, written, &path, origin, &token);
        list.items.push(AtticServer { is_default: config.default_server.as_ref() == Some(name), ..server });
        tokens.push(token);
    }
    Attic { seen: Fact::Present(list), tokens }
}

/// Where the token stands, and the token.
fn token(target: &Target<'_>, path: &str, written: &Written) -> (Fact<String>, Fact<Zeroizing<String>>) {
    if let Some(token) = &written.token {
        return (Fact::Present(path.to_owned()), Fact::Present(token.clone()));
    }
    let Some(file) = &written.token_file else { return (Fact::Absent, Fact::Absent) };
    let text = fact(target.root.read(file, CAP)).map(Secret::new);
    let text = text.and_then(|text| text.expose_str().map(|text| Zeroizing::new(text.trim().to_owned())).into());
    (Fact::Present(file.clone()), text)
}

fn server(
    name: &str,
    written: &Written,
    path: &str,
    origin: Fact<String>,
    token: &Fact<Zeroizing<String>>,
) -> AtticServer {
    let read = token.as_ref().and_then(|token| match claims(token) {
        Some(claims) => Fact::Present(claims),
        None => Fact::Unobserved(Reason::Malformed {
            path: origin.present().cloned().unwrap_or_default(),
            line: None,
            detail: "the token is no JWT".to_owned(),
        }),
    });
    let patterns = |pick: fn(&attic_config::Rights) -> bool| {
        read.as_ref().map(|claims| {
            claims.caches.iter().filter(|(_, rights)| pick(rights)).map(|(pattern, _)| pattern.clone()).collect()
        })
    };
    AtticServer {
        name: name.to_owned(),
        endpoint: EndpointUrl::parse(&written.endpoint).with_path(),
        origin: path.to_owned(),
        is_default: false,
        token: origin,
        subject: read.as_ref().and_then(|claims| claims.subject.clone().into()),
        expires: read.as_ref().and_then(|claims| claims.expires.map(|seconds| seconds.saturating_mul(1000)).into()),
        current: read.as_ref().map(is_current),
        pull: patterns(|rights| rights.pull),
        push: patterns(|rights| rights.push),
    }
}

/// Whether a token holds at this instant.
pub(super) fn is_current(claims: &Claims) -> bool {
    let now = jiff::Timestamp::now().as_second();
    claims.expires.is_none_or(|end| now < end) && claims.not_before.is_none_or(|begin| begin <= now)
}

impl Attic {
    /// The servers, as endpoints that this configuration names.
    pub fn endpoints(&self) -> Vec<NamedEndpoint> {
        let servers = self.seen.present().map(|list| list.items.as_slice()).unwrap_or_default();
        let is_network = |server: &&AtticServer| EndpointUrl::parse(&server.endpoint).host.is_some();
        let named = servers.iter().filter(is_network).map(|server| NamedEndpoint {
            url: server.endpoint.clone(),
            named_by: format!("attic server {}", server.name),
            origin: server.origin.clone(),
        });
        named.collect()
    }

    /// Asks the servers for the caches that are set as substituters here.
    pub fn ask(
        &self,
        target: &Target<'_>,
        named: &[NamedEndpoint],
        facts: &Facts,
        keys: &Fact<List<TrustedKey>>,
    ) -> Fact<List<AtticCache>> {
        let servers = match &self.seen {
            Fact::Present(list) => list,
            Fact::Absent => return Fact::Present(List::complete(Vec::new())),
            Fact::Unobserved(reason) => return Fact::Unobserved(reason.clone()),
        };
        let own: Vec<NamedEndpoint> = named.iter().filter(|one| one.named_by.starts_with("attic ")).cloned().collect();
        let questions = plan::questions(target, &own, facts).questions;
        let substituters = facts.nix.substituters.present().map(Vec::as_slice).unwrap_or_default();
        let more = facts.nix.substituters.reason().cloned().or_else(|| servers.more.clone());
        let mut list = List { items: Vec::new(), more };
        let mut asked = Vec::new();
        for substituter in substituters {
            let url = EndpointUrl::parse(substituter);
            for (server, token) in servers.items.iter().zip(&self.tokens) {
                let Some(cache) = cache_on(&url, &server.endpoint) else { continue };
                let endpoint = EndpointUrl::parse(&server.endpoint);
                let Some(question) = questions.iter().find(|question| is_at(question, &endpoint)) else { continue };
                let name = format!("attic server {}", server.name);
                if !question.named_by.contains(&name) {
                    continue;
                }
                let path = format!("{}/_api/v1/cache-config/{cache}", endpoint.path.trim_end_matches('/'));
                asked.push((list.items.len(), question.clone(), path, bearer(target, token)));
                list.items.push(blank(&url, server, cache, token));
            }
        }
        answered(asked, &mut list.items, keys);
        Fact::Present(list)
    }
}

/// Whether a question is one to this server.
pub(super) fn is_at(question: &Question, endpoint: &EndpointUrl) -> bool {
    Some(&question.host) == endpoint.host.as_ref()
        && Some(question.port) == endpoint.effective_port()
        && question.tls == (endpoint.scheme.as_deref() == Some("https"))
}

/// The name of the cache, where the substituter is one of this server.
fn cache_on<'a>(url: &'a EndpointUrl, endpoint: &str) -> Option<&'a str> {
    let endpoint = EndpointUrl::parse(endpoint);
    let same =
        url.scheme == endpoint.scheme && url.host == endpoint.host && url.effective_port() == endpoint.effective_port();
    let rest = url.path.strip_prefix(endpoint.path.trim_end_matches('/'))?.trim_matches('/');
    let known = |letter: char| letter.is_ascii_alphanumeric() || "-_+".contains(letter);
    (same && url.host.is_some() && !rest.is_empty() && rest.len() <= 50 && rest.chars().all(known)).then_some(rest)
}

/// The header that shows a token.
pub(super) fn bearer(target: &Target<'_>, token: &Fact<Zeroizing<String>>) -> Fact<HeaderValue> {
    token.as_ref().and_then(|token| {
        if let Some(by) = &target.wishes.no_credentials {
            return Fact::Unobserved(Reason::Disabled { by: by.clone() });
        }
        let text = Zeroizing::new(format!("Bearer {}", token.as_str()));
        match HeaderValue::from_str(&text) {
            Ok(mut header) => {
                header.set_sensitive(true);
                Fact::Present(header)
            }
            Err(_) => Fact::Unobserved(Reason::NotEmulated { what: "a token that is no header".to_owned() }),
        }
    })
}

fn blank(url: &EndpointUrl, server: &AtticServer, cache: &str, token: &Fact<Zeroizing<String>>) -> AtticCache {
    let may_pull = token.as_ref().and_then(|token| match claims(token) {
        Some(claims) => Fact::Present(claims.rights_on(cache).pull),
        None => Fact::Unobserved(Reason::NotEmulated { what: "a token that is no JWT".to_owned() }),
    });
    AtticCache {
        url: url.with_path(),
        server: server.name.clone(),
        cache: cache.to_owned(),
        may_pull,
        ..AtticCache::default()
    }
}

type Asked = (usize, Question, String, Fact<HeaderValue>);

fn answered(asked: Vec<Asked>, caches: &mut [AtticCache], keys: &Fact<List<TrustedKey>>) {
    for (at, question, ..) in &asked {
        if let Some(cache) = caches.get_mut(*at) {
            fill(cache, Reply::Unclear(late(question, LIMIT)), keys);
        }
    }
    let work = asked
        .into_iter()
        .map(|(at, question, path, header)| async move { (at, get_as(&question, &path, &header, LIMIT).await) });
    for (at, reply) in super::all(work, LIMIT) {
        if let Some(cache) = caches.get_mut(at) {
            fill(cache, reply, keys);
        }
    }
}

fn fill(cache: &mut AtticCache, reply: Reply, keys: &Fact<List<TrustedKey>>) {
    let (status, body) = match reply {
        Reply::Answer { status, body, .. } => (Fact::Present(status), (status == 200).then_some(body)),
        Reply::Nobody => (Fact::Absent, None),
        Reply::Unclear(reason) => (Fact::Unobserved(reason), None),
    };
    let config: Fact<attic_answer::CacheConfig> =
        status.as_ref().and_then(|_| body.as_deref().and_then(attic_answer::parse).into());
    cache.status = status;
    cache.public = config.as_ref().and_then(|config| config.is_public.into());
    cache.public_key = config.as_ref().and_then(|config| {
        let key = config.public_key.as_deref().and_then(|text| nix_signature::PublicKey::parse(text).ok());
        key.map(|key| key.text()).into()
    });
    let in_use = |text: &String| {
        keys.as_ref().and_then(|list| match list.items.iter().any(|key| key.in_use && key.text == *text) {
            true => Fact::Present(true),
            false => list.more.clone().map_or(Fact::Present(false), Fact::Unobserved),
        })
    };
    cache.key_trusted = cache.public_key.as_ref().and_then(in_use);
    let theirs = config.and_then(|config| config.substituter_endpoint.map(|url| EndpointUrl::parse(&url)).into());
    let own = EndpointUrl::parse(&cache.url);
    cache.same_address = theirs.as_ref().map(|theirs| {
        theirs.scheme == own.scheme && theirs.host == own.host && theirs.effective_port() == own.effective_port()
    });
    cache.substituter_endpoint = theirs.map(|theirs| theirs.with_path());
}

#[cfg(test)]
mod tests {
    use super::cache_on;
    use crate::formats::endpoint_url::EndpointUrl;

    #[test]
    fn a_substituter_is_a_cache_of_the_server_that_has_its_scheme_host_port_and_path() {
        let on = |url: &str, endpoint: &str| cache_on(&EndpointUrl::parse(url), endpoint).map(str::to_owned);
        assert_eq!(on("https://attic.example/ci", "https://attic.example/").as_deref(), Some("ci"));
        assert_eq!(on("https://attic.example:443/x/ci/", "https://attic.example/x").as_deref(), Some("ci"));
        assert_eq!(on("http://attic.example/ci", "https://attic.example/"), None, "another scheme");
        assert_eq!(on("https://attic.example:8443/ci", "https://attic.example/"), None, "another port");
        assert_eq!(on("https://attic.example/", "https://attic.example/"), None, "no cache");
        assert_eq!(on("https://attic.example/a/b", "https://attic.example/"), None, "no name of a cache");
    }
}
