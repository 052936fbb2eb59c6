//! The facts of one snapshot as a tree that expressions are evaluated over, built once per snapshot, and the values that an
//! expression can have. What could not be observed stays in its place, as a [`Hole`] that knows its path and reason.

mod serialize;

use std::borrow::Cow;
use std::rc::Rc;

use serde::Serialize as _;
use serde_json::Value as Json;

use crate::snapshot::{Reason, Snapshot, WEAK};
use serialize::Builder;

/// Prefix of all other identities.
const STRONG: &str = "object:";
/// Longest text that a finding shows of one value, in characters.
const SHOWN: usize = 160;
/// How many elements of a list a finding shows.
const SHOWN_ELEMENTS: usize = 8;

/// A fact that could not be observed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hole {
    /// The fact's path, such as `network.endpoints[3].listening`.
    pub path: String,
    /// The reason in words.
    pub reason: Cow<'static, str>,
}

/// Facts, absences and holes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tree {
    /// Looked for, and not there.
    Absent,
    /// A truth value.
    Bool(bool),
    /// A number.
    Int(i64),
    /// A text.
    Text(Box<str>),
    /// A list, and why there may be more of it.
    List(Vec<Tree>, Option<Box<Hole>>),
    /// Fields, sorted by name.
    Record(Vec<(Cow<'static, str>, Tree)>),
    /// Could not be observed.
    Hole(Box<Hole>),
}

impl Tree {
    /// A context's header and facts as one record: what `c`, `a` and `b` are bound to.
    pub fn of(snapshot: &Snapshot) -> Self {
        let header = &snapshot.context;
        let optional = |text: &Option<String>| text.as_deref().map_or(Self::Absent, Self::text);
        let entry = serde_json::to_value(header.entry).ok();
        let mut fields: Vec<(Cow<'static, str>, Self)> = vec![
            ("id".into(), Self::text(&header.id)),
            ("kind".into(), Self::text(header.kind.word())),
            ("name".into(), Self::text(&header.name)),
            ("service".into(), optional(&header.service)),
            ("user".into(), optional(&header.user)),
            ("image".into(), optional(&header.image)),
            ("role".into(), optional(&header.role)),
            ("boot".into(), Self::text(&header.boot)),
            ("host".into(), Self::text(&header.host)),
            ("entry".into(), entry.as_ref().and_then(Json::as_str).map_or(Self::Absent, Self::text)),
        ];
        match snapshot.facts.serialize(Builder { path: &mut String::new() }) {
            Ok(Self::Record(families)) => fields.extend(families),
            Ok(_) => unreachable!("the facts are a structure"),
            Err(error) => unreachable!("{error}"),
        }
        fields.sort_unstable_by(|one, two| one.0.cmp(&two.0));
        Self::Record(fields)
    }

    fn text(text: &str) -> Self {
        Self::Text(text.into())
    }

    /// A field of a record.
    pub fn field(&self, name: &str) -> Option<&Self> {
        let Self::Record(fields) = self else { return None };
        let at = fields.binary_search_by(|(field, _)| (**field).cmp(name)).ok()?;
        fields.get(at).map(|(_, tree)| tree)
    }
}

/// The reason of a marker in the words that all reports use.
fn words(marker: Json) -> String {
    match serde_json::from_value::<Reason>(marker) {
        Ok(reason) => reason.to_string(),
        Err(error) => format!("for a reason that this version does not know: {error}"),
    }
}

/// Why an expression has no value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// A fact that could not be observed, and the context (by its place among those bound) that it belongs to.
    Unobserved(Hole, usize),
    /// Two identities of which at least one is weak differ; the facts that were compared.
    Weak(String, usize),
    /// The expression can't be applied to what was observed.
    Mistake(String),
}

/// Why an expression has no value: everything that decided, each once.
pub type Unknown = Vec<Cause>;

/// What an expression comes to.
pub type Evaluated<'t> = Result<Value<'t>, Unknown>;

