//! JSON from callers: what is wrong with it is told by place and kind, never by value.
//!
//! serde's own messages repeat values and member names, which may be card numbers, so none of them leaves this file. A
//! body that parses is read once. Only one that does not is read a second time, into a tree from which the same type is
//! built again with errors that keep the kind and drop the value.

use std::fmt;

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{DeserializeOwned, Deserializer, Expected, IntoDeserializer, Unexpected, Visitor};
use serde_json::Value;
use serde_path_to_error::{Path, Segment};
use zeroize::Zeroize;

/// What is wrong with a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A member: where, and why.
    Field {
        /// Its path, e.g. `card.expiry.month`; empty for the body itself.
        path: String,
        /// What is wrong with it.
        why: Why,
    },
    /// Not JSON text.
    Syntax {
        /// Where reading stopped, from 1.
        line: usize,
        /// Likewise.
        column: usize,
    },
}

/// What is wrong with a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Why {
    /// Given twice.
    Duplicate,
    /// Needed and absent.
    Missing,
    /// Not one of these.
    OneOf(&'static [&'static str]),
    /// Another type, or outside the type's range.
    Type(String),
    /// Not a member that is known there.
    Unknown,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Duplicate => f.write_str("is given twice"),
            Self::Missing => f.write_str("is missing"),
            Self::OneOf(known) => write!(f, "must be one of: {}", known.join(", ")),
            Self::Type(wanted) => write!(f, "must be {wanted}"),
            Self::Unknown => f.write_str("is not a known member"),
        }
    }
}

/// Parses a body.
///
/// # Errors
/// [`Fault`].
pub(crate) fn parse<T: DeserializeOwned>(text: &[u8]) -> Result<T, Fault> {
    let error = match serde_json::from_slice(text) {
        Ok(parsed) => return Ok(parsed),
        Err(error) => error,
    };
    // A second reading as a tree fails for just the texts that are not JSON.
    let mut tree: Value = serde_json::from_slice(text).map_err(|_| Fault::Syntax {
        line: error.line(),
        column: error.column(),
    })?;
    let again: Result<T, _> = serde_path_to_error::deserialize(Node(&tree));
    let fault = match again {
        Err(error) => fault(error.path(), error.inner()),
        // A tree keeps one of two members of a name: that is all it forgives.
        Ok(_) => Fault::Field {
            path: String::new(),
            why: Why::Duplicate,
        },
    };
    wipe(&mut tree);
    Err(fault)
}

fn fault(path: &Path, kind: &Kind) -> Fault {
    let mut shown = show(path);
    let why = match kind {
        Kind::Duplicate => Why::Duplicate,
        Kind::Missing(name) => {
            if !shown.is_empty() {
                shown.push('.');
            }
            shown.push_str(name);
            Why::Missing
        }
        Kind::OneOf(known) => Why::OneOf(known),
        Kind::Type(wanted) => Why::Type(wanted.clone()),
        Kind::Unknown => Why::Unknown,
    };
    Fault::Field { path: shown, why }
}

/// The path, with names that may hold data left out.
fn show(path: &Path) -> String {
    let mut shown = String::new();
    for segment in path {
        let name = match segment {
            Segment::Seq { index } => {
                shown.push_str(&format!("[{index}]"));
                continue;
            }
            Segment::Map { key } => key.as_str(),
            Segment::Enum { variant } => variant.as_str(),
            Segment::Unknown => "",
        };
        if !shown.is_empty() {
            shown.push('.');
        }
        shown.push_str(if is_harmless(name) { name } else { "(name not shown)" });
    }
    shown
}

/// A short identifier that cannot hold a card number or a secret.
fn is_harmless(name: &str) -> bool {
    let starts = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let digits = name.bytes().filter(u8::is_ascii_digit).count();
    let plain = name
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    starts && plain && name.len() <= 32 && digits <= 2
}

/// Texts in a tree may be card numbers.
fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(items) => items.iter_mut().for_each(wipe),
        Value::Object(members) => members.values_mut().for_each(wipe),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// What serde found wrong, without the value.
#[derive(Debug)]
enum Kind {
    Duplicate,
    Missing(&'static str),
    OneOf(&'static [&'static str]),
    Type(String),
    Unknown,
}

impl Kind {
    fn wanted(expected: &dyn Expected) -> Self {
        let wanted = expected.to_string();
        Self::Type(match wanted.as_str() {
            "u8" | "u16" | "u32" | "u64" => "a whole number within its range".to_owned(),
            _ => wanted,
        })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member cannot be taken")
    }
}

impl std::error::Error for Kind {}

impl serde::de::Error for Kind {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self::Type("of another form".to_owned())
    }

    fn invalid_type(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::wanted(expected)
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::wanted(expected)
    }

    fn invalid_length(_: usize, expected: &dyn Expected) -> Self {
        Self::wanted(expected)
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        Self::OneOf(expected)
    }

    fn unknown_field(_: &str, _: &'static [&'static str]) -> Self {
        Self::Unknown
    }

    fn missing_field(field: &'static str) -> Self {
        Self::Missing(field)
    }

    fn duplicate_field(_: &'static str) -> Self {
        Self::Duplicate
    }
}

/// A tree to build a type from.
struct Node<'a>(&'a Value);

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
            Value::Null => visitor.visit_unit(),
            Value::Bool(flag) => visitor.visit_bool(*flag),
            Value::Number(number) => match (number.as_u64(), number.as_i64()) {
                (Some(number), _) => visitor.visit_u64(number),
                (None, Some(number)) => visitor.visit_i64(number),
                (None, None) => visitor.visit_f64(number.as_f64().unwrap_or(f64::NAN)),
            },
            Value::String(text) => visitor.visit_str(text),
            Value::Array(items) => visitor.visit_seq(SeqDeserializer::new(items.iter().map(Node))),
            Value::Object(members) => {
                let members = members.iter().map(|(name, value)| (name.as_str(), Node(value)));
                visitor.visit_map(MapDeserializer::new(members))
            }
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Kind> {
        match self.0 {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    /// The one newtype struct among the wire types is serde_json's `RawValue`, which asks for a map of its own name to
    /// the text.
    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, Kind> {
        let text = self.0.to_string();
        visitor.visit_map(MapDeserializer::new(std::iter::once((name, text))))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Kind> {
        match self.0 {
            Value::String(variant) => visitor.visit_enum(variant.as_str().into_deserializer()),
            _ => Err(Kind::Type("a string".to_owned())),
        }
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct identifier ignored_any
    }
}

#[cfg(test)]
mod tests;
