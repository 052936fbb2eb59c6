//! From the typed facts straight into a [`Tree`], without a document between them: a snapshot has hundreds of facts, and most runs
//! compare thousands of them.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::LazyLock;

use serde::ser::{self, Impossible, Serialize, SerializeMap, SerializeSeq, SerializeStruct, Serializer};
use thiserror::Error;

use super::{Hole, Tree, words};
use crate::snapshot::{MARKER, PARTIAL, Reason};

/// Why facts are no tree: a type among them that no fact has.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct NoTree(String);

impl ser::Error for NoTree {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

/// Builds the tree of what stands at `path`.
pub struct Builder<'p> {
    pub path: &'p mut String,
}

/// A list under way.
pub struct Elements<'p> {
    path: &'p mut String,
    items: Vec<Tree>,
}

/// A structure under way.
pub struct Fields<'p> {
    path: &'p mut String,
    fields: Vec<(Cow<'static, str>, Tree)>,
}

/// A map under way: what stands for an unobserved fact or a partial list, or a structure with keys that are data.
pub struct Entries<'p> {
    fields: Fields<'p>,
    key: Option<String>,
    reason: Option<Cow<'static, str>>,
    partial: Option<Vec<Tree>>,
}

impl<'p> Fields<'p> {
    fn put<T: Serialize + ?Sized>(&mut self, name: Cow<'static, str>, value: &T) -> Result<(), NoTree> {
        let depth = self.path.len();
        if depth > 0 {
            self.path.push('.');
        }
        self.path.push_str(&name);
        let tree = value.serialize(Builder { path: self.path })?;
        self.path.truncate(depth);
        self.fields.push((name, tree));
        Ok(())
    }

    fn record(mut self) -> Tree {
        self.fields.sort_unstable_by(|one, two| one.0.cmp(&two.0));
        Tree::Record(self.fields)
    }
}

impl SerializeStruct for Fields<'_> {
    type Ok = Tree;
    type Error = NoTree;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), NoTree> {
        self.put(Cow::Borrowed(name), value)
    }

    fn end(self) -> Result<Tree, NoTree> {
        Ok(self.record())
    }
}

impl SerializeSeq for Elements<'_> {
    type Ok = Tree;
    type Error = NoTree;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), NoTree> {
        let depth = self.path.len();
        // Writing to a string can't fail.
        let _ = write!(self.path, "[{}]", self.items.len());
        self.items.push(value.serialize(Builder { path: self.path })?);
        self.path.truncate(depth);
        Ok(())
    }

    fn end(self) -> Result<Tree, NoTree> {
        Ok(Tree::List(self.items, None))
    }
}

impl SerializeMap for Entries<'_> {
    type Ok = Tree;
    type Error = NoTree;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), NoTree> {
        match key.serialize(Builder { path: &mut String::new() })? {
            Tree::Text(key) => self.key = Some(key.into()),
            _ => return Err(NoTree("a key that is no text".to_owned())),
        }
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), NoTree> {
        let key = self.key.take().unwrap_or_default();
        self.entry(key, value)
    }

    fn serialize_entry<K: Serialize + ?Sized, V: Serialize + ?Sized>(
        &mut self,
        key: &K,
        value: &V,
    ) -> Result<(), NoTree> {
        self.serialize_key(key)?;
        self.serialize_value(value)
    }

    fn end(self) -> Result<Tree, NoTree> {
        let Some(reason) = self.reason else { return Ok(self.fields.record()) };
        let hole = Box::new(Hole { path: self.fields.path.clone(), reason });
        Ok(match self.partial {
            Some(items) => Tree::List(items, Some(hole)),
            None => Tree::Hole(hole),
        })
    }
}

impl Entries<'_> {
    fn entry<T: Serialize + ?Sized>(&mut self, key: String, value: &T) -> Result<(), NoTree> {
        match key.as_str() {
            MARKER => {
                self.reason = Some(reason(value)?);
            }
            PARTIAL => match value.serialize(Builder { path: self.fields.path })? {
                Tree::List(items, _) => self.partial = Some(items),
                _ => return Err(NoTree("a partial list that is none".to_owned())),
            },
            _ => self.fields.put(Cow::Owned(key), value)?,
        }
        Ok(())
    }
}

