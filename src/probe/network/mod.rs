//! The network family: namespace, loopback, listeners, what names mean, name servers, proxies, and where endpoints stand.
//!
//! Runs inside the target's network namespace and reads the target's files and the texts of its process. Names are resolved by our own
//! resolver from the target's files and name servers; the C library's lookup would read the files of wherever we stand. The only packets sent are
//! DNS queries to the target's own name servers, and connections to loopback addresses of the namespace itself.

mod declared;
mod dns;
mod endpoints;
mod flavour;
mod listeners;
mod loopback;
mod name_servers;
mod proxies;
mod resolver;
mod sources;

use crate::formats::endpoint_url::EndpointUrl;
use crate::formats::proc_route;
use crate::probe::Target;
use crate::snapshot::endpoint::NamedEndpoint;
use crate::snapshot::{Fact, List, ObjectId, Reason, facts};
use crate::sys::process::NamespaceNumber;
use listeners::Sockets;

pub use endpoints::{Addresses, addresses, is_nix};

/// Variables that name an endpoint of which only scheme, host and port are kept: engines, object stores, and what coordinators tell their runners and
/// jobs (GitLab, "Predefined CI/CD variables"; Woodpecker, "Environment variables"; Drone, "Environment reference"; GitHub's and Gitea's runners).
const ENDPOINT_VARIABLES: [&str; 20] = [
    "DOCKER_HOST",
    "CONTAINER_HOST",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "CI_SERVER_URL",
    "CI_API_V4_URL",
    "CI_REPOSITORY_URL",
    "CI_REGISTRY",
    "CI_FORGE_URL",
    "CI_REPO_CLONE_URL",
    "WOODPECKER_SERVER",
    "DRONE_GIT_HTTP_URL",
    "DRONE_REMOTE_URL",
    "GITEA_INSTANCE_URL",
    "GITHUB_SERVER_URL",
    "GITHUB_API_URL",
    "ACTIONS_CACHE_URL",
    "ACTIONS_RUNTIME_URL",
    "ACTIONS_RESULTS_URL",
    "DRONE_RPC_HOST",
];

/// Observes the network family. `named` are the endpoints that the configuration of this context names, those of the environment included.
pub fn observe(target: &Target<'_>, named: &[NamedEndpoint]) -> facts::Network {
    let joined = joined(target);
    let sockets = Sockets::read(target.process);
    let sources = sources::Sources::read(target, named);
    let names = resolver::resolve(&sources, &joined, target.wishes.offline, named);
    facts::Network {
        namespace: namespace(target),
        loopback: loopback::observe(&joined),
        addresses: loopback::all_addresses(&joined),
        gateways: gateways(target),
        listeners: sockets.listeners(),
        name_servers: name_servers::observe(&sources, &sockets, &joined),
        proxies: proxies::observe(target.environment),
        endpoints: endpoints::observe(named, &names, &sockets, &joined),
        names: Fact::Present(names),
    }
}

/// The network of a job that does not run yet, as far as a runner's entry decides it.
pub fn declared(target: &Target<'_>, entry: &facts::RunnerEntry) -> facts::Network {
    let mut named = super::runner::endpoints(entry, true);
    let variables = entry.environment.present().map(|list| list.items.as_slice()).unwrap_or_default();
    for variable in variables.iter().filter(|variable| ENDPOINT_VARIABLES.contains(&variable.name.as_str())) {
        if let Fact::Present(value) = &variable.value {
            push(&mut named, value, variable.name.clone(), &entry.origin);
        }
    }
    declared::observe(target, entry, &named)
}

/// What the hosts of these endpoints mean here, for endpoints that are none of the context's own.
pub fn resolved(target: &Target<'_>, named: &[NamedEndpoint]) -> Fact<List<facts::ResolvedName>> {
    let sources = sources::Sources::read(target, named);
    Fact::Present(resolver::resolve(&sources, &joined(target), target.wishes.offline, named))
}

