//! The way to the endpoint of a credential: whether it may be gone at all, the proxy that the client would take, and TLS that is verified in full.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::Request;
use hyper::body::Bytes;
use hyper::http::Uri;
use rustls::pki_types::ServerName;
use rustls::{CertificateError, ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;

use crate::formats::endpoint_url::EndpointUrl;
use crate::probe::Target;
use crate::probe::network::addresses;
use crate::probe::reach::bundle::{Bundles, Roots};
use crate::probe::reach::connect::connect;
use crate::probe::reach::http::{self, Answer};
use crate::probe::reach::plan::Client;
use crate::probe::reach::proxy::{Proxies, Tunnel, tunnel};
use crate::snapshot::facts::{Facts, ResolvedName};
use crate::snapshot::{Fact, List, Reason};

/// How long connecting to all addresses may take.
const CONNECTING: Duration = Duration::from_millis(3500);

/// How one endpoint is reached; decided before anything is sent.
#[derive(Clone)]
pub struct Route {
    pub url: EndpointUrl,
    host: String,
    port: u16,
    tls: bool,
    addresses: Vec<IpAddr>,
    /// Absent when it goes straight.
    proxy: Option<EndpointUrl>,
    proxy_addresses: Vec<IpAddr>,
    roots: Arc<Roots>,
    client: Client,
}

/// Why nothing was asked: a word for the outcome, or a reason for not knowing it.
#[derive(Debug)]
pub enum Barred {
    Outcome(&'static str),
    Unknown(Reason),
}

impl Barred {
    pub fn fact(self) -> Fact<String> {
        match self {
            Self::Outcome(word) => Fact::Present(word.to_owned()),
            Self::Unknown(reason) => Fact::Unobserved(reason),
        }
    }
}

/// Anything that bytes go over.
trait Line: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Line for T {}

/// What decides the ways of one context.
pub struct Ways<'t> {
    pub target: &'t Target<'t>,
    pub facts: &'t Facts,
    /// What names mean here.
    pub names: &'t Fact<List<ResolvedName>>,
    pub bundles: Bundles<'t>,
}

/// Finds the way to an endpoint, by the habits of the client that is configured with it.
pub fn route(ways: &mut Ways<'_>, url: &EndpointUrl, named_by: &str, client: Client) -> Result<Route, Barred> {
    let (Some(host), Some(port)) = (url.host.clone(), url.effective_port()) else {
        let (path, detail) = (url.origin(), "not the URL of a host".to_owned());
        return Err(Barred::Unknown(Reason::Malformed { path, line: None, detail }));
    };
    let found = addresses(url, named_by, ways.names);
    let proxy = match Proxies::of(ways.target, &ways.facts.network.proxies).of_url(url, client) {
        Fact::Present(proxy) => Some(proxy),
        Fact::Absent => None,
        Fact::Unobserved(reason) => return Err(Barred::Unknown(reason)),
    };
    let proxied = proxy.as_ref().map(|proxy| addresses(proxy, named_by, ways.names));
    let proxy_addresses = proxied.map(|addresses| addresses.found).unwrap_or_default();
    if let Some(reason) = not_for_credentials(found.found.iter().chain(&proxy_addresses)) {
        return Err(Barred::Unknown(reason));
    }
    if let (true, Some(reason), None) = (found.found.is_empty(), found.more, &proxy) {
        return Err(Barred::Unknown(reason));
    }
    Ok(Route {
        url: url.clone(),
        port,
        tls: url.scheme.as_deref() != Some("http"),
        addresses: found.found,
        proxy,
        proxy_addresses,
        // What a runner keeps for one host is for GitLab, not for the store of its cache.
        roots: match named_by.starts_with("gitlab-runner") {
            true => ways.bundles.of(client),
            false => ways.bundles.for_endpoint(client, named_by, &host, port),
        },
        host,
        client,
    })
}

/// Why nobody at these addresses is shown a credential, if one of them is such; the client might take any of them.
pub fn not_for_credentials<'a>(mut addresses: impl Iterator<Item = &'a IpAddr>) -> Option<Reason> {
    let by = "the rule that no credential goes to a link-local address".to_owned();
    addresses.any(|address| is_metadata(*address)).then_some(Reason::Disabled { by })
}

/// Link-local addresses, and those at which the clouds answer for the machine itself: whoever listens there is not the endpoint.
fn is_metadata(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.is_link_local() || v4.octets() == [100, 100, 100, 200],
        IpAddr::V6(v6) => v6.is_unicast_link_local() || v6.segments() == [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254],
    }
}

