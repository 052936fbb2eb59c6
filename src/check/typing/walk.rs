//! The walk over the syntax tree: resolves names, checks types, and gathers the facts that are read.

use std::collections::BTreeSet;
use std::ops::Range;

use cel::common::ast::{CallExpr, Expr, IdedExpr, LiteralValue, operators};

use super::types::{Shape, Type};
use super::{Problem, nearest};
use crate::check::expression::parse::Parsed;
use crate::check::expression::{
    Expression, FIRST_ELEMENT, Fold, Function, KEY, LOCALS, Node, Order, Read, SECOND_ELEMENT,
};

/// The variables that an expression may use.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    variables: Vec<Variable>,
}

#[derive(Debug, Clone)]
struct Variable {
    name: String,
    place: usize,
    of: Typed,
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
    fn made(of: Type) -> Self {
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

struct Walk<'a> {
    text: &'a str,
    parsed: &'a Parsed,
    scope: Vec<Variable>,
    reads: BTreeSet<Read>,
    places: usize,
    used: BTreeSet<usize>,
}

type Walked = Result<(Node, Typed), Problem>;

impl Walk<'_> {
    /// Notes that the value itself is used, and not only something in it.
    fn read(&mut self, typed: &Typed) {
        if let Some((of, path)) = &typed.fact
            && !path.is_empty()
        {
            self.reads.insert(Read { of: *of, path: path.clone() });
        }
    }

    fn refuse<T>(&self, node: &IdedExpr, problem: impl Into<String>, help: Option<String>) -> Result<T, Problem> {
        Err(Problem { problem: problem.into(), at: self.parsed.token(self.text, node), help })
    }

    /// The place of the name before a call's parenthesis, or after a selection's dot.
    fn name_at(&self, node: &IdedExpr, name: &str) -> Range<usize> {
        let token = self.parsed.token(self.text, node);
        let after = self.text.get(token.start..).and_then(|rest| rest.find(name)).map(|at| token.start + at);
        let before = self.text.get(..token.start).and_then(|rest| rest.rfind(name));
        let is_call = matches!(node.expr, Expr::Call(_));
        let start = if is_call { before.or(after) } else { after };
        start.map_or(token, |start| start..start + name.len())
    }

    /// A value that is used as a whole.
    fn value(&mut self, node: &IdedExpr) -> Walked {
        let (made, typed) = self.visit(node)?;
        self.read(&typed);
        Ok((made, typed))
    }

