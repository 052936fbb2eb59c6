//! The network of a job that does not run yet, as its runner's configuration declares it: a namespace of its own, or the host's.
//!
//! Only endpoints that are written as addresses are said something of: names are resolved where a job runs, and are looked at there.

use super::listeners::Sockets;
use super::namespace;
use crate::formats::endpoint_url::{self, EndpointUrl};
use crate::probe::Target;
use crate::snapshot::endpoint::NamedEndpoint;
use crate::snapshot::facts::{Endpoint, Network, RunnerEntry};
use crate::snapshot::{Fact, List};

/// What the entry decides: the namespace, and the endpoints that a job and its helper will use.
pub fn observe(target: &Target<'_>, entry: &RunnerEntry, named: &[NamedEndpoint]) -> Network {
    let is_host = entry.network_mode.present().is_some_and(|mode| mode == "host");
    let sockets = is_host.then(|| Sockets::read(target.process));
    let items = named.iter().filter_map(|endpoint| one(endpoint, entry, sockets.as_ref())).collect();
    Network {
        // A namespace that is made for the job is none that exists.
        namespace: if is_host { namespace(target) } else { Fact::Absent },
        listeners: Fact::Present(List::default()),
        endpoints: Fact::Present(List::complete(items)),
        ..Network::default()
    }
}

fn one(named: &NamedEndpoint, entry: &RunnerEntry, sockets: Option<&Sockets>) -> Option<Endpoint> {
    let url = EndpointUrl::parse(&named.url);
    let host = url.host.as_deref()?;
    let address = address(host, entry)?.to_canonical();
    let port = url.effective_port()?;
    let loopback = address.is_loopback() || address.is_unspecified();
    let listening = match sockets {
        _ if !loopback => Fact::Absent,
        Some(sockets) => sockets.accepts(address, port),
        None => Fact::Present(false),
    };
    Some(Endpoint {
        url: url.origin(),
        named_by: named.named_by.clone(),
        origin: named.origin.clone(),
        scheme: url.scheme.clone().into(),
        host: Fact::Present(host.to_owned()),
        port: Fact::Present(port),
        loopback: Fact::Present(loopback),
        listening,
    })
}

/// The address that a host is written as, or that a line of `extra_hosts` gives it; `localhost` is 127.0.0.1 in the hosts file that engines write.
fn address(host: &str, entry: &RunnerEntry) -> Option<std::net::IpAddr> {
    let lines = entry.extra_hosts.present().map(Vec::as_slice).unwrap_or_default();
    let given = lines.iter().filter_map(|line| line.split_once(':')).find(|(name, _)| *name == host);
    match given {
        Some((_, address)) => endpoint_url::literal(address),
        None if host == "localhost" => Some(std::net::Ipv4Addr::LOCALHOST.into()),
        None => endpoint_url::literal(host),
    }
}
