//! The second round: each context is asked about the endpoints that its own configuration names, after all contexts were looked at.
//!
//! Only contexts that name an endpoint get a further child; it knows every other family already and looks at `reach` alone. No context is asked about
//! an endpoint that another one names: an address that a container writes into its own configuration is tried from that container and nowhere else.

use std::collections::BTreeSet;

use super::exit::Failure;
use super::handshake;
use crate::context::enter::{Looked, Resume};
use crate::probe::{Wishes, caches, logins, ssh};
use crate::snapshot::facts::Facts;
use crate::snapshot::{Fact, List, Reason};

/// The most keys that a signature is verified with: views may come from anywhere.
const MOST_KEYS: usize = 1024;
/// Who leaves the endpoints out of the first round.
pub(super) const LATER: &str = "the first round of looking";

/// The contexts that have something to ask, by their indices.
pub(super) fn asking(looks: &[Looked], wishes: &Wishes) -> Vec<usize> {
    if wishes.reach.is_some() {
        return Vec::new();
    }
    let asks = |look: &Looked| look.refused.is_none() && (names_something(look) || logins::concerns(&look.facts));
    looks.iter().enumerate().filter(|(_, look)| asks(look)).map(|(index, _)| index).collect()
}

/// An endpoint, a cache that is a directory, or a host behind a proxy of ssh.
fn names_something(look: &Looked) -> bool {
    let behind_ssh = look.facts.ssh.endpoints.present().is_some_and(|list| !list.items.is_empty());
    !look.endpoints.is_empty() || behind_ssh || caches::names_any(&look.facts.nix)
}

/// What the second round is told beside what the first was: whose keys a signature may be of.
pub(super) fn wishes(wishes: &Wishes, looks: &[Looked]) -> Wishes {
    let own = keys(looks.iter().map(|look| &look.facts));
    let public_keys: BTreeSet<String> = wishes.public_keys.iter().cloned().chain(own).collect();
    Wishes { public_keys: public_keys.into_iter().collect(), ..wishes.clone() }
}

/// The public keys that these contexts trust.
pub(super) fn keys<'a>(facts: impl Iterator<Item = &'a Facts>) -> BTreeSet<String> {
    let lists = facts.filter_map(|facts| facts.caches.keys.present());
    lists.flat_map(|list| &list.items).filter(|key| key.valid).map(|key| key.text.clone()).take(MOST_KEYS).collect()
}

/// What the child of the second round need not look at.
pub(super) fn what_is_known(look: &Looked) -> Result<Resume, Failure> {
    handshake::all_but(&["reach", "caches", "logins", "ssh"], look)
}

/// Puts what was answered where it belongs. A context that names nothing has nothing to reach; where that is not certain, its list stays open.
pub(super) fn put(asking: &[usize], answers: Vec<Looked>, wishes: &Wishes, looks: &mut [Looked]) {
    if wishes.reach.is_none() {
        for look in looks.iter_mut().filter(|look| look.refused.is_none() && !names_something(look)) {
            look.facts.reach.endpoints = nothing_named(look);
            look.facts.reach.hosts = nothing_named(look);
            look.facts.ssh.servers = ssh::nothing_named(&look.facts.ssh);
            look.facts.caches.served = caches::none_named(&look.facts.nix);
            look.facts.caches.attic_caches = caches::none_named(&look.facts.nix);
        }
    }
    if wishes.reach.is_none() && wishes.no_credentials.is_none() {
        for look in looks.iter_mut().filter(|look| look.refused.is_none() && !logins::concerns(&look.facts)) {
            look.facts.logins = logins::nothing_held();
        }
    }
    for (index, answer) in asking.iter().zip(answers) {
        if let Some(look) = looks.get_mut(*index) {
            look.facts.reach.endpoints = answer.facts.reach.endpoints;
            look.facts.ssh = answer.facts.ssh;
            look.facts.caches.served = answer.facts.caches.served;
            look.facts.caches.attic_caches = answer.facts.caches.attic_caches;
            look.facts.logins = answer.facts.logins;
            look.facts.reach.hosts = answer.facts.reach.hosts;
            look.unfinished.extend(answer.unfinished);
        }
    }
}

fn nothing_named<T>(look: &Looked) -> Fact<List<T>> {
    let endpoints = &look.facts.network.endpoints;
    let more: Option<Reason> =
        endpoints.reason().cloned().or_else(|| endpoints.present().and_then(|list| list.more.clone()));
    Fact::Present(List { items: Vec::new(), more })
}
