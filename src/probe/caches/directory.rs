//! A cache that is a directory, `file://`: its files are read beneath the target's root, as this context.

use super::paths::Candidates;
use super::standing::Keys;
use crate::formats::{narinfo, nix_cache_info};
use crate::probe::{Target, fact};
use crate::snapshot::facts::ServedCache;
use crate::snapshot::{Fact, List, Reason};

/// A narinfo has a kilobyte, and a path of thousands of references some hundred.
pub const CAP: usize = 1 << 20;
/// The most served paths that are kept.
pub const MOST_SERVED: usize = 4;

/// Looks at the directory.
pub fn observe(target: &Target<'_>, path: &str, candidates: &Candidates, keys: &Keys, cache: &mut ServedCache) {
    (cache.status, cache.login, cache.login_status) = (Fact::Absent, Fact::Absent, Fact::Absent);
    let text = fact(target.root.read(&format!("{path}/nix-cache-info"), CAP));
    let info = match text {
        Fact::Present(text) => nix_cache_info::parse(&text),
        Fact::Absent => None,
        Fact::Unobserved(reason) => return unseen(cache, &reason),
    };
    cache.answers = match fact(target.root.look(path)) {
        Fact::Present(_) => Fact::Present(true),
        Fact::Absent => Fact::Present(false),
        Fact::Unobserved(reason) => return unseen(cache, &reason),
    };
    let Some(info) = info else {
        (cache.store_dir, cache.priority, cache.mass_query) = (Fact::Absent, Fact::Absent, Fact::Absent);
        (cache.kind, cache.admitted, cache.paths) = (Fact::Absent, Fact::Absent, Fact::Absent);
        return;
    };
    cache.kind = Fact::Present("nix-cache".to_owned());
    cache.admitted = Fact::Present(true);
    cache.store_dir = info.store.into();
    cache.priority = info.priority.into();
    cache.mass_query = info.want_mass_query.into();
    let mut list = List::complete(Vec::new());
    for candidate in &candidates.paths {
        let place = format!("{path}/{}.narinfo", candidate.hash_part());
        match fact(target.root.read(&place, CAP)) {
            Fact::Present(text) => match narinfo::parse(&text) {
                Ok(info) => list.items.push(keys.judge(&info)),
                Err(error) => list.more = Some(malformed(place, &error)),
            },
            Fact::Absent => {}
            Fact::Unobserved(reason) => list.more = Some(reason),
        }
        if list.items.len() == MOST_SERVED {
            break;
        }
    }
    cache.paths = found(list);
}

/// Why a narinfo could not be read.
pub fn malformed(path: String, error: &narinfo::NarInfoError) -> Reason {
    Reason::Malformed { path, line: error.line(), detail: error.to_string() }
}

/// Nothing found is absent; nothing found where looking failed is unobserved.
pub fn found(list: List<crate::snapshot::facts::ServedPath>) -> Fact<List<crate::snapshot::facts::ServedPath>> {
    match (list.items.is_empty(), &list.more) {
        (true, Some(reason)) => Fact::Unobserved(reason.clone()),
        (true, None) => Fact::Absent,
        (false, _) => Fact::Present(list),
    }
}

/// Nothing is known but its name.
pub fn unseen(cache: &mut ServedCache, reason: &Reason) {
    cache.answers = Fact::Unobserved(reason.clone());
    cache.kind = Fact::Unobserved(reason.clone());
    cache.admitted = Fact::Unobserved(reason.clone());
    cache.store_dir = Fact::Unobserved(reason.clone());
    cache.priority = Fact::Unobserved(reason.clone());
    cache.mass_query = Fact::Unobserved(reason.clone());
    cache.paths = Fact::Unobserved(reason.clone());
}
