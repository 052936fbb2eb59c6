//! What becomes of the checks on the second round of looking where nobody was asked.
//!
//! A round that the caller left out, or that the version which made the snapshots did not know, is a scope that was chosen, like a check that is not in
//! the catalogue: its checks are not evaluated, and a note says so. A round that was made and failed in one context is unknown there as always.

use std::collections::BTreeSet;

use super::linked::ALONE;
use crate::check::{Catalogue, Check, Choice, Judged};
use crate::snapshot::{Fact, List, Reason, Snapshot};

/// The checks that are not evaluated, and the notes that say so.
pub(super) fn checks(catalogue: &Catalogue, snapshots: &[Snapshot]) -> (BTreeSet<String>, Vec<String>) {
    let facts = || snapshots.iter().map(|snapshot| &snapshot.facts);
    let endpoints = unmade(facts().map(|facts| &facts.reach.endpoints));
    let bundles = unmade(facts().map(|facts| &facts.reach.bundles));
    let linked = unmade(facts().map(|facts| &facts.reach.linked));
    let keys = unmade(facts().map(|facts| &facts.logins.s3));
    let registries = unmade(facts().map(|facts| &facts.logins.registries));
    let served = unmade(facts().map(|facts| &facts.caches.served));
    let attic = unmade(facts().map(|facts| &facts.caches.attic_caches));
    let trusted = unmade(facts().map(|facts| &facts.caches.keys));
    let servers = unmade(facts().map(|facts| &facts.caches.attic));
    let ssh = unmade(facts().map(|facts| &facts.ssh.servers));
    let identities = unmade(facts().map(|facts| &facts.ssh.identities));
    let cachix = unmade(facts().map(|facts| &facts.caches.cachix_caches));
    let clients = unmade(facts().map(|facts| &facts.caches.cachix));
    let signers = unmade(facts().map(|facts| &facts.caches.cachix_signers));
    let seen = unmade(facts().map(|facts| &facts.paths.seen));
    let files = unmade(facts().map(|facts| &facts.paths.files));
    let sockets = unmade(facts().map(|facts| &facts.paths.sockets));
    let binds = unmade(facts().map(|facts| &facts.paths.binds));
    let asked = vec![("reach.endpoints", endpoints), ("reach.bundles", bundles)];
    let signatures = vec![("caches.served", served), ("caches.attic_caches", attic), ("caches.cachix_caches", cachix)];
    let trust = vec![
        ("caches.keys", trusted),
        ("caches.attic", servers),
        ("caches.cachix", clients),
        ("caches.cachix_signers", signers),
    ];
    let rounds = [
        ("endpoint was asked", "what answers there", asked),
        (
            "daemon was asked for its clients' endpoints",
            "what a daemon reaches for them",
            vec![("reach.linked", linked)],
        ),
        (
            "credential was shown to its endpoint",
            "logins",
            vec![("logins.s3", keys), ("logins.registries", registries)],
        ),
        ("binary cache was asked", "signatures", signatures),
        ("SSH server was spoken to", "SSH", vec![("ssh.servers", ssh), ("ssh.identities", identities)]),
        ("trusted key was read", "keys", trust),
        ("path was looked for where others name it", "paths", vec![("paths.seen", seen), ("paths.binds", binds)]),
        ("file or socket was looked at", "named files", vec![("paths.files", files), ("paths.sockets", sockets)]),
    ];
    let (mut left_out, mut notes) = (BTreeSet::new(), Vec::new());
    for (what, about, lists) in rounds {
        let ids: BTreeSet<String> = reading(catalogue, &lists).difference(&left_out).cloned().collect();
        let first = lists.into_iter().next().and_then(|(_, why)| why);
        if let Some(why) = first.filter(|_| !ids.is_empty()) {
            let why = match why {
                Reason::Disabled { by } => format!("left out by {by}"),
                _ => "these snapshots come from a version that did not ask".to_owned(),
            };
            notes.push(format!("no {what} ({why}): {} checks of {about} were not made", ids.len()));
        }
        left_out.extend(ids);
    }
    (left_out, notes)
}

