//! One question to a registry: `GET /v2/` without and, where it asks for a login, with it (OCI distribution specification, "Determining Support";
//! "Token Authentication Specification" of the Docker registry).
//!
//! Docker's client hands a login to whatever host the registry names as the judge of logins. Here it is handed to the registry's own host only, over
//! TLS where the registry has it; any other judge leaves the answer unknown. No credential helper is run. What Docker's own daemon would reach may
//! differ from what is reached here: the registry is asked from this context, by the name that stands in its file.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http_body_util::Empty;
use hyper::Request;
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONNECTION, HOST, HeaderValue, USER_AGENT, WWW_AUTHENTICATE};
use url::Url;
use zeroize::Zeroizing;

use super::route::{Barred, Route, Ways, route};
use crate::formats::endpoint_url::EndpointUrl;
use crate::probe::credentials::Held;
use crate::probe::reach::bundle::Bundles;
use crate::probe::reach::http::Answer;
use crate::probe::reach::plan::Client;
use crate::probe::{Target, network};
use crate::snapshot::endpoint::NamedEndpoint;
use crate::snapshot::facts::{Facts, RegistryAnswer, RegistryLogin};
use crate::snapshot::secret::Secret;
use crate::snapshot::{Fact, Reason};

/// A login, and the way to its registry.
pub struct Login {
    entry: RegistryLogin,
    user: Option<Secret>,
    password: Option<Secret>,
    route: Result<Route, Barred>,
}

/// The logins that the file itself holds or that a helper holds; where it holds nothing for a registry, there is nothing to ask.
pub fn logins(target: &Target<'_>, facts: &Facts, held: Vec<Held<RegistryLogin>>) -> (Vec<Login>, Option<Reason>) {
    let mut more = facts.credentials.registries.present().and_then(|list| list.more.clone());
    let somebody_holds = |one: &Held<RegistryLogin>| {
        one.secret.is_some() || one.entry.helper != Fact::Absent || one.entry.fingerprint != Fact::Absent
    };
    let mut held: Vec<_> = held.into_iter().filter(somebody_holds).collect();
    if held.len() > super::MAX_ASKED {
        held.truncate(super::MAX_ASKED);
        more = Some(Reason::Truncated { at: super::MAX_ASKED as u64, what: "the logins that are asked about".into() });
    }
    let is_asked = |one: &&Held<RegistryLogin>| one.secret.is_some();
    let names: Vec<NamedEndpoint> = held.iter().filter(is_asked).map(|one| named(&one.entry)).collect();
    // Registries are not among the endpoints of this context: it is mostly a daemon elsewhere that reaches them.
    let names = network::resolved(target, &names);
    let mut ways = Ways { target, facts, names: &names, bundles: Bundles::new(target, &facts.nix) };
    let logins = held.into_iter().map(|one| {
        let endpoint = named(&one.entry);
        let url = EndpointUrl::parse(&endpoint.url);
        let route = match elsewhere(&one) {
            None => route(&mut ways, &url, &endpoint.named_by, Client::Go),
            Some(barred) => Err(barred),
        };
        Login { entry: one.entry, user: one.user, password: one.secret, route }
    });
    (logins.collect(), more)
}

/// Why a login is not one of user and password in the file; none where it is.
fn elsewhere(one: &Held<RegistryLogin>) -> Option<Barred> {
    match (&one.secret, &one.entry.helper, &one.entry.fingerprint) {
        (Some(_), ..) => None,
        (None, Fact::Present(_), _) => Some(Barred::Outcome("held-by-helper")),
        (None, Fact::Unobserved(reason), _) => Some(Barred::Unknown(reason.clone())),
        (None, Fact::Absent, Fact::Unobserved(reason)) if *reason != Reason::Withheld => {
            Some(Barred::Unknown(reason.clone()))
        }
        (None, Fact::Absent, _) => Some(Barred::Outcome("held-as-token")),
    }
}

/// The registry as an endpoint, whose address may be anywhere. Docker takes one on loopback to speak plain HTTP where it does not speak TLS (`dockerd(8)`, "Insecure registries").
pub fn named(login: &RegistryLogin) -> NamedEndpoint {
    let written = EndpointUrl::parse(&login.registry);
    let here = |url: &EndpointUrl| {
        url.host.as_deref() == Some("localhost") || url.literal().is_some_and(|address| address.is_loopback())
    };
    let url = match written.host.as_deref() {
        // What Docker calls its own registry, and where that is.
        Some("index.docker.io" | "docker.io") => "https://registry-1.docker.io".to_owned(),
        _ if written.scheme.is_none() && here(&written) => format!("http://{}", written.origin()),
        _ if written.scheme.is_none() => format!("https://{}", written.origin()),
        _ => written.origin(),
    };
    NamedEndpoint { url, named_by: format!("registry {}", login.registry), origin: login.origin.clone() }
}

