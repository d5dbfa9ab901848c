//! What there is of a card at a payment service provider. All of it may be kept and shown: nothing of the card is in it.

use serde::{Deserialize, Serialize};

use crate::id::{ConnectorId, PspReference, UnixMillis};

/// How often a provider's token is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenKind {
    /// For many payments; it belongs to a customer of the provider's.
    MultiUse,
    /// For one payment.
    SingleUse,
}

impl TokenKind {
    /// Its name where it is stored, shown and audited.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MultiUse => "multi_use",
            Self::SingleUse => "single_use",
        }
    }
}

/// Whether a provider's token can be paid with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenStatus {
    /// It can.
    Active,
    /// Not yet, or not any more.
    Inactive,
}

impl TokenStatus {
    /// Its name where it is stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Inactive => "inactive",
        }
    }
}

/// A provider's token of a card, as a dialect keeps and shows it. Whoever has the account's key at the provider can charge
/// the card by it, so it is kept sealed with the card's profile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectorToken {
    /// The merchant's connector.
    pub connector_id: ConnectorId,
    /// The provider's name. A simulator's says that it is one.
    pub provider: String,
    /// How often it is good.
    pub token_type: TokenKind,
    /// Whether it can be paid with.
    pub status: TokenStatus,
    /// The token.
    pub token: PspReference,
    /// The provider's customer that it belongs to, to be given again with that person's next card.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connector_customer_id: Option<PspReference>,
    /// What the provider calls the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_reference_id: Option<PspReference>,
    /// When it was made.
    pub created_at: UnixMillis,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_kept_as_it_is() {
        let token = ConnectorToken {
            connector_id: ConnectorId::parse("mca_one").unwrap(),
            provider: "stripe".to_owned(),
            token_type: TokenKind::MultiUse,
            status: TokenStatus::Active,
            token: PspReference::parse("pm_1").unwrap(),
            connector_customer_id: Some(PspReference::parse("cus_1").unwrap()),
            request_reference_id: None,
            created_at: UnixMillis(1),
        };
        let json = r#"{"connector_id":"mca_one","provider":"stripe","token_type":"multi_use","status":"active","token":"pm_1","connector_customer_id":"cus_1","created_at":1}"#;
        assert_eq!(serde_json::to_string(&token).unwrap(), json);
        assert_eq!(serde_json::from_str::<ConnectorToken>(json).unwrap(), token);
        let names = |kind: TokenKind| serde_json::to_value(kind).unwrap();
        assert_eq!(names(TokenKind::SingleUse), TokenKind::SingleUse.as_str());
        assert_eq!(names(TokenKind::MultiUse), TokenKind::MultiUse.as_str());
        for status in [TokenStatus::Active, TokenStatus::Inactive] {
            assert_eq!(serde_json::to_value(status).unwrap(), status.as_str());
        }
    }
}
