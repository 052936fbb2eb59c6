//! A check that is ready to run: its definition, with every expression typed. Made from a file's text alone.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::LazyLock;

use super::definition::{Definition, Expect, Partners, Relation, Sides, Text};
use super::expression::{Expression, FIRST, FIRST_ELEMENT, KEY, Node, Read, SECOND, SECOND_ELEMENT};
use super::refusal::Refusal;
use super::template::{Part, Template};
use super::typing::{Problem, Scope, Shape, Type, nearest};

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
    pub message: Template,
}

/// Where the rows of one side come from.
#[derive(Debug)]
pub(super) struct Side {
    /// [`FIRST`] or [`SECOND`].
    pub place: usize,
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

struct Reader<'a> {
    file: &'a str,
    source: &'a str,
    refusals: Vec<Refusal>,
    context: Type,
}

impl Reader<'_> {
    fn refuse(&mut self, at: Range<usize>, problem: &str, help: Option<&str>) {
        let help = help.map(str::to_owned);
        self.refusals.push(Refusal::new(self.file, self.source, at, problem.to_owned(), help));
    }

    /// The bytes of the file at which the text of this string begins, if it stands there as it is, without escapes.
    fn inner(&self, text: &str, span: &Range<usize>) -> Option<usize> {
        let raw = self.source.get(span.clone())?;
        let quotes = if raw.starts_with("\"\"\"") || raw.starts_with("'''") { 3 } else { 1 };
        let start = quotes + usize::from(quotes == 3 && raw[quotes..].starts_with('\n'));
        raw.get(start..)?.starts_with(text).then_some(span.start + start)
    }

    fn problem(&mut self, text: &str, span: Range<usize>, offset: usize, problem: Problem) {
        let at = match self.inner(text, &span) {
            Some(start) => start + offset + problem.at.start..start + offset + problem.at.end,
            None => span,
        };
        self.refusals.push(Refusal::new(self.file, self.source, at, problem.problem, problem.help));
    }

    fn typed(&mut self, scope: &Scope, text: &str, span: Range<usize>) -> Option<(Expression, super::typing::Typed)> {
        match scope.expression(text) {
            Ok(found) => Some(found),
            Err(problem) => {
                self.problem(text, span, 0, problem);
                None
            }
        }
    }

    fn condition(&mut self, scope: &Scope, text: &Text, what: &str) -> Option<Expression> {
        let (expression, typed) = self.typed(scope, text.get_ref(), text.span())?;
        if typed.of.shape != Shape::Bool {
            let problem = format!("`{what}` must be true or false, and this is {}", typed.of.words());
            self.refuse(text.span(), &problem, None);
            return None;
        }
        Some(expression)
    }

    /// Keys that mean nothing to this relation are refused: they would be a claim that nobody holds.
    fn foreign_keys(&mut self, definition: &Definition) {
        let relation = definition.relation;
        let (each, agree, between) =
            (relation == Relation::Each, relation == Relation::Agree, relation == Relation::Between);
        let span = |text: &Option<Text>| text.as_ref().map(toml::Spanned::span);
        let given = [
            ("where", span(&definition.condition), each || agree),
            ("from", span(&definition.from), between),
            ("to", span(&definition.to), between),
            ("link", definition.link.as_ref().map(toml::Spanned::span), agree || between),
            ("claim", span(&definition.claim), each || between),
            ("value", span(&definition.value), agree),
            ("expect", definition.expect.as_ref().map(toml::Spanned::span), agree),
            ("absent", definition.absent.as_ref().map(toml::Spanned::span), agree),
            ("partners", definition.partners.as_ref().map(toml::Spanned::span), between),
            ("unmatched", definition.unmatched.as_ref().map(toml::Spanned::span), between),
        ];
        for (key, span, belongs) in given {
            if let (Some(span), false) = (span, belongs) {
                self.refuse(span, &format!("`{key}` has no meaning for the relation `{}`", relation.word()), None);
            }
        }
        let needed = [("claim", definition.claim.is_none() && !agree), ("value", definition.value.is_none() && agree)];
        for (key, missing) in needed.into_iter().chain([("link", definition.link.is_none() && !each)]) {
            if missing {
                self.refuse(0..0, &format!("the relation `{}` needs `{key}`", relation.word()), None);
            }
        }
        if let (Some(over), None) = (&definition.over, &definition.subject) {
            let help = "name what the row is about, such as `subject = \"e.url\"`";
            self.refuse(over.span(), "`over` needs `subject`", Some(help));
        }
    }

    fn program(&mut self, definition: &Definition) -> Option<Program> {
        self.foreign_keys(definition);
        if !self.refusals.is_empty() {
            return None;
        }
        let between = definition.relation == Relation::Between;
        let (names, conditions) = match between {
            true => (vec![("a", "ea"), ("b", "eb")], vec![("from", &definition.from), ("to", &definition.to)]),
            false => (vec![("c", "e")], vec![("where", &definition.condition)]),
        };
        let mut scope = Scope::default();
        let mut sides = Vec::new();
        let mut key = None;
        for (index, ((name, element), (what, condition))) in names.into_iter().zip(conditions).enumerate() {
            let place = if index == 0 { FIRST } else { SECOND };
            let element_place = if index == 0 { FIRST_ELEMENT } else { SECOND_ELEMENT };
            let alone = Scope::default().context(name, place, &self.context);
            let (over, of_element) = match self.side(definition.over.as_ref(), index, between, "over")? {
                None => (None, None),
                Some((text, span)) => {
                    let (list, typed) = self.typed(&alone, &text, span.clone())?;
                    let Some(of) = typed.element() else {
                        self.refuse(span, &format!("`over` needs a list, and this is {}", typed.of.words()), None);
                        return None;
                    };
                    let path = of.fact.as_ref().map_or(String::new(), |(_, path)| path.clone());
                    (Some(Over { list, path }), Some(of.at(element_place)))
                }
            };
            let own = alone.value(element, element_place, of_element.clone());
            let condition = match condition {
                Some(text) => Some(self.condition(&own, text, what)?),
                None => None,
            };
            let link = match self.side(definition.link.as_ref(), index, between, "link")? {
                None => None,
                Some((text, span)) => {
                    let common = Scope::default().context("c", place, &self.context);
                    let common = common.value("e", element_place, of_element.clone());
                    let one = matches!(definition.link.as_ref().map(toml::Spanned::get_ref), Some(Sides::One(_)));
                    let (link, typed) = self.typed(if one { &common } else { &own }, &text, span.clone())?;
                    let typed = typed.element().unwrap_or(typed);
                    if !typed.of.is_scalar() {
                        self.refuse(span, &format!("rows can't be linked by {}", typed.of.words()), None);
                        return None;
                    }
                    key.get_or_insert(typed);
                    Some(link)
                }
            };
            scope = scope.context(name, place, &self.context).value(element, element_place, of_element);
            let conditions = condition.as_ref().map_or_else(Default::default, split);
            let side = Side {
                place,
                conditions,
                over,
                link,
                fold: vec![],
                fold_element: vec![],
                shown: vec![],
                shown_element: vec![],
            };
            sides.push((side, condition));
        }
        let scope = scope.value("key", KEY, key);
        let test = match (&definition.claim, &definition.value) {
            (Some(claim), _) => self.condition(&scope, claim, "claim")?,
            (None, Some(value)) => self.value(&scope, value, definition)?,
            (None, None) => return None,
        };
        let subject = match &definition.subject {
            Some(text) => {
                let (expression, typed) = self.typed(&scope, text.get_ref(), text.span())?;
                if !typed.of.is_scalar() {
                    self.refuse(text.span(), &format!("a subject is a text, and this is {}", typed.of.words()), None);
                }
                Some(expression)
            }
            None => None,
        };
        let message = self.message(&scope, &definition.message)?;
        let sides = sides
            .into_iter()
            .map(|(side, condition)| reads(side, condition.as_ref(), &test, subject.as_ref(), &message))
            .collect();
        Some(Program { sides, test, subject, message })
    }

    /// The expression of one side, where there is one.
    fn side(
        &mut self,
        sides: Option<&toml::Spanned<Sides>>,
        index: usize,
        between: bool,
        key: &str,
    ) -> Option<Option<(String, Range<usize>)>> {
        let Some(sides) = sides else { return Some(None) };
        match sides.get_ref() {
            Sides::One(_) if between && key == "over" => {
                self.refuse(sides.span(), "in `between`, `over` is said for each side: `over.a`, `over.b`", None);
                None
            }
            Sides::One(text) => Some(Some((text.clone(), sides.span()))),
            Sides::Two { .. } if !between => {
                self.refuse(sides.span(), &format!("`{key}` has sides in the relation `between` only"), None);
                None
            }
            Sides::Two { a, b } => {
                let text = if index == 0 { a } else { b };
                if text.is_none() && key == "link" {
                    self.refuse(sides.span(), "`link.a` and `link.b` go together", None);
                    return None;
                }
                Some(text.as_ref().map(|text| (text.get_ref().clone(), text.span())))
            }
        }
    }

    fn value(&mut self, scope: &Scope, text: &Text, definition: &Definition) -> Option<Expression> {
        let (expression, typed) = self.typed(scope, text.get_ref(), text.span())?;
        let overlap = definition.expect.as_ref().is_some_and(|expect| *expect.get_ref() == Expect::Overlap);
        let fits = match &typed.of.shape {
            Shape::List(of) => of.is_scalar() || of.shape == Shape::Nothing,
            _ => typed.of.is_scalar() && !overlap,
        };
        if !fits {
            let what = if overlap {
                "`overlap` compares lists of scalars"
            } else {
                "a scalar, or a list of scalars, is compared"
            };
            self.refuse(text.span(), &format!("{what}, and this is {}", typed.of.words()), None);
            return None;
        }
        Some(expression)
    }

    fn message(&mut self, scope: &Scope, text: &Text) -> Option<Template> {
        let pieces = match Template::pieces(text.get_ref()) {
            Ok(pieces) => pieces,
            Err((at, problem)) => {
                let problem = Problem { problem: problem.to_owned(), at: at..at + 1, help: None };
                self.problem(text.get_ref(), text.span(), 0, problem);
                return None;
            }
        };
        let mut parts = Vec::new();
        for piece in pieces {
            match piece {
                Ok(words) => parts.push(Part::Words(words)),
                Err((at, inner)) => match scope.expression(&inner) {
                    Ok((expression, _)) => parts.push(Part::Value(expression)),
                    Err(problem) => {
                        self.problem(text.get_ref(), text.span(), at, problem);
                        return None;
                    }
                },
            }
        }
        Some(Template { parts })
    }
}

