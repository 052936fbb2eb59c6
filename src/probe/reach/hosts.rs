//! Whose loopback answers at the addresses by which the endpoints of this context mean the host.
//!
//! Only addresses of this machine are called: loopback ones, the gateways of the default routes, and what the customary names of the host lead to. The ports are
//! those of parallax' own beacons and no others, so that nobody's service hears of it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::TOTAL_LIMIT;
use super::plan::Question;
use crate::probe::beacon::{self, Standing};
use crate::probe::{Target, Wishes};
use crate::snapshot::facts::{Facts, HostAddress};
use crate::snapshot::secret::RunKey;
use crate::snapshot::{Fact, List, Reason};

/// Names that engines give the host (Docker, Podman, Lima).
const NAMES: [&str; 4] =
    ["host.docker.internal", "gateway.docker.internal", "host.containers.internal", "host.lima.internal"];
/// The most addresses that are called.
const MOST: usize = 16;

/// Which of the questions' addresses mean the host, by address, with the URLs of their endpoints.
pub fn meant(questions: &[Question], facts: &Facts) -> BTreeMap<IpAddr, BTreeSet<String>> {
    let gateways: Vec<IpAddr> =
        facts.network.gateways.present().into_iter().flatten().filter_map(|text| text.parse().ok()).collect();
    let mut meant: BTreeMap<IpAddr, BTreeSet<String>> = BTreeMap::new();
    for question in questions {
        let by_name = NAMES.contains(&question.host.as_str());
        for address in question.addresses.iter().map(IpAddr::to_canonical) {
            if address.is_loopback() || gateways.contains(&address) || by_name && is_private(address) {
                meant.entry(address).or_default().insert(question.url.clone());
            }
        }
    }
    meant
}

/// Addresses that no public machine has (RFC 1918, RFC 6598, RFC 4193): a name is no licence to call anybody.
fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_private() || v4.octets()[0] == 100 && v4.octets()[1] & 0xc0 == 64,
        IpAddr::V6(v6) => v6.is_unique_local(),
    }
}

/// Calls the beacons at these addresses.
pub fn observe(target: &Target<'_>, questions: &[Question], facts: &Facts) -> Fact<List<HostAddress>> {
    let mut meant: Vec<(IpAddr, BTreeSet<String>)> = meant(questions, facts).into_iter().collect();
    let more = (meant.len() > MOST)
        .then(|| Reason::Truncated { at: MOST as u64, what: "the addresses of the host".into() })
        .or_else(|| facts.network.gateways.reason().cloned());
    meant.truncate(MOST);
    let found = match (target.key, target.wishes) {
        (Some(key), Wishes { beacons, .. }) if !beacons.is_empty() => called(&meant, beacons, key),
        _ => Err(Reason::Disabled { by: "a run without beacons".into() }),
    };
    let items = meant.into_iter().map(|(address, urls)| HostAddress {
        address: address.to_string(),
        urls: urls.into_iter().collect(),
        reaches: match &found {
            Ok(found) => match (found.get(&address), &target.wishes.beacons_missing) {
                (Some(beacon), _) => Fact::Present(beacon.namespace.clone()),
                // It may lead to one where none stands.
                (None, Some(reason)) => Fact::Unobserved(reason.clone()),
                (None, None) => Fact::Absent,
            },
            Err(reason) => Fact::Unobserved(reason.clone()),
        },
    });
    Fact::Present(List { items: items.collect(), more })
}

/// The beacon that each address reaches. Two that answer under one address can't be: each has a port of its own, and the ports are tried one by one.
fn called(
    meant: &[(IpAddr, BTreeSet<String>)],
    beacons: &[Standing],
    key: &RunKey,
) -> Result<BTreeMap<IpAddr, Standing>, Reason> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
    let unreadable = |error: std::io::Error| Reason::Unreadable {
        path: "the own event loop".into(),
        errno: error.kind().to_string(),
    };
    let runtime = runtime.map_err(unreadable)?;
    let key = std::sync::Arc::new(RunKey::new(key.expose().to_vec()));
    runtime.block_on(async {
        let mut calls = JoinSet::new();
        for (address, _) in meant {
            for beacon in beacons {
                let (address, beacon, key) = (*address, beacon.clone(), std::sync::Arc::clone(&key));
                calls.spawn(async move { (address, beacon::reaches(address, &beacon, &key).await, beacon) });
            }
        }
        let (mut found, mut silent) = (BTreeMap::new(), Vec::new());
        let late = || {
            let after_ms = u64::try_from((TOTAL_LIMIT / 4).as_millis()).unwrap_or(u64::MAX);
            Reason::TimedOut { after_ms, waiting_for: "the beacons".into() }
        };
        let deadline = Instant::now() + TOTAL_LIMIT / 4;
        loop {
            match tokio::time::timeout_at(deadline, calls.join_next()).await {
                Ok(Some(Ok((address, Some(true), beacon)))) => {
                    found.insert(address, beacon);
                }
                Ok(Some(Ok((_, Some(false), _)))) => {}
                // A call that was lost on our side says nothing of where it led.
                Ok(Some(Err(_))) => return Err(late()),
                Ok(Some(Ok((address, None, _)))) => silent.push(address),
                Ok(None) if silent.iter().all(|address| found.contains_key(address)) => return Ok(found),
                Ok(None) => return Err(late()),
                Err(_) => return Err(late()),
            }
        }
    })
}