/// What is known before asking.
pub fn unasked(login: &Login) -> RegistryAnswer {
    RegistryAnswer {
        registry: login.entry.registry.clone(),
        origin: login.entry.origin.clone(),
        user: login.entry.user.clone(),
        outcome: Fact::Absent,
        status: Fact::Absent,
        realm: Fact::Absent,
    }
}

/// Asks. Ends when the registry does; the caller has a deadline.
pub async fn ask(login: Login) -> RegistryAnswer {
    let mut answer = unasked(&login);
    let outcome = asked(&login, &mut answer).await;
    if let Err(Barred::Unknown(reason)) = &outcome {
        answer.status = Fact::Unobserved(reason.clone());
    }
    answer.outcome = match outcome {
        Ok(word) => Fact::Present(word.to_owned()),
        Err(barred) => barred.fact(),
    };
    answer
}

async fn asked(login: &Login, answer: &mut RegistryAnswer) -> Result<&'static str, Barred> {
    let route = match &login.route {
        Ok(route) => route,
        Err(Barred::Outcome(word)) => return Err(Barred::Outcome(word)),
        Err(Barred::Unknown(reason)) => return Err(Barred::Unknown(reason.clone())),
    };
    let first = route.send(question(route, "/v2/", None)?).await?;
    answer.status = Fact::Present(first.status);
    let challenge = match (first.status, challenge(&first)) {
        (200, _) if first.headers.contains_key("docker-distribution-api-version") => return Ok("open"),
        (401, Some(challenge)) => challenge,
        _ => return Ok("not-a-registry"),
    };
    let credentials = basic(login)?;
    let second = match challenge {
        Challenge::Basic => route.send(question(route, "/v2/", Some(&credentials))?).await?,
        Challenge::Bearer { realm, service } => {
            let judge = EndpointUrl::parse(&realm);
            answer.realm = Fact::Present(judge.origin());
            let Some(route) = route.judged_by(&judge) else {
                let by =
                    format!("the rule that a login goes to its registry's own host; this one names {}", judge.origin());
                return Err(Barred::Unknown(Reason::Disabled { by }));
            };
            let path = token_path(&realm, &service).ok_or_else(|| unclear(&route, "a realm that is no URL"))?;
            route.send(question(&route, &path, Some(&credentials))?).await?
        }
    };
    answer.status = Fact::Present(second.status);
    match second.status {
        200..=299 => Ok("accepted"),
        400 | 401 | 403 => Ok("refused"),
        status => Err(unclear(route, &format!("answered {status} to the login"))),
    }
}

fn unclear(route: &Route, detail: &str) -> Barred {
    Barred::Unknown(Reason::Malformed { path: route.url.origin(), line: None, detail: detail.to_owned() })
}

/// `user:password` in base64, as the header wants it (RFC 7617).
fn basic(login: &Login) -> Result<HeaderValue, Barred> {
    let (Some(user), Some(password)) = (&login.user, &login.password) else {
        return Err(Barred::Unknown(Reason::NotEmulated { what: "a login without a password".into() }));
    };
    let pair = Zeroizing::new([user.expose(), b":".as_slice(), password.expose()].concat());
    let header = Zeroizing::new(format!("Basic {}", Zeroizing::new(STANDARD.encode(&pair)).as_str()));
    let mut value = HeaderValue::from_str(&header)
        .map_err(|_| Barred::Unknown(Reason::NotEmulated { what: "a login that no header holds".into() }))?;
    value.set_sensitive(true);
    Ok(value)
}

fn question(route: &Route, path: &str, credentials: Option<&HeaderValue>) -> Result<Request<Empty<Bytes>>, Barred> {
    let request = Request::get(route.whole(path))
        .header(HOST, route.authority())
        .header(USER_AGENT, concat!("parallax/", env!("CARGO_PKG_VERSION")))
        .header(CONNECTION, "close");
    let request = credentials.into_iter().fold(request, |request, value| request.header(AUTHORIZATION, value.clone()));
    request.body(Empty::new()).map_err(|_| unclear(route, "no URL can be made of it"))
}

