//! The card that a provider's token is asked for, and whose it is.

use zeroize::Zeroizing;

use super::{Error, TokenKind};
use crate::card::{Expiry, Pan};
use crate::id::{ConnectorId, IdempotencyKey, PspReference, Token};
use crate::payment::SecurityCode;
use crate::vault::Vault;

/// What is asked for.
pub struct PspTokenize {
    /// At which of the merchant's connectors.
    pub connector_id: ConnectorId,
    /// Of which card.
    pub from: PspFrom,
    /// Whose card it is, as far as known.
    pub billing: Billing,
    /// How often the token is to be good.
    pub kind: TokenKind,
    /// The provider's customer ([`ConnectorToken::connector_customer_id`](super::ConnectorToken::connector_customer_id) of an
    /// earlier one) that a token for many uses is to belong to; without it a new one.
    pub customer: Option<PspReference>,
    /// The same for the same wish, which the provider then grants once; a repetition with another card or billing is refused
    /// by it. Without it each call is a wish of its own.
    pub key: Option<IdempotencyKey>,
}

/// Where the card comes from.
pub enum PspFrom {
    /// One that is given.
    Card(PspCard),
    /// The card of this token. It is a use: a single-use token is spent by it.
    Token {
        /// The vault's token.
        token: Token,
        /// The security code, where the payer gave it.
        security_code: Option<SecurityCode>,
    },
}

/// A card on its way to a provider.
pub struct PspCard {
    /// Its number.
    pub pan: Pan,
    /// Its expiry.
    pub expiry: Expiry,
    /// The name on it.
    pub holder: Option<Zeroizing<String>>,
    /// The security code, where the payer gave it.
    pub security_code: Option<SecurityCode>,
}

/// Whose card it is.
#[derive(Default)]
pub struct Billing {
    /// The name.
    pub name: Option<Zeroizing<String>>,
    /// The e-mail address.
    pub email: Option<Zeroizing<String>>,
    /// The telephone number.
    pub phone: Option<Zeroizing<String>>,
    /// Street and house.
    pub line1: Option<Zeroizing<String>>,
    /// More of it.
    pub line2: Option<Zeroizing<String>>,
    /// The town.
    pub city: Option<Zeroizing<String>>,
    /// The postal code.
    pub postal_code: Option<Zeroizing<String>>,
    /// State or county.
    pub state: Option<Zeroizing<String>>,
    /// Country: two letters of ISO 3166.
    pub country: Option<Zeroizing<String>>,
}

impl Billing {
    /// All of it by name.
    pub(super) fn fields(&self) -> [(&'static str, Option<&str>); 9] {
        [
            ("name", given(&self.name)),
            ("email", given(&self.email)),
            ("phone", given(&self.phone)),
            ("line1", given(&self.line1)),
            ("line2", given(&self.line2)),
            ("city", given(&self.city)),
            ("postal_code", given(&self.postal_code)),
            ("state", given(&self.state)),
            ("country", given(&self.country)),
        ]
    }
}

fn given(field: &Option<Zeroizing<String>>) -> Option<&str> {
    field.as_ref().map(|text| text.as_str())
}

impl PspTokenize {
    /// Refuses what no provider would take, and a card number in a place that is no place for one.
    ///
    /// # Errors
    /// [`Error::Text`].
    pub(super) fn check(&self, vault: &Vault) -> Result<(), Error> {
        let holder = match &self.from {
            PspFrom::Card(card) => given(&card.holder),
            PspFrom::Token { .. } => None,
        };
        for (field, text) in self.billing.fields().into_iter().chain([("holder", holder)]) {
            let Some(text) = text else { continue };
            let reason = if text.len() > TEXT_MAX {
                "is too long"
            } else if text.chars().any(char::is_control) {
                "has a control character"
            } else if vault.holds_card_number(text) {
                "holds what looks like a card number"
            } else {
                continue;
            };
            return Err(Error::Text { field, reason });
        }
        Ok(())
    }
}

/// Bytes of a text: 255 characters of any script.
const TEXT_MAX: usize = 1_020;
