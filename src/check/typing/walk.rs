//! The walk over the syntax tree: resolves names, checks types, and gathers the facts that are read.

use std::collections::BTreeSet;
use std::ops::Range;

use cel::common::ast::{CallExpr, Expr, IdedExpr, LiteralValue, operators};

use super::operators::{either, order};
use super::types::{Shape, Type};
use super::{Problem, nearest};
use crate::check::expression::parse::Parsed;
use crate::check::expression::{Expression, FIRST_ELEMENT, KEY, LOCALS, Node, Read, SECOND_ELEMENT};

/// The variables that an expression may use.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    variables: Vec<Variable>,
}

#[derive(Debug, Clone)]
pub(super) struct Variable {
    pub name: String,
    pub place: usize,
    pub of: Typed,
}

/// A type, and the fact it stands for where it is one.
#[derive(Debug, Clone)]
pub struct Typed {
    /// The type.
    pub of: Type,
    /// The context's place, and the path; the empty path is the context itself.
    pub fact: Option<(usize, String)>,
}

impl Scope {
    /// Adds a context.
    pub fn context(mut self, name: &str, place: usize, of: &Type) -> Self {
        let of = Typed { of: of.clone(), fact: Some((place, String::new())) };
        self.variables.push(Variable { name: name.to_owned(), place, of });
        self
    }

    /// Adds an element, or the key.
    pub fn value(mut self, name: &str, place: usize, of: Option<Typed>) -> Self {
        if let Some(of) = of {
            self.variables.push(Variable { name: name.to_owned(), place, of });
        }
        self
    }

    /// Types `text` and makes it ready.
    pub fn expression(&self, text: &str) -> Result<(Expression, Typed), Problem> {
        let parsed = Parsed::new(text).map_err(|error| Problem { problem: error.problem, at: error.at, help: None })?;
        let mut walk = Walk {
            text,
            parsed: &parsed,
            scope: self.variables.clone(),
            reads: BTreeSet::new(),
            places: LOCALS,
            used: BTreeSet::new(),
        };
        let (node, typed) = walk.visit(&parsed.root)?;
        let element = |place: &usize| *place == FIRST_ELEMENT || *place == SECOND_ELEMENT;
        walk.read(&typed);
        Ok((
            Expression {
                text: text.to_owned(),
                node,
                of_element: walk.used.iter().any(element),
                of_key: walk.used.contains(&KEY),
                places: walk.places,
                reads: walk.reads.into_iter().collect(),
            },
            typed,
        ))
    }
}

impl Typed {
    pub(super) fn made(of: Type) -> Self {
        Self { of, fact: None }
    }

    /// The same value, bound as an element at `place`: what is read of it is read of this one element.
    pub fn at(mut self, place: usize) -> Self {
        if let Some(fact) = &mut self.fact {
            fact.0 = place;
        }
        self
    }

    /// The element of a list.
    pub fn element(&self) -> Option<Self> {
        let Shape::List(of) = &self.of.shape else { return None };
        let fact = self.fact.as_ref().map(|(place, path)| (*place, format!("{path}[]")));
        Some(Self { of: (**of).clone(), fact })
    }
}

pub(super) struct Walk<'a> {
    text: &'a str,
    parsed: &'a Parsed,
    pub scope: Vec<Variable>,
    reads: BTreeSet<Read>,
    pub places: usize,
    used: BTreeSet<usize>,
}

pub(super) type Walked = Result<(Node, Typed), Problem>;