/// Takes out the rows that nothing but a choice of the caller keeps from being compared, and says how many. What was looked at in one context and left
/// out in another is no choice for the whole, and stays unknown; so does what a rule of parallax keeps it from. Only looking from one context alone is
/// that context's own, whatever else was looked from.
pub(super) fn rows(judged: &mut Judged<'_>, snapshots: &[Snapshot], checks: &BTreeSet<String>) -> Vec<String> {
    let facts = || snapshots.iter().map(|snapshot| &snapshot.facts);
    let rounds: [(Option<Reason>, &'static [&'static str]); 3] = [
        (unmade(facts().map(|facts| &facts.reach.endpoints)), &["network.names", "reach", "caches", "logins", "ssh"]),
        (unmade(facts().map(|facts| &facts.logins.s3)), &["caches", "logins"]),
        (Some(Reason::Disabled { by: ALONE.to_owned() }), &["reach.hosts", "reach.linked"]),
    ];
    let choice = |(why, facts): (Option<Reason>, &'static [&'static str])| match why {
        Some(why @ Reason::Disabled { .. }) => Some(Choice { reason: why.to_string(), facts }),
        _ => None,
    };
    let choices: Vec<Choice> = rounds.into_iter().filter_map(choice).collect();
    let counts = judged.leave_out(&choices, checks);
    counts.into_iter().map(|(reason, rows)| format!("{reason}: {} not compared", were(rows))).collect()
}

fn were(rows: usize) -> String {
    if rows == 1 { "1 row was".to_owned() } else { format!("{rows} rows were") }
}

/// The checks that read one of the lists that nobody made.
fn reading(catalogue: &Catalogue, lists: &[(&str, Option<Reason>)]) -> BTreeSet<String> {
    let reads =
        |fact: &str, list: &str| fact.strip_prefix(list).is_some_and(|rest| rest.is_empty() || rest.starts_with('['));
    let unmade = |check: &&Check| {
        let facts = check.facts_read();
        lists.iter().any(|(list, why)| why.is_some() && facts.iter().any(|fact| reads(fact, list)))
    };
    catalogue.checks().filter(unmade).map(|check| check.id().to_owned()).collect()
}

/// Why this was looked at in no context, where that was the caller's choice or the version's. A context that could not be entered says nothing of either.
fn unmade<'a, T: 'a>(facts: impl Iterator<Item = &'a Fact<List<T>>>) -> Option<Reason> {
    let mut chosen = None;
    for fact in facts {
        match fact {
            Fact::Present(_) | Fact::Absent => return None,
            Fact::Unobserved(reason @ (Reason::Disabled { .. } | Reason::NotRecorded)) => {
                chosen = chosen.or(Some(reason.clone()));
            }
            Fact::Unobserved(_) => {}
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::unmade;
    use crate::snapshot::{Fact, List, Reason};

    fn of(states: &[Fact<List<u8>>]) -> Option<Reason> {
        unmade(states.iter())
    }

    #[test]
    fn only_what_was_asked_nowhere_and_by_choice_is_left_out() {
        let offline = || Fact::Unobserved(Reason::Disabled { by: "--offline".into() });
        let late = || Fact::Unobserved(Reason::TimedOut { after_ms: 1, waiting_for: "the probe of reach".into() });
        let asked = || Fact::Present(List::default());
        assert!(of(&[offline(), offline()]).is_some());
        assert!(of(&[offline(), Fact::Unobserved(Reason::Vanished)]).is_some());
        assert!(of(&[Fact::default()]).is_some());
        assert_eq!(of(&[late(), late()]), None, "a round that failed was made");
        assert_eq!(of(&[offline(), asked()]), None);
        assert_eq!(of(&[]), None);
    }
}
