//! Tokens of payment service providers: what is asked for with a card, and where it is done.

use serde::{Deserialize, Serialize};

use super::stored::ConnectorToken;
use crate::card::{Expiry, Pan};
use crate::payment::Payments;
use crate::vault::types::Actor;

/// A token that a payment service provider is to give for the card.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PspTokenization {
    /// How often it can be used.
    pub tokenization_type: TokenizationType,
    /// Which connector is to be asked.
    pub connector_id: String,
}

/// How often a provider's token can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenizationType {
    /// At will.
    MultiUse,
    /// Once.
    SingleUse,
}

/// The card that a provider is to tokenize; borrowed, so that nothing keeps it.
pub(super) struct CardForPsp<'a> {
    pub(super) pan: &'a Pan,
    pub(super) expiry: Expiry,
    pub(super) holder: Option<&'a str>,
}

/// Why a provider gave no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum PspFailure {
    /// The merchant has no connector of that id.
    #[error("no connector is configured")]
    NoConnector,
}

impl Payments {
    /// Asks the connector that `asked` names for a token of the card. The one place where a connector is called.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) async fn tokenize_at_psp(
        &self,
        actor: &Actor,
        card: CardForPsp<'_>,
        asked: &PspTokenization,
    ) -> Result<ConnectorToken, PspFailure> {
        let CardForPsp { pan, expiry, holder } = card;
        // no connector reads them yet
        let _ = (pan, expiry, holder);
        tracing::warn!(
            merchant = actor.merchant.as_str(),
            request = actor.request.as_str(),
            kind = ?asked.tokenization_type,
            "a token of a payment service provider was asked for, and no connector is configured"
        );
        Err(PspFailure::NoConnector)
    }
}