/// The conditions that are joined by `&&`: those that do not name an element, and those that do.
fn split(expression: &Expression) -> (Vec<Node>, Vec<Node>) {
    let (mut open, mut context, mut element) = (vec![&expression.node], Vec::new(), Vec::new());
    while let Some(node) = open.pop() {
        match node {
            Node::And(one, two) => open.extend([&**two, &**one]),
            node if node.names(FIRST_ELEMENT) || node.names(SECOND_ELEMENT) => element.push(node.clone()),
            node => context.push(node.clone()),
        }
    }
    (context, element)
}

/// Which facts of this side are read by what.
fn reads(
    mut side: Side,
    condition: Option<&Expression>,
    test: &Expression,
    subject: Option<&Expression>,
    message: &Template,
) -> Side {
    let element = if side.place == FIRST { FIRST_ELEMENT } else { SECOND_ELEMENT };
    let decisive = side.link.iter().chain([test]).chain(subject);
    let decisive: BTreeSet<&Read> = decisive.flat_map(|expression| &expression.reads).collect();
    let names = |read: &&Read| HEADER.contains(&read.path.as_str());
    let told = condition.into_iter().chain(message.expressions()).flat_map(|expression| &expression.reads);
    let told: BTreeSet<&Read> = told.filter(|read| !names(read)).collect();
    let all: BTreeSet<&Read> = decisive.union(&told).copied().collect();
    let prefix = side.over.as_ref().map_or(String::new(), |over| over.path.clone());
    let below = |read: &&Read| read.path.get(prefix.len()..).unwrap_or_default().trim_start_matches('.').to_owned();
    let of = |place: usize| move |read: &&Read| read.of == place;
    side.fold = all.iter().copied().filter(of(side.place)).map(|read| read.path.clone()).collect();
    side.fold_element = all.iter().copied().filter(of(element)).map(|read| below(&read)).collect();
    side.shown =
        all.iter().copied().filter(of(side.place)).filter(|read| !names(read)).map(|read| read.path.clone()).collect();
    let shown = all.iter().copied().filter(of(element));
    side.shown_element = shown.map(|read| (read.path.clone(), below(&read))).collect();
    side
}

