//! Which paths a cache is asked for: few, always the same ones, and such as are certainly there in this context.
//!
//! First those that `parallax.toml` names, which somebody knows to have been pushed; then what the profiles lead to; then some of the store directory,
//! spread over its sorted names.

use crate::formats::store_path::StorePath;
use crate::probe::Target;
use crate::snapshot::Fact;
use crate::snapshot::facts::Facts;

/// The most paths that one cache is asked for.
const MOST: usize = 12;
/// The most names of a store directory that are looked at.
const NAMES: usize = 200_000;
/// The store directory that Nix has when nothing else is said.
const DEFAULT_STORE: &str = "/nix/store";
/// The state directory.
const DEFAULT_STATE: &str = "/nix/var/nix";

/// The paths to ask for, in order.
#[derive(Debug, Clone)]
pub struct Candidates {
    pub paths: Vec<StorePath>,
}

impl Candidates {
    pub fn count(&self) -> usize {
        self.paths.len()
    }
}

/// Chooses them.
pub fn candidates(target: &Target<'_>, _facts: &Facts) -> Candidates {
    let place = |name: &str, default: &str| match target.variable(name) {
        Fact::Present(path) if path.starts_with('/') => path.trim_end_matches('/').to_owned(),
        _ => default.to_owned(),
    };
    let store = place("NIX_STORE_DIR", DEFAULT_STORE);
    let state = place("NIX_STATE_DIR", DEFAULT_STATE);
    let named = target.wishes.cache_paths.iter().filter_map(|path| Some(StorePath::with_directory(path)?.1));
    let mut paths: Vec<StorePath> = named.take(MOST).collect();
    let profiles =
        ["/run/current-system".to_owned(), format!("{state}/profiles/system"), format!("{state}/profiles/default")];
    for profile in profiles {
        add(&mut paths, led_to(target, &profile, &store));
    }
    for path in spread(&names(target, &store), MOST.saturating_sub(paths.len())) {
        add(&mut paths, Some(path));
    }
    Candidates { paths }
}

fn add(paths: &mut Vec<StorePath>, path: Option<StorePath>) {
    if let Some(path) = path.filter(|path| paths.len() < MOST && !paths.contains(path)) {
        paths.push(path);
    }
}

/// The store path that a profile leads to.
fn led_to(target: &Target<'_>, profile: &str, store: &str) -> Option<StorePath> {
    let path = target.root.resolve(profile).ok()?;
    let beneath = path.strip_prefix(store)?.strip_prefix('/')?;
    StorePath::parse(beneath.split('/').next()?)
}

/// What lies in the store, without what is being built and without derivations, which caches seldom have.
fn names(target: &Target<'_>, store: &str) -> Vec<StorePath> {
    // A store that can't be listed leaves fewer paths to ask for, and nothing else.
    let names = target.root.list(store, NAMES).map(|(names, _)| names).unwrap_or_default();
    let is_output = |name: &&String| !name.ends_with(".drv") && !name.ends_with(".lock") && !name.ends_with(".chroot");
    let mut paths: Vec<StorePath> = names.iter().filter(is_output).filter_map(|name| StorePath::parse(name)).collect();
    paths.sort();
    paths
}

/// So many of them, evenly spread, the first one included.
fn spread(all: &[StorePath], most: usize) -> Vec<StorePath> {
    if all.len() <= most {
        return all.to_vec();
    }
    (0..most).filter_map(|index| all.get(index * all.len() / most).cloned()).collect()
}

#[cfg(test)]
mod tests {
    use super::{StorePath, spread};

    #[test]
    fn the_choice_is_spread_over_the_store_and_has_each_path_once() {
        let all: Vec<StorePath> =
            (0..100).filter_map(|index| StorePath::parse(&format!("{index:0>32}-demo"))).collect();
        let chosen = spread(&all, 12);
        assert_eq!(chosen.len(), 12);
        assert_eq!(chosen[0], all[0]);
        assert!(chosen.windows(2).all(|pair| pair[0] < pair[1]), "sorted, each once");
        assert_eq!(spread(&all[..3], 12), all[..3]);
        assert!(spread(&[], 12).is_empty());
    }
}
