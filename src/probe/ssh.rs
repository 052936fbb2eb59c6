//! The ssh family: the remote builders and the stores behind SSH that this context's Nix names, as OpenSSH's client takes them here.
//!
//! Reads ssh_config, known_hosts and the heads of private keys where ssh, run by this identity, would (`ssh(1)`, `ssh_config(5)`; the home directory is
//! that of the user database, not `HOME`). In the second round it speaks to the servers up to the exchange of keys, and never logs in. Neither ssh nor an
//! agent is run or asked. Does not judge whether a key should be known.

mod client;
mod files;
mod identities;
mod known;
mod named;
mod reads;
mod server;

use super::Target;
use crate::formats::endpoint_url::EndpointUrl;
use crate::probe::reach::plan;
use crate::snapshot::endpoint::NamedEndpoint;
use crate::snapshot::facts::{Facts, Ssh, SshEndpoint, SshServer};
use crate::snapshot::{Fact, List, Reason};
use client::Connection;
use named::Named;

/// Looks at the addresses that are named and, in the second round, at the servers. The endpoints are those that ssh itself connects to.
pub fn observe(target: &Target<'_>, facts: &Facts) -> (Ssh, Vec<NamedEndpoint>) {
    let reads = reads::Reads::new(target.root);
    let named = named::observe(target, &reads);
    if let Some(missing) = target.incomplete.first().filter(|_| named.more.is_some() || !named.items.is_empty()) {
        let reason = Reason::IdentityIncomplete { missing: missing.clone() };
        return (unobserved(&reason), Vec::new());
    }
    let more = named.more.clone();
    let mut endpoints = empty(&more);
    let (mut identities, mut files, mut servers) = (empty(&more), empty(&more), empty(&more));
    let configuration = client::Configuration::read(target, &facts.identity, &reads);
    let mut connections = Vec::new();
    for named in &named.items {
        let connection = configuration.connection(named);
        endpoints.items.push(endpoint(named, &connection));
        let (offered, more) = identities::observe(target, named, &connection);
        identities.items.extend(offered);
        identities.more = identities.more.or(more);
        let known = known::Known::read(target, &reads, named, &connection);
        files.items.extend(known.files(named));
        servers.items.push(blank(named, &connection, &known));
        connections.push((connection, known));
    }
    let reachable: Vec<Option<NamedEndpoint>> =
        named.items.iter().zip(&connections).map(|(named, (connection, _))| asked(named, connection)).collect();
    let servers = match why_not(target) {
        Some(reason) => Fact::Unobserved(reason),
        None => {
            let questions = plan::questions(target, &reachable.iter().flatten().cloned().collect::<Vec<_>>(), facts);
            server::observe(&questions.questions, &reachable, &connections, &mut servers.items);
            // Behind a proxy there is nothing to ask from here, now or ever; `ssh.endpoints` says so.
            let mut direct = connections.iter().map(|(connection, _)| connection.proxy.present().is_none());
            servers.items.retain(|_| direct.next().unwrap_or(true));
            Fact::Present(servers)
        }
    };
    let (endpoints, identities, known_hosts) =
        (Fact::Present(endpoints), Fact::Present(identities), Fact::Present(files));
    (Ssh { endpoints, identities, known_hosts, servers }, reachable.into_iter().flatten().collect())
}

/// What a context that names no such address is shown: nothing, as far as its settings are known.
pub fn nothing_named(ssh: &Ssh) -> Fact<List<SshServer>> {
    let more = ssh.endpoints.reason().or_else(|| ssh.endpoints.present().and_then(|list| list.more.as_ref())).cloned();
    Fact::Present(List { items: Vec::new(), more })
}

fn empty<T>(more: &Option<Reason>) -> List<T> {
    List { items: Vec::new(), more: more.clone() }
}

fn unobserved(reason: &Reason) -> Ssh {
    Ssh {
        endpoints: Fact::Unobserved(reason.clone()),
        identities: Fact::Unobserved(reason.clone()),
        known_hosts: Fact::Unobserved(reason.clone()),
        servers: Fact::Unobserved(reason.clone()),
    }
}

fn why_not(target: &Target<'_>) -> Option<Reason> {
    match (&target.wishes.reach, super::network::joined(target)) {
        (Some(by), _) => Some(Reason::Disabled { by: by.clone() }),
        (None, Fact::Unobserved(reason)) => Some(reason),
        (None, _) => None,
    }
}

fn endpoint(named: &Named, connection: &Connection) -> SshEndpoint {
    SshEndpoint {
        url: named.url.clone(),
        named_by: named.named_by.to_owned(),
        origin: named.origin.clone(),
        host: named.host.clone(),
        host_name: connection.host_name.clone(),
        port: connection.port.clone(),
        user: connection.user.clone(),
        proxy: connection.proxy.clone(),
        strict: connection.strict.clone(),
        agent: connection.agent.clone(),
        told_key: named.told_fingerprint().into(),
    }
}

/// What is known of a server before it is spoken to.
fn blank(named: &Named, connection: &Connection, known: &known::Known) -> SshServer {
    SshServer {
        url: named.url.clone(),
        named_by: named.named_by.to_owned(),
        origin: named.origin.clone(),
        host_name: connection.host_name.clone(),
        port: connection.port.clone(),
        known_as: connection.shared_names(),
        key_name: connection.key_name(),
        strict: connection.strict.clone(),
        looked_in: known.looked_in(),
        ..SshServer::default()
    }
}

/// Where ssh connects to by itself; none behind a proxy, and where it is not known.
fn asked(named: &Named, connection: &Connection) -> Option<NamedEndpoint> {
    let (Fact::Present(host), Fact::Present(port), Fact::Absent) =
        (&connection.host_name, &connection.port, &connection.proxy)
    else {
        return None;
    };
    let scheme = named.url.split("://").next().unwrap_or("ssh");
    let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
    let port = if *port == 22 { String::new() } else { format!(":{port}") };
    let url = format!("{scheme}://{host}{port}");
    let url = EndpointUrl::parse(&url);
    url.host.as_ref()?;
    let url = url.with_path();
    Some(NamedEndpoint { url, named_by: named.named_by.to_owned(), origin: named.origin.clone() })
}

#[cfg(test)]
mod tests;
