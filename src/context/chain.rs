//! Which contexts have to do with the deployment chain, and why. Reads snapshots only: it is decided after looking.
//!
//! The host, users and known services always have. A container or build has when it shares a store or a configured endpoint with one of those, mounts an
//! engine's socket, has a job's directory mounted, or has a part in continuous integration. Where it could not be seen whether it shares a store, it stays on the chain: a view that is
//! missing must not make a context disappear.
//!
//! What stands on the host's own root sees the host's store and files without anybody having wanted that: a unit with a private network or a
//! sandbox around one command. Only what was given to it alone ties it: its environment, and what made its header say so.

use std::collections::BTreeMap;

use crate::snapshot::facts::{Endpoint, Place};
use crate::snapshot::{ContextKind, Fact, ObjectId, Reason, Snapshot};

/// The endpoint that every Nix has by default and that ties nobody together.
const DEFAULT_CACHE: &str = "cache.nixos.org";

/// Why each snapshot is on the chain, in their order; empty means that it is not.
pub fn on_chain(snapshots: &[Snapshot]) -> Vec<Vec<String>> {
    let core = Core::of(snapshots);
    snapshots.iter().map(|snapshot| reasons(snapshot, &core)).collect()
}

/// What the contexts that are always on the chain offer to share, with the first one's name.
struct Core<'a> {
    places: BTreeMap<&'a ObjectId, &'a str>,
    endpoints: BTreeMap<String, &'a str>,
    /// By boot and id of a context: which directory of whose work it has mounted.
    volumes: BTreeMap<(&'a str, &'a str), (&'a str, &'a str)>,
}

impl<'a> Core<'a> {
    fn of(snapshots: &'a [Snapshot]) -> Self {
        let mut core = Self { places: BTreeMap::new(), endpoints: BTreeMap::new(), volumes: BTreeMap::new() };
        for snapshot in snapshots {
            let header = &snapshot.context;
            for seen in snapshot.facts.paths.seen.present().into_iter().flat_map(|list| &list.items) {
                if let Some(id) = seen.mounted_by.present() {
                    core.volumes.insert((&header.boot, id), (&seen.path, &header.name));
                }
            }
        }
        for snapshot in snapshots.iter().filter(|snapshot| always(snapshot).is_some()) {
            let name = snapshot.context.name.as_str();
            for identity in places(snapshot).into_iter().filter_map(|(_, place)| place.identity.present()) {
                core.places.entry(identity).or_insert(name);
            }
            for key in endpoints(snapshot) {
                core.endpoints.entry(key).or_insert(name);
            }
        }
        core
    }
}

fn reasons(snapshot: &Snapshot, core: &Core<'_>) -> Vec<String> {
    let header = &snapshot.context;
    if let Some(reason) = always(snapshot) {
        return vec![reason];
    }
    let mut reasons = header.chain.clone();
    if let Some(role) = header.role.as_ref().filter(|_| header.chain.is_empty()) {
        reasons.push(format!("continuous integration: {role}"));
    }
    reasons.extend(stores(snapshot, core));
    let volume = core.volumes.get(&(header.boot.as_str(), header.id.as_str()));
    reasons.extend(volume.map(|(path, name)| format!("has {path} mounted, where {name} works")));
    let inherits = header.host_root == Some(true);
    for endpoint in named(snapshot).filter(|endpoint| !inherits || !stands_in_a_file(endpoint)) {
        let Some(key) = key(endpoint) else { continue };
        reasons.extend(core.endpoints.get(&key).map(|name| format!("uses {key}, as {name} does")));
    }
    reasons.sort();
    reasons.dedup();
    reasons
}

/// How a store ties a container or build. Its database and socket are in another root only because somebody mounted them there; the directory
/// alone is often mounted for the programs in it, and ties those that use Nix.
fn stores(snapshot: &Snapshot, core: &Core<'_>) -> Vec<String> {
    let used = &snapshot.facts.store.used;
    if snapshot.context.host_root == Some(true) {
        let open = used.reason().filter(|reason| leaves_open(reason));
        return open.map(|reason| format!("whether it uses a store could not be seen: {reason}")).into_iter().collect();
    }
    let mut reasons = Vec::new();
    let directory = &snapshot.facts.store.dir;
    let unused = used.present() == Some(&false);
    for (what, place) in places(snapshot).into_iter().filter(|(_, place)| !(unused && std::ptr::eq(*place, directory)))
    {
        match &place.identity {
            Fact::Present(identity) => {
                reasons.extend(core.places.get(identity).map(|name| format!("shares {what} with {name}")));
            }
            Fact::Unobserved(reason) if leaves_open(reason) => {
                reasons.push(format!("whether it shares {what} could not be seen: {reason}"));
            }
            Fact::Absent | Fact::Unobserved(_) => {}
        }
    }
    reasons
}

