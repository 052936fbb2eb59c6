//! Which proxy a client here would go through, by the variables of its environment, and the tunnel through it.
//!
//! What curl, Nix (libcurl) and Go's clients agree in: `http_proxy` for http, `https_proxy` for https,
//! `all_proxy` for both, except in Go (`curl(1)`, "ENVIRONMENT"; Go's `net/http/httpproxy`). Whom `no_proxy` takes out: [`super::exceptions`].

use std::net::IpAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::exceptions;
use super::plan::Client;
use crate::formats::endpoint_url::EndpointUrl;
use crate::probe::Target;
use crate::snapshot::facts::ProxyVariable;
use crate::snapshot::{Fact, List, Reason};

/// The most bytes of a proxy's answer that are read.
const ANSWER: usize = 8192;

/// The variables of one context.
pub struct Proxies<'a> {
    variables: &'a Fact<List<ProxyVariable>>,
    /// Whether `http_proxy` stands there in lower case. libcurl takes no other: `HTTP_PROXY` may be a header of a request (`curl(1)`).
    lower_case: bool,
}

impl<'a> Proxies<'a> {
    pub fn of(target: &Target<'_>, variables: &'a Fact<List<ProxyVariable>>) -> Self {
        let lower_case = target.variable("http_proxy").present().is_some_and(|value| !value.trim().is_empty());
        Self { variables, lower_case }
    }

    fn value(&self, name: &str) -> Option<&'a str> {
        let list = self.variables.present()?;
        list.items.iter().find(|variable| variable.name == name).map(|variable| variable.value.as_str())
    }

    /// The proxy for this URL; absent when a client goes straight.
    pub fn of_url(&self, url: &EndpointUrl, client: Client) -> Fact<EndpointUrl> {
        let scheme = match url.scheme.as_deref() {
            Some("http") => "http_proxy",
            Some("https") => "https_proxy",
            _ => return Fact::Absent,
        };
        if let Some(reason) = self.variables.reason().filter(|reason| **reason != Reason::NoProcess) {
            return Fact::Unobserved(reason.clone());
        }
        if let Some(reason) = self.variables.present().and_then(|list| list.more.clone()) {
            return Fact::Unobserved(reason);
        }
        let is_curl = matches!(client, Client::Nix | Client::Curl);
        let own = self.value(scheme).filter(|_| scheme == "https_proxy" || self.lower_case || !is_curl);
        // Go and the SDKs know no variable for all schemes (Go's `net/http`, ProxyFromEnvironment; Python's `urllib.request` does).
        let Some(proxy) = own.or_else(|| self.value("all_proxy").filter(|_| client != Client::Go)) else {
            return Fact::Absent;
        };
        match exceptions::excepted(self.value("no_proxy").unwrap_or_default(), url, client) {
            Fact::Present(true) => Fact::Absent,
            Fact::Present(false) | Fact::Absent => Fact::Present(EndpointUrl::parse(proxy)),
            Fact::Unobserved(reason) => Fact::Unobserved(reason),
        }
    }
}

/// What a proxy said to the request for a tunnel.
pub enum Tunnel {
    Open(TcpStream),
    /// It answered with this status.
    Refused(u16),
    /// Its answer was no HTTP, or too long, or did not come.
    Unclear,
}

/// Asks for a tunnel (RFC 9110, 9.3.6). No credential is sent: a proxy that wants one is said to have refused.
pub async fn tunnel(mut stream: TcpStream, host: &str, port: u16) -> Tunnel {
    let name = if host.parse::<IpAddr>().is_ok_and(|address| address.is_ipv6()) {
        format!("[{host}]")
    } else {
        host.to_owned()
    };
    let request = format!("CONNECT {name}:{port} HTTP/1.1\r\nHost: {name}:{port}\r\nUser-Agent: parallax\r\n\r\n");
    if stream.write_all(request.as_bytes()).await.is_err() {
        return Tunnel::Unclear;
    }
    let mut answer = Vec::new();
    // Byte by byte: what follows the blank line belongs to the tunnel.
    while answer.len() < ANSWER && !answer.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => answer.push(byte),
            Err(_) => return Tunnel::Unclear,
        }
    }
    let status = std::str::from_utf8(&answer).ok().and_then(|text| text.split(' ').nth(1)?.parse::<u16>().ok());
    match status {
        Some(200..=299) if answer.ends_with(b"\r\n\r\n") => Tunnel::Open(stream),
        Some(status) => Tunnel::Refused(status),
        None => Tunnel::Unclear,
    }
}
