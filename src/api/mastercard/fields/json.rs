//! Fields from JSON. Numbers are kept as they are written: `1.00` is an amount with two decimals.

use std::fmt;

use axum::http::StatusCode;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::{Fields, MAX_NAME};
use crate::api::mastercard::refusal::Refusal;

/// Objects and lists within each other.
const MAX_DEPTH: usize = 10;

/// An object's members, their values not yet looked into.
struct Members<'a>(Vec<(Zeroizing<String>, &'a RawValue)>);

pub(super) fn read(text: &[u8], fields: &mut Fields) -> Result<(), Refusal> {
    let members: Members<'_> = serde_json::from_slice(text).map_err(|error| {
        // serde's own text may repeat what was read
        let (line, column) = (error.line(), error.column());
        let explanation = format!("The body is not a JSON object: reading stopped at line {line}, column {column}.");
        Refusal::request(StatusCode::BAD_REQUEST, explanation)
    })?;
    object(members, &mut Zeroizing::new(String::with_capacity(MAX_PATH)), 1, fields)
}

fn object(
    members: Members<'_>,
    path: &mut Zeroizing<String>,
    depth: usize,
    fields: &mut Fields,
) -> Result<(), Refusal> {
    let length = path.len();
    for (name, raw) in members.0 {
        // a name with a dot or an index in it would be taken for another field's path
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
        if name.is_empty() || name.len() > MAX_NAME || !name.bytes().all(plain) {
            return Err(Refusal::unsupported(&format!("{}{}", path.as_str(), name.as_str())));
        }
        if !path.is_empty() {
            path.push('.');
        }
        path.push_str(&name);
        value(raw, path, depth, fields)?;
        path.truncate(length);
    }
    Ok(())
}

fn value(raw: &RawValue, path: &mut Zeroizing<String>, depth: usize, fields: &mut Fields) -> Result<(), Refusal> {
    let text = raw.get();
    let broken = |path: &str| Refusal::invalid(path.to_owned(), None, "It is not well-formed JSON text.");
    let first = text.bytes().next();
    if matches!(first, Some(b'{' | b'[')) && (depth >= MAX_DEPTH || path.len() > MAX_NAME) {
        return Err(Refusal::request(
            StatusCode::BAD_REQUEST,
            format!("The body is nested more than {MAX_DEPTH} levels deep, or a name in it is too long."),
        ));
    }
    match first {
        Some(b'{') => {
            let members = serde_json::from_str(text).map_err(|_| broken(path))?;
            object(members, path, depth + 1, fields)
        }
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(text).map_err(|_| broken(path))?;
            let length = path.len();
            for (at, item) in items.into_iter().enumerate() {
                path.push_str(&format!("[{at}]"));
                value(item, path, depth + 1, fields)?;
                path.truncate(length);
            }
            Ok(())
        }
        Some(b'"') => {
            let text: String = serde_json::from_str(text).map_err(|_| broken(path))?;
            fields.add(path, Zeroizing::new(text))
        }
        Some(b'n') => Ok(()),
        _ => fields.add(path, Zeroizing::new(text.to_owned())),
    }
}

/// A path is cut off beyond [`MAX_NAME`] before it grows past this: names, dots and an index.
const MAX_PATH: usize = 2 * MAX_NAME + 16;

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(name) = map.next_key::<String>()? {
                    members.push((Zeroizing::new(name), map.next_value()?));
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Object)
    }
}
