//! Whom a Nix daemon trusts, by what was seen of both: it decides what the daemon is asked on a client's word.

use crate::snapshot::Fact;
use crate::snapshot::facts::Facts;

/// What the daemon is called among known services.
pub(super) const DAEMON: &str = "nix-daemon";

/// Whether it trusts this client (`src/nix/daemon.cc`, authPeer): everybody, his uid, or his primary group.
pub(super) fn trusts(daemon: &Facts, client: &Facts) -> Fact<bool> {
    let trust = &daemon.nix.trust;
    let within =
        |ids: &Fact<Vec<u32>>, id: &Fact<u32>| ids.as_ref().and_then(|ids| id.as_ref().map(|id| ids.contains(id)));
    any([
        trust.everyone.clone(),
        within(&trust.uids, &client.identity.host_uid),
        within(&trust.gids, &client.identity.host_gid),
    ])
}

/// One that holds settles it; one that is not known leaves it open.
pub(super) fn any<const N: usize>(ways: [Fact<bool>; N]) -> Fact<bool> {
    if ways.contains(&Fact::Present(true)) {
        return Fact::Present(true);
    }
    let unknown = ways.iter().find_map(|way| way.reason().cloned());
    unknown.map_or(Fact::Present(false), Fact::Unobserved)
}
