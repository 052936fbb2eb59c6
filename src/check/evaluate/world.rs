//! The snapshots of one evaluation, each as a tree that is built once, under names and ids that are unique.

use std::collections::BTreeMap;

use crate::check::value::Tree;
use crate::snapshot::{ContextKind, Snapshot};

/// All contexts, in an order that does not depend on how they were handed in.
pub struct World {
    pub contexts: Vec<Context>,
}

/// One context.
pub struct Context {
    /// Its id; with the machine, and with a number, where that is not unique.
    pub id: String,
    /// Its name, made unique in the same way.
    pub name: String,
    /// How specific its kind is; 0 is the most specific.
    pub rank: u8,
    /// Whether a configuration says of it what it should be.
    pub is_declared: bool,
    /// Header and facts.
    pub tree: Tree,
}

impl World {
    pub fn new(snapshots: &[Snapshot]) -> Self {
        let mut sources: Vec<(&Snapshot, Tree)> =
            snapshots.iter().map(|snapshot| (snapshot, Tree::of(snapshot))).collect();
        sources.sort_by(|(one, tree), (two, other)| {
            let (of, with) = (&one.context, &two.context);
            let place = of.id.cmp(&with.id).then_with(|| of.host.cmp(&with.host)).then_with(|| of.boot.cmp(&with.boot));
            place.then_with(|| one.taken_ms.cmp(&two.taken_ms)).then_with(|| tree.cmp(other))
        });
        let ids = unique(&sources, |snapshot| &snapshot.context.id);
        let names = unique(&sources, |snapshot| &snapshot.context.name);
        let contexts = sources.into_iter().zip(ids.into_iter().zip(names));
        let contexts = contexts.map(|((snapshot, tree), (id, name))| Context {
            id,
            name,
            rank: rank(snapshot.context.kind),
            is_declared: snapshot.context.kind == ContextKind::Declared,
            tree,
        });
        Self { contexts: contexts.collect() }
    }
}

/// A container says more about where to look than the host does.
fn rank(kind: ContextKind) -> u8 {
    match kind {
        ContextKind::Build => 0,
        ContextKind::Container => 1,
        ContextKind::Service => 2,
        ContextKind::User => 3,
        ContextKind::Host => 4,
        ContextKind::Remote => 5,
        ContextKind::Declared => 6,
    }
}

fn unique(sources: &[(&Snapshot, Tree)], text: impl Fn(&Snapshot) -> &String) -> Vec<String> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for (snapshot, _) in sources {
        *counts.entry(text(snapshot).clone()).or_default() += 1;
    }
    let named = |snapshot: &Snapshot| match counts.get(text(snapshot)) {
        Some(1) | None => text(snapshot).clone(),
        Some(_) => format!("{}@{}", text(snapshot), snapshot.context.host),
    };
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let numbered = sources.iter().map(|(snapshot, _)| {
        let name = named(snapshot);
        let count = seen.entry(name.clone()).or_default();
        *count += 1;
        if *count == 1 { name } else { format!("{name}#{count}") }
    });
    numbered.collect()
}
