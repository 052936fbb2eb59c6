//! Expressions: CEL text, parsed by the `cel` crate and evaluated here.
//!
//! The crate's own evaluator knows two truth values, no partial lists and no budget; comparing what could not be observed is what
//! checks exist for. So its parser is used, [`super::typing`] turns the syntax tree into [`Node`]s whose names are resolved, and
//! [`evaluate`] gives a value or everything that decided that there is none.

mod compare;
mod evaluate;
pub mod parse;

pub use compare::equal;
pub use evaluate::{Frame, condition};

/// The place of `c` and `a` among the bound values.
pub const FIRST: usize = 0;
/// The place of `b`.
pub const SECOND: usize = 1;
/// The place of `e` and `ea`.
pub const FIRST_ELEMENT: usize = 2;
/// The place of `eb`.
pub const SECOND_ELEMENT: usize = 3;
/// The place of `key`.
pub const KEY: usize = 4;
/// The first place of the variables of comprehensions.
pub const LOCALS: usize = 5;

/// An operator that orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

/// A function of one value, or of a text and another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Function {
    /// `size(x)`: elements of a list, characters of a text.
    Size,
    /// `string(x)`
    Text,
    /// `x.lowerAscii()`
    Lower,
    /// `x.startsWith(s)`
    StartsWith,
    /// `x.endsWith(s)`
    EndsWith,
    /// `x.contains(s)`
    Contains,
}

/// What a comprehension makes of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fold {
    /// `x.exists(i, p)`
    Exists,
    /// `x.all(i, p)`
    All,
    /// `x.exists_one(i, p)`
    ExistsOne,
    /// `x.filter(i, p)`
    Filter,
    /// `x.map(i, v)` and `x.map(i, p, v)`
    Map,
}

/// One step of an expression whose names are resolved and whose types are held against the facts.
#[derive(Debug, Clone)]
pub enum Node {
    /// A bound value.
    Slot(usize),
    /// `null`
    Null,
    /// A truth value.
    Bool(bool),
    /// A number.
    Int(i64),
    /// A text.
    Text(Box<str>),
    /// `[a, b]`
    List(Vec<Node>),
    /// `x.field`
    Select(Box<Node>, Box<str>),
    /// `x[i]`
    Index(Box<Node>, Box<Node>),
    /// `!x`
    Not(Box<Node>),
    /// `x && y`
    And(Box<Node>, Box<Node>),
    /// `x || y`
    Or(Box<Node>, Box<Node>),
    /// `x ? y : z`
    If(Box<[Node; 3]>),
    /// `x == y`, or `x != y` where the last is true; with the facts that are compared.
    Equal(Box<Node>, Box<Node>, Compared, bool),
    /// `x in y`; with the facts that are compared.
    In(Box<Node>, Box<Node>, Compared),
    /// `x < y` and its like.
    Order(Order, Box<Node>, Box<Node>),
    /// `x + y`
    Add(Box<Node>, Box<Node>),
    /// A function.
    Call(Function, Box<Node>, Option<Box<Node>>),
    /// A comprehension: the list, the place of its variable, the condition of `map`, and the body.
    Fold(Fold, Box<Node>, usize, Option<Box<Node>>, Box<Node>),
}

/// The facts on both sides of a comparison, for the reason when weak identities differ: the context's place, and the path.
pub type Compared = Box<[(usize, String)]>;

/// A fact that an expression reads.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Read {
    /// The place of the context that it is read from: [`FIRST`] or [`SECOND`].
    pub of: usize,
    /// The path, with `[]` for the elements of a list: `network.endpoints[].listening`.
    pub path: String,
}

/// An expression that is ready to be evaluated.
#[derive(Debug, Clone)]
pub struct Expression {
    /// As written.
    pub text: String,
    /// What is evaluated.
    pub node: Node,
    /// The facts that it reads, sorted.
    pub reads: Vec<Read>,
    /// How many places its variables need.
    pub places: usize,
    /// Whether an element (`e`, `ea`, `eb`) occurs in it.
    pub of_element: bool,
    /// Whether `key` occurs in it.
    pub of_key: bool,
}

impl Node {
    /// Whether the value at `place` occurs in it.
    pub fn names(&self, place: usize) -> bool {
        match self {
            Self::Slot(found) => *found == place,
            Self::Null | Self::Bool(_) | Self::Int(_) | Self::Text(_) => false,
            Self::List(items) => items.iter().any(|item| item.names(place)),
            Self::Select(one, _) | Self::Not(one) | Self::Call(_, one, None) => one.names(place),
            Self::Index(one, two) | Self::And(one, two) | Self::Or(one, two) | Self::Add(one, two) => {
                one.names(place) || two.names(place)
            }
            Self::Equal(one, two, ..)
            | Self::In(one, two, _)
            | Self::Order(_, one, two)
            | Self::Call(_, one, Some(two)) => one.names(place) || two.names(place),
            Self::If(parts) => parts.iter().any(|part| part.names(place)),
            Self::Fold(_, one, _, test, two) => {
                one.names(place) || two.names(place) || test.as_ref().is_some_and(|test| test.names(place))
            }
        }
    }
}
