//! Tokens of payment service providers: what is asked for with a card, and where it is done.

use serde::{Deserialize, Serialize};

use zeroize::Zeroizing;

use super::stored::{ConnectorToken, ConnectorTokenStatus};
use crate::card::{Expiry, Pan};
use crate::id::{ConnectorId, PspReference};
use crate::payment::Payments;
use crate::payment::network_tokens::copy;
use crate::payment::psp::{self, Billing, PspCard, PspFrom, PspTokenize, TokenKind, TokenStatus};
use crate::payment::wallet::text::Text;
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

impl Payments {
    /// Asks the connector that `asked` names for a token of the card. The one place where a connector is called.
    ///
    /// # Errors
    /// As [`Payments::psp_tokenize`].
    pub(super) async fn tokenize_at_psp(
        &self,
        actor: &Actor,
        card: CardForPsp<'_>,
        asked: &PspTokenization,
    ) -> Result<ConnectorToken, psp::Error> {
        let connector_id = ConnectorId::parse(&asked.connector_id).map_err(|_| psp::Error::UnknownConnector)?;
        let card = PspCard {
            pan: copy(card.pan)?,
            expiry: card.expiry,
            holder: card.holder.map(|name| Zeroizing::new(name.to_owned())),
            // what is kept of it waits for a payment
            security_code: None,
        };
        let wish = PspTokenize {
            connector_id,
            from: PspFrom::Card(card),
            billing: Billing::default(),
            kind: match asked.tokenization_type {
                TokenizationType::MultiUse => TokenKind::MultiUse,
                TokenizationType::SingleUse => TokenKind::SingleUse,
            },
            customer: None,
            key: None,
        };
        let made = self.psp_tokenize(actor, wish).await?;
        let text = |text: &PspReference| Text::new(text.as_str().to_owned());
        Ok(ConnectorToken {
            connector_id: Some(made.connector_id.to_string()),
            token_type: Some(asked.tokenization_type),
            status: Some(match made.status {
                TokenStatus::Active => ConnectorTokenStatus::Active,
                TokenStatus::Inactive => ConnectorTokenStatus::Inactive,
            }),
            token: text(&made.token),
            request_reference_id: made.request_reference_id.as_ref().map(text),
            original_amount: None,
            original_currency: None,
            metadata: None,
            connector_customer_id: made.connector_customer_id.as_ref().map(text),
        })
    }
}

/// What a client is told of a token that it did not get, in one word.
pub(super) fn code_of(error: &psp::Error) -> &'static str {
    match error {
        psp::Error::UnknownConnector | psp::Error::SimulatorOnly => "not_configured",
        psp::Error::Provider(failure) => failure.word(),
        psp::Error::Text { .. } => "rejected",
        psp::Error::Payment(_) => "failed",
    }
}
