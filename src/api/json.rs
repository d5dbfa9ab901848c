//! JSON from callers: what is wrong with it is told by place and kind, never by value.
//!
//! serde's own messages repeat values and member names, which may be card numbers, so none of them leaves this file. A
//! body that parses is read once. Only one that does not is read a second time, into a tree from which the same type is
//! built again with errors that keep the kind and drop the value.

mod depth;
mod tree;

use std::fmt;

use serde::de::{DeserializeOwned, Expected, Unexpected};
use serde_path_to_error::{Path, Segment};

pub(crate) use self::depth::{DEPTH, is_too_deep};
use self::tree::Node;
pub(crate) use self::tree::Tree;

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
    if let Ok(parsed) = serde_json::from_slice(text) {
        return Ok(parsed);
    }
    // A second reading as a tree fails for just the texts that are not JSON.
    let tree = read(text)?;
    let again: Result<T, _> = serde_path_to_error::deserialize(Node(&tree));
    Err(match again {
        Err(error) => fault(error.path(), error.inner()),
        // The tree holds what the text holds.
        Ok(_) => Fault::Field {
            path: String::new(),
            why: Why::Type("of another form".to_owned()),
        },
    })
}

/// Reads a body as a tree, for who says all that is wrong with it and not the first thing alone. Nested deeper than [`DEPTH`]
/// it is cut.
///
/// # Errors
/// [`Fault::Syntax`].
pub(crate) fn read(text: &[u8]) -> Result<Tree, Fault> {
    serde_json::from_slice(text).map_err(|error| Fault::Syntax {
        line: error.line(),
        column: error.column(),
    })
}

fn fault(path: &Path, kind: &Kind) -> Fault {
    let mut shown = show(path);
    // These are found by the object around the member, which the path ends with.
    if let Kind::Duplicate(name) | Kind::Missing(name) = kind {
        if !shown.is_empty() {
            shown.push('.');
        }
        shown.push_str(name);
    }
    let why = match kind {
        Kind::Duplicate(_) => Why::Duplicate,
        Kind::Missing(_) => Why::Missing,
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

/// What serde found wrong, without the value.
#[derive(Debug)]
enum Kind {
    Duplicate(&'static str),
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

    fn duplicate_field(field: &'static str) -> Self {
        Self::Duplicate(field)
    }
}

#[cfg(test)]
mod tests;
