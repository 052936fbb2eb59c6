//! Reading facts and partial lists in one pass: a value goes to its own type as it comes, without a tree between them.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer, StringDeserializer};
use serde::de::{DeserializeSeed, Error, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::{Fact, List, MARKER, PARTIAL, Reason};

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Fact<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FactVisitor(PhantomData))
    }
}

struct FactVisitor<T>(PhantomData<T>);

/// Hands a scalar on to the value's own type.
macro_rules! scalars {
    ($($method:ident: $of:ty),*) => {$(
        fn $method<E: Error>(self, value: $of) -> Result<Self::Value, E> {
            T::deserialize(value.into_deserializer()).map(Fact::Present)
        }
    )*};
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for FactVisitor<T> {
    type Value = Fact<T>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a fact")
    }

    scalars!(visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_str: &str, visit_string: String);

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Fact::Absent)
    }

    fn visit_none<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Fact::Absent)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, elements: A) -> Result<Self::Value, A::Error> {
        T::deserialize(SeqAccessDeserializer::new(elements)).map(Fact::Present)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let first: Option<String> = entries.next_key()?;
        if first.as_deref() == Some(MARKER) {
            let reason = entries.next_value()?;
            return match entries.next_key::<String>()? {
                None => Ok(Fact::Unobserved(reason)),
                Some(key) => Err(A::Error::custom(format!("`{key}` beside the reason of an unobserved fact"))),
            };
        }
        T::deserialize(MapAccessDeserializer::new(Again { first, entries })).map(Fact::Present)
    }
}

/// The entries of a map of which the first key was looked at already.
struct Again<A> {
    first: Option<String>,
    entries: A,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Again<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        match self.first.take() {
            Some(key) => seed.deserialize(StringDeserializer::new(key)).map(Some),
            None => self.entries.next_key_seed(seed),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.entries.next_value_seed(seed)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ListVisitor(PhantomData))
    }
}

struct ListVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ListVisitor<T> {
    type Value = List<T>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, elements: A) -> Result<Self::Value, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(elements)).map(List::complete)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let (mut items, mut more): (Option<Vec<T>>, Option<Reason>) = (None, None);
        while let Some(key) = entries.next_key::<String>()? {
            match key.as_str() {
                PARTIAL => items = Some(entries.next_value()?),
                MARKER => more = Some(entries.next_value()?),
                _ => return Err(A::Error::custom("expected a list")),
            }
        }
        let items = items.ok_or_else(|| A::Error::custom("expected a list"))?;
        Ok(List { items, more })
    }
}