impl Walk<'_> {
    /// Notes that the value itself is used, and not only something in it.
    pub(super) fn read(&mut self, typed: &Typed) {
        if let Some((of, path)) = &typed.fact
            && !path.is_empty()
        {
            self.reads.insert(Read { of: *of, path: path.clone() });
        }
    }

    pub(super) fn refuse<T>(
        &self,
        node: &IdedExpr,
        problem: impl Into<String>,
        help: Option<String>,
    ) -> Result<T, Problem> {
        Err(Problem { problem: problem.into(), at: self.parsed.token(self.text, node), help })
    }

    /// The place of the name before a call's parenthesis, or after a selection's dot.
    pub(super) fn name_at(&self, node: &IdedExpr, name: &str) -> Range<usize> {
        let token = self.parsed.token(self.text, node);
        let after = self.text.get(token.start..).and_then(|rest| rest.find(name)).map(|at| token.start + at);
        let before = self.text.get(..token.start).and_then(|rest| rest.rfind(name));
        let is_call = matches!(node.expr, Expr::Call(_));
        let start = if is_call { before.or(after) } else { after };
        start.map_or(token, |start| start..start + name.len())
    }

    /// A value that is used as a whole.
    pub(super) fn value(&mut self, node: &IdedExpr) -> Walked {
        let (made, typed) = self.visit(node)?;
        self.read(&typed);
        Ok((made, typed))
    }

    pub(super) fn visit(&mut self, node: &IdedExpr) -> Walked {
        match &node.expr {
            Expr::Ident(name) => self.variable(node, name),
            Expr::Literal(literal) => self.literal(node, literal),
            Expr::List(list) => {
                let mut of = Type::certain(Shape::Nothing);
                let mut nodes = Vec::new();
                for element in &list.elements {
                    let (made, typed) = self.value(element)?;
                    if !of.comparable(&typed.of) {
                        return self.refuse(
                            element,
                            format!("a list of {} can't hold {}", of.words(), typed.of.words()),
                            None,
                        );
                    }
                    of = typed.of;
                    nodes.push(made);
                }
                Ok((Node::List(nodes), Typed::made(Type::list(of))))
            }
            Expr::Select(select) if select.test => self.no_has(node),
            Expr::Select(select) => self.select(node, &select.operand, &select.field),
            Expr::Call(call) => self.call(node, call),
            _ => self.refuse(node, "structures, maps and this kind of expression are not part of check files", None),
        }
    }

    pub(super) fn no_has<T>(&self, node: &IdedExpr) -> Result<T, Problem> {
        let help = "a fact that was looked for and is not there is null: compare with `!= null`";
        Err(Problem {
            problem: "there is no `has`".to_owned(),
            at: self.name_at(node, "has"),
            help: Some(help.to_owned()),
        })
    }

    fn variable(&mut self, node: &IdedExpr, name: &str) -> Walked {
        let Some(found) = self.scope.iter().rev().find(|variable| variable.name == name).cloned() else {
            let names: Vec<&str> = self.scope.iter().map(|variable| variable.name.as_str()).collect();
            let help =
                nearest(name, names.iter().copied()).or_else(|| Some(format!("there are: {}", names.join(", "))));
            return self.refuse(node, format!("there is no variable `{name}` here"), help);
        };
        self.used.insert(found.place);
        Ok((Node::Slot(found.place), found.of))
    }

    fn literal(&self, node: &IdedExpr, literal: &LiteralValue) -> Walked {
        let (made, shape) = match literal {
            LiteralValue::Boolean(value) => (Node::Bool(*value.inner()), Shape::Bool),
            LiteralValue::Int(value) => (Node::Int(*value.inner()), Shape::Int),
            LiteralValue::String(value) => (Node::Text(value.inner().into()), Shape::Text(None)),
            LiteralValue::Null => (Node::Null, Shape::Null),
            _ => {
                return self.refuse(
                    node,
                    "facts are truth values, whole numbers and texts; this literal is none",
                    None,
                );
            }
        };
        Ok((made, Typed::made(Type { nullable: shape == Shape::Null, shape })))
    }

    fn select(&mut self, node: &IdedExpr, operand: &IdedExpr, field: &str) -> Walked {
        let (made, typed) = self.visit(operand)?;
        let owner = typed.fact.as_ref().map_or(String::new(), |(_, path)| path.clone());
        let owner = if owner.is_empty() { "a context".to_owned() } else { format!("`{owner}`") };
        let Shape::Record(fields) = &typed.of.shape else {
            let problem = format!("{owner} is {}, which has no field `{field}`", typed.of.words());
            return Err(Problem { problem, at: self.name_at(node, field), help: None });
        };
        let Some(of) = fields.get(field) else {
            let names = fields.keys().map(String::as_str);
            let help = nearest(field, names.clone());
            let help = help.or_else(|| Some(format!("there are: {}", names.collect::<Vec<_>>().join(", "))));
            let problem = format!("{owner} has no `{field}`");
            return Err(Problem { problem, at: self.name_at(node, field), help });
        };
        let join = |path: &str| if path.is_empty() { field.to_owned() } else { format!("{path}.{field}") };
        let fact = typed.fact.as_ref().map(|(place, path)| (*place, join(path)));
        let nullable = of.nullable || typed.of.nullable;
        let of = Type { shape: of.shape.clone(), nullable };
        Ok((Node::Select(Box::new(made), field.into()), Typed { of, fact }))
    }

    fn call(&mut self, node: &IdedExpr, call: &CallExpr) -> Walked {
        let args = call.args.as_slice();
        match (call.func_name.as_str(), &call.target, args) {
            (operators::LOGICAL_NOT, None, [one]) => {
                let one = self.truth(one)?;
                Ok((Node::Not(Box::new(one)), Typed::made(Type::certain(Shape::Bool))))
            }
            (name @ (operators::LOGICAL_AND | operators::LOGICAL_OR), None, [one, two]) => {
                let (one, two) = (Box::new(self.truth(one)?), Box::new(self.truth(two)?));
                let made = if name == operators::LOGICAL_AND { Node::And(one, two) } else { Node::Or(one, two) };
                Ok((made, Typed::made(Type::certain(Shape::Bool))))
            }
            (operators::CONDITIONAL, None, [test, yes, no]) => {
                let test = self.truth(test)?;
                let ((yes, one), (no, two)) = (self.value(yes)?, self.value(no)?);
                let Some(of) = either(&one.of, &two.of) else {
                    return self.refuse(
                        node,
                        format!("one branch is {}, the other {}", one.of.words(), two.of.words()),
                        None,
                    );
                };
                Ok((Node::If(Box::new([test, yes, no])), Typed::made(of)))
            }
            (name @ (operators::EQUALS | operators::NOT_EQUALS), None, [one, two]) => {
                self.equal(node, one, two, name == operators::NOT_EQUALS)
            }
            (operators::IN, None, [one, two]) => self.membership(node, one, two),
            (name, None, [one, two]) if order(name).is_some() => self.order(node, name, one, two),
            (operators::ADD, None, [one, two]) => self.add(node, one, two),
            (operators::INDEX, None, [list, index]) => self.index(node, list, index),
            ("has", None, _) => self.no_has(node),
            (name, None, [one]) if matches!(name, "size" | "string") => self.global(node, name, one),
            (name, Some(target), _) => self.method(node, name, target, args),
            (name, None, _) => self.no_function(node, name, args.len()),
        }
    }

    pub(super) fn truth(&mut self, node: &IdedExpr) -> Result<Node, Problem> {
        let (made, typed) = self.value(node)?;
        if typed.of.shape != Shape::Bool {
            return self.refuse(node, format!("a condition is expected, and this is {}", typed.of.words()), None);
        }
        Ok(made)
    }
}
