//! The name servers of the target's `resolv.conf`, and whether those on loopback are there in this very namespace.

use super::listeners::{Sockets, confirm_silence};
use super::sources::Sources;
use crate::snapshot::facts::NameServer;
use crate::snapshot::{Fact, List};

/// One element per `nameserver` line; absent when there is no file.
pub fn observe(sources: &Sources, sockets: &Sockets, joined: &Fact<()>) -> Fact<List<NameServer>> {
    sources.resolv_conf.as_ref().map(|conf| {
        let servers = conf.name_servers.iter().map(|address| {
            // The unspecified address reaches the local host (ip(7)).
            let loopback = address.to_canonical().is_loopback() || address.is_unspecified();
            let listening = if !loopback {
                Fact::Absent
            } else {
                match sockets.serves_names(*address) {
                    Fact::Present(false) => joined.as_ref().and_then(|()| confirm_silence(*address, 53)),
                    known => known,
                }
            };
            NameServer { address: address.to_string(), loopback, listening }
        });
        List::complete(servers.collect())
    })
}
