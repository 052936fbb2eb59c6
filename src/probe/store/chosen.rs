//! Which store Nix would choose here, by Nix's own rule (`src/libstore/store-api.cc`, `openFromNonUri`).
//!
//! `auto` is the local store wherever the *real* ids may read and write the state directory, and that is asked before the socket: root
//! in a container gets a local store of its own although the daemon's socket is mounted.

use crate::formats::store_reference::{self, StoreKind, StoreReference, without_secrets};
use crate::probe::Target;
use crate::probe::store::client;
use crate::snapshot::facts::{Chosen, Nix, Store};
use crate::snapshot::{Fact, Reason};

/// The `store` setting and where it stands.
pub(super) struct StoreSetting {
    pub(super) value: Fact<String>,
    pub(super) origin: Fact<String>,
}

/// A line of a configuration file, else `NIX_REMOTE`, else `auto`.
pub(super) fn setting(target: &Target<'_>, nix: &Nix) -> StoreSetting {
    let unobserved = |reason: &Reason| StoreSetting {
        value: Fact::Unobserved(reason.clone()),
        origin: Fact::Unobserved(reason.clone()),
    };
    let settings = match &nix.settings {
        Fact::Present(settings) => settings,
        Fact::Unobserved(reason) => return unobserved(reason),
        Fact::Absent => return unobserved(&Reason::NotRecorded),
    };
    if let Some(reason) = &settings.more {
        return unobserved(reason);
    }
    if let Some(setting) = settings.items.iter().find(|setting| setting.name == "store") {
        let origin = setting.origins.last().cloned().into();
        return StoreSetting { value: setting.value.clone(), origin };
    }
    match target.variable("NIX_REMOTE") {
        Fact::Present(value) => StoreSetting {
            value: Fact::Present(without_secrets(value)),
            origin: Fact::Present("NIX_REMOTE".to_owned()),
        },
        Fact::Absent => {
            StoreSetting { value: Fact::Present("auto".to_owned()), origin: Fact::Present("default".to_owned()) }
        }
        Fact::Unobserved(reason) => unobserved(&reason),
    }
}

struct Choice {
    kind: Fact<String>,
    url: Fact<String>,
    because: String,
}

/// Applies the rule.
pub(super) fn observe(target: &Target<'_>, setting: &StoreSetting, store: &Store) -> Chosen {
    let choice = setting.value.as_ref().and_then(|text| match store_reference::parse(text) {
        Ok(reference) => choose(target, &reference, text, store),
        Err(error) => Fact::Unobserved(Reason::Malformed {
            path: setting.origin.present().cloned().unwrap_or_else(|| "the store setting".to_owned()),
            line: None,
            detail: error.to_string(),
        }),
    });
    Chosen {
        kind: choice.as_ref().and_then(|choice| choice.kind.clone()),
        url: choice.as_ref().and_then(|choice| choice.url.clone()),
        setting: setting.value.clone(),
        origin: setting.origin.clone(),
        because: choice.map(|choice| choice.because),
    }
}

fn choose(target: &Target<'_>, reference: &StoreReference, text: &str, store: &Store) -> Fact<Choice> {
    match &reference.kind {
        StoreKind::Auto => automatic(target, reference, store),
        StoreKind::Daemon => named("daemon", "daemon", "the setting names the daemon"),
        StoreKind::Local => named("local", "local", "the setting names the local store"),
        StoreKind::Path(_) => named("local", "local", "the setting is the root directory of a local store"),
        StoreKind::Uri { scheme, .. } => match scheme.as_str() {
            "unix" => named("daemon", text, "the setting names a socket"),
            "local" => named("local", "local", "the setting names the local store"),
            scheme => named(scheme, text, "the setting names another store"),
        },
    }
}

fn named(kind: &str, url: &str, because: &str) -> Fact<Choice> {
    let (kind, url) = (Fact::Present(kind.to_owned()), Fact::Present(url.to_owned()));
    Fact::Present(Choice { kind, url, because: because.to_owned() })
}

fn automatic(target: &Target<'_>, reference: &StoreReference, store: &Store) -> Fact<Choice> {
    let state = store.state.path.present().map_or("the state directory", String::as_str);
    let socket = store.socket.path.present().map_or("the socket", String::as_str);
    match &store.state.real_read_write {
        Fact::Present(true) => {
            return named("local", "local", &format!("{state} can be read and written, which Nix asks first"));
        }
        Fact::Present(false) | Fact::Absent => {}
        Fact::Unobserved(reason) => return Fact::Unobserved(reason.clone()),
    }
    match &store.socket.exists {
        Fact::Present(true) => {
            return named("daemon", "daemon", &format!("{state} is not writable and {socket} exists"));
        }
        // Nix takes a socket that it may not look at for an error, not for a missing one: so it is for users whom the directory does not let in.
        Fact::Unobserved(Reason::Unreadable { errno, .. }) if errno == "EACCES" && target.incomplete.is_empty() => {
            let because = format!("{socket} may not be looked at (EACCES), and Nix stops there");
            return Fact::Present(Choice { kind: Fact::Absent, url: Fact::Absent, because });
        }
        Fact::Unobserved(reason) => return Fact::Unobserved(reason.clone()),
        Fact::Present(false) | Fact::Absent => {}
    }
    if !could_be_chroot(target, reference, store) {
        return named(
            "local",
            "local",
            &format!("{state} is not writable and {socket} does not exist; Nix tries anyway"),
        );
    }
    match client::release(target) {
        Some(release) if release < (2, 10) => {
            named("local", "local", &format!("neither {state} nor {socket} exists; Nix tries anyway"))
        }
        Some(_) => Fact::Present(Choice {
            kind: Fact::Present("chroot".to_owned()),
            url: Fact::Unobserved(Reason::NotEmulated { what: "how this release names its chroot store".to_owned() }),
            because: format!("neither {state} nor {socket} exists and this is not root"),
        }),
        None => Fact::Unobserved(Reason::NotEmulated { what: "the store of an unknown release of Nix".to_owned() }),
    }
}

/// Since 2.10, on Linux: a store below the home directory, for users other than root where nothing else is there or asked for.
fn could_be_chroot(target: &Target<'_>, reference: &StoreReference, store: &Store) -> bool {
    let set = |name| target.variable(name).present().is_some();
    store.state.exists == Fact::Present(false)
        && reference.parameters.is_empty()
        && !rustix::process::getuid().is_root()
        && !set("NIX_STORE_DIR")
        && !set("NIX_STATE_DIR")
}
