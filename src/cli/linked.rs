//! Whose endpoints a daemon is asked about: of the substituters that its clients ask it for, those that it honours, for there it is the daemon that connects.
//! And the registries of a container engine ([`engines`]).
//!
//! Must not let a client that the daemon does not trust have anything tried from the daemon's context: what would be honoured is decided as the
//! daemon decides it, and where that is not known, nothing is asked and the list stays open.

mod engines;

use std::collections::{BTreeMap, BTreeSet};

use super::trust::{DAEMON, any, trusts};
use crate::context::Context;
use crate::context::enter::Looked;
use crate::probe::credentials::substituter_endpoint;
use crate::probe::reach::Link;
use crate::snapshot::facts::{Facts, Linked, Request};
use crate::snapshot::{ContextKind, Fact, List, ObjectId, Reason};

/// Who leaves out what only several contexts together show.
pub(super) const ALONE: &str = "looking from one context alone";
/// The most endpoints of one daemon that are asked.
const MOST: usize = 64;
/// The one that reaches registries for its clients.
const ENGINE: &str = "dockerd";

/// What the daemons are asked beside their own, by their indices.
#[derive(Default)]
pub(super) struct Links {
    of: BTreeMap<usize, OfDaemon>,
}

#[derive(Default)]
struct OfDaemon {
    links: Vec<Link>,
    more: Option<Reason>,
}

/// Endpoints by URL, by what names them, and by whether who names them means the same machine by loopback; each with the contexts that do.
type NamedIn = BTreeMap<(String, String, bool), BTreeSet<String>>;

impl OfDaemon {
    /// Makes links of what was collected; `what` says of what there were too many.
    fn link(&mut self, named: NamedIn, socket: &ObjectId, what: &str) {
        if named.len() > MOST {
            self.more = Some(Reason::Truncated { at: MOST as u64, what: what.to_owned() });
        }
        let link = |((endpoint, named_by, same_network), ids): (_, BTreeSet<String>)| Link {
            endpoint,
            named_by,
            named_in: ids.into_iter().collect(),
            link: socket.clone(),
            same_network,
        };
        self.links = named.into_iter().take(MOST).map(link).collect();
    }
}

impl Links {
    /// Decides them.
    pub(super) fn between(contexts: &[Context], looks: &[Looked]) -> Self {
        let all: Vec<(usize, &Context, &Looked)> =
            contexts.iter().zip(looks).enumerate().map(|(index, (context, look))| (index, context, look)).collect();
        let entered = || all.iter().filter(|(_, _, look)| look.refused.is_none());
        let is_daemon = |context: &Context| context.header.service.as_deref() == Some(DAEMON);
        let clients: Vec<(&str, &Facts)> = entered()
            .filter(|(_, context, look)| !is_daemon(context) && is_client(context, &look.facts))
            .map(|(_, context, look)| (context.header.id.as_str(), &look.facts))
            .collect();
        let daemons = entered().filter(|(_, context, _)| is_daemon(context));
        let mut of: BTreeMap<usize, OfDaemon> =
            daemons.map(|(index, _, look)| (*index, of_daemon(&look.facts, &clients))).collect();
        let is_engine = |look: &Looked| look.facts.engine.is_engine == Fact::Present(true);
        let is_service = |context: &Context| context.header.service.as_deref() == Some(ENGINE);
        let others: Vec<(&str, &Facts)> = entered()
            .filter(|(_, context, look)| context.header.kind != ContextKind::Declared && !is_engine(look))
            .map(|(_, context, look)| (context.header.id.as_str(), &look.facts))
            .collect();
        let engines = entered().filter(|(_, context, look)| is_service(context) && is_engine(look));
        of.extend(engines.map(|(index, _, look)| (*index, engines::of_engine(&look.facts, &others))));
        Self { of }
    }

    /// Those that have something to ask, and what.
    pub(super) fn asked(&self) -> impl Iterator<Item = (usize, &[Link])> {
        self.of.iter().filter(|(_, of)| !of.links.is_empty()).map(|(index, of)| (*index, of.links.as_slice()))
    }

    /// Puts what was answered where it belongs. Nobody connects anywhere on the word of a context that no daemon honours.
    /// `whole` says whether the contexts of the host were looked from: a context alone does not show who names what.
    pub(super) fn put(&self, answers: Vec<Looked>, whole: bool, looks: &mut [Looked]) {
        for (index, look) in looks.iter_mut().enumerate().filter(|(_, look)| look.refused.is_none()) {
            let more = self.of.get(&index).and_then(|of| of.more.clone());
            look.facts.reach.linked = if whole {
                Fact::Present(List { items: Vec::new(), more })
            } else {
                Fact::Unobserved(Reason::Disabled { by: ALONE.into() })
            };
        }
        for ((index, _), answer) in self.asked().zip(answers) {
            let Some(look) = looks.get_mut(index) else { continue };
            look.facts.reach.linked = self.open(index, answer.facts.reach.linked);
            look.unfinished.extend(answer.unfinished);
        }
    }

    fn open(&self, index: usize, answered: Fact<List<Linked>>) -> Fact<List<Linked>> {
        let more = self.of.get(&index).and_then(|of| of.more.clone());
        answered.map(|list| List { more: list.more.or(more), ..list })
    }
}

/// Whether it has a daemon fetch for it.
fn is_client(context: &Context, facts: &Facts) -> bool {
    context.header.kind != ContextKind::Declared
        && facts.identity.process.live == Fact::Present(true)
        && facts.store.used == Fact::Present(true)
        && facts.store.chosen.kind.present().is_some_and(|kind| kind == "daemon")
}

