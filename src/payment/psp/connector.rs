//! A connector: who makes a token of a card at one payment service provider.

use super::card::Billing;
use super::failure::Failure;
use super::token::{TokenKind, TokenStatus};
use crate::card::{Expiry, Pan};
use crate::id::{ConnectorId, MerchantId, PspReference};
use crate::payment::SecurityCode;
use crate::payment::acquirer::Fut;

/// What a provider is asked for; borrowed, so that nothing keeps it.
pub struct Ask<'a> {
    /// For whom.
    pub merchant: &'a MerchantId,
    /// As the merchant calls the connector.
    pub connector_id: &'a ConnectorId,
    /// The card's number.
    pub pan: &'a Pan,
    /// Its expiry.
    pub expiry: Expiry,
    /// The name on it, where known.
    pub holder: Option<&'a str>,
    /// The security code, where the payer gave it.
    pub security_code: Option<&'a SecurityCode>,
    /// Whose card it is, as far as known.
    pub billing: &'a Billing,
    /// How often the token is to be good.
    pub kind: TokenKind,
    /// The provider's customer that a token for many uses is to belong to. Without it the provider makes one, and so it does
    /// where it has no such customer any more.
    pub customer: Option<&'a PspReference>,
    /// The same for the same wish: a repetition is done once. Letters, digits and `-`, at most 64.
    pub key: &'a str,
}

/// A token that a provider made.
pub struct Made {
    /// The token.
    pub token: PspReference,
    /// Whether it can be paid with.
    pub status: TokenStatus,
    /// The provider's customer that it belongs to, where it does.
    pub customer: Option<PspReference>,
    /// What the provider calls the request, for asking its people about it.
    pub request: Option<PspReference>,
}

/// A connector to a payment service provider. Implementations keep no card, and answer within the time set for them.
pub trait PspConnector: Send + Sync {
    /// The provider's name, where users meet it. A simulator says that it is one.
    fn name(&self) -> &'static str;

    /// A token of the card.
    fn tokenize<'a>(&'a self, ask: Ask<'a>) -> Fut<'a, Result<Made, Failure>>;
}
