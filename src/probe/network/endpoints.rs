//! Where the endpoints that configuration names stand, seen from here. Connects to nothing but loopback addresses.

use std::net::IpAddr;

use super::listeners::{Sockets, confirm_silence};
use crate::formats::endpoint_url::EndpointUrl;
use crate::snapshot::endpoint::NamedEndpoint;
use crate::snapshot::facts::{Endpoint, ResolvedName};
use crate::snapshot::{Fact, List, Reason};

/// The most endpoints that a snapshot holds.
const MAX_LISTED: usize = 256;

/// One element per named endpoint, in the order given.
pub fn observe(
    named: &[NamedEndpoint],
    names: &List<ResolvedName>,
    sockets: &Sockets,
    joined: &Fact<()>,
) -> Fact<List<Endpoint>> {
    let more = (named.len() > MAX_LISTED)
        .then(|| Reason::Truncated { at: MAX_LISTED as u64, what: "the named endpoints".into() });
    let items = named.iter().take(MAX_LISTED).map(|endpoint| one(endpoint, names, sockets, joined)).collect();
    Fact::Present(List { items, more })
}

fn one(named: &NamedEndpoint, names: &List<ResolvedName>, sockets: &Sockets, joined: &Fact<()>) -> Endpoint {
    let url = EndpointUrl::parse(&named.url);
    let port = url.effective_port();
    let addresses = addresses_in(&url, &named.named_by, names);
    let loopback = addresses.all_here();
    let listening = match (&loopback, port) {
        (Fact::Present(true), Some(port)) => any_listening(&addresses.found, port, sockets, joined),
        (Fact::Unobserved(reason), _) => Fact::Unobserved(reason.clone()),
        _ => Fact::Absent,
    };
    Endpoint {
        url: if is_nix(&named.named_by) { url.with_path() } else { url.origin() },
        named_by: named.named_by.clone(),
        origin: named.origin.clone(),
        scheme: url.scheme.into(),
        host: url.host.into(),
        port: port.into(),
        loopback,
        listening,
    }
}

/// Whether a client that names endpoints under this label resolves names as Nix does.
pub fn is_nix(named_by: &str) -> bool {
    named_by.starts_with("nix ")
}

/// The addresses of a host: those that are known, and why there may be more.
#[derive(Default)]
pub struct Addresses {
    pub found: Vec<IpAddr>,
    pub more: Option<Reason>,
}

impl Addresses {
    /// Whether all are loopback. One that is not settles it, whatever else could not be found out; without an address there is nothing to say.
    fn all_here(&self) -> Fact<bool> {
        match &self.more {
            _ if self.found.iter().any(|address| !is_here(*address)) => Fact::Present(false),
            Some(reason) => Fact::Unobserved(reason.clone()),
            None if self.found.is_empty() => Fact::Absent,
            None => Fact::Present(true),
        }
    }
}

/// The addresses of a host as the context's names were observed; those facts may themselves be unobserved.
pub fn addresses(url: &EndpointUrl, named_by: &str, names: &Fact<List<ResolvedName>>) -> Addresses {
    match names {
        Fact::Present(names) => addresses_in(url, named_by, names),
        _ if url.literal().is_some() => addresses_in(url, named_by, &List::default()),
        Fact::Absent => Addresses::default(),
        Fact::Unobserved(reason) => Addresses { found: Vec::new(), more: Some(reason.clone()) },
    }
}

/// The addresses of the host; none for an endpoint without a host and for a name without an address.
fn addresses_in(url: &EndpointUrl, named_by: &str, names: &List<ResolvedName>) -> Addresses {
    let Some(host) = url.host.as_deref() else { return Addresses::default() };
    if let Some(address) = url.literal() {
        return Addresses { found: vec![address], more: None };
    }
    // Behind these Nix runs ssh, which asks the C library.
    let is_ssh = matches!(url.scheme.as_deref(), Some("ssh" | "ssh-ng"));
    let order =
        if is_nix(named_by) && !is_ssh { ["nix", "glibc", "musl", "go"] } else { ["glibc", "musl", "go", "nix"] };
    let resolved = order
        .iter()
        .find_map(|flavour| names.items.iter().find(|resolved| resolved.name == host && resolved.flavour == *flavour));
    let Some(resolved) = resolved else {
        let no_library = || Reason::NotEmulated { what: "the lookup of a program without a C library".into() };
        return Addresses { found: Vec::new(), more: Some(names.more.clone().unwrap_or_else(no_library)) };
    };
    let mut addresses = Addresses::default();
    for family in [&resolved.v4, &resolved.v6] {
        match family {
            Fact::Present(texts) => addresses.found.extend(texts.iter().filter_map(|text| text.parse::<IpAddr>().ok())),
            Fact::Absent => {}
            Fact::Unobserved(reason) => addresses.more = Some(reason.clone()),
        }
    }
    addresses
}

/// Loopback, or the unspecified address, which a connection takes for the local host (`ip(7)`, `ipv6(7)`).
fn is_here(address: IpAddr) -> bool {
    let address = address.to_canonical();
    address.is_loopback() || address.is_unspecified()
}

/// A client tries every address of a name, so one that answers is enough.
fn any_listening(addresses: &[IpAddr], port: u16, sockets: &Sockets, joined: &Fact<()>) -> Fact<bool> {
    let mut result = Fact::Present(false);
    for address in addresses {
        let address = match address.to_canonical() {
            IpAddr::V4(v4) if v4.is_unspecified() => IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
            IpAddr::V6(v6) if v6.is_unspecified() => IpAddr::V6(std::net::Ipv6Addr::LOCALHOST),
            other => other,
        };
        let listening = match sockets.accepts(address, port) {
            Fact::Present(false) => joined.as_ref().and_then(|()| confirm_silence(address, port)),
            known => known,
        };
        match listening {
            Fact::Present(true) => return Fact::Present(true),
            Fact::Present(false) | Fact::Absent => {}
            Fact::Unobserved(reason) => result = Fact::Unobserved(reason),
        }
    }
    result
}
