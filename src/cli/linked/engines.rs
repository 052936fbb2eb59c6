//! Which registries a container engine is asked about: those that whoever may drive it is logged in at, for it is the engine that pulls and pushes.
//!
//! Who can connect to its socket can have the engine connect anywhere, so that nothing is tried here that it would not do on the same word. Who only calls
//! itself an engine is none: it must be known as the service, and the socket must be its own.

use super::{NamedIn, OfDaemon, is_of};
use crate::probe::logins::registry_endpoint;
use crate::snapshot::Fact;
use crate::snapshot::facts::Facts;

/// The registries of those who drive this engine.
pub(super) fn of_engine(engine: &Facts, others: &[(&str, &Facts)]) -> OfDaemon {
    let mut of = OfDaemon::default();
    let socket = match &engine.engine.socket {
        Fact::Present(socket) => socket,
        // One that listens nowhere on this machine is driven from elsewhere.
        Fact::Absent => return of,
        Fact::Unobserved(reason) => return OfDaemon { more: Some(reason.clone()), ..of },
    };
    let mut named = NamedIn::new();
    let drives = |facts: &Facts| {
        let sockets = facts.paths.sockets.present().map(|list| list.items.as_slice()).unwrap_or_default();
        sockets.iter().any(|one| one.connects == Fact::Present(true) && is_of(&one.identity, socket))
    };
    for (id, client) in others.iter().filter(|(_, client)| drives(client)) {
        let same_network = client.network.namespace.present().is_some_and(|of| is_of(&engine.network.namespace, of));
        for login in client.credentials.registries.present().into_iter().flat_map(|list| &list.items) {
            let endpoint = registry_endpoint(login);
            named.entry((endpoint.url, endpoint.named_by, same_network)).or_default().insert((*id).to_owned());
        }
        let open = client.credentials.registries.present().and_then(|list| list.more.clone());
        of.more = of.more.or_else(|| client.credentials.registries.reason().cloned()).or(open);
    }
    of.link(named, socket, "the registries of an engine's clients");
    of
}
