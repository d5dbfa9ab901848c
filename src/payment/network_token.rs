//! The network token service: who gives EMVCo payment tokens, numbers that stand for a card at one merchant.

use data_encoding::BASE64;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::acquirer::Fut;
use crate::card::{Expiry, Pan};
use crate::id::MerchantId;

/// A card on its way to the service; borrowed, so that nothing keeps it.
pub struct CardToProvision<'a> {
    /// The number.
    pub pan: &'a Pan,
    /// Its expiry.
    pub expiry: Expiry,
    /// The name on the card, where known.
    pub holder: Option<&'a str>,
}

/// What the service gives for a card.
pub enum Provision {
    /// A network token.
    Active(Provisioned),
    /// One that is not ready yet: it is looked up by this text, the service's own. Where it is kept, it is sealed.
    Pending(Zeroizing<String>),
    /// None.
    Refused(ProvisionRefusal),
}

/// A network token.
pub struct Provisioned {
    /// Its number: to be kept as a card's is.
    pub number: Pan,
    /// Its expiry, which is not the card's.
    pub expiry: Expiry,
    /// Which account it belongs to.
    pub account_reference: PaymentAccountReference,
}

/// Why there is no network token for a card, in the service's own words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProvisionRefusal {
    /// The service's code.
    pub error_code: String,
    /// The card scheme's code.
    pub provider_error_code: String,
    /// Who refused it.
    pub source: String,
    /// What was being done.
    pub context: String,
    /// Why; no card number.
    pub message: String,
}

/// A payment account reference: 29 capitals and digits, the same for every network token of an account. Nothing can be
/// paid with it, but it tells two payments of one person: so it is not printed, and wiped when dropped.
pub struct PaymentAccountReference(Zeroizing<String>);

impl PaymentAccountReference {
    /// Its length.
    pub const LENGTH: usize = 29;

    /// Takes 29 capitals and digits.
    pub fn parse(text: &str) -> Option<Self> {
        let allowed = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
        let good = text.len() == Self::LENGTH && text.bytes().all(allowed);
        good.then(|| Self(Zeroizing::new(text.to_owned())))
    }

    /// The text.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// What proves that a network token is used by the merchant it was made for, in one payment. It has no serializer, no
/// `Debug`, no `Clone`, and is wiped when dropped.
pub struct Cryptogram(Zeroizing<String>);

impl Cryptogram {
    /// Bytes of a cryptogram.
    pub const BYTES: usize = 20;

    /// Takes the bytes as they come from the service.
    pub fn new(bytes: &[u8; Self::BYTES]) -> Self {
        Self(Zeroizing::new(BASE64.encode(bytes)))
    }

    /// 28 characters of base 64, for the payment.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// A cryptogram and what goes with it into the payment.
pub struct CryptogramDetails {
    /// The cryptogram.
    pub cryptogram: Cryptogram,
    /// The electronic commerce indicator, two digits.
    pub eci: String,
}

/// The service did not do it: it does not answer, or has reasons that are not about the card. Its log says which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the network token service did not do it")]
pub struct NotDone;

/// A network token service. Implementations keep no card and no number.
pub trait NetworkTokenService: Send + Sync {
    /// Its name, where users meet it. A simulator says that it is one.
    fn name(&self) -> &'static str;

    /// A network token for the card. While the merchant has one for it, that one; two cards never have the same.
    fn provision<'a>(
        &'a self,
        merchant: &'a MerchantId,
        card: CardToProvision<'a>,
    ) -> Fut<'a, Result<Provision, NotDone>>;

    /// What became of one that was not ready; `pending` is the text of [`Provision::Pending`].
    fn look_up<'a>(&'a self, merchant: &'a MerchantId, pending: &'a str) -> Fut<'a, Result<Provision, NotDone>>;

    /// A fresh cryptogram for the network token of that number.
    fn cryptogram<'a>(
        &'a self,
        merchant: &'a MerchantId,
        number: &'a Pan,
    ) -> Fut<'a, Result<CryptogramDetails, NotDone>>;

    /// Ends the network token of that number. One that it does not have, or has no more, is ended.
    fn delete<'a>(&'a self, merchant: &'a MerchantId, number: &'a Pan) -> Fut<'a, Result<(), NotDone>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_reference_has_29_capitals_and_digits() {
        let good = "V0010000000000000000000000ABC";
        assert_eq!(PaymentAccountReference::parse(good).unwrap().expose(), good);
        for bad in [
            "",
            &good[1..],
            &format!("{good}A"),
            &good.to_lowercase(),
            &good.replace('A', "Ä"),
        ] {
            assert!(PaymentAccountReference::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_cryptogram_is_28_characters_of_base_64() {
        let mut bytes = [0; Cryptogram::BYTES];
        bytes[0] = 255;
        let cryptogram = Cryptogram::new(&bytes);
        assert_eq!(cryptogram.expose(), "/wAAAAAAAAAAAAAAAAAAAAAAAAA=");
        assert_eq!(cryptogram.expose().len(), 28);
    }
}