fn of_daemon(daemon: &Facts, clients: &[(&str, &Facts)]) -> OfDaemon {
    let mut of = OfDaemon::default();
    let mut named = NamedIn::new();
    let socket = match &daemon.store.socket.identity {
        Fact::Present(socket) => socket,
        // Nobody talks to a daemon without a socket.
        Fact::Absent => return of,
        Fact::Unobserved(reason) => return OfDaemon { more: Some(reason.clone()), ..of },
    };
    for (id, client) in clients.iter().filter(|(_, client)| is_of(&client.store.socket.identity, socket)) {
        let same_network = client.network.namespace.present().is_some_and(|of| is_of(&daemon.network.namespace, of));
        for request in client.nix.requests.present().into_iter().flat_map(|list| &list.items).filter(|r| is_sent(r)) {
            match honours(daemon, client, &request.value) {
                Fact::Present(true) => {}
                Fact::Present(false) | Fact::Absent => continue,
                Fact::Unobserved(reason) => {
                    of.more = of.more.or(Some(reason));
                    continue;
                }
            }
            if let Some(endpoint) = substituter_endpoint(&request.value, &request.origin) {
                let key = (endpoint.url, endpoint.named_by, same_network);
                named.entry(key).or_default().insert((*id).to_owned());
            }
        }
    }
    of.link(named, socket, "the endpoints that clients name");
    of
}

fn is_of(fact: &Fact<ObjectId>, object: &ObjectId) -> bool {
    fact.present().is_some_and(|of| of.same(object) == Some(true))
}

/// Clients never send what stands in the system's file.
fn is_sent(request: &Request) -> bool {
    request.setting == "substituters" && request.level != "system"
}

/// Whether this daemon would fetch from there on this client's word (`src/libstore/daemon.cc`, ClientSettings::apply): it trusts the client, or has
/// the URL among its own or its trusted substituters, with or without a last slash.
fn honours(daemon: &Facts, client: &Facts, url: &str) -> Fact<bool> {
    let slashed = format!("{url}/");
    let listed = |list: &Fact<Vec<String>>| {
        let among = |list: &Vec<String>| list.iter().any(|one| *one == url || *one == slashed);
        list.as_ref().map(among)
    };
    any([listed(&daemon.nix.substituters), listed(&daemon.nix.trusted_substituters), trusts(daemon, client)])
}

#[cfg(test)]
mod tests {
    use super::{OfDaemon, of_daemon};
    use crate::snapshot::facts::{Facts, Request};
    use crate::snapshot::{Fact, List, ObjectId, Reason};

    fn daemon(trusted: Fact<Vec<u32>>) -> Facts {
        let mut facts = Facts::default();
        facts.store.socket.identity = Fact::Present(ObjectId::new("boot", 1, 2, "ext4"));
        facts.network.namespace = Fact::Present(ObjectId::new("boot", 4, 51, "nsfs"));
        facts.nix.substituters = Fact::Present(Vec::new());
        facts.nix.trusted_substituters = Fact::Present(vec!["https://listed.example/".into()]);
        facts.nix.trust.everyone = Fact::Present(false);
        (facts.nix.trust.uids, facts.nix.trust.gids) = (trusted, Fact::Present(Vec::new()));
        facts
    }

    fn asked(daemon: &Facts) -> OfDaemon {
        let request = |value: &str, level: &str| Request {
            setting: "substituters".into(),
            value: value.into(),
            origin: "nix.conf:1".into(),
            level: level.into(),
        };
        let mut client = daemon.clone();
        client.network.namespace = Fact::Present(ObjectId::new("boot", 4, 50, "nsfs"));
        (client.identity.host_uid, client.identity.host_gid) = (Fact::Present(1000), Fact::Present(1000));
        client.nix.requests = Fact::Present(List::complete(vec![
            request("https://listed.example", "user"),
            request("https://wanted.example/cache", "environment"),
            request("https://unsent.example", "system"),
        ]));
        of_daemon(daemon, &[("container:job", &client)])
    }

    fn urls(of: &OfDaemon) -> Vec<&str> {
        of.links.iter().map(|link| link.endpoint.as_str()).collect()
    }

    #[test]
    fn a_client_that_is_not_trusted_has_only_listed_substituters_tried() {
        let of = asked(&daemon(Fact::Present(vec![0])));
        assert_eq!((urls(&of), &of.more), (vec!["https://listed.example/"], &None));
        assert_eq!(
            (of.links[0].same_network, of.links[0].named_in.as_slice()),
            (false, &["container:job".to_owned()][..])
        );
    }

    #[test]
    fn a_trusted_client_has_all_tried_that_it_sends() {
        let of = asked(&daemon(Fact::Present(vec![0, 1000])));
        assert_eq!(urls(&of), ["https://listed.example/", "https://wanted.example/cache"]);
    }

    #[test]
    fn where_trust_is_not_known_nothing_is_tried_and_the_list_stays_open() {
        let why = Reason::NotEmulated { what: "accounts elsewhere".into() };
        let of = asked(&daemon(Fact::Unobserved(why.clone())));
        assert_eq!((urls(&of), &of.more), (vec!["https://listed.example/"], &Some(why)));
    }

    #[test]
    fn a_daemon_whose_socket_is_not_known_leaves_the_list_open() {
        let mut facts = daemon(Fact::Present(vec![0, 1000]));
        facts.store.socket.identity = Fact::Unobserved(Reason::NotRecorded);
        let of = asked(&facts);
        assert!(of.links.is_empty() && of.more.is_some());
    }
}
