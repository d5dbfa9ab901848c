//! A customer as it is stored: nothing personal in clear.

use serde::{Deserialize, Serialize};

use super::Customer;
use crate::id::UnixMillis;
use crate::payment::Error;
use crate::payment::wallet::{Json, Text};

/// The part in clear.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::payment::wallet) struct Stored {
    pub(in crate::payment::wallet) created_at: UnixMillis,
    pub(super) standing: Standing,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::payment::wallet) default_method: Option<String>,
}

/// Whether a customer's data is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Standing {
    /// It is.
    Active,
    /// It is being removed: nothing is added any more.
    Redacting,
    /// It was removed.
    Redacted,
}

/// The sealed part: all that is said of a customer.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CustomerDetails {
    /// What the merchant calls it; unique.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<Text>,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Text>,
    /// Its e-mail address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<Text>,
    /// Its telephone number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<Text>,
    /// That number's country code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone_country_code: Option<Text>,
    /// A remark.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Text>,
    /// Its tax number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tax_registration_id: Option<Text>,
    /// Where bills go: one JSON object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub billing_address: Option<Json>,
    /// Where goods go: one JSON object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shipping_address: Option<Json>,
    /// The merchant's own: one JSON object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Json>,
    /// A document that identifies it: one JSON object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity_document: Option<Json>,
}

impl CustomerDetails {
    /// With what `newer` gives in its place; the reference stays.
    pub(super) fn changed(self, newer: Self) -> Self {
        Self {
            reference: self.reference,
            name: newer.name.or(self.name),
            email: newer.email.or(self.email),
            phone: newer.phone.or(self.phone),
            phone_country_code: newer.phone_country_code.or(self.phone_country_code),
            description: newer.description.or(self.description),
            tax_registration_id: newer.tax_registration_id.or(self.tax_registration_id),
            billing_address: newer.billing_address.or(self.billing_address),
            shipping_address: newer.shipping_address.or(self.shipping_address),
            metadata: newer.metadata.or(self.metadata),
            identity_document: newer.identity_document.or(self.identity_document),
        }
    }
}

impl Stored {
    pub(super) fn new(created_at: UnixMillis) -> Self {
        Self {
            created_at,
            standing: Standing::Active,
            default_method: None,
        }
    }

    pub(super) fn view(&self, id: String, details: CustomerDetails) -> Customer {
        Customer {
            id,
            created_at: self.created_at,
            default_method: self.default_method.clone(),
            details,
        }
    }

    pub(super) fn encode(&self) -> Result<Vec<u8>, Error> {
        serde_json::to_vec(self).map_err(|_| Error::damaged())
    }

    pub(super) fn decode(clear: &[u8]) -> Result<Self, Error> {
        serde_json::from_slice(clear).map_err(|_| Error::damaged())
    }
}