/// The endpoints that the environment and the project's own configuration name. Nix settings and credentials are collected by their probes.
/// Empty when the environment is unobserved: then nothing is known to be named.
pub fn from_environment(target: &Target<'_>) -> Vec<NamedEndpoint> {
    let mut named = Vec::new();
    for variable in ENDPOINT_VARIABLES {
        if let Fact::Present(value) = target.variable(variable) {
            // A host alone; the scheme stands in another variable and is http where that is not set (drone-runner, `command/daemon/config.go`).
            let value = match variable {
                "DRONE_RPC_HOST" => {
                    let proto = target.variable("DRONE_RPC_PROTO").present().copied().unwrap_or("http");
                    format!("{proto}://{value}")
                }
                _ => (*value).to_owned(),
            };
            push(&mut named, &value, variable.to_owned(), variable);
        }
    }
    for variable in proxies::SERVER_VARIABLES {
        if let Fact::Present(value) = target.variable(variable) {
            // Clients take a proxy without a scheme for HTTP (curl(1), "--proxy").
            let value = if value.contains("://") { value.to_owned() } else { format!("http://{value}") };
            push(&mut named, &value, format!("proxy {}", variable.to_ascii_lowercase()), variable);
        }
    }
    for (name, url) in &target.wishes.endpoints {
        push(&mut named, url, format!("parallax.toml {name}"), "parallax.toml");
    }
    named
}

fn push(named: &mut Vec<NamedEndpoint>, value: &str, named_by: String, origin: &str) {
    let url = EndpointUrl::parse(value).origin();
    if !url.is_empty() && !value.trim().is_empty() {
        named.push(NamedEndpoint { url, named_by, origin: origin.to_owned() });
    }
}

fn gateways(target: &Target<'_>) -> Fact<Vec<String>> {
    crate::probe::fact(target.process.route.clone()).and_then(|text| match proc_route::default_gateways(&text) {
        Ok(gateways) => Fact::Present(gateways.iter().map(ToString::to_string).collect()),
        Err(error) => Fact::Unobserved(Reason::Malformed {
            path: format!("/proc/{}/net/route", target.process.pid),
            line: Some(error.line),
            detail: "not a route".into(),
        }),
    })
}

fn namespace(target: &Target<'_>) -> Fact<ObjectId> {
    match target.process.namespaces.iter().find(|(name, _)| *name == "net") {
        Some((_, Ok(number))) => Fact::Present(ObjectId::new(target.boot, number.device, number.inode, "nsfs")),
        Some((_, Err(error))) => Fact::Unobserved(crate::probe::reason(error.clone())),
        None => Fact::default(),
    }
}

/// Whether this process stands in the target's network namespace; where it does not, whatever a socket says is about another machine.
pub fn joined(target: &Target<'_>) -> Fact<()> {
    let theirs = target.process.namespaces.iter().find(|(name, _)| *name == "net");
    let Some((_, Ok(theirs))) = theirs else {
        return namespace(target).map(|_| ());
    };
    match own_namespace() {
        Ok(ours) if ours == *theirs => Fact::Present(()),
        Ok(_) => Fact::Unobserved(Reason::IdentityIncomplete { missing: "the network namespace".into() }),
        Err(errno) => {
            let errno = crate::sys::root::errno_name(errno);
            Fact::Unobserved(Reason::Unreadable { path: "/proc/thread-self/ns/net".into(), errno })
        }
    }
}

/// The network namespace of the calling thread. In an entered child our root is `/proc` itself.
fn own_namespace() -> Result<NamespaceNumber, rustix::io::Errno> {
    let stat = rustix::fs::stat("/proc/thread-self/ns/net").or_else(|_| rustix::fs::stat("/thread-self/ns/net"))?;
    Ok(NamespaceNumber { device: stat.st_dev, inode: stat.st_ino })
}