/// The reason in words.
fn reason<T: Serialize + ?Sized>(value: &T) -> Result<Cow<'static, str>, NoTree> {
    let tree = value.serialize(Builder { path: &mut String::new() })?;
    // By far the most frequent one: facts that an older version, or an example, did not record.
    if let Some(Tree::Text(text)) = tree.field("reason")
        && **text == *"not-recorded"
    {
        static WORDS: LazyLock<String> = LazyLock::new(|| Reason::NotRecorded.to_string());
        return Ok(Cow::Borrowed(WORDS.as_str()));
    }
    let marker = serde_json::to_value(value).map_err(|error| NoTree(error.to_string()))?;
    Ok(Cow::Owned(words(marker)))
}

/// The scalars that no fact is.
macro_rules! refused {
    ($($method:ident: $of:ty),*) => {$(
        fn $method(self, _: $of) -> Result<Tree, NoTree> {
            Err(NoTree(concat!(stringify!($of), " is the type of no fact").to_owned()))
        }
    )*};
}

/// The scalars that fit a number.
macro_rules! numbers {
    ($($method:ident: $of:ty),*) => {$(
        fn $method(self, value: $of) -> Result<Tree, NoTree> {
            Ok(Tree::Int(i64::from(value)))
        }
    )*};
}

impl<'p> Serializer for Builder<'p> {
    type Ok = Tree;
    type Error = NoTree;
    type SerializeSeq = Elements<'p>;
    type SerializeTuple = Impossible<Tree, NoTree>;
    type SerializeTupleStruct = Impossible<Tree, NoTree>;
    type SerializeTupleVariant = Impossible<Tree, NoTree>;
    type SerializeMap = Entries<'p>;
    type SerializeStruct = Fields<'p>;
    type SerializeStructVariant = Impossible<Tree, NoTree>;

    numbers!(serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64);
    numbers!(serialize_u8: u8, serialize_u16: u16, serialize_u32: u32);
    refused!(serialize_f32: f32, serialize_f64: f64, serialize_bytes: &[u8]);

    fn serialize_bool(self, value: bool) -> Result<Tree, NoTree> {
        Ok(Tree::Bool(value))
    }

    /// Facts are integers of at most 64 bits; a larger one is shown, never compared by order.
    fn serialize_u64(self, value: u64) -> Result<Tree, NoTree> {
        Ok(i64::try_from(value).map_or_else(|_| Tree::Text(value.to_string().into()), Tree::Int))
    }

    fn serialize_char(self, value: char) -> Result<Tree, NoTree> {
        Ok(Tree::Text(value.to_string().into()))
    }

    fn serialize_str(self, value: &str) -> Result<Tree, NoTree> {
        Ok(Tree::Text(value.into()))
    }

    fn serialize_none(self) -> Result<Tree, NoTree> {
        Ok(Tree::Absent)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Tree, NoTree> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<Tree, NoTree> {
        Ok(Tree::Absent)
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<Tree, NoTree> {
        Ok(Tree::Absent)
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<Tree, NoTree> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<Tree, NoTree> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<Tree, NoTree> {
        Err(variant(name))
    }

    fn serialize_seq(self, length: Option<usize>) -> Result<Elements<'p>, NoTree> {
        Ok(Elements { path: self.path, items: Vec::with_capacity(length.unwrap_or_default()) })
    }

    fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, NoTree> {
        Err(variant("a tuple"))
    }

    fn serialize_tuple_struct(self, name: &'static str, _: usize) -> Result<Self::SerializeTupleStruct, NoTree> {
        Err(variant(name))
    }

    fn serialize_tuple_variant(
        self,
        name: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, NoTree> {
        Err(variant(name))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Entries<'p>, NoTree> {
        let fields = Fields { path: self.path, fields: Vec::new() };
        Ok(Entries { fields, key: None, reason: None, partial: None })
    }

    fn serialize_struct(self, _: &'static str, length: usize) -> Result<Fields<'p>, NoTree> {
        Ok(Fields { path: self.path, fields: Vec::with_capacity(length) })
    }

    fn serialize_struct_variant(
        self,
        name: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, NoTree> {
        Err(variant(name))
    }
}

fn variant(name: &str) -> NoTree {
    NoTree(format!("{name} is the type of no fact"))
}
