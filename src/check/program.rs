//! A check that is ready to run: its definition, with every expression typed. Made from a file's text alone.

mod reader;
mod words;

use std::ops::Range;
use std::sync::LazyLock;

use super::definition::Definition;
use super::expression::{Expression, Node};
use super::refusal::Refusal;
use super::template::Template;
use super::typing::{Type, nearest};
use reader::Reader;

/// One check.
#[derive(Debug)]
pub struct Check {
    /// Its path below the directory of checks, without the ending.
    pub id: String,
    /// The file, as it is shown.
    pub file: String,
    /// The file's text.
    pub source: String,
    /// As written.
    pub definition: Definition,
    /// What is run.
    pub(super) program: Program,
    pub(super) caused_by: Vec<String>,
}

/// What is run.
#[derive(Debug)]
pub(super) struct Program {
    /// One side for `each` and `agree`, two for `between`.
    pub sides: Vec<Side>,
    /// The claim, or the value of `agree`.
    pub test: Expression,
    pub subject: Option<Expression>,
    /// What causes and symptoms share.
    pub about: Option<Expression>,
    pub message: Template,
}

/// Where the rows of one side come from.
#[derive(Debug)]
pub(super) struct Side {
    /// [`super::expression::FIRST`] or [`super::expression::SECOND`].
    pub place: usize,
    /// Whether its condition speaks of declared contexts. Others leave them out: what a configuration says of a context has few facts, and is no view.
    pub takes_declared: bool,
    /// Conditions that do not name the element, and those that do.
    pub conditions: (Vec<Node>, Vec<Node>),
    pub over: Option<Over>,
    pub link: Option<Expression>,
    /// Facts of the context that decide whether two contexts are one participant.
    pub fold: Vec<String>,
    /// The same of the element, as paths below it.
    pub fold_element: Vec<String>,
    /// Facts that a finding shows: of the context, and of the element with the path below it.
    pub shown: Vec<String>,
    pub shown_element: Vec<(String, String)>,
}

/// The list that rows are made of.
#[derive(Debug)]
pub(super) struct Over {
    pub list: Expression,
    /// The path of an element, such as `network.endpoints[]`; empty for a list that an expression makes.
    pub path: String,
}

/// Fields of the header: they name a context and say nothing of what it sees.
const HEADER: &[&str] = &["id", "kind", "name", "service", "user", "image", "role", "entry", "boot", "host"];

/// One type for all: making it from the schema takes a millisecond. It is shared between threads as text would be, so each
/// thread makes its own.
fn context() -> Type {
    thread_local! {
        static CONTEXT: LazyLock<Type> = const { LazyLock::new(Type::context) };
    }
    CONTEXT.with(|of| (**of).clone())
}

impl Check {
    /// Reads and types the file with this id.
    pub fn new(id: &str, file: &str, source: &str) -> Result<Self, Vec<Refusal>> {
        let definition: Definition = toml::from_str(source).map_err(|error| vec![malformed(file, source, &error)])?;
        let mut reader = Reader { file, source, refusals: Vec::new(), context: context() };
        let program = reader.program(&definition);
        match program {
            Some(program) if reader.refusals.is_empty() => Ok(Self {
                id: id.to_owned(),
                file: file.to_owned(),
                source: source.to_owned(),
                caused_by: definition.caused_by.iter().map(|text| text.get_ref().clone()).collect(),
                definition,
                program,
            }),
            _ => Err(reader.refusals),
        }
    }

    /// A mistake at a place of this file.
    pub(super) fn refusal(&self, at: Range<usize>, problem: String, help: Option<String>) -> Refusal {
        Refusal::new(&self.file, &self.source, at, problem, help)
    }
}

/// A file that is no check file by its shape.
fn malformed(file: &str, source: &str, error: &toml::de::Error) -> Refusal {
    let mut words = error.message().split('`').skip(1).step_by(2);
    let unknown = error.message().starts_with("unknown");
    let help = if unknown { words.next().and_then(|name| nearest(name, words)) } else { None };
    Refusal::new(file, source, error.span().unwrap_or(0..0), error.message().to_owned(), help)
}
