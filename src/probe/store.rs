//! The Nix store as this context sees it: where it is, who may write it, which store Nix would choose here and why, who
//! answers at the socket, and which client is on PATH.
//!
//! Reads the root's files and their mounts; opens the database's header only as bytes, never through SQLite, which would create files
//! beside it; says the opening words of the protocol at the daemon's socket. Nix itself is not run.

mod chosen;
pub(crate) mod client;
mod daemon;
mod database;
pub(in crate::probe) mod places;

pub(in crate::probe) use daemon::server;

use crate::formats::store_reference::{self, StoreKind, StoreReference};
use crate::probe::Target;
use crate::snapshot::facts::{Nix, Store};
use crate::snapshot::{Fact, Reason};

/// Looks at the store of this context. `nix` are its settings, of which the `store` setting matters.
pub fn observe(target: &Target<'_>, nix: &Nix) -> Store {
    let setting = chosen::setting(target, nix);
    let paths = match places::Paths::of(target, reference(&setting.value).as_ref()) {
        Ok(paths) => paths,
        Err(reason) => return nowhere(target, &setting, &reason),
    };
    let mounts = places::Mounts::read(target);
    let place = |path: &str| places::look(target, &mounts, path);
    let mut store = Store {
        dir: place(&paths.dir),
        state: place(&paths.state),
        db: place(&format!("{}/db/db.sqlite", paths.state)),
        gcroots: place(&format!("{}/gcroots", paths.state)),
        profiles: place(&format!("{}/profiles", paths.state)),
        socket: place(&paths.socket),
        database: database::observe(target, &mounts, &paths.state),
        client: client::observe(target),
        ..Store::default()
    };
    store.used = used(target, &store.client.path);
    store.chosen = chosen::observe(target, &setting, &store);
    store.daemon = daemon::observe(target, &paths.socket);
    store
}

/// A store of which it is not known where it is.
fn nowhere(target: &Target<'_>, setting: &chosen::StoreSetting, reason: &Reason) -> Store {
    let place = || places::unknown(reason);
    let mut store = Store {
        dir: place(),
        state: place(),
        db: place(),
        gcroots: place(),
        profiles: place(),
        socket: place(),
        database: database::unobserved(reason),
        daemon: daemon::unobserved(reason),
        client: client::observe(target),
        ..Store::default()
    };
    store.used = used(target, &store.client.path);
    store.chosen = chosen::observe(target, setting, &store);
    store
}

fn reference(value: &Fact<String>) -> Option<StoreReference> {
    value.present().and_then(|text| store_reference::parse(text).ok())
}

/// The root that a reference gives a local store, if it gives one.
fn local_root(reference: &StoreReference) -> Option<&str> {
    match &reference.kind {
        StoreKind::Path(path) => Some(path),
        StoreKind::Local | StoreKind::Auto => reference.parameters.get("root").map(String::as_str),
        StoreKind::Uri { scheme, .. } if scheme == "local" => reference.parameters.get("root").map(String::as_str),
        _ => None,
    }
}

/// Whether anything here uses Nix: the daemon itself, a client on PATH, or a `NIX_*` variable.
fn used(target: &Target<'_>, client: &Fact<String>) -> Fact<bool> {
    if target.live && is_daemon(target) {
        return Fact::Present(true);
    }
    let variables = target.environment.as_ref().map(|all| all.names().any(|name| name.starts_with("NIX_")));
    match (client, variables) {
        (Fact::Present(_), _) | (_, Fact::Present(true)) => Fact::Present(true),
        (Fact::Absent, variables) => variables,
        (Fact::Unobserved(reason), _) => Fact::Unobserved(reason.clone()),
    }
}

/// By the name of its process, which survives that newer releases link `nix-daemon` to `nix`.
pub(in crate::probe) fn is_daemon(target: &Target<'_>) -> bool {
    let named = target.process.status.as_ref().is_ok_and(|status| {
        status.split(|byte| *byte == b'\n').any(|line| line.strip_prefix(b"Name:\t") == Some(b"nix-daemon"))
    });
    let executable = target.process.executable.as_deref().unwrap_or("");
    named || executable.trim_end_matches(" (deleted)").ends_with("/nix-daemon")
}

/// Why nothing can be said of what this identity may do, if its identity could not be taken on.
fn incomplete(target: &Target<'_>) -> Option<Reason> {
    let missing = target.incomplete.join(", ");
    (!target.incomplete.is_empty()).then_some(Reason::IdentityIncomplete { missing })
}

#[cfg(test)]
mod tests;
