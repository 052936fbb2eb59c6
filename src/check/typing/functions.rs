//! The walk's calls by name: functions of one value, methods of texts, and comprehensions over lists.

use cel::common::ast::{Expr, IdedExpr};

use super::types::{Shape, Type};
use super::walk::{Typed, Variable, Walk, Walked};
use super::{Problem, nearest};
use crate::check::expression::{Fold, Function, Node};

impl Walk<'_> {
    pub(super) fn no_function<T>(&self, node: &IdedExpr, name: &str, given: usize) -> Result<T, Problem> {
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

    pub(super) fn global(&mut self, node: &IdedExpr, name: &str, one: &IdedExpr) -> Walked {
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

    pub(super) fn method(&mut self, node: &IdedExpr, name: &str, target: &IdedExpr, args: &[IdedExpr]) -> Walked {
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

    pub(super) fn expect_text(&mut self, call: &IdedExpr, name: &str, node: &IdedExpr) -> Result<Node, Problem> {
        let (made, typed) = self.value(node)?;
        if !matches!(typed.of.shape, Shape::Text(_)) {
            let help = matches!(typed.of.shape, Shape::List(_)).then(|| "for a list, use `in` or `exists`".to_owned());
            let problem = format!("`{name}` is for texts, and this is {}", typed.of.words());
            return Err(Problem { problem, at: self.name_at(call, name), help });
        }
        Ok(made)
    }

    pub(super) fn fold(
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