impl Route {
    /// The value of the Host header; the port only where it is not the scheme's.
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        match (self.tls, self.port) {
            (true, 443) | (false, 80) => host,
            (_, port) => format!("{host}:{port}"),
        }
    }

    /// The whole URL of a path here.
    pub fn whole(&self, path: &str) -> String {
        format!("{}://{}{path}", if self.tls { "https" } else { "http" }, self.authority())
    }

    /// The way to this URL, if it is on the same host: only there may be seen what is meant for here. In plain text it is only on the very
    /// port that the configuration names.
    pub fn judged_by(&self, other: &EndpointUrl) -> Option<Self> {
        let tls = match other.scheme.as_deref() {
            Some("https") => true,
            Some("http") if !self.tls && other.effective_port() == Some(self.port) => false,
            _ => return None,
        };
        let port = other.effective_port().filter(|_| other.host.as_ref() == Some(&self.host))?;
        // A proxy for another scheme may be another one.
        (tls == self.tls || self.proxy.is_none()).then(|| Self { url: other.clone(), port, tls, ..self.clone() })
    }

    /// Sends one request and reads its answer. A redirect is an answer like any other.
    pub async fn send(&self, mut request: Request<http_body_util::Empty<Bytes>>) -> Result<Answer, Barred> {
        let line = self.line().await?;
        // A server is asked for a path, a proxy for a URL.
        if (self.tls || self.proxy.is_none())
            && let Some(path) = request.uri().path_and_query().cloned()
        {
            *request.uri_mut() = Uri::from(path);
        }
        http::send(line, request).await.map_err(|error| {
            let (path, detail) = (self.url.origin(), error.to_string());
            Barred::Unknown(Reason::Malformed { path, line: None, detail })
        })
    }

    async fn line(&self) -> Result<Box<dyn Line>, Barred> {
        let stream = match &self.proxy {
            None => self.connected(&self.addresses, self.port).await?,
            Some(proxy) => {
                let port = proxy.effective_port().ok_or(Barred::Outcome("unreachable"))?;
                let stream = self.connected(&self.proxy_addresses, port).await?;
                if self.tls { self.tunnelled(stream).await? } else { stream }
            }
        };
        if !self.tls {
            return Ok(Box::new(stream));
        }
        Ok(Box::new(self.verified(stream).await?))
    }

    async fn connected(&self, addresses: &[IpAddr], port: u16) -> Result<TcpStream, Barred> {
        let attempts = connect(addresses, port, Instant::now() + CONNECTING).await;
        attempts.stream.map(|(stream, _)| stream).ok_or(Barred::Outcome("unreachable"))
    }

    async fn tunnelled(&self, stream: TcpStream) -> Result<TcpStream, Barred> {
        match tunnel(stream, &self.host, self.port).await {
            Tunnel::Open(stream) => Ok(stream),
            Tunnel::Refused(_) | Tunnel::Unclear => Err(Barred::Outcome("unreachable")),
        }
    }

    /// A handshake in which chain, name and time are verified; nothing is sent where one of them is not in order.
    async fn verified(&self, stream: TcpStream) -> Result<tokio_rustls::client::TlsStream<TcpStream>, Barred> {
        let unknown = |detail: String| {
            let path = self.url.origin();
            Barred::Unknown(Reason::Malformed { path, line: None, detail })
        };
        let anchors = match &self.roots.anchors {
            Fact::Present(anchors) => anchors.clone(),
            Fact::Absent => Vec::new(),
            Fact::Unobserved(reason) => return Err(Barred::Unknown(reason.clone())),
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let builder = builder.map_err(|error| unknown(error.to_string()))?;
        let mut config = builder.with_root_certificates(RootCertStore { roots: anchors }).with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config.resumption = rustls::client::Resumption::disabled();
        let name = ServerName::try_from(self.host.clone()).map_err(|error| unknown(error.to_string()))?;
        let connected = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
        connected.map_err(|error| {
            let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
            match (inner, self.client) {
                // Go takes a server's own certificate where it stands among the roots, though it is that of an authority.
                (Some(rustls::Error::InvalidCertificate(CertificateError::Other(_))), Client::Go) => {
                    let what = "a certificate that Go may take and that is refused here".to_owned();
                    Barred::Unknown(Reason::NotEmulated { what })
                }
                (Some(rustls::Error::InvalidCertificate(_)), _) => Barred::Outcome("untrusted"),
                _ => unknown(error.to_string()),
            }
        })
    }
}

#[cfg(test)]
mod tests;
