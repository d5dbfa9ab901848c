//! The text of a token search: `{"EQ":["token","…"]}`, `LE`, `GT`, and `AND`, `OR` over lists of such. That AND and OR are
//! written so is inferred.

use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

use super::refusal::Refusal;
use crate::card::{Expiry, Pan};
use crate::id::{Token, UnixMillis};
use crate::keys::SecretBytes;
use crate::vault::Vault;
use crate::vault::types::{Actor, Error, Filter, Operation};

/// A condition as it is written.
#[derive(Deserialize)]
pub(super) enum Condition {
    #[serde(rename = "AND")]
    And(Vec<Self>),
    #[serde(rename = "OR")]
    Or(Vec<Self>),
    #[serde(rename = "EQ")]
    Eq((Text, Text)),
    #[serde(rename = "GT")]
    Gt((Text, Text)),
    #[serde(rename = "LE")]
    Le((Text, Text)),
}

/// A text of the query: it may be a card number, so it is wiped.
pub(super) struct Text(Zeroizing<String>);

/// Why a query is no filter.
#[derive(Debug)]
pub(super) enum Fault {
    /// It cannot be taken.
    Refused(Refusal),
    /// The core did not open what was encrypted.
    Core(Error),
}

/// Reads a query. Nothing of it is ever repeated: it may hold a card number.
///
/// # Errors
/// What cannot be taken.
pub(super) fn parse(text: &str) -> Result<Condition, Refusal> {
    let condition: Condition = serde_json::from_str(text).map_err(|_| {
        refused(
            "It is JSON text: an object with one of EQ, GT, LE and [field, value], or AND or OR and a list of such \
             objects.",
        )
    })?;
    match condition.numbers() {
        0..=MAX_NUMBERS => Ok(condition),
        _ => Err(refused("It has more than 8 card numbers.")),
    }
}

impl Condition {
    /// The filter of this condition. Card numbers that were encrypted to the vault are opened for it.
    ///
    /// # Errors
    /// A field, a value or a pair of field and operator that is not known.
    pub(super) async fn filter(&self, vault: &Vault, actor: &Actor) -> Result<Filter, Fault> {
        let (field, value, operator) = match self {
            Self::And(parts) => return Ok(Filter::All(all(parts, vault, actor).await?)),
            Self::Or(parts) => return Ok(Filter::Any(all(parts, vault, actor).await?)),
            Self::Eq((field, value)) => (field, value, "EQ"),
            Self::Gt((field, value)) => (field, value, "GT"),
            Self::Le((field, value)) => (field, value, "LE"),
        };
        let value = value.0.as_str();
        Ok(match (field.0.as_str(), operator) {
            ("token", "EQ") => Filter::Token(Token::parse(value).map_err(|_| refused("A token in it is none."))?),
            (NUMBER, "EQ") => Filter::Pan(number(value, vault, actor).await?),
            (EXPIRY, "EQ") => Filter::ExpiresIn(expiry(value)?),
            (EXPIRY, "LE") => Filter::ExpiresBy(expiry(value)?),
            ("usage.lastUpdated", "GT") => Filter::UpdatedAfter(time(value)?),
            _ => {
                return Err(Fault::Refused(refused(
                    "Tokens are found by EQ of token, EQ of sourceOfFunds.provided.card.number, EQ or LE of \
                     sourceOfFunds.provided.card.expiry, and GT of usage.lastUpdated.",
                )));
            }
        })
    }

    /// How many card numbers are asked for.
    fn numbers(&self) -> usize {
        match self {
            Self::And(parts) | Self::Or(parts) => parts.iter().map(Self::numbers).sum(),
            Self::Eq((field, _)) | Self::Gt((field, _)) | Self::Le((field, _)) => {
                usize::from(field.0.as_str() == NUMBER)
            }
        }
    }
}

async fn all(parts: &[Condition], vault: &Vault, actor: &Actor) -> Result<Vec<Filter>, Fault> {
    let mut filters = Vec::with_capacity(parts.len());
    for part in parts {
        filters.push(Box::pin(part.filter(vault, actor)).await?);
    }
    Ok(filters)
}

/// A card number in clear, or encrypted to the vault: the five parts of a compact JWE (RFC 7516), an extension of ours.
async fn number(value: &str, vault: &Vault, actor: &Actor) -> Result<Pan, Fault> {
    if value.split('.').count() != 5 {
        return Ok(clear_number(value)?);
    }
    let opened: SecretBytes = vault
        .open_jwe(actor, Operation::SearchByPan, "query", value)
        .await
        .map_err(Fault::Core)?;
    let text = std::str::from_utf8(opened.expose()).map_err(|_| refused("What is encrypted in it is no text."))?;
    Ok(clear_number(text)?)
}

fn clear_number(text: &str) -> Result<Pan, Refusal> {
    Pan::parse(text).map_err(|bad| refused(&format!("A card number in it {bad}.")))
}

/// `MMYY`.
fn expiry(text: &str) -> Result<Expiry, Refusal> {
    let halves = text.split_at_checked(2).filter(|_| text.len() == 4);
    halves
        .and_then(|(month, year)| Expiry::parse(month, year).ok())
        .ok_or_else(|| refused("An expiry in it is not of the form MMYY."))
}

fn time(text: &str) -> Result<UnixMillis, Refusal> {
    text.parse::<jiff::Timestamp>()
        .ok()
        .and_then(|time| u64::try_from(time.as_millisecond()).ok())
        .map(UnixMillis)
        .ok_or_else(|| refused("A time in it is not of the form 2014-10-31T03:11:53Z."))
}

fn refused(reason: &str) -> Refusal {
    Refusal::invalid("query", None, reason)
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Zeroizing::new(text)))
    }
}

const NUMBER: &str = "sourceOfFunds.provided.card.number";
const EXPIRY: &str = "sourceOfFunds.provided.card.expiry";
/// Card numbers in a query: each costs the HSM an operation, and an encrypted one two.
const MAX_NUMBERS: usize = 8;

#[cfg(test)]
mod tests;
