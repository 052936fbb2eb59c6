//! Which endpoints are asked, how, and by whose habits: decided before anything is sent.
//!
//! Endpoints of one URL that one kind of client asks the same are one question. What is no host (`unix://`, `s3://bucket` at AWS without an endpoint) is no question.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use super::bundle::{Bundles, Roots};
use super::proxy::Proxies;
use crate::formats::endpoint_url::EndpointUrl;
use crate::probe::Target;
use crate::probe::network::{Addresses, addresses};
use crate::snapshot::endpoint::NamedEndpoint;
use crate::snapshot::facts::Facts;
use crate::snapshot::{Fact, Reason};

/// The most endpoints that are asked.
const MAX_ASKED: usize = 256;

/// Whose habits decide: which lookup, which roots, which proxy variables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Client {
    /// Nix: libcurl with the bundle that Nix looks up itself.
    Nix,
    /// The SDKs of AWS and what follows them.
    Aws,
    /// `mc`, and what else is written in Go.
    Go,
    /// curl, git and the like.
    Curl,
}

/// What is asked over HTTP, if anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inquiry {
    /// Nothing: a connection, and a handshake where the scheme has one, are all.
    Nothing,
    /// `GET` of this path, which a service of this kind answers.
    Get { path: String, expected: Expected },
}

impl Inquiry {
    /// The path; empty where nothing is asked.
    pub fn path(&self) -> &str {
        match self {
            Self::Nothing => "",
            Self::Get { path, .. } => path,
        }
    }
}

/// What kind of service the configuration takes it for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    NixCache,
    S3,
    Registry,
    GitLab,
    Http,
}

/// One endpoint to ask.
#[derive(Debug, Clone)]
pub struct Question {
    /// As in `network.endpoints`.
    pub url: String,
    pub named_by: BTreeSet<String>,
    pub host: String,
    pub port: u16,
    pub tls: bool,
    pub inquiry: Inquiry,
    /// In the order of the lookup.
    pub addresses: Vec<IpAddr>,
    /// Why there may be further addresses.
    pub more: Option<Reason>,
    /// Absent when it goes straight.
    pub proxy: Fact<EndpointUrl>,
    /// Where the proxy itself stands, and why it may stand elsewhere too.
    pub proxy_addresses: Vec<IpAddr>,
    pub proxy_more: Option<Reason>,
    pub roots: Arc<Roots>,
    /// The leaf in the file that the service is said to take its certificate from; absent where nothing says so.
    pub on_disk: Fact<String>,
}

