//! The rows of one side of a check: which contexts and elements take part, under which keys, and which of them are one participant.

use std::collections::{BTreeMap, HashMap};

use super::secrets::reads_secrets;
use super::world::World;
use crate::check::expression::{FIRST, FIRST_ELEMENT, Frame, Node, SECOND_ELEMENT, condition};
use crate::check::program::Side;
use crate::check::value::{Tree, Unknown, Value, might_be_same, show};

/// A link's value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    Bool(bool),
    Int(i64),
    Text(String),
}

impl Key {
    fn of(value: &Value<'_>) -> Option<Self> {
        match value {
            Value::Bool(value) => Some(Self::Bool(*value)),
            Value::Int(value) => Some(Self::Int(*value)),
            Value::Text(text) => Some(Self::Text(text.to_string())),
            _ => None,
        }
    }

    /// As the variable `key` is bound.
    pub fn value<'t>(&self) -> Value<'t> {
        match self {
            Self::Bool(value) => Value::Bool(*value),
            Self::Int(value) => Value::Int(*value),
            Self::Text(text) => Value::Text(text.clone().into()),
        }
    }

    /// Whether the two differ, and may be one object all the same.
    pub fn might_be(&self, other: &Self) -> bool {
        matches!((self, other), (Self::Text(one), Self::Text(two)) if might_be_same(one, two))
    }
}

/// One row: an element of a context, or of several that are one participant.
pub struct Row<'t> {
    /// The most specific of the contexts.
    pub context: usize,
    /// All of them, in order.
    pub members: Vec<usize>,
    /// How many rows it was before contexts were folded.
    pub count: u64,
    pub element: Option<Value<'t>>,
    pub keys: Vec<Key>,
}

/// The rows of one side, and the contexts of which something decisive could not be observed.
pub struct Rows<'t> {
    pub rows: Vec<Row<'t>>,
    pub unknown: BTreeMap<usize, Unknown>,
}

/// What two rows must have in common to be one participant.
#[derive(PartialEq, Eq, Hash)]
enum Atom<'t> {
    Leaf(Option<&'t Tree>),
    Length(usize),
    Key(Key),
    Shown(String),
    Own(bool),
}

/// Binds a context and an element for one side.
pub fn bind<'t>(
    world: &'t World,
    side: &Side,
    context: usize,
    element: Option<&Value<'t>>,
    frame: Frame<'t>,
) -> Frame<'t> {
    let Some(of) = world.contexts.get(context) else { return frame };
    let frame = frame.bind(side.place, Value::Record(&of.tree, side.place)).of(side.place, context);
    match element {
        Some(element) => frame.bind(element_place(side), element.clone()),
        None => frame,
    }
}

fn element_place(side: &Side) -> usize {
    if side.place == FIRST { FIRST_ELEMENT } else { SECOND_ELEMENT }
}

impl<'t> Rows<'t> {
    /// Ranges over all contexts.
    pub fn gather(world: &'t World, side: &Side) -> Self {
        let mut gathered = Self { rows: Vec::new(), unknown: BTreeMap::new() };
        let mut folded: HashMap<Vec<Atom<'t>>, usize> = HashMap::new();
        // That two contexts are one participant says that their secrets are equal: the caller stays apart where that is being counted.
        let apart = world.has_own() && reads_secrets(side);
        let takes_part = |context: &usize| {
            side.takes_declared || !world.contexts.get(*context).is_some_and(|context| context.is_declared)
        };
        for context in (0..world.contexts.len()).filter(takes_part) {
            let mut unknown = Unknown::new();
            for (element, keys) in elements(world, side, context, &mut unknown) {
                let mut atoms = atoms(world, side, context, element.as_ref(), &keys);
                atoms.extend(apart.then(|| Atom::Own(world.is_own(context))));
                let row = Row { context, members: vec![context], count: 1, element, keys };
                match folded.get(&atoms).and_then(|at| gathered.rows.get_mut(*at)) {
                    Some(known) => known.join(world, side, row),
                    None => {
                        folded.insert(atoms, gathered.rows.len());
                        gathered.rows.push(row);
                    }
                }
            }
            if !unknown.is_empty() {
                unknown.sort();
                unknown.dedup();
                gathered.unknown.insert(context, unknown);
            }
        }
        gathered
    }
}

