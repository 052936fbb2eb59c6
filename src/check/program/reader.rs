//! From a check file's text to a program: every expression is typed, and what the relation does not know is refused.

use std::collections::BTreeSet;
use std::ops::Range;

use super::{HEADER, Over, Program, Side};
use crate::check::definition::{Definition, Expect, Relation, Sides, Text};
use crate::check::expression::{Expression, FIRST, FIRST_ELEMENT, KEY, Node, Read, SECOND, SECOND_ELEMENT};
use crate::check::refusal::Refusal;
use crate::check::template::{Part, Template};
use crate::check::typing::{Problem, Scope, Shape, Type, Typed};

/// One file being read.
pub struct Reader<'a> {
    pub file: &'a str,
    pub source: &'a str,
    /// What was wrong so far.
    pub refusals: Vec<Refusal>,
    /// The type of a context.
    pub context: Type,
}

/// One side as it was read, before it is known what the claim reads of it.
struct SideRead {
    side: Side,
    condition: Option<Expression>,
    element: Option<Typed>,
    key: Option<Typed>,
}

/// The places of the context and of the element of one side.
fn place(index: usize) -> (usize, usize) {
    if index == 0 { (FIRST, FIRST_ELEMENT) } else { (SECOND, SECOND_ELEMENT) }
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

    fn typed(&mut self, scope: &Scope, text: &str, span: Range<usize>) -> Option<(Expression, Typed)> {
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

    /// The program of a definition; `None` where something was refused.
    pub fn program(&mut self, definition: &Definition) -> Option<Program> {
        self.foreign_keys(definition);
        if !self.refusals.is_empty() {
            return None;
        }
        let (names, conditions): (&[(&str, &str)], &[_]) = match definition.relation {
            Relation::Between => (&[("a", "ea"), ("b", "eb")], &[("from", &definition.from), ("to", &definition.to)]),
            Relation::Each | Relation::Agree => (&[("c", "e")], &[("where", &definition.condition)]),
        };
        let mut scope = Scope::default();
        let mut sides = Vec::new();
        let mut key = None;
        for (index, (names, condition)) in names.iter().zip(conditions).enumerate() {
            let read = self.one_side(definition, index, *names, *condition)?;
            let (name, element) = *names;
            scope = scope.context(name, read.side.place, &self.context).value(element, place(index).1, read.element);
            key = key.or(read.key);
            sides.push((read.side, read.condition));
        }
        let scope = scope.value("key", KEY, key);
        let test = match (&definition.claim, &definition.value) {
            (Some(claim), _) => self.condition(&scope, claim, "claim")?,
            (None, Some(value)) => self.value(&scope, value, definition)?,
            (None, None) => return None,
        };
        let subject = match &definition.subject {
            Some(text) => Some(self.subject(&scope, text)?),
            None => None,
        };
        let about = match &definition.about {
            Some(text) => Some(self.about(&scope, text)?),
            None => None,
        };
        let message = self.message(&scope, &definition.message)?;
        let sides = sides
            .into_iter()
            .map(|(side, condition)| reads(side, condition.as_ref(), &test, subject.as_ref(), &message))
            .collect();
        Some(Program { sides, test, subject, about, message })
    }

    /// One side of the relation: where its rows come from, which of them take part, and what links them.
    fn one_side(
        &mut self,
        definition: &Definition,
        index: usize,
        (name, element): (&str, &str),
        (what, condition): (&str, &Option<Text>),
    ) -> Option<SideRead> {
        let between = definition.relation == Relation::Between;
        let (place, element_place) = place(index);
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
        let says = |text: &Text| ["'declared'", "\"declared\""].iter().any(|word| text.get_ref().contains(word));
        let takes_declared = condition.as_ref().is_some_and(says);
        let condition = match condition {
            Some(text) => Some(self.condition(&own, text, what)?),
            None => None,
        };
        let (link, key) = match self.side(definition.link.as_ref(), index, between, "link")? {
            None => (None, None),
            Some((text, span)) => {
                let shared = Scope::default().context("c", place, &self.context);
                let shared = shared.value("e", element_place, of_element.clone());
                let one = matches!(definition.link.as_ref().map(toml::Spanned::get_ref), Some(Sides::One(_)));
                let (link, key) = self.link(if one { &shared } else { &own }, &text, span)?;
                (Some(link), Some(key))
            }
        };
        let conditions = condition.as_ref().map_or_else(Default::default, split);
        let side = Side {
            place,
            takes_declared,
            conditions,
            over,
            link,
            fold: vec![],
            fold_element: vec![],
            shown: vec![],
            shown_element: vec![],
        };
        Some(SideRead { side, condition, element: of_element, key })
    }

    /// A link, and the type of the key that it gives.
    fn link(&mut self, scope: &Scope, text: &str, span: Range<usize>) -> Option<(Expression, Typed)> {
        let (link, typed) = self.typed(scope, text, span.clone())?;
        let typed = typed.element().unwrap_or(typed);
        if !typed.of.is_scalar() {
            self.refuse(span, &format!("rows can't be linked by {}", typed.of.words()), None);
            return None;
        }
        Some((link, typed))
    }

    fn subject(&mut self, scope: &Scope, text: &Text) -> Option<Expression> {
        let (expression, typed) = self.typed(scope, text.get_ref(), text.span())?;
        if !typed.of.is_scalar() {
            self.refuse(text.span(), &format!("a subject is a text, and this is {}", typed.of.words()), None);
        }
        Some(expression)
    }

    fn about(&mut self, scope: &Scope, text: &Text) -> Option<Expression> {
        let (expression, typed) = self.typed(scope, text.get_ref(), text.span())?;
        let fits = match &typed.of.shape {
            Shape::List(of) => matches!(of.shape, Shape::Text(_)),
            shape => matches!(shape, Shape::Text(_)),
        };
        if !fits {
            self.refuse(text.span(), &format!("`about` is texts, and this is {}", typed.of.words()), None);
        }
        Some(expression)
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
