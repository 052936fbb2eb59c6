//! The snapshots of one evaluation, each as a tree that is built once, under names and ids that are unique.

use std::collections::BTreeMap;

use crate::check::disclosure::Disclosure;
use crate::check::value::Tree;
use crate::snapshot::{ContextKind, Snapshot};

/// All contexts, in an order that does not depend on how they were handed in.
pub struct World<'d> {
    pub contexts: Vec<Context>,
    /// Whom to tell what, while that is being written; nobody while outcomes are computed.
    pub telling: Option<&'d Disclosure>,
}

/// One context.
pub struct Context {
    /// Its id; with the machine, and with a number, where that is not unique.
    pub id: String,
    /// Its name, made unique in the same way.
    pub name: String,
    /// How specific its kind is; 0 is the most specific.
    pub rank: u8,
    /// Id and name before the caller, where there is one.
    pub called: (String, String),
    /// Whether it is the caller's.
    pub own: bool,
    /// Whether a configuration says of it what it should be.
    pub is_declared: bool,
    /// Header and facts.
    pub tree: Tree,
}

impl<'d> World<'d> {
    /// Nothing is withheld until [`World::tell`].
    pub fn new(snapshots: &[Snapshot], disclosure: Option<&Disclosure>) -> Self {
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
            called: disclosure.map_or_else(Default::default, |to| called(to, snapshot, &id, &name)),
            own: disclosure.is_some_and(|to| to.is_own(&snapshot.context.id)),
            id,
            name,
            rank: rank(snapshot.context.kind),
            is_declared: snapshot.context.kind == ContextKind::Declared,
            tree,
        });
        Self { contexts: contexts.collect(), telling: None }
    }

    /// From here on words are for this caller.
    pub fn tell(&mut self, to: &'d Disclosure) {
        self.telling = Some(to);
    }

    /// Whether a context is the caller's.
    pub fn is_own(&self, context: usize) -> bool {
        self.contexts.get(context).is_some_and(|context| context.own)
    }

    /// Whether there is a caller.
    pub fn has_own(&self) -> bool {
        self.contexts.iter().any(|context| context.own)
    }

    /// Whether why something of a context was not observed is shown.
    pub fn tells_reasons(&self, context: usize) -> bool {
        self.telling.is_none_or(|to| to.is_open()) || self.is_own(context)
    }

    /// The id as it is shown.
    pub fn id(&self, context: usize) -> &str {
        let of = self.contexts.get(context);
        of.map_or("", |of| if self.telling.is_some() { &of.called.0 } else { &of.id })
    }

    /// The name as it is shown.
    pub fn name(&self, context: usize) -> &str {
        let of = self.contexts.get(context);
        of.map_or("", |of| if self.telling.is_some() { &of.called.1 } else { &of.name })
    }
}

/// Id and name before a caller, with what was added to make them unique.
fn called(to: &Disclosure, snapshot: &Snapshot, id: &str, name: &str) -> (String, String) {
    let header = &snapshot.context;
    let (as_id, as_name) = to.called(header);
    let added = |whole: &str, part: &str| whole.strip_prefix(part).unwrap_or_default().to_owned();
    (as_id + &added(id, &header.id), as_name + &added(name, &header.name))
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
