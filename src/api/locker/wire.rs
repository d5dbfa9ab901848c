//! The dialect's JSON, named as the contract names it. Members that are not known are left alone, as the vendor's program
//! leaves them: its routers send more than it reads.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

/// A text that is wiped: a card number, a name.
pub(super) struct Secret(pub(super) Zeroizing<String>);

/// A JSON value's text, as the caller wrote it; wiped.
pub(super) struct Raw(pub(super) Zeroizing<Box<str>>);

/// A card, or data that the caller encrypted, to be stored.
#[derive(Deserialize)]
#[serde(expecting = "an object")]
pub(super) struct AddCard {
    pub(super) merchant_id: String,
    pub(super) merchant_customer_id: String,
    pub(super) requestor_card_reference: Option<String>,
    pub(super) card: Option<Card>,
    /// Wins where both are there.
    pub(super) enc_card_data: Option<Secret>,
    /// Seconds.
    pub(super) ttl: Option<i64>,
}

/// A card. No security code: one that is sent is not read.
#[derive(Deserialize)]
#[serde(expecting = "an object")]
pub(super) struct Card {
    pub(super) card_number: Secret,
    pub(super) name_on_card: Option<Secret>,
    pub(super) card_exp_month: Option<Secret>,
    pub(super) card_exp_year: Option<Secret>,
    pub(super) card_brand: Option<Secret>,
    pub(super) card_isin: Option<Secret>,
    pub(super) nick_name: Option<Secret>,
}

/// Which card.
#[derive(Deserialize)]
#[serde(expecting = "an object")]
pub(super) struct CardName {
    pub(super) merchant_id: String,
    pub(super) merchant_customer_id: String,
    pub(super) card_reference: String,
}

/// A record to be kept.
#[derive(Deserialize)]
#[serde(expecting = "an object")]
pub(super) struct AddRecord {
    pub(super) entity_id: String,
    pub(super) vault_id: String,
    pub(super) data: Raw,
    /// Seconds.
    pub(super) ttl: Option<i64>,
}

/// Which record.
#[derive(Deserialize, Serialize)]
#[serde(expecting = "an object")]
pub(super) struct RecordName {
    pub(super) entity_id: String,
    pub(super) vault_id: String,
}

/// A text and the caller's key.
#[derive(Deserialize)]
#[serde(expecting = "an object")]
pub(super) struct Fingerprint {
    pub(super) data: Secret,
    pub(super) key: Secret,
}

/// An entity.
#[derive(Deserialize)]
#[serde(expecting = "an object")]
pub(super) struct EntityName {
    pub(super) entity_id: String,
}

/// An answer of the older API.
#[derive(Serialize)]
pub(super) struct Done<P: Serialize> {
    pub(super) status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) payload: Option<P>,
}

impl<P: Serialize> Done<P> {
    pub(super) fn with(payload: P) -> Self {
        Self {
            status: "Ok",
            payload: Some(payload),
        }
    }
}

#[derive(Serialize)]
pub(super) struct Added<'a> {
    pub(super) card_reference: &'a str,
    pub(super) duplication_check: Option<Duplication>,
    /// Always null.
    pub(super) dedup: Option<()>,
}

/// What there was of the card already.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Duplication {
    /// The same.
    Duplicated,
    /// The same number with other details, which stay.
    MetaDataChanged,
}

#[derive(Serialize)]
pub(super) struct Retrieved<'a> {
    pub(super) card: Option<ShownCard<'a>>,
    pub(super) enc_card_data: Option<&'a RawValue>,
}

#[derive(Serialize)]
pub(super) struct ShownCard<'a> {
    pub(super) card_number: &'a str,
    pub(super) name_on_card: Option<&'a str>,
    pub(super) card_exp_month: Option<&'a str>,
    pub(super) card_exp_year: Option<&'a str>,
    pub(super) card_brand: Option<&'a str>,
    pub(super) card_isin: Option<&'a str>,
    pub(super) nick_name: Option<&'a str>,
}

#[derive(Serialize)]
pub(super) struct Record<'a> {
    pub(super) data: &'a RawValue,
}

#[derive(Serialize)]
pub(super) struct FingerprintId<'a> {
    pub(super) fingerprint_id: &'a str,
}

#[derive(Serialize)]
pub(super) struct Entity<'a> {
    pub(super) entity_id: &'a str,
    pub(super) created_at: &'a str,
}

#[derive(Serialize)]
pub(super) struct Alive {
    pub(super) message: &'static str,
}

#[derive(Serialize)]
pub(super) struct Diagnostics {
    pub(super) key_custodian_locked: bool,
    pub(super) database: DatabaseHealth,
    pub(super) keymanager_status: State,
    pub(super) redis_status: State,
}

#[derive(Serialize)]
pub(super) struct DatabaseHealth {
    pub(super) database_connection: State,
    pub(super) database_read: State,
    pub(super) database_write: State,
    pub(super) database_delete: State,
    pub(super) database_replica: State,
}

#[derive(Serialize)]
pub(super) enum State {
    Working,
    Failing,
    Disabled,
}

/// What the dialect keeps of a card in the rest of a token's profile: texts as they were sent.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Kept {
    #[serde(default)]
    pub(super) card: KeptCard,
}

#[derive(Default, Serialize, Deserialize)]
pub(super) struct KeptCard {
    /// One that cannot be a holder's: an empty one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) name_on_card: Option<Secret>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) card_exp_month: Option<Secret>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) card_exp_year: Option<Secret>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) card_brand: Option<Secret>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) card_isin: Option<Secret>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) nick_name: Option<Secret>,
}

impl Secret {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Zeroizing::new(text)))
    }
}

impl Serialize for Secret {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Box::<RawValue>::deserialize(deserializer).map(|raw| Self(Zeroizing::new(raw.into())))
    }
}
