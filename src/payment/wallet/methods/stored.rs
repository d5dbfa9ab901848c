//! What is kept of a payment method beside card, expiry and holder: the rest of its token's profile, sealed.

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::psp::{PspTokenization, TokenizationType};
use crate::payment::Error;
use crate::payment::wallet::text::encoded;
use crate::payment::wallet::{Json, Text};

/// As it is written. Without it a token is no payment method.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Kept {
    /// Whose it is; always there in what is stored.
    pub(super) customer: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) subtype: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) nick_name: Option<Text>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) issuing_country: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) network: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) issuer: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) card_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) billing: Option<Json>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) metadata: Option<Json>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) connector_tokens: Vec<ConnectorToken>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) network_transaction_id: Option<Text>,
    /// The network token's reference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) network_token: Option<String>,
    /// What was asked of a payment service provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) psp_tokenization: Option<PspTokenization>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) acknowledged: Option<Acknowledgement>,
}

/// What became of a payment method's first use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Acknowledgement {
    /// Its holder proved to be who it is: from then on it is active, for good.
    Authenticated,
    /// That failed: it is out of use until the card is added again.
    Failed,
}

/// What a payment service provider gave for the card.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConnectorToken {
    /// Which connector; a payment method has one token of each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connector_id: Option<String>,
    /// How often it can be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_type: Option<TokenizationType>,
    /// Whether it can be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<ConnectorTokenStatus>,
    /// The token.
    pub token: Text,
    /// What the request for it was called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_reference_id: Option<Text>,
    /// The amount first authorized with it, in minor units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original_amount: Option<i64>,
    /// That amount's currency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original_currency: Option<String>,
    /// The connector's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Json>,
    /// What the connector calls the customer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connector_customer_id: Option<Text>,
}

/// Whether a connector's token can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConnectorTokenStatus {
    /// It can.
    Active,
    /// It cannot.
    Inactive,
}

impl Kept {
    /// Reads a profile's rest; `None` where the token is no payment method.
    pub(super) fn decode(extra: Option<&Zeroizing<String>>) -> Option<Self> {
        serde_json::from_str(extra?).ok()
    }

    pub(super) fn encode(&self) -> Result<Zeroizing<String>, Error> {
        let bytes = encoded(self)?;
        let text = std::str::from_utf8(bytes.expose()).map_err(|_| Error::damaged())?;
        Ok(Zeroizing::new(text.to_owned()))
    }

    /// With a connector's token, in the place of the one of that connector.
    pub(super) fn put_connector_token(&mut self, token: ConnectorToken) {
        self.connector_tokens
            .retain(|there| there.connector_id != token.connector_id);
        self.connector_tokens.push(token);
    }
}