    fn visit(&mut self, node: &IdedExpr) -> Walked {
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

    fn no_has<T>(&self, node: &IdedExpr) -> Result<T, Problem> {
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

    fn no_function<T>(&self, node: &IdedExpr, name: &str, given: usize) -> Result<T, Problem> {
        const GLOBAL: &[(&str, &str)] = &[("size", "size(x)"), ("string", "string(x)")];
        const METHODS: &[(&str, &str)] = &[
            ("startsWith", "x.startsWith(s)"),
            ("endsWith", "x.endsWith(s)"),
            ("contains", "x.contains(s)"),
            ("lowerAscii", "x.lowerAscii()"),
            ("exists", "x.exists(i, p)"),
            ("all", "x.all(i, p)"),
            ("exists_one", "x.exists_one(i, p)"),
            ("filter", "x.filter(i, p)"),
            ("map", "x.map(i, v)"),
        ];
        let symbol = name.trim_matches(|character: char| !character.is_alphanumeric());
        if symbol.is_empty() {
            let name = name.replace('_', "");
            return self.refuse(node, format!("the operator `{name}` is not part of check files"), None);
        }
        let known = GLOBAL.iter().chain(METHODS);
        if let Some((_, usage)) = known.clone().find(|(known, _)| *known == name) {
            let problem = format!("`{name}` does not take {given} arguments like this");
            return Err(Problem {
                problem,
                at: self.name_at(node, name),
                help: Some(format!("it is written `{usage}`")),
            });
        }
        let help = nearest(name, known.map(|(name, _)| *name));
        Err(Problem { problem: format!("there is no function `{name}`"), at: self.name_at(node, name), help })
    }

    fn truth(&mut self, node: &IdedExpr) -> Result<Node, Problem> {
        let (made, typed) = self.value(node)?;
        if typed.of.shape != Shape::Bool {
            return self.refuse(node, format!("a condition is expected, and this is {}", typed.of.words()), None);
        }
        Ok(made)
    }

    fn equal(&mut self, node: &IdedExpr, one: &IdedExpr, two: &IdedExpr, negated: bool) -> Walked {
        let ((left, first), (right, second)) = (self.value(one)?, self.value(two)?);
        if matches!(first.of.shape, Shape::Record(_)) && matches!(second.of.shape, Shape::Record(_)) {
            return self.refuse(node, "two structures can't be compared: compare their fields", None);
        }
        if !first.of.comparable(&second.of) {
            let words = |typed: &Typed, other: &Typed| match &other.of.shape {
                Shape::Null => format!("{}, which is never absent", typed.of.words()),
                _ => typed.of.words(),
            };
            let problem = format!("{} is compared with {}", words(&first, &second), words(&second, &first));
            return self.refuse(node, problem, None);
        }
        self.known_word(&first.of, two)?;
        self.known_word(&second.of, one)?;
        let compared = compared(&first, &second);
        let made = Node::Equal(Box::new(left), Box::new(right), compared, negated);
        Ok((made, Typed::made(Type::certain(Shape::Bool))))
    }

    /// A literal that is compared with a value of few known words is one of them.
    fn known_word(&self, of: &Type, literal: &IdedExpr) -> Result<(), Problem> {
        let Shape::Text(Some(words)) = &of.shape else { return Ok(()) };
        let each: Vec<&IdedExpr> = match &literal.expr {
            Expr::List(list) => list.elements.iter().collect(),
            _ => vec![literal],
        };
        for literal in each {
            if let Expr::Literal(LiteralValue::String(text)) = &literal.expr
                && !words.contains(&text.inner())
            {
                let help = nearest(text.inner(), words.iter().copied());
                let help = help.or_else(|| Some(format!("there are: {}", words.join(", "))));
                return self.refuse(literal, format!("it is never '{}'", text.inner()), help);
            }
        }
        Ok(())
    }

    fn membership(&mut self, node: &IdedExpr, item: &IdedExpr, list: &IdedExpr) -> Walked {
        let ((left, first), (right, second)) = (self.value(item)?, self.value(list)?);
        let Some(element) = second.element() else {
            return self.refuse(node, format!("`in` needs a list, and this is {}", second.of.words()), None);
        };
        if !first.of.comparable(&element.of) {
            let problem =
                format!("{} is looked for in a list of which each element is {}", first.of.words(), element.of.words());
            return self.refuse(node, problem, None);
        }
        self.known_word(&first.of, list)?;
        self.known_word(&element.of, item)?;
        let compared = compared(&first, &element);
        Ok((Node::In(Box::new(left), Box::new(right), compared), Typed::made(Type::certain(Shape::Bool))))
    }

    fn order(&mut self, node: &IdedExpr, name: &str, one: &IdedExpr, two: &IdedExpr) -> Walked {
        let ((left, first), (right, second)) = (self.value(one)?, self.value(two)?);
        let fits =
            matches!((&first.of.shape, &second.of.shape), (Shape::Int, Shape::Int) | (Shape::Text(_), Shape::Text(_)));
        let (Some(order), true) = (order(name), fits) else {
            return self.refuse(node, format!("{} has no order with {}", first.of.words(), second.of.words()), None);
        };
        Ok((Node::Order(order, Box::new(left), Box::new(right)), Typed::made(Type::certain(Shape::Bool))))
    }

    fn add(&mut self, node: &IdedExpr, one: &IdedExpr, two: &IdedExpr) -> Walked {
        let ((left, first), (right, second)) = (self.value(one)?, self.value(two)?);
        let of = match (&first.of.shape, &second.of.shape) {
            (Shape::Int, Shape::Int) => Type::certain(Shape::Int),
            (Shape::Text(_), Shape::Text(_)) => Type::text(),
            (Shape::List(of), Shape::List(other)) if of.comparable(other) => Type::list((**of).clone()),
            _ => {
                return self.refuse(
                    node,
                    format!("{} can't be added to {}", second.of.words(), first.of.words()),
                    None,
                );
            }
        };
        Ok((Node::Add(Box::new(left), Box::new(right)), Typed::made(of)))
    }

    fn index(&mut self, node: &IdedExpr, list: &IdedExpr, index: &IdedExpr) -> Walked {
        let (left, first) = self.value(list)?;
        let (right, second) = self.value(index)?;
        let (Some(element), Shape::Int) = (first.element(), &second.of.shape) else {
            return self.refuse(node, "`[]` takes a list and a number", None);
        };
        Ok((Node::Index(Box::new(left), Box::new(right)), element))
    }

    fn global(&mut self, node: &IdedExpr, name: &str, one: &IdedExpr) -> Walked {
        let (made, typed) = self.value(one)?;
        let (function, fits, of) = match (name, &typed.of.shape) {
            ("size", shape) => (Function::Size, matches!(shape, Shape::List(_) | Shape::Text(_)), Shape::Int),
            (_, shape) => {
                (Function::Text, matches!(shape, Shape::Bool | Shape::Int | Shape::Text(_)), Shape::Text(None))
            }
        };
        if !fits {
            return self.refuse(node, format!("`{name}` does not take {}", typed.of.words()), None);
        }
        Ok((Node::Call(function, Box::new(made), None), Typed::made(Type::certain(of))))
    }

    fn method(&mut self, node: &IdedExpr, name: &str, target: &IdedExpr, args: &[IdedExpr]) -> Walked {
        let fold = match name {
            "exists" => Some(Fold::Exists),
            "all" => Some(Fold::All),
            "exists_one" => Some(Fold::ExistsOne),
            "filter" => Some(Fold::Filter),
            "map" => Some(Fold::Map),
            _ => None,
        };
        match (fold, args) {
            (Some(fold), [variable, body]) => return self.fold(node, fold, target, variable, None, body),
            (Some(Fold::Map), [variable, test, body]) => {
                return self.fold(node, Fold::Map, target, variable, Some(test), body);
            }
            _ => {}
        }
        let (function, of) = match (name, args.len()) {
            ("lowerAscii", 0) => (Function::Lower, Shape::Text(None)),
            ("startsWith", 1) => (Function::StartsWith, Shape::Bool),
            ("endsWith", 1) => (Function::EndsWith, Shape::Bool),
            ("contains", 1) => (Function::Contains, Shape::Bool),
            _ => return self.no_function(node, name, args.len()),
        };
        let operand = self.expect_text(node, name, target)?;
        let argument = args.first().map(|argument| self.expect_text(node, name, argument)).transpose()?;
        Ok((Node::Call(function, Box::new(operand), argument.map(Box::new)), Typed::made(Type::certain(of))))
    }

    fn expect_text(&mut self, call: &IdedExpr, name: &str, node: &IdedExpr) -> Result<Node, Problem> {
        let (made, typed) = self.value(node)?;
        if !matches!(typed.of.shape, Shape::Text(_)) {
            let help = matches!(typed.of.shape, Shape::List(_)).then(|| "for a list, use `in` or `exists`".to_owned());
            let problem = format!("`{name}` is for texts, and this is {}", typed.of.words());
            return Err(Problem { problem, at: self.name_at(call, name), help });
        }
        Ok(made)
    }

    fn fold(
        &mut self,
        node: &IdedExpr,
        fold: Fold,
        list: &IdedExpr,
        variable: &IdedExpr,
        test: Option<&IdedExpr>,
        body: &IdedExpr,
    ) -> Walked {
        let (range, typed) = self.visit(list)?;
        let Some(element) = typed.element() else {
            return self.refuse(node, format!("a list is needed, and this is {}", typed.of.words()), None);
        };
        // The list's length and what it lacks are read, whatever of its elements is.
        self.read(&element);
        let Expr::Ident(name) = &variable.expr else {
            return self.refuse(variable, "the first argument names the element", None);
        };
        if self.scope.iter().any(|known| known.name == *name) {
            return self.refuse(variable, format!("`{name}` is a variable already"), None);
        }
        let place = self.places;
        self.places += 1;
        self.scope.push(Variable { name: name.clone(), place, of: element.clone() });
        let test = test.map(|test| self.truth(test)).transpose();
        let body =
            if fold == Fold::Map { self.value(body) } else { self.truth(body).map(|made| (made, element.clone())) };
        self.scope.pop();
        let (test, (body, made)) = (test?, body?);
        let of = match fold {
            Fold::Filter => Typed { of: Type::certain(typed.of.shape.clone()), fact: typed.fact.clone() },
            Fold::Map => Typed::made(Type::list(made.of)),
            _ => Typed::made(Type::certain(Shape::Bool)),
        };
        Ok((Node::Fold(fold, Box::new(range), place, test.map(Box::new), Box::new(body)), of))
    }
}

/// The type of a value that is one or the other.
fn either(one: &Type, two: &Type) -> Option<Type> {
    let nullable = one.nullable || two.nullable;
    match (&one.shape, &two.shape) {
        (Shape::Null, shape) | (shape, Shape::Null) => Some(Type { shape: shape.clone(), nullable: true }),
        (Shape::Text(_), Shape::Text(_)) => Some(Type { shape: Shape::Text(None), nullable }),
        (shape, other) if shape == other => Some(Type { shape: shape.clone(), nullable }),
        _ => None,
    }
}

fn order(name: &str) -> Option<Order> {
    match name {
        operators::LESS => Some(Order::Less),
        operators::LESS_EQUALS => Some(Order::LessOrEqual),
        operators::GREATER => Some(Order::Greater),
        operators::GREATER_EQUALS => Some(Order::GreaterOrEqual),
        _ => None,
    }
}

fn compared(one: &Typed, two: &Typed) -> Box<[(usize, String)]> {
    [one, two].into_iter().filter_map(|typed| typed.fact.clone()).collect()
}
