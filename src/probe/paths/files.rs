//! The files that Nix settings name. A trusted client sends the paths of its user's configuration to the daemon, which opens them in its own root
//! (`src/libstore/daemon.cc`, ClientSettings::apply); elsewhere the client opens them itself.

use crate::probe::Target;
use crate::probe::store::places::{Mounts, look};
use crate::snapshot::facts::{NamedFile, Nix, Place};
use crate::snapshot::{Fact, List, Reason};
use crate::sys::{Access, LookError};

/// The settings whose value is a path, or a list of them.
const SETTINGS: [&str; 7] =
    ["netrc-file", "ssl-cert-file", "secret-key-files", "pre-build-hook", "post-build-hook", "diff-hook", "build-hook"];

/// The most that are looked at.
const MOST: usize = 64;

/// One element per path that some file or `NIX_CONFIG` sets.
pub(super) fn observe(target: &Target<'_>, mounts: &Mounts, nix: &Nix) -> Fact<List<NamedFile>> {
    nix.settings.as_ref().map(|settings| {
        let mut more = settings.more.clone();
        let mut items = Vec::new();
        for setting in settings.items.iter().filter(|setting| SETTINGS.contains(&setting.name.as_str())) {
            match &setting.value {
                Fact::Present(value) => items.extend(
                    value.split_ascii_whitespace().take(MOST + 1).filter(|path| super::is_path(path)).map(|path| {
                        let origin = setting.origins.last().cloned().unwrap_or_default();
                        let place = look(target, mounts, path);
                        NamedFile {
                            setting: setting.name.clone(),
                            path: path.to_owned(),
                            origin,
                            level: setting.level.clone(),
                            readable: readable(target, path, &place),
                            exists: place.exists,
                            identity: place.identity,
                        }
                    }),
                ),
                Fact::Absent => {}
                Fact::Unobserved(reason) => more = more.or_else(|| Some(reason.clone())),
            }
        }
        if items.len() > MOST {
            items.truncate(MOST);
            more =
                more.or_else(|| Some(Reason::Truncated { at: MOST as u64, what: "the files of settings".to_owned() }));
        }
        List { items, more }
    })
}

/// Whether this identity can read what is at a place; absent where nothing is.
pub(super) fn readable(target: &Target<'_>, path: &str, place: &Place) -> Fact<bool> {
    if let Some(reason) = super::incomplete(target) {
        return Fact::Unobserved(reason);
    }
    match target.root.effective_access(path, Access::Read) {
        // A directory on the way that it may not pass.
        Err(LookError::Refused { errno, .. }) if errno == "EACCES" => Fact::Present(false),
        Err(LookError::NotFound { .. }) => place.exists.as_ref().and_then(|_| Fact::Absent),
        answer => crate::probe::fact(answer),
    }
}