impl<'t> Row<'t> {
    fn join(&mut self, world: &World, side: &Side, other: Self) {
        self.count += 1;
        if self.members.last() != Some(&other.context) {
            self.members.push(other.context);
        }
        // What is true of a network namespace is true of the host, not of the service that happens to be in it.
        let of = |rank: u8| if is_of_network(side) { u8::MAX - rank } else { rank };
        // A caller is shown its own values, and they are the same.
        let order =
            |context: usize| world.contexts.get(context).map(|context| (!context.own, of(context.rank), &context.name));
        if order(other.context) < order(self.context) {
            self.context = other.context;
            self.element = other.element;
        }
    }
}

type Element<'t> = (Option<Value<'t>>, Vec<Key>);

/// The elements of one context that take part; what could not be observed goes to `unknown`.
fn elements<'t>(world: &'t World, side: &Side, context: usize, unknown: &mut Unknown) -> Vec<Element<'t>> {
    let mut frame = bind(world, side, context, None, Frame::new());
    let mut open = Unknown::new();
    match all(&mut frame, &side.conditions.0) {
        Ok(false) => return Vec::new(),
        Ok(true) => {}
        Err(causes) => open = causes,
    }
    let candidates = match &side.over {
        None => vec![None],
        Some(over) => match frame.evaluate(&over.list) {
            Err(causes) => {
                unknown.extend(open.into_iter().chain(causes));
                return Vec::new();
            }
            Ok(list) => {
                let Some((items, more)) = list.elements() else { return Vec::new() };
                unknown.extend(more.unwrap_or_default());
                let mut found = Vec::new();
                for item in items {
                    match item {
                        Ok(item) => found.push(Some(item)),
                        Err(causes) => unknown.extend(causes),
                    }
                }
                found
            }
        },
    };
    let mut rows = Vec::new();
    for element in candidates {
        let mut frame = bind(world, side, context, element.as_ref(), Frame::new());
        let mut open = open.clone();
        match all(&mut frame, &side.conditions.1) {
            Ok(false) => continue,
            Ok(true) => {}
            Err(causes) => open.extend(causes),
        }
        if !open.is_empty() {
            unknown.extend(open);
            continue;
        }
        let keys = match &side.link {
            None => Vec::new(),
            Some(link) => {
                let keys = keys(frame.evaluate(link), unknown);
                if keys.is_empty() {
                    continue;
                }
                keys
            }
        };
        rows.push((element, keys));
    }
    rows
}

/// Whether all conditions hold; one that does not decides.
fn all(frame: &mut Frame<'_>, conditions: &[Node]) -> Result<bool, Unknown> {
    let mut unknown = Unknown::new();
    for node in conditions {
        match condition(frame.value_of(node)) {
            Ok(true) => {}
            Ok(false) => return Ok(false),
            Err(causes) => unknown.extend(causes),
        }
    }
    if unknown.is_empty() { Ok(true) } else { Err(unknown) }
}

fn keys(link: Result<Value<'_>, Unknown>, unknown: &mut Unknown) -> Vec<Key> {
    let link = match link {
        Ok(link) => link,
        Err(causes) => {
            unknown.extend(causes);
            return Vec::new();
        }
    };
    let Some((items, more)) = link.elements() else { return Key::of(&link).into_iter().collect() };
    unknown.extend(more.unwrap_or_default());
    let mut keys = Vec::new();
    for item in items {
        match item {
            Ok(item) => keys.extend(Key::of(&item)),
            Err(causes) => unknown.extend(causes),
        }
    }
    keys.sort();
    keys.dedup();
    keys
}

