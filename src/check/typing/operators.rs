//! The walk's operators: comparison, membership, order, sum and index, each held to the types of both operands.

use cel::common::ast::{Expr, IdedExpr, LiteralValue, operators};

use super::types::{Shape, Type};
use super::walk::{Typed, Walk, Walked};
use super::{Problem, nearest};
use crate::check::expression::{Node, Order};

impl Walk<'_> {
    pub(super) fn equal(&mut self, node: &IdedExpr, one: &IdedExpr, two: &IdedExpr, negated: bool) -> Walked {
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
    pub(super) fn known_word(&self, of: &Type, literal: &IdedExpr) -> Result<(), Problem> {
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

    pub(super) fn membership(&mut self, node: &IdedExpr, item: &IdedExpr, list: &IdedExpr) -> Walked {
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

    pub(super) fn order(&mut self, node: &IdedExpr, name: &str, one: &IdedExpr, two: &IdedExpr) -> Walked {
        let ((left, first), (right, second)) = (self.value(one)?, self.value(two)?);
        let fits =
            matches!((&first.of.shape, &second.of.shape), (Shape::Int, Shape::Int) | (Shape::Text(_), Shape::Text(_)));
        let (Some(order), true) = (order(name), fits) else {
            return self.refuse(node, format!("{} has no order with {}", first.of.words(), second.of.words()), None);
        };
        Ok((Node::Order(order, Box::new(left), Box::new(right)), Typed::made(Type::certain(Shape::Bool))))
    }

    pub(super) fn add(&mut self, node: &IdedExpr, one: &IdedExpr, two: &IdedExpr) -> Walked {
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

    pub(super) fn index(&mut self, node: &IdedExpr, list: &IdedExpr, index: &IdedExpr) -> Walked {
        let (left, first) = self.value(list)?;
        let (right, second) = self.value(index)?;
        let (Some(element), Shape::Int) = (first.element(), &second.of.shape) else {
            return self.refuse(node, "`[]` takes a list and a number", None);
        };
        Ok((Node::Index(Box::new(left), Box::new(right)), element))
    }
}

/// The type of a value that is one or the other.
pub(super) fn either(one: &Type, two: &Type) -> Option<Type> {
    let nullable = one.nullable || two.nullable;
    match (&one.shape, &two.shape) {
        (Shape::Null, shape) | (shape, Shape::Null) => Some(Type { shape: shape.clone(), nullable: true }),
        (Shape::Text(_), Shape::Text(_)) => Some(Type { shape: Shape::Text(None), nullable }),
        (shape, other) if shape == other => Some(Type { shape: shape.clone(), nullable }),
        _ => None,
    }
}

pub(super) fn order(name: &str) -> Option<Order> {
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