impl Question {
    /// `host:port`, for messages.
    pub fn origin(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

/// All questions, and why there may be more.
pub struct Plan {
    pub questions: Vec<Question>,
    pub more: Option<Reason>,
}

/// Makes questions of the named endpoints, in their order.
pub fn questions(target: &Target<'_>, named: &[NamedEndpoint], facts: &Facts) -> Plan {
    let proxies = Proxies::of(target, &facts.network.proxies);
    let mut bundles = Bundles::new(target, &facts.nix);
    // Two clients, or two questions, at one URL are two: each has its own roots and its own answer.
    let mut places: BTreeMap<(String, Client, String), usize> = BTreeMap::new();
    let mut plan = Plan { questions: Vec::new(), more: None };
    for endpoint in named {
        let url = EndpointUrl::parse(&endpoint.url);
        let key = if crate::probe::network::is_nix(&endpoint.named_by) { url.with_path() } else { url.origin() };
        let client = client(&endpoint.named_by);
        let inquiry = inquiry(endpoint, &url, client);
        let place = (key.clone(), client, inquiry.path().to_owned());
        if let Some(question) = places.get(&place).and_then(|at| plan.questions.get_mut(*at)) {
            question.named_by.insert(endpoint.named_by.clone());
            if question.on_disk == Fact::Absent {
                question.on_disk = on_disk(target, &endpoint.named_by);
            }
            continue;
        }
        let (Some(host), Some(port)) = (url.host.clone(), url.effective_port()) else { continue };
        if plan.questions.len() == MAX_ASKED {
            plan.more = Some(Reason::Truncated { at: MAX_ASKED as u64, what: "the endpoints that are asked".into() });
            break;
        }
        let found = askable(&url, &endpoint.named_by, facts);
        let proxy = if endpoint.named_by.starts_with("proxy ") { Fact::Absent } else { proxies.of_url(&url, client) };
        let roots = bundles.for_endpoint(client, &endpoint.named_by, &host, port);
        let through = proxy.present().map(|proxy| askable(proxy, &endpoint.named_by, facts)).unwrap_or_default();
        places.insert(place, plan.questions.len());
        plan.questions.push(Question {
            url: key,
            named_by: BTreeSet::from([endpoint.named_by.clone()]),
            host,
            port,
            tls: matches!(url.scheme.as_deref(), Some("https" | "wss")),
            inquiry,
            addresses: found.found,
            more: found.more,
            proxy,
            proxy_addresses: through.found,
            proxy_more: through.more,
            roots,
            on_disk: on_disk(target, &endpoint.named_by),
        });
    }
    plan
}

/// The addresses that are tried. An address of the link, where machines of a cloud find their own credentials, is tried only where the configuration
/// itself writes it: whoever answers for a name could send us there.
fn askable(url: &EndpointUrl, named_by: &str, facts: &Facts) -> Addresses {
    let mut addresses = addresses(url, named_by, &facts.network.names);
    if url.literal().is_none() && addresses.found.iter().any(|address| is_of_the_link(*address)) {
        addresses.found.retain(|address| !is_of_the_link(*address));
        addresses.more = Some(Reason::Disabled { by: "the rule that no name leads to a link-local address".into() });
    }
    addresses
}

/// Link-local (RFC 3927, RFC 4291), and the metadata services that clouds have elsewhere: AWS `fd00:ec2::254`, Google `fd20:ce::254`, Alibaba
/// `100.100.100.200`, Azure `168.63.129.16`.
pub fn is_of_the_link(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.is_link_local() || matches!(v4.octets(), [100, 100, 100, 200] | [168, 63, 129, 16]),
        // Behind a translator these are the addresses of IPv4 (RFC 6052, 2.1).
        IpAddr::V6(v6) if v6.segments().starts_with(&[0x64, 0xff9b, 0, 0, 0, 0]) => {
            let [.., a, b, c, d] = v6.octets();
            is_of_the_link(IpAddr::from([a, b, c, d]))
        }
        IpAddr::V6(v6) => {
            v6.is_unicast_link_local() || matches!(v6.segments(), [0xfd00, 0xec2, ..] | [0xfd20, 0xce, ..])
        }
    }
}

/// What `parallax.toml` says of where a service takes its certificate from.
fn on_disk(target: &Target<'_>, named_by: &str) -> Fact<String> {
    let name = named_by.strip_prefix("parallax.toml ");
    let named = target.wishes.certificates.iter().find(|(endpoint, _)| Some(endpoint.as_str()) == name);
    named.map_or(Fact::Absent, |(_, path)| super::bundle::leaf_in(target, path))
}

fn client(named_by: &str) -> Client {
    match named_by {
        nix if nix.starts_with("nix ") => Client::Nix,
        aws if aws.starts_with("AWS") || aws.starts_with("aws ") || aws.starts_with("s3 ") => Client::Aws,
        go if go.starts_with("mc ") || go.starts_with("gitlab-runner") || go.starts_with("registry ") => Client::Go,
        _ => Client::Curl,
    }
}

fn inquiry(endpoint: &NamedEndpoint, url: &EndpointUrl, client: Client) -> Inquiry {
    if !matches!(url.scheme.as_deref(), Some("http" | "https")) || endpoint.named_by.starts_with("proxy ") {
        return Inquiry::Nothing;
    }
    let get = |path: &str, expected| Inquiry::Get { path: path.to_owned(), expected };
    match (client, endpoint.named_by.as_str()) {
        // Behind `s3://bucket?endpoint=…` stands an object store and no cache of its own.
        (Client::Nix, "nix s3 substituters") => get("/", Expected::S3),
        (Client::Nix, _) => get(&format!("{}/nix-cache-info", url.path.trim_end_matches('/')), Expected::NixCache),
        (Client::Aws, _) => get("/", Expected::S3),
        (Client::Go, name) if name.starts_with("mc ") || name.contains(" cache of ") => get("/", Expected::S3),
        (_, "CI_REGISTRY") => get("/v2/", Expected::Registry),
        (_, name) if name.starts_with("registry ") => get("/v2/", Expected::Registry),
        (_, "CI_SERVER_URL" | "CI_API_V4_URL") => get("/api/v4/version", Expected::GitLab),
        (_, name) if name.starts_with("gitlab-runner") => get("/api/v4/version", Expected::GitLab),
        _ => get("/", Expected::Http),
    }
}