fn always(snapshot: &Snapshot) -> Option<String> {
    let header = &snapshot.context;
    match header.kind {
        ContextKind::Host => Some("the host".to_owned()),
        ContextKind::User => Some("a user of the chain".to_owned()),
        ContextKind::Service => header.service.as_ref().map(|service| format!("a known service: {service}")),
        ContextKind::Remote => Some("another machine's view".to_owned()),
        ContextKind::Declared => Some("declared".to_owned()),
        ContextKind::Container | ContextKind::Build => None,
    }
}

/// Whether something may be there that was not seen. A process that is gone shares nothing any more, and what the caller left out was not wanted.
fn leaves_open(reason: &Reason) -> bool {
    !matches!(reason, Reason::Vanished | Reason::NotRecorded | Reason::Disabled { .. } | Reason::Withheld)
}

fn places(snapshot: &Snapshot) -> [(&'static str, &Place); 3] {
    let store = &snapshot.facts.store;
    [("the store directory", &store.dir), ("the store database", &store.db), ("the daemon's socket", &store.socket)]
}

/// The endpoints that a context's configuration names, in a form that is equal for equal ones. A loopback address means another machine in each
/// network namespace; that two contexts name the same port of it is what ties them.
fn endpoints(snapshot: &Snapshot) -> Vec<String> {
    named(snapshot).filter_map(key).collect()
}

fn named(snapshot: &Snapshot) -> impl Iterator<Item = &Endpoint> {
    snapshot.facts.network.endpoints.present().into_iter().flat_map(|list| &list.items)
}

/// Whether a file names it: then the origin is an absolute path with a line, and a variable's name otherwise.
fn stands_in_a_file(endpoint: &Endpoint) -> bool {
    endpoint.origin.starts_with('/')
}

fn key(endpoint: &Endpoint) -> Option<String> {
    let (host, port) = (endpoint.host.present()?, endpoint.port.present()?);
    if host == DEFAULT_CACHE {
        return None;
    }
    let by_name = host == "localhost" || host.ends_with(".localhost");
    let by_address = host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    let loopback = endpoint.loopback.present().copied().unwrap_or(by_name || by_address);
    Some(if loopback { format!("loopback port {port}") } else { format!("{host}:{port}") })
}

#[cfg(test)]
mod tests {
    use super::on_chain;
    use crate::snapshot::facts::{Endpoint, Facts};
    use crate::snapshot::{ContextKind, Entry, Fact, Header, List, ObjectId, Reason, Snapshot};

    fn snapshot(kind: ContextKind, name: &str) -> Snapshot {
        let context = Header {
            id: name.into(),
            kind,
            name: name.into(),
            service: None,
            user: None,
            image: None,
            role: None,
            job: None,
            chain: Vec::new(),
            boot: "b".into(),
            host: "h".into(),
            process: None,
            entry: Entry::Entered,
            host_root: None,
            limits: Vec::new(),
        };
        Snapshot { context, taken_ms: 0, took_ms: 0, version: String::new(), facts: Facts::default() }
    }

    fn with_database(mut snapshot: Snapshot, inode: u64) -> Snapshot {
        snapshot.facts.store.db.identity = Fact::Present(ObjectId::new("b", 1, inode, "ext4"));
        snapshot
    }

    fn with_endpoint(mut snapshot: Snapshot, host: &str, port: u16) -> Snapshot {
        let endpoint = Endpoint { host: Fact::Present(host.into()), port: Fact::Present(port), ..Endpoint::default() };
        snapshot.facts.network.endpoints = Fact::Present(List::complete(vec![endpoint]));
        snapshot
    }

    #[test]
    fn a_container_with_the_host_s_database_is_on_the_chain_and_one_with_its_own_is_not() {
        let host = with_database(snapshot(ContextKind::Host, "host"), 7);
        let sharing = with_database(snapshot(ContextKind::Container, "container:a"), 7);
        let own = with_database(snapshot(ContextKind::Container, "container:b"), 8);
        let chain = on_chain(&[host, sharing, own]);
        assert_eq!(chain[1], ["shares the store database with host"]);
        assert!(chain[2].is_empty() && !chain[0].is_empty());
    }

    #[test]
    fn the_same_loopback_port_ties_and_the_default_cache_does_not() {
        let host = snapshot(ContextKind::Host, "host");
        let at = |host: &str, port| with_endpoint(snapshot(ContextKind::Container, "c"), host, port);
        let chain =
            on_chain(&[with_endpoint(host.clone(), "127.0.0.1", 9000), at("localhost", 9000), at("localhost", 9001)]);
        assert_eq!((chain[1].len(), chain[2].len()), (1, 0));
        let chain = on_chain(&[with_endpoint(host, "cache.nixos.org", 443), at("cache.nixos.org", 443)]);
        assert!(chain[1].is_empty());
    }

    #[test]
    fn a_container_whose_store_could_not_be_seen_stays_on_the_chain() {
        let mut container = snapshot(ContextKind::Container, "c");
        container.facts.store.db.identity = Fact::Unobserved(Reason::NotEntered { why: "no right".into() });
        assert_eq!(on_chain(&[container.clone()])[0].len(), 1);
        container.facts.store.db.identity = Fact::Unobserved(Reason::Vanished);
        assert!(on_chain(&[container])[0].is_empty());
    }

    #[test]
    fn what_stands_on_the_host_s_own_root_is_not_tied_by_the_host_s_store_and_files() {
        let host = with_endpoint(with_database(snapshot(ContextKind::Host, "host"), 7), "localhost", 9000);
        let mut sandbox =
            with_endpoint(with_database(snapshot(ContextKind::Container, "sandbox"), 7), "localhost", 9000);
        sandbox.context.host_root = Some(true);
        sandbox.facts.store.used = Fact::Present(true);
        if let Fact::Present(list) = &mut sandbox.facts.network.endpoints {
            list.items[0].origin = "/etc/nix/nix.conf:3".into();
        }
        let mut own_variable = sandbox.clone();
        if let Fact::Present(list) = &mut own_variable.facts.network.endpoints {
            list.items[0].origin = "AWS_ENDPOINT_URL".into();
        }
        let mut job = sandbox.clone();
        job.context.role = Some("job".into());
        let mut unseen = sandbox.clone();
        unseen.facts.store.used = Fact::Unobserved(Reason::NotEntered { why: "no right".into() });
        let mut container = sandbox.clone();
        container.context.host_root = Some(false);
        let chain = on_chain(&[host, sandbox, own_variable, job, unseen, container]);
        let lengths: Vec<usize> = chain.iter().skip(1).map(Vec::len).collect();
        assert_eq!(lengths, [0, 1, 1, 1, 2], "{chain:?}");
    }

    #[test]
    fn a_store_directory_mounted_for_its_programs_ties_only_those_that_use_nix() {
        let with_directory = |mut snapshot: Snapshot, used| {
            snapshot.facts.store.dir.identity = Fact::Present(ObjectId::new("b", 1, 9, "ext4"));
            snapshot.facts.store.used = Fact::Present(used);
            snapshot
        };
        let host = with_directory(snapshot(ContextKind::Host, "host"), true);
        let using = with_directory(snapshot(ContextKind::Container, "using"), true);
        let not_using = with_directory(snapshot(ContextKind::Container, "not"), false);
        let with_the_database = with_database(not_using.clone(), 7);
        let chain = on_chain(&[with_database(host, 7), using, not_using, with_the_database]);
        let lengths: Vec<usize> = chain.iter().skip(1).map(Vec::len).collect();
        assert_eq!(lengths, [1, 0, 1], "{chain:?}");
    }

    #[test]
    fn a_job_and_a_container_that_mounts_the_engine_s_socket_are_on_the_chain() {
        let mut job = snapshot(ContextKind::Container, "job");
        job.context.role = Some("job".into());
        let mut mounting = snapshot(ContextKind::Container, "m");
        mounting.context.chain = vec!["mounts the container engine's socket at /var/run/docker.sock".into()];
        let unrelated = snapshot(ContextKind::Service, "service:private-network");
        let lengths: Vec<usize> = on_chain(&[job, mounting, unrelated]).iter().map(Vec::len).collect();
        assert_eq!(lengths, [1, 1, 0]);
    }
}
