//! What a Nix daemon was told of roots: the indirect ones, which are links in `gcroots/auto` to paths of whoever asked (`src/libstore/gc.cc`,
//! addIndirectRoot). A collector follows them in its own root, and removes those that lead nowhere (findRoots).

use crate::probe::store::is_daemon;
use crate::probe::{Target, fact, reason};
use crate::snapshot::facts::Store;
use crate::snapshot::{Fact, List, Reason};
use crate::sys::{Kind, LookError};

/// The most that are read: a host that builds much and collects seldom has thousands, most of them stale.
const MOST: usize = 20_000;
/// The most bytes of them together: whoever may use a daemon may register any path.
const BYTES: usize = 2 << 20;
/// The longest target that is kept; one into a store is far shorter.
const LONGEST: usize = 512;

/// The paths, sorted, each once; absent in whatever is no daemon.
pub(super) fn observe(target: &Target<'_>, store: &Store) -> Fact<List<String>> {
    if !target.live || !is_daemon(target) {
        return Fact::Absent;
    }
    store.gcroots.path.as_ref().and_then(|gcroots| {
        let directory = format!("{gcroots}/auto");
        match fact(target.root.list(&directory, MOST)) {
            Fact::Present((names, is_cut)) => Fact::Present(targets(target, &directory, &names, is_cut)),
            // Nobody has registered any yet.
            Fact::Absent => Fact::Present(List::default()),
            Fact::Unobserved(reason) => Fact::Unobserved(reason),
        }
    })
}

fn targets(target: &Target<'_>, directory: &str, names: &[String], is_cut: bool) -> List<String> {
    let mut more = is_cut.then(|| Reason::Truncated { at: MOST as u64, what: directory.to_owned() });
    let mut paths = Vec::new();
    for name in names {
        match fact(target.root.link_target(&format!("{directory}/{name}"))) {
            Fact::Present(path) if path.starts_with('/') => paths.push(path),
            // Nix writes absolute ones; and a link that went away in between is none.
            Fact::Present(_) | Fact::Absent => {}
            Fact::Unobserved(Reason::Unreadable { errno, .. }) if errno == "EINVAL" => {}
            Fact::Unobserved(reason) => more = more.or(Some(reason)),
        }
    }
    paths.sort();
    paths.dedup();
    let mut left = BYTES;
    let fits = |path: &String| {
        left = left.saturating_sub(path.len());
        left > 0
    };
    let count = paths.len();
    let kept: Vec<String> = paths.into_iter().take_while(fits).collect();
    if kept.len() < count {
        more = more.or_else(|| Some(Reason::Truncated { at: kept.len() as u64, what: directory.to_owned() }));
    }
    List { items: kept, more }
}

/// Where the link of a root points, as written; absent where there is none, or something that is no link.
pub(super) fn target_of(target: &Target<'_>, path: &str) -> Fact<String> {
    match target.root.look_at_link(path) {
        Ok(seen) if seen.kind == Kind::Symlink => match fact(target.root.link_target(path)) {
            Fact::Present(link) if link.len() > LONGEST => {
                Fact::Unobserved(Reason::Truncated { at: LONGEST as u64, what: format!("the link {path}") })
            }
            link => link,
        },
        Ok(_) => Fact::Absent,
        Err(LookError::NotFound { .. }) => Fact::Absent,
        Err(error) => Fact::Unobserved(reason(error)),
    }
}