/// Namespaces, boot, machine, and every fact that decides.
fn atoms<'t>(
    world: &'t World,
    side: &Side,
    context: usize,
    element: Option<&Value<'t>>,
    keys: &[Key],
) -> Vec<Atom<'t>> {
    let mut atoms: Vec<Atom<'t>> = keys.iter().cloned().map(Atom::Key).collect();
    let Some(context) = world.contexts.get(context) else { return atoms };
    let tree = &context.tree;
    for path in ["boot", "host"].into_iter().chain(side.fold.iter().map(String::as_str)) {
        project(tree, path, &mut atoms);
    }
    for path in namespaces(side) {
        // As far as they were observed: why one was not does not tell two contexts apart.
        let found = at(tree, path).filter(|found| !matches!(found, Tree::Hole(_)));
        atoms.push(Atom::Leaf(found));
    }
    match (element, &side.over) {
        (Some(Value::Record(tree, _)), Some(over)) if !over.path.is_empty() => {
            side.fold_element.iter().for_each(|path| project(tree, path, &mut atoms));
        }
        (Some(element), _) => atoms.push(Atom::Shown(canonical(element))),
        (None, _) => {}
    }
    atoms
}

/// The namespaces in which equal values are the same observation: what the network family says is true of a network namespace, whatever the
/// mounts are (a daemon that remounts its store has a mount namespace of its own); so is what an endpoint says there of one and the same key from
/// one and the same file. Everything else may depend on all of them.
fn namespaces(side: &Side) -> &'static [&'static str] {
    const NETWORK: &[&str] = &["identity.namespaces.net"];
    const ALL: &[&str] =
        &["identity.namespaces.mnt", "identity.namespaces.net", "identity.namespaces.user", "identity.namespaces.pid"];
    if is_of_network(side) || reads_only(side, &["network.", "logins."]) { NETWORK } else { ALL }
}

/// Whether everything that this side reads is of the network family.
fn is_of_network(side: &Side) -> bool {
    reads_only(side, &["network."])
}

fn reads_only(side: &Side, families: &[&str]) -> bool {
    let over = side.over.as_ref().map(|over| over.path.as_str()).filter(|path| !path.is_empty());
    let mut reads = side.fold.iter().map(String::as_str).chain(over).peekable();
    reads.peek().is_some() && reads.all(|path| families.iter().any(|family| path.starts_with(family)))
}

/// The place of a path without lists.
pub fn at<'t>(tree: &'t Tree, path: &str) -> Option<&'t Tree> {
    path.split('.').filter(|step| !step.is_empty()).try_fold(tree, |tree, step| tree.field(step))
}

/// Every value at a path, list by list.
fn project<'t>(tree: &'t Tree, path: &str, atoms: &mut Vec<Atom<'t>>) {
    let Some((list, rest)) = path.split_once("[]") else {
        atoms.push(Atom::Leaf(at(tree, path)));
        return;
    };
    match at(tree, list) {
        Some(Tree::List(items, None)) => {
            atoms.push(Atom::Length(items.len()));
            for item in items {
                match item {
                    // The element itself is read for its presence alone; its fields are read by paths of their own.
                    Tree::Record(_) if rest.is_empty() => {}
                    item => project(item, rest.trim_start_matches('.'), atoms),
                }
            }
        }
        other => atoms.push(Atom::Leaf(other)),
    }
}

/// A text that is equal exactly for equal values.
pub fn canonical(value: &Value<'_>) -> String {
    match value {
        Value::Text(text) => serde_json::Value::from(&**text).to_string(),
        Value::Seen(..) | Value::Made(..) => {
            let (items, more) = value.elements().unwrap_or_default();
            let items: Vec<_> = items.iter().map(|item| item.as_ref().map_or_else(|_| show(item), canonical)).collect();
            format!("[{}]{}", items.join(","), if more.is_some() { "+" } else { "" })
        }
        Value::Record(tree, _) => crate::check::value::whole(tree),
        other => other.shown(),
    }
}
