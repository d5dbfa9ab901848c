//! A request's fields: dotted paths and their values, alike whether they came as JSON or as name-value pairs.

mod form;
mod json;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use axum::http::StatusCode;
use zeroize::Zeroizing;

use super::refusal::Refusal;

/// Fields by their paths. Values may be card data: they are wiped when dropped.
#[derive(Default)]
pub(super) struct Fields(BTreeMap<String, Zeroizing<String>>);

impl Fields {
    /// The value of a field that is there; none is empty.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| value.as_str())
    }

    /// The value of a field that must be there.
    ///
    /// # Errors
    /// It is missing.
    pub(super) fn required(&self, name: &'static str) -> Result<&str, Refusal> {
        self.text(name).ok_or_else(|| Refusal::missing(name))
    }

    /// A field's value as `read` takes it; `reason` says in a sentence what is taken.
    ///
    /// # Errors
    /// `read` gives nothing.
    pub(super) fn read<T>(
        &self,
        name: &'static str,
        reason: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, Refusal> {
        let taken = |text: &str| read(text).ok_or_else(|| Refusal::invalid(name, Some(text), reason));
        self.text(name).map(taken).transpose()
    }

    /// Takes a field out.
    pub(super) fn take(&mut self, name: &str) -> Option<Zeroizing<String>> {
        self.0.remove(name)
    }

    /// All fields in the order of their names.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Adds what an object in JSON text holds; nested names are joined with dots. Null, empty texts, objects and lists are
    /// as good as absent.
    ///
    /// # Errors
    /// Not a JSON object; too deep, too many or too long; a field that is there already.
    pub(super) fn read_json(&mut self, text: &[u8]) -> Result<(), Refusal> {
        json::read(text, self)
    }

    /// Adds what a form holds (`application/x-www-form-urlencoded`). Empty pairs and empty values are as good as absent.
    ///
    /// # Errors
    /// Broken encoding; too many or too long; a field that is there already.
    pub(super) fn read_form(&mut self, text: &[u8]) -> Result<(), Refusal> {
        form::read(text, self)
    }

    /// Adds a field.
    ///
    /// # Errors
    /// Too many or too long; it is there already.
    pub(super) fn add(&mut self, name: &str, value: Zeroizing<String>) -> Result<(), Refusal> {
        if value.is_empty() {
            return Ok(());
        }
        if name.is_empty() || name.len() > MAX_NAME {
            return Err(Refusal::unsupported(name));
        }
        // a query is a text of its own, with limits of its own
        if name != "query" && value.chars().nth(MAX_VALUE).is_some() {
            let reason = format!("It is longer than {MAX_VALUE} characters.");
            return Err(Refusal::invalid(name.to_owned(), None, &reason));
        }
        if self.0.len() >= MAX_FIELDS {
            return Err(Refusal::request(
                StatusCode::BAD_REQUEST,
                format!("The request has more than {MAX_FIELDS} fields."),
            ));
        }
        match self.0.entry(name.to_owned()) {
            Entry::Occupied(_) => Err(Refusal::twice(name)),
            Entry::Vacant(place) => {
                place.insert(value);
                Ok(())
            }
        }
    }
}

/// Fields in a request.
const MAX_FIELDS: usize = 500;
/// Bytes in a field's path.
const MAX_NAME: usize = 120;
/// Characters in a value.
const MAX_VALUE: usize = 4_096;

#[cfg(test)]
mod tests;