/// How a registry wants to be shown a login (RFC 9110, 11.6.1).
#[derive(Debug, PartialEq, Eq)]
enum Challenge {
    Basic,
    Bearer { realm: String, service: String },
}

fn challenge(answer: &Answer) -> Option<Challenge> {
    let text = answer.headers.get(WWW_AUTHENTICATE)?.to_str().ok()?;
    let (scheme, parameters) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
    if scheme.eq_ignore_ascii_case("basic") {
        return Some(Challenge::Basic);
    }
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let value = |name: &str| {
        let after = parameters.split_once(&format!("{name}=\""))?.1;
        after.split_once('"').map(|(value, _)| value.to_owned())
    };
    Some(Challenge::Bearer { realm: value("realm")?, service: value("service").unwrap_or_default() })
}

/// Path and query of the realm, with the service added. No scope: a token that allows nothing still says whether the login holds.
fn token_path(realm: &str, service: &str) -> Option<String> {
    let mut url = Url::parse(realm).ok()?;
    if !service.is_empty() {
        url.query_pairs_mut().append_pair("service", service);
    }
    Some(url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path())))
}

#[cfg(test)]
mod tests {
    use super::{Barred, Challenge, Held, challenge, elsewhere, named, token_path};
    use crate::probe::reach::http::Answer;
    use crate::snapshot::facts::RegistryLogin;
    use crate::snapshot::secret::Secret;
    use crate::snapshot::{Fact, Reason};

    fn asked(header: &str) -> Option<Challenge> {
        let mut headers = hyper::HeaderMap::new();
        headers.insert("www-authenticate", header.parse().expect("a header"));
        challenge(&Answer { status: 401, headers, body: Vec::new() })
    }

    #[test]
    fn a_challenge_names_who_judges_the_login() {
        assert_eq!(asked(r#"Basic realm="Registry Realm""#), Some(Challenge::Basic));
        let bearer = asked(r#"Bearer realm="https://git.example/jwt/auth",service="container_registry""#);
        let (realm, service) = ("https://git.example/jwt/auth".to_owned(), "container_registry".to_owned());
        assert_eq!(bearer, Some(Challenge::Bearer { realm, service }));
        assert_eq!((asked("Negotiate"), asked("Bearer nothing")), (None, None));
        let path = token_path("https://git.example/jwt/auth?a=b", "c&d").expect("a path");
        assert_eq!(path, "/jwt/auth?a=b&service=c%26d");
    }

    #[test]
    fn a_login_that_a_helper_holds_is_said_to_be_so_and_one_that_is_broken_is_unknown() {
        let held = |helper: Fact<String>, fingerprint| {
            let entry = RegistryLogin { helper, fingerprint, ..RegistryLogin::default() };
            Held::bare(entry)
        };
        let helper = elsewhere(&held(Fact::Present("pass".into()), Fact::Absent));
        assert!(matches!(helper, Some(Barred::Outcome("held-by-helper"))));
        let token = elsewhere(&held(Fact::Absent, Fact::Unobserved(Reason::Withheld)));
        assert!(matches!(token, Some(Barred::Outcome("held-as-token"))));
        let broken = Reason::Malformed { path: "config.json".into(), line: None, detail: "no base64".into() };
        assert!(matches!(elsewhere(&held(Fact::Absent, Fact::Unobserved(broken))), Some(Barred::Unknown(_))));
        let mut password = held(Fact::Absent, Fact::Unobserved(Reason::Withheld));
        password.secret = Some(Secret::from("password"));
        assert!(elsewhere(&password).is_none());
    }

    #[test]
    fn a_registry_is_spoken_to_in_plain_text_only_on_loopback_or_where_the_file_says_so() {
        let url = |registry: &str| named(&RegistryLogin { registry: registry.into(), ..RegistryLogin::default() }).url;
        assert_eq!(url("registry.example:5050"), "https://registry.example:5050");
        assert_eq!(url("https://index.docker.io/v1/"), "https://registry-1.docker.io");
        assert_eq!(url("localhost:5000"), "http://localhost:5000");
        assert_eq!(url("127.0.0.1:5000"), "http://127.0.0.1:5000");
        assert_eq!(url("http://registry.example"), "http://registry.example");
    }
}
