//! Reading bodies. What is wrong with one is told by place and kind, never by value.

use serde::de::DeserializeOwned;

use super::refusal::Refusal;
use crate::api::json::{self, Fault, Why};
use crate::payment::wallet::Json;

/// Reads a body.
///
/// # Errors
/// What is wrong with it.
pub(super) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    json::parse(body).map_err(|fault| Refusal::json(told(&fault)))
}

fn told(fault: &Fault) -> String {
    match fault {
        Fault::Syntax { line, column } => format!("not JSON at line {line} column {column}"),
        Fault::Field { path, why } => match why {
            Why::Missing => format!("missing field `{path}`"),
            Why::Unknown => format!("unknown field `{path}`"),
            Why::Duplicate => format!("duplicate field `{path}`"),
            Why::OneOf(_) | Why::Type(_) if path.is_empty() => format!("the body {why}"),
            Why::OneOf(_) | Why::Type(_) => format!("`{path}` {why}"),
        },
    }
}

/// A member that is to be an object.
///
/// # Errors
/// It is something else.
pub(super) fn object(name: &str, value: Option<Json>) -> Result<Option<Json>, Refusal> {
    match &value {
        Some(json) if !json.expose().trim_start().starts_with('{') => {
            Err(Refusal::json(format!("`{name}` must be an object")))
        }
        Some(_) | None => Ok(value),
    }
}

/// Refuses a text that is longer than its rule says, in characters.
pub(super) fn within(name: &str, text: Option<&str>, min: usize, max: usize) -> Result<(), Refusal> {
    let length = text.map(|text| text.chars().count());
    match length {
        Some(length) if length < min || length > max => {
            Err(Refusal::json(format!("`{name}` must have {min} to {max} characters")))
        }
        Some(_) | None => Ok(()),
    }
}
