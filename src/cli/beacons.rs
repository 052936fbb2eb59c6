//! The beacons of one run: a listener of parallax on the loopback of each network namespace, for as long as the endpoints are asked.
//!
//! Raised only where some context's configuration means the host by an address that could be anybody's: loopback, a gateway, `host.docker.internal`.
//! They end with the value that holds them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::exit::Failure;
use crate::context::enter::{Beacon, Entrance, Looked, Request};
use crate::probe::Wishes;
use crate::probe::beacon::{Ports, Standing};
use crate::snapshot::{Fact, ObjectId, Reason};

/// The most beacons; the host's namespace comes first.
const MOST: usize = 32;
/// How long they stand when nobody ends them: longer than one round of questions.
const LASTS: Duration = Duration::from_secs(20);

/// The beacons that stand.
#[derive(Default)]
pub(super) struct Beacons {
    standing: Vec<Standing>,
    missing: Option<Reason>,
    _children: Vec<Beacon>,
}

impl Beacons {
    /// Raises one in every network namespace that was looked from; `whole` says whether the host's is among them. `request` gives the way into a context.
    pub(super) async fn raise(
        entrance: &Arc<Entrance>,
        looks: &[Looked],
        asking: &[usize],
        deadline: Instant,
        whole: bool,
        request: impl Fn(usize, &Wishes) -> Result<Request, Failure>,
    ) -> Result<Self, Failure> {
        let mut beacons = Self::default();
        if !asking.iter().filter_map(|index| looks.get(*index)).any(means_the_host) {
            return Ok(beacons);
        }
        if !whole {
            beacons.missing = Some(Reason::Disabled { by: super::linked::ALONE.into() });
        }
        let namespaces = namespaces(looks);
        if namespaces.len() > MOST {
            beacons.missing = Some(Reason::Truncated { at: MOST as u64, what: "the beacons".into() });
        }
        let wishes = Wishes { stand: true, ..Wishes::default() };
        for (index, namespace) in namespaces.into_iter().take(MOST) {
            let mut asked = request(index, &wishes)?;
            asked.probe_deadline_ms = u64::try_from(LASTS.as_millis()).unwrap_or(u64::MAX);
            // Raising one takes milliseconds; who takes longer must not hold up the others.
            let until = deadline.min(Instant::now() + Duration::from_secs(2));
            match entrance.stand(&asked, until).await {
                Ok(beacon) => {
                    let ports: Ports = serde_json::from_value(beacon.ports.clone()).unwrap_or_default();
                    beacons.standing.push(Standing { namespace, ports });
                    beacons._children.push(beacon);
                }
                // Its loopback went with it.
                Err(Reason::Vanished) => {}
                Err(reason) => beacons.missing = Some(reason),
            }
        }
        Ok(beacons)
    }

    /// What the children that ask are told of them.
    pub(super) fn tell(&self, wishes: &Wishes) -> Wishes {
        Wishes { beacons: self.standing.clone(), beacons_missing: self.missing.clone(), ..wishes.clone() }
    }
}

/// Whether its configuration has an endpoint at an address that means the host.
fn means_the_host(look: &Looked) -> bool {
    let network = &look.facts.network;
    let gateways: Vec<&String> = network.gateways.present().into_iter().flatten().collect();
    let names = network.names.present().map(|list| list.items.as_slice()).unwrap_or_default();
    let leads_there = |host: &String| {
        let addresses = names.iter().filter(|name| name.name == *host).filter_map(|name| name.v4.present()).flatten();
        gateways.contains(&host) || addresses.into_iter().any(|address| gateways.contains(&address))
    };
    network.endpoints.present().into_iter().flat_map(|list| &list.items).any(|endpoint| {
        let customary = |host: &String| host.ends_with(".internal");
        endpoint.loopback == Fact::Present(true)
            || endpoint.host.present().is_some_and(|host| customary(host) || leads_there(host))
    })
}

/// The network namespaces that were looked from, each with the first context in it.
fn namespaces(looks: &[Looked]) -> Vec<(usize, ObjectId)> {
    let mut seen = BTreeSet::new();
    let of = |(index, look): (usize, &Looked)| Some((index, look.facts.network.namespace.present()?.clone()));
    let entered = looks.iter().enumerate().filter(|(_, look)| look.refused.is_none());
    entered.filter_map(of).filter(|(_, namespace)| seen.insert(namespace.clone())).collect()
}
