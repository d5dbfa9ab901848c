//! A body as a tree that keeps every member, also one of a name that was there already.

use std::fmt;

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, IgnoredAny, IntoDeserializer, MapAccess, SeqAccess, Visitor,
};
use zeroize::Zeroizing;

use super::{DEPTH, Kind};

/// A JSON value. Its texts may be card numbers: they are wiped.
pub(crate) enum Tree {
    Null,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text(Zeroizing<String>),
    List(Vec<Self>),
    Members(Vec<(Zeroizing<String>, Self)>),
    /// Nested deeper than [`DEPTH`]; not kept.
    Deeper,
}

/// Reads a tree of at most so many levels.
#[derive(Clone, Copy)]
struct Levels(usize);

/// A tree to build a type from.
pub(super) struct Node<'a>(pub(super) &'a Tree);

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Levels(DEPTH).deserialize(deserializer)
    }
}

impl<'de> DeserializeSeed<'de> for Levels {
    type Value = Tree;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Tree, D::Error> {
        match self.0 {
            // The parser skips a value without going down into it.
            0 => deserializer.deserialize_ignored_any(IgnoredAny).map(|_| Tree::Deeper),
            _ => deserializer.deserialize_any(self),
        }
    }
}

impl<'de> Visitor<'de> for Levels {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Tree, E> {
        Ok(Tree::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Tree, E> {
        Ok(Tree::Unsigned(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Tree, E> {
        Ok(Tree::Signed(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Tree, E> {
        Ok(Tree::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Tree, E> {
        Ok(Tree::Text(Zeroizing::new(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Tree, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(Self(self.0.saturating_sub(1)))? {
            list.push(item);
        }
        Ok(Tree::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Tree, A::Error> {
        let mut list = Vec::new();
        while let Some(name) = members.next_key::<String>()? {
            let value = members.next_value_seed(Self(self.0.saturating_sub(1)))?;
            list.push((Zeroizing::new(name), value));
        }
        Ok(Tree::Members(list))
    }
}

impl<'a> IntoDeserializer<'a, Kind> for Node<'a> {
    type Deserializer = Self;
    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Node<'de> {
    type Error = Kind;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Kind> {
        match self.0 {
            Tree::Null | Tree::Deeper => visitor.visit_unit(),
            Tree::Bool(flag) => visitor.visit_bool(*flag),
            Tree::Unsigned(number) => visitor.visit_u64(*number),
            Tree::Signed(number) => visitor.visit_i64(*number),
            Tree::Float(number) => visitor.visit_f64(*number),
            Tree::Text(text) => visitor.visit_str(text),
            Tree::List(items) => visitor.visit_seq(SeqDeserializer::new(items.iter().map(Node))),
            Tree::Members(members) => {
                let members = members.iter().map(|(name, value)| (name.as_str(), Node(value)));
                visitor.visit_map(MapDeserializer::new(members))
            }
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Kind> {
        match self.0 {
            Tree::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    /// The one newtype struct among the wire types is serde_json's `RawValue`, which asks for a map of its own name to
    /// the text. It takes any JSON, so any stands for what was there.
    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, Kind> {
        visitor.visit_map(MapDeserializer::new(std::iter::once((name, "null"))))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Kind> {
        match self.0 {
            Tree::Text(variant) => visitor.visit_enum(variant.as_str().into_deserializer()),
            _ => Err(Kind::Type("a string".to_owned())),
        }
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct identifier ignored_any
    }
}
