//! The text of a token search: `{"EQ":["token","…"]}`, `LE`, `GT`, and `AND`, `OR` over lists of such. That AND and OR are
//! written so is inferred.

use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

use super::refusal::Refusal;
use crate::card::{Expiry, Pan};
use crate::id::{Token, UnixMillis};
use crate::keys::SecretBytes;
use crate::vault::Vault;
use crate::vault::types::{Actor, Error, Filter, FilterSize, Operation};

/// A query that was read: its card numbers may still be encrypted.
pub(super) enum Asked {
    All(Vec<Self>),
    Any(Vec<Self>),
    Clear(Filter),
    /// A card number encrypted to the vault: the five parts of a compact JWE (RFC 7516), an extension of ours.
    Sealed(Text),
}

/// A condition as it is written.
#[derive(Deserialize)]
enum Condition {
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

/// Reads a query, all but what is encrypted in it: that costs the HSM an operation each, so the rest is right before.
/// Nothing of it is ever repeated: it may hold a card number.
///
/// # Errors
/// What cannot be taken: a field, a value or a pair of field and operator that is not known, or a query beyond the
/// limits.
pub(super) fn parse(text: &str) -> Result<Asked, Refusal> {
    let condition: Condition = serde_json::from_str(text).map_err(|_| {
        refused(
            "It is JSON text: an object with one of EQ, GT, LE and [field, value], or AND or OR and a list of such \
             objects.",
        )
    })?;
    let mut size = FilterSize::default();
    condition.measure(&mut size, 1);
    size.pans().map_err(|reason| refused(&format!("It {reason}.")))?;
    condition.asked()
}

impl Asked {
    /// How many of its card numbers are encrypted.
    pub(super) fn sealed(&self) -> usize {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().map(Self::sealed).sum(),
            Self::Clear(_) => 0,
            Self::Sealed(_) => 1,
        }
    }

    /// The filter. Card numbers that were encrypted to the vault are opened for it.
    ///
    /// # Errors
    /// What is encrypted is no card number, or the core did not open it.
    pub(super) async fn filter(self, vault: &Vault, actor: &Actor) -> Result<Filter, Fault> {
        Ok(match self {
            Self::All(parts) => Filter::All(all(parts, vault, actor).await?),
            Self::Any(parts) => Filter::Any(all(parts, vault, actor).await?),
            Self::Clear(filter) => filter,
            Self::Sealed(jwe) => Filter::Pan(opened(&jwe, vault, actor).await?),
        })
    }
}

impl Condition {
    fn measure(&self, size: &mut FilterSize, depth: usize) {
        match self {
            Self::And(parts) | Self::Or(parts) => {
                if size.group(depth, parts.len()) {
                    parts.iter().for_each(|part| part.measure(size, depth + 1));
                }
            }
            Self::Eq((field, _)) | Self::Gt((field, _)) | Self::Le((field, _)) => {
                size.part(depth, field.0.as_str() == NUMBER);
            }
        }
    }

    fn asked(self) -> Result<Asked, Refusal> {
        let each = |parts: Vec<Self>| parts.into_iter().map(Self::asked).collect::<Result<Vec<_>, _>>();
        let (field, value, operator) = match self {
            Self::And(parts) => return Ok(Asked::All(each(parts)?)),
            Self::Or(parts) => return Ok(Asked::Any(each(parts)?)),
            Self::Eq((field, value)) => (field, value, "EQ"),
            Self::Gt((field, value)) => (field, value, "GT"),
            Self::Le((field, value)) => (field, value, "LE"),
        };
        let text = value.0.as_str();
        Ok(Asked::Clear(match (field.0.as_str(), operator) {
            // what cannot be a token is the token of nothing
            ("token", "EQ") => Token::parse(text).map_or(Filter::Nothing, Filter::Token),
            (NUMBER, "EQ") if text.split('.').count() == 5 => return Ok(Asked::Sealed(value)),
            (NUMBER, "EQ") => Filter::Pan(clear_number(text)?),
            (EXPIRY, "EQ") => Filter::ExpiresIn(expiry(text)?),
            (EXPIRY, "LE") => Filter::ExpiresBy(expiry(text)?),
            ("usage.lastUpdated", "GT") => Filter::UpdatedAfter(time(text)?),
            _ => {
                return Err(refused(
                    "Tokens are found by EQ of token, EQ of sourceOfFunds.provided.card.number, EQ or LE of \
                     sourceOfFunds.provided.card.expiry, and GT of usage.lastUpdated.",
                ));
            }
        }))
    }
}

async fn all(parts: Vec<Asked>, vault: &Vault, actor: &Actor) -> Result<Vec<Filter>, Fault> {
    let mut filters = Vec::with_capacity(parts.len());
    for part in parts {
        filters.push(Box::pin(part.filter(vault, actor)).await?);
    }
    Ok(filters)
}

async fn opened(jwe: &Text, vault: &Vault, actor: &Actor) -> Result<Pan, Fault> {
    let opened: SecretBytes = vault
        .open_jwe(actor, Operation::SearchByPan, "query", &jwe.0)
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

#[cfg(test)]
mod tests;
