//! One handshake per daemon socket and identity: each costs the daemon a fork. Contexts that reach the same socket as the same uid and gid in the same user
//! namespace get one answer, asked by the first of them.
//!
//! Looks only at where the socket is, with the parent's own rights; whether a context reaches it is looked at by its own child.

use std::collections::BTreeMap;

use crate::context::{Context, EnvironmentSource};
use crate::probe::environment::Environment;
use crate::snapshot::{Reason, Snapshot};
use crate::sys::Root;
use crate::sys::process::{NamespaceNumber, ProcessDirectory};

/// Whose handshake holds for a context.
pub(super) enum Shared {
    /// Its own.
    Own,
    /// That of the context at this index.
    With { index: usize, name: String },
}

type Key = (u64, u64, u32, u32, Option<NamespaceNumber>);

/// Decides for each context, in order.
pub(super) fn share(contexts: &[Context]) -> Vec<Shared> {
    let mut first: BTreeMap<Key, usize> = BTreeMap::new();
    let mut shared = Vec::new();
    for (index, context) in contexts.iter().enumerate() {
        let with = key(context).and_then(|key| {
            let earlier = *first.entry(key).or_insert(index);
            (earlier != index).then_some(earlier)
        });
        shared.push(match with.and_then(|earlier| contexts.get(earlier).map(|context| (earlier, context))) {
            Some((earlier, context)) => Shared::With { index: earlier, name: context.header.name.clone() },
            None => Shared::Own,
        });
    }
    shared
}

/// Copies what the first one was told to the others, where the others reached the same socket.
pub(super) fn distribute(shared: &[Shared], snapshots: &mut [Snapshot]) {
    for (index, one) in shared.iter().enumerate() {
        let Shared::With { index: earlier, .. } = one else { continue };
        let Some(told) = snapshots.get(*earlier).map(|snapshot| snapshot.facts.store.clone()) else { continue };
        let Some(store) = snapshots.get_mut(index).map(|snapshot| &mut snapshot.facts.store) else { continue };
        let left_out = matches!(store.daemon.answers.reason(), Some(Reason::Disabled { .. }));
        if left_out && store.socket.identity.present().is_some() && store.socket.identity == told.socket.identity {
            store.daemon = told.daemon;
        }
    }
}

/// Socket, identity and user namespace; `None` where the socket can't be found from here, and the child asks for itself.
fn key(context: &Context) -> Option<Key> {
    let (root, environment, user) = match &context.process {
        None => (Root::open("/").ok()?, own_environment(context)?, None),
        Some(process) => {
            let directory = ProcessDirectory::open(process.pid).ok()?;
            let root = Root::from_directory(directory.open_root().ok()?).ok()?;
            let environment = Environment::parse(&directory.text("environ").ok()?);
            (root, environment, process.namespaces.get("user").copied())
        }
    };
    let own = ProcessDirectory::open(std::process::id()).ok()?.namespace("user").ok();
    let seen = root.look(&socket(&environment)).ok()?;
    Some((seen.device, seen.inode, context.take.uid, context.take.gid, user.or(own)))
}

fn own_environment(context: &Context) -> Option<Environment> {
    if context.environment != EnvironmentSource::Own {
        return None;
    }
    let mut text = Vec::new();
    for (name, value) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("NIX_")) {
        text.extend_from_slice(name.as_encoded_bytes());
        text.push(b'=');
        text.extend_from_slice(value.as_encoded_bytes());
        text.push(0);
    }
    Some(Environment::parse(&text))
}

/// Where Nix looks for the socket (`src/libstore/globals.cc`): `NIX_DAEMON_SOCKET_PATH`, else below the state directory.
fn socket(environment: &Environment) -> String {
    let set = |name: &str| environment.get(name).filter(|value| !value.is_empty());
    if let Some(path) = set("NIX_DAEMON_SOCKET_PATH") {
        return path.to_owned();
    }
    format!("{}/daemon-socket/socket", set("NIX_STATE_DIR").unwrap_or("/nix/var/nix"))
}