impl Node {
    /// Whether the value at `place` occurs in it.
    fn names(&self, place: usize) -> bool {
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

impl Check {
    /// Its id: the path below the directory of checks.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The file that defines it, as it is shown.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The claim in words.
    pub fn title(&self) -> &str {
        &self.definition.title
    }

    /// What breaks.
    pub fn why(&self) -> &str {
        &self.definition.why
    }

    /// What to do.
    pub fn fix(&self) -> &str {
        &self.definition.fix
    }

    /// How bad an incoherence is.
    pub fn severity(&self) -> super::Severity {
        self.definition.severity
    }

    /// The gap, as reports write it.
    pub fn gap(&self) -> &'static str {
        self.definition.gap.word()
    }

    /// Checks of whose findings these are symptoms.
    pub fn caused_by(&self) -> &[String] {
        &self.caused_by
    }

    /// What is compared with what, in one sentence made of the file's own expressions.
    pub fn relation(&self) -> String {
        let of = &self.definition;
        let text = |text: &Option<Text>| text.as_ref().map_or("any".to_owned(), |text| format!("`{}`", text.get_ref()));
        let sides = |sides: &Option<toml::Spanned<Sides>>| match sides.as_ref().map(toml::Spanned::get_ref) {
            Some(Sides::One(text)) => format!("`{text}`"),
            Some(Sides::Two { a, b }) => format!("{} = {}", text(a), text(b)),
            None => String::new(),
        };
        match of.relation {
            Relation::Each => format!("each row where {}: {}", text(&of.condition), text(&of.claim)),
            Relation::Agree => {
                let expect = match of.expect.as_ref().map(|expect| *expect.get_ref()).unwrap_or_default() {
                    Expect::Equal => "equal",
                    Expect::Distinct => "distinct",
                    Expect::Overlap => "overlapping",
                };
                format!(
                    "rows with equal {} where {}: {} is {expect}",
                    sides(&of.link),
                    text(&of.condition),
                    text(&of.value)
                )
            }
            Relation::Between => {
                let partners = match of.partners.as_ref().map(|partners| *partners.get_ref()).unwrap_or_default() {
                    Partners::All => "every",
                    Partners::Some => "some",
                };
                format!(
                    "between a where {} and {partners} b where {}, linked by {}: {}",
                    text(&of.from),
                    text(&of.to),
                    sides(&of.link),
                    text(&of.claim)
                )
            }
        }
    }

    /// The paths of the facts that it reads, sorted; `[]` stands for the elements of a list.
    pub fn facts_read(&self) -> Vec<String> {
        let program = &self.program;
        let mut paths = BTreeSet::new();
        for side in &program.sides {
            let of_link = side.link.iter().chain(side.over.as_ref().map(|over| &over.list));
            paths.extend(of_link.flat_map(|expression| &expression.reads).map(|read| read.path.clone()));
            paths.extend(side.shown.iter().cloned());
            paths.extend(side.shown_element.iter().map(|(path, _)| path.clone()));
        }
        paths.retain(|path| !HEADER.contains(&path.as_str()));
        paths.into_iter().collect()
    }
}