/// A value.
#[derive(Debug, Clone)]
pub enum Value<'t> {
    /// Absent.
    Null,
    /// A truth value.
    Bool(bool),
    /// A number.
    Int(i64),
    /// A text.
    Text(Cow<'t, str>),
    /// A list as it was observed in a context (by its place among those bound).
    Seen(&'t [Tree], Option<&'t Hole>, usize),
    /// A list that an expression made; `Some` says why there may be more.
    Made(Rc<Vec<Evaluated<'t>>>, Option<Unknown>),
    /// A structure as it was observed in a context.
    Record(&'t Tree, usize),
}

impl<'t> Value<'t> {
    /// The value at a place of a tree that belongs to the context at `owner`.
    pub fn of(tree: &'t Tree, owner: usize) -> Evaluated<'t> {
        Ok(match tree {
            Tree::Absent => Self::Null,
            Tree::Bool(value) => Self::Bool(*value),
            Tree::Int(value) => Self::Int(*value),
            Tree::Text(value) => Self::Text(Cow::Borrowed(value)),
            Tree::List(items, more) => Self::Seen(items, more.as_deref(), owner),
            Tree::Record(_) => Self::Record(tree, owner),
            Tree::Hole(hole) => return Err(vec![Cause::Unobserved((**hole).clone(), owner)]),
        })
    }

    /// The elements of a list, and why there may be more; `None` for anything else.
    pub fn elements(&self) -> Option<(Vec<Evaluated<'t>>, Option<Unknown>)> {
        match self {
            Self::Seen(items, more, owner) => {
                let more = more.map(|hole| vec![Cause::Unobserved(hole.clone(), *owner)]);
                Some((items.iter().map(|item| Self::of(item, *owner)).collect(), more))
            }
            Self::Made(items, more) => Some((items.to_vec(), more.clone())),
            _ => None,
        }
    }

    /// The kind of value, in words.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "absent",
            Self::Bool(_) => "a truth value",
            Self::Int(_) => "a number",
            Self::Text(_) => "a text",
            Self::Seen(..) | Self::Made(..) => "a list",
            Self::Record(..) => "a structure",
        }
    }

    /// The value as a finding shows it: bounded, and without characters that act on a terminal.
    pub fn shown(&self) -> String {
        match self {
            Self::Null => "absent".to_owned(),
            Self::Bool(true) => "yes".to_owned(),
            Self::Bool(false) => "no".to_owned(),
            Self::Int(value) => value.to_string(),
            Self::Text(text) => safe(text),
            Self::Record(Tree::Record(fields), owner) => {
                let owner = *owner;
                let field =
                    |(name, tree): &'t (Cow<'static, str>, Tree)| format!("{name}: {}", show(&Self::of(tree, owner)));
                let shown: Vec<_> = fields.iter().take(SHOWN_ELEMENTS).map(field).collect();
                safe(&shown.join(", "))
            }
            Self::Record(..) => "a structure".to_owned(),
            Self::Seen(..) | Self::Made(..) => {
                let (items, more) = self.elements().unwrap_or_default();
                let shown: Vec<_> = items.iter().take(SHOWN_ELEMENTS).map(show).collect();
                let rest = match (items.len().saturating_sub(SHOWN_ELEMENTS), more) {
                    (0, None) => "",
                    (_, None) => ", …",
                    (_, Some(_)) => ", … (not all of it could be observed)",
                };
                format!("[{}{rest}]", shown.join(", "))
            }
        }
    }
}

/// A value, or the reason why there is none, as a finding shows it.
pub fn show(value: &Evaluated<'_>) -> String {
    match value {
        Ok(value) => value.shown(),
        Err(causes) => {
            let reasons: Vec<_> = causes.iter().map(Cause::words).collect();
            format!("not observed ({})", safe(&reasons.join("; ")))
        }
    }
}

impl Cause {
    /// The reason in words.
    pub fn words(&self) -> String {
        match self {
            Self::Unobserved(hole, _) => hole.reason.clone().into_owned(),
            Self::Weak(..) => Reason::WeakIdentity.to_string(),
            Self::Mistake(words) => words.clone(),
        }
    }
}

/// Text of a target made harmless and short: control and direction characters are escaped, the rest is kept.
pub fn safe(text: &str) -> String {
    if text.is_empty() {
        return "\"\"".to_owned();
    }
    let mut shown = String::with_capacity(text.len().min(SHOWN));
    for (count, character) in text.chars().enumerate() {
        if count == SHOWN {
            shown.push('…');
            break;
        }
        let directs = matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
        if character.is_control() || directs {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

/// Whether two texts are equal; `None` where they are identities of objects and a difference proves nothing.
pub fn same_text(one: &str, two: &str) -> Option<bool> {
    if one == two {
        return Some(true);
    }
    let identity = |text: &str| text.starts_with(STRONG) || text.starts_with(WEAK);
    let weak = one.starts_with(WEAK) || two.starts_with(WEAK);
    (!(weak && identity(one) && identity(two))).then_some(false)
}

/// Whether two links that differ might still mean one object: a weak identity, and the same filesystem type. Identities on different
/// types of filesystem are those of different files: a bind mount keeps its type.
pub fn might_be_same(one: &str, two: &str) -> bool {
    let filesystem = |text: &str| text.rsplit(':').next().map(str::to_owned);
    same_text(one, two).is_none() && filesystem(one) == filesystem(two)
}

/// A text that is equal exactly for equal trees.
pub fn whole(tree: &Tree) -> String {
    match tree {
        Tree::Absent => "null".to_owned(),
        Tree::Bool(value) => value.to_string(),
        Tree::Int(value) => value.to_string(),
        Tree::Text(text) => Json::from(&**text).to_string(),
        Tree::Hole(hole) => format!("?{}", Json::from(&*hole.reason)),
        Tree::List(items, more) => {
            let items: Vec<_> = items.iter().map(whole).collect();
            format!("[{}]{}", items.join(","), if more.is_some() { "+" } else { "" })
        }
        Tree::Record(fields) => {
            let fields: Vec<_> = fields.iter().map(|(name, tree)| format!("{name}:{}", whole(tree))).collect();
            format!("{{{}}}", fields.join(","))
        }
    }
}
