//! Whom `no_proxy` takes out, as each client reads it: there is no standard, and they differ.
//!
//! | entry | libcurl (`CURLOPT_NOPROXY(3)`) | Go (`golang.org/x/net/http/httpproxy`) |
//! |---|---|---|
//! | `*` | everybody | everybody |
//! | `name` | the name and what is beneath it | the same |
//! | `.name` | the same as `name` | what is beneath it |
//! | `*.name` | nobody | what is beneath it |
//! | `name:port` | nobody | the name at this port |
//! | `10.0.0.0/8` | addresses of it, since 7.86 | addresses of it |
//! | loopback without an entry | goes through the proxy | never goes through one |
//!
//! A network is compared with hosts that are written as addresses, never with what a name leads to. libcurl is taken to be 7.86 (October 2022) or newer,
//! as wherever networks in `no_proxy` have any use. What the SDKs of AWS read differently among themselves is unobserved. Reads nothing.

use std::net::IpAddr;

use ipnet::IpNet;

use super::plan::Client;
use crate::formats::endpoint_url::EndpointUrl;
use crate::snapshot::{Fact, Reason};

/// What one entry says of one host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Says {
    Out,
    Nothing,
    /// The clients of this kind do not agree.
    Unclear,
}

/// Whether the entries take this host out.
pub fn excepted(entries: &str, url: &EndpointUrl, client: Client) -> Fact<bool> {
    let Some(host) = url.host.as_deref() else { return Fact::Present(true) };
    let is_here = host == "localhost" || url.literal().is_some_and(|address| address.to_canonical().is_loopback());
    if client == Client::Go && is_here {
        return Fact::Present(true);
    }
    let asked =
        Asked { host, literal: url.literal().map(|address| address.to_canonical()), port: url.effective_port() };
    let words = entries.split([',', ' ']).map(str::trim).filter(|word| !word.is_empty());
    let said: Vec<Says> = words.map(|word| asked.says(word, client)).collect();
    if said.contains(&Says::Out) {
        return Fact::Present(true);
    }
    if said.contains(&Says::Unclear) {
        let what = "an entry of no_proxy that the SDKs of AWS read differently".into();
        return Fact::Unobserved(Reason::NotEmulated { what });
    }
    Fact::Present(false)
}

/// Who is asked for.
struct Asked<'a> {
    host: &'a str,
    literal: Option<IpAddr>,
    port: Option<u16>,
}

impl Asked<'_> {
    fn says(&self, word: &str, client: Client) -> Says {
        let is_go = client == Client::Go;
        let out_if = |holds: bool| if holds { Says::Out } else { Says::Nothing };
        if word == "*" {
            return Says::Out;
        }
        if word.contains('/') {
            let network = word.parse::<IpNet>().ok();
            let holds = network.zip(self.literal).is_some_and(|(network, address)| network.contains(&address));
            return if holds && client == Client::Aws { Says::Unclear } else { out_if(holds) };
        }
        if let Ok(address) = word.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
            return out_if(self.literal == Some(address.to_canonical()));
        }
        if let Some((name, port)) = word.rsplit_once(':') {
            let holds = self.is(&bare(name)) || self.is_beneath(&bare(name));
            let here = port.parse::<u16>().ok() == self.port;
            return match client {
                Client::Go => out_if(holds && here),
                Client::Aws if holds => Says::Unclear,
                _ => Says::Nothing,
            };
        }
        if let Some(name) = word.strip_prefix("*.") {
            return match (self.is_beneath(&bare(name)), client) {
                (true, Client::Go) => Says::Out,
                (true, Client::Aws) => Says::Unclear,
                _ => Says::Nothing,
            };
        }
        let name = bare(word.strip_prefix('.').unwrap_or(word));
        out_if(self.is_beneath(&name) || self.is(&name) && !(is_go && word.starts_with('.')))
    }

    fn is(&self, name: &str) -> bool {
        self.host.trim_end_matches('.') == name
    }

    /// An address is beneath nothing: `0.1` is no domain of 10.0.0.1.
    fn is_beneath(&self, name: &str) -> bool {
        let host = self.host.trim_end_matches('.');
        self.literal.is_none() && host.strip_suffix(name).is_some_and(|before| before.ends_with('.'))
    }
}

/// The entry's name in the form of a host.
fn bare(text: &str) -> String {
    text.trim_end_matches('.').to_ascii_lowercase()
}
