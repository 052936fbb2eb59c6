//! One handshake per daemon socket and identity: each costs the daemon a fork.
//!
//! Every context is looked at without it first. Those that reach the same socket with the same ids, groups, capabilities and user namespace, as they
//! themselves saw it, get one answer, asked by the first of them in a second look at the store alone. A context whose identity could not
//! be told asks for itself; one that uses no Nix, or has no socket, asks nothing.

use std::collections::BTreeMap;

use super::exit::Failure;
use crate::context::enter::{Looked, Resume};
use crate::snapshot::facts::Facts;

/// Contexts with one answer, by their indices.
pub(super) struct Group {
    /// Who asks.
    pub(super) asks: usize,
    /// Whose answer it is, the one who asks included.
    members: Vec<usize>,
}

/// Who asks for whom.
pub(super) fn groups(looks: &[Looked]) -> Vec<Group> {
    let mut by_key: BTreeMap<String, Group> = BTreeMap::new();
    for (index, look) in looks.iter().enumerate() {
        let store = &look.facts.store;
        let reachable = store.used.present() == Some(&true) && store.socket.exists.present() == Some(&true);
        if look.refused.is_some() || !reachable {
            continue;
        }
        let key = key(&look.facts).unwrap_or_else(|| format!("alone {index}"));
        by_key.entry(key).or_insert_with(|| Group { asks: index, members: Vec::new() }).members.push(index);
    }
    by_key.into_values().collect()
}

/// Everything that decides what a daemon, and the path to it, answer; `None` where some of it could not be observed.
fn key(facts: &Facts) -> Option<String> {
    let identity = &facts.identity;
    let socket = facts.store.socket.identity.present()?;
    let ids = (identity.host_uid.present()?, identity.host_gid.present()?, identity.groups.present()?);
    let rights = identity.capabilities.effective.present()?.join(" ");
    let user = identity.namespaces.user.present()?;
    let groups: Vec<String> = ids.2.iter().map(ToString::to_string).collect();
    Some(format!("{socket} {} {} {} {rights} {user}", ids.0, ids.1, groups.join(",")))
}

/// What the second look need not look at: every family but the store.
pub(super) fn what_is_known(look: &Looked) -> Result<Resume, Failure> {
    all_but(&["store"], look)
}

/// Everything that a look saw but these families.
pub(super) fn all_but(families_left: &[&str], look: &Looked) -> Result<Resume, Failure> {
    let broken = |error: serde_json::Error| Failure::Broken(error.to_string());
    let mut resume = Resume { endpoints: look.endpoints.clone(), ..Resume::default() };
    let families = serde_json::to_value(&look.facts).map_err(broken)?;
    for (name, facts) in
        families.as_object().into_iter().flatten().filter(|(name, _)| !families_left.contains(&name.as_str()))
    {
        resume.known.insert(name.clone(), facts.clone());
    }
    Ok(resume)
}

/// Gives each member what its group was told.
pub(super) fn distribute(groups: &[Group], answers: Vec<Looked>, looks: &mut [Looked]) {
    for (group, answer) in groups.iter().zip(answers) {
        for member in &group.members {
            if let Some(look) = looks.get_mut(*member) {
                look.facts.store.daemon = answer.facts.store.daemon.clone();
            }
        }
    }
}
