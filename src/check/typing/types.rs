//! The types of facts, taken from the JSON Schema that is generated from the fact structs, so that neither can disagree with them.

use std::collections::BTreeMap;
use std::rc::Rc;

use serde_json::Value;

use crate::snapshot::schema;

/// Words that `kind` can be; held against [`crate::snapshot::ContextKind`] by a test.
pub const KINDS: &[&str] = &["host", "user", "service", "container", "build", "remote", "declared"];
/// Words that `entry` can be.
pub const ENTRIES: &[&str] = &["native", "entered", "read", "declared", "none"];

/// What a value can be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shape {
    /// Nothing but absent.
    Null,
    /// A truth value.
    Bool,
    /// A number.
    Int,
    /// A text, and the words that it can be where they are known.
    Text(Option<&'static [&'static str]>),
    /// A list.
    List(Rc<Type>),
    /// A structure.
    Record(Rc<BTreeMap<String, Type>>),
    /// The element of an empty list.
    Nothing,
}

/// A shape, and whether the value may be absent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Type {
    /// What it is when it is there.
    pub shape: Shape,
    /// Whether it may be absent.
    pub nullable: bool,
}

impl Type {
    /// A value that is always there.
    pub fn certain(shape: Shape) -> Self {
        Self { shape, nullable: false }
    }

    /// A text of any words.
    pub fn text() -> Self {
        Self::certain(Shape::Text(None))
    }

    /// A list of something.
    pub fn list(of: Self) -> Self {
        Self::certain(Shape::List(Rc::new(of)))
    }

    /// In words.
    pub fn words(&self) -> String {
        match &self.shape {
            Shape::Null => "null".to_owned(),
            Shape::Bool => "a truth value".to_owned(),
            Shape::Int => "a number".to_owned(),
            Shape::Text(_) => "a text".to_owned(),
            Shape::List(_) => "a list".to_owned(),
            Shape::Record(_) => "a structure".to_owned(),
            Shape::Nothing => "nothing".to_owned(),
        }
    }

    /// Whether a comparison of the two can ever be true.
    pub fn comparable(&self, other: &Self) -> bool {
        match (&self.shape, &other.shape) {
            (Shape::Nothing, _) | (_, Shape::Nothing) | (Shape::Null, Shape::Null) => true,
            (Shape::Null, _) => other.nullable,
            (_, Shape::Null) => self.nullable,
            (Shape::Bool, Shape::Bool) | (Shape::Int, Shape::Int) | (Shape::Text(_), Shape::Text(_)) => true,
            (Shape::List(one), Shape::List(two)) => one.comparable(two),
            _ => false,
        }
    }

    /// Whether rows can be linked by it: a scalar.
    pub fn is_scalar(&self) -> bool {
        matches!(self.shape, Shape::Bool | Shape::Int | Shape::Text(_))
    }

    /// The type of a context.
    pub fn context() -> Self {
        let optional = || Self { shape: Shape::Text(None), nullable: true };
        let mut fields = BTreeMap::new();
        for name in ["id", "name", "boot", "host"] {
            fields.insert(name.to_owned(), Self::text());
        }
        for name in ["service", "user", "image", "role"] {
            fields.insert(name.to_owned(), optional());
        }
        fields.insert("kind".to_owned(), Self::certain(Shape::Text(Some(KINDS))));
        fields.insert("entry".to_owned(), Self::certain(Shape::Text(Some(ENTRIES))));
        if let Shape::Record(families) = Self::of(&schema::facts()).shape {
            fields.extend(families.iter().map(|(name, of)| (name.clone(), of.clone())));
        }
        Self::certain(Shape::Record(Rc::new(fields)))
    }

    /// The type that a schema describes.
    fn of(schema: &Value) -> Self {
        if let Some(choices) = schema.get("anyOf").or_else(|| schema.get("oneOf")).and_then(Value::as_array) {
            let mut types = choices.iter().map(Self::of);
            let mut found = Self::certain(Shape::Null);
            for choice in types.by_ref() {
                found.nullable |= choice.nullable || choice.shape == Shape::Null;
                if choice.shape != Shape::Null {
                    found.shape = choice.shape;
                }
            }
            return found;
        }
        let names: Vec<&str> = match schema.get("type") {
            Some(Value::String(name)) => vec![name],
            Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        let nullable = names.contains(&"null");
        let shape = match names.iter().find(|name| **name != "null").copied() {
            Some("boolean") => Shape::Bool,
            Some("integer") => Shape::Int,
            Some("string") => Shape::Text(None),
            Some("array") => Shape::List(Rc::new(schema.get("items").map_or_else(Self::text, Self::of))),
            Some("object") => {
                let properties = schema.get("properties").and_then(Value::as_object);
                let field = |(name, schema): (&String, &Value)| (name.clone(), Self::of(schema));
                Shape::Record(Rc::new(properties.into_iter().flatten().map(field).collect()))
            }
            _ => Shape::Null,
        };
        Self { shape, nullable }
    }
}
