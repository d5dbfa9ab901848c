//! A request that is understood as far as all operations are alike, and its answer.

use axum::http::StatusCode;

use super::fields::Fields;
use super::known::{Use, known};
use super::operation::ApiOperation;
use super::refusal::Refusal;
use super::tree::Tree;
use super::version::Version;
use crate::card::{BinTable, contains_live_pan};
use crate::vault::types::Actor;

/// A request: who asks for what, by which fields. All of them are known to the operation.
pub(super) struct Call {
    pub(super) operation: ApiOperation,
    pub(super) version: Version,
    pub(super) actor: Actor,
    pub(super) fields: Fields,
}

/// An answer, not yet in the form of a wire.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) tree: Tree,
}

impl Call {
    /// # Errors
    /// A field that the operation does not take; a correlation id that cannot be given back.
    pub(super) fn new(
        operation: ApiOperation,
        version: Version,
        actor: Actor,
        fields: Fields,
    ) -> Result<Self, Refusal> {
        if let Some((name, _)) = fields.iter().find(|(name, _)| known(operation, name).is_none()) {
            return Err(Refusal::unsupported(name));
        }
        if fields.text("correlationId").is_some() && correlation(&fields).is_none() {
            let reason = "It is given back, so it has up to 100 characters and is no card number.";
            return Err(Refusal::invalid("correlationId", None, reason));
        }
        Ok(Self {
            operation,
            version,
            actor,
            fields,
        })
    }

    /// The fields that the operation gives back as they came.
    pub(super) fn echoed(&self) -> impl Iterator<Item = (&str, &str)> {
        let echoed = |name: &str| known(self.operation, name) == Some(Use::Echoed);
        self.fields.iter().filter(move |(name, _)| echoed(name))
    }
}

/// The id by which the client recognises its answer, if it may be given back.
pub(super) fn correlation(fields: &Fields) -> Option<&str> {
    let text = fields.text("correlationId")?;
    let good = text.chars().nth(100).is_none() && !contains_live_pan(text, &BinTable::built_in());
    good.then_some(text)
}
