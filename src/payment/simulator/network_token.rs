//! The simulated network token service. It answers by the card's expiry:
//!
//! | expiry | answer |
//! |---|---|
//! | 02/38 | none: the service did not do it |
//! | 03/38 | refused: error 301, of the provider 403 |
//! | 04/38 | not ready; there when it is looked up |
//! | 05/38 | not ready; refused when it is looked up: error 301, of the provider 403 |
//! | in the past | refused: error 301, of the provider 402 |
//! | any other | a network token |
//!
//! A card of a brand that is not below is refused: error 301, of the provider 404.
//!
//! | brand | number begins with | digits | ECI |
//! |---|---|---|---|
//! | amex | 370295 | 15 | 07 |
//! | diners | 362596 | 16 | 07 |
//! | discover | 601196 | 16 | 07 |
//! | jcb | 352811 | 16 | 07 |
//! | mastercard | 520424 | 16 | 02 |
//! | visa | 489537 | 16 | 07 |
//!
//! The beginnings of amex, mastercard and visa are those of the network tokens that a mobile wallet gives out in its test
//! environment, the others those of published test cards. The number goes on with 9 digits (amex 8) and a check digit, and
//! is never the card's own. It expires three years after the card. The payment account reference begins with `SIM` and
//! goes on with letters, so that no part of it looks like a card number.
//!
//! It remembers nothing. A number comes from merchant and card, so the same card gets the same one, also after it was
//! deleted; a payment account reference comes from the card alone, as a real one does. Unkeyed hashes of the card would be
//! found by trying all numbers, and a key made at start would be another after a restart: so both are the vault's keyed
//! MACs, made in the HSM. Two cards of a merchant and brand may get the same number, one pair in 10^9 (amex: in 10^8); the
//! second is then told that the service did not do it. A cryptogram is random, and nothing can be paid with it.

use std::fmt::Write;
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::card::{BinTable, Expiry, Pan, check_digit};
use crate::hsm::framed;
use crate::id::{MerchantId, UnixMillis, fill_random};
use crate::keys::SecretBytes;
use crate::payment::acquirer::Fut;
use crate::payment::network_token::{
    CardToProvision, Cryptogram, CryptogramDetails, NetworkTokenService, NotDone, PaymentAccountReference, Provision,
    ProvisionRefusal, Provisioned,
};
use crate::vault::Vault;

/// A network token service that no scheme knows.
pub(in crate::payment) struct SimulatedNetworkTokens {
    vault: Arc<Vault>,
}

/// How the network tokens of a brand look.
struct Brand {
    name: &'static str,
    begins: &'static str,
    length: usize,
    eci: &'static str,
}

/// What the card's expiry decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Decision {
    Active,
    Pending,
    PendingThenRefused,
    Refused,
    Expired,
    NotDone,
}

impl SimulatedNetworkTokens {
    /// `vault` makes the MACs.
    pub(in crate::payment) fn new(vault: Arc<Vault>) -> Self {
        Self { vault }
    }

    async fn answer(&self, merchant: &MerchantId, card: CardToProvision<'_>) -> Result<Provision, NotDone> {
        let info = BinTable::built_in().lookup(card.pan);
        let Some(brand) = BRANDS.iter().find(|brand| info.brand.as_deref() == Some(brand.name)) else {
            return Ok(refused("404", "Cards of this brand get no network token"));
        };
        match decide(card.expiry, UnixMillis::now()) {
            Decision::Active => Ok(Provision::Active(self.token(merchant, brand, &card).await?)),
            Decision::Pending => Ok(Provision::Pending(pending(&self.token(merchant, brand, &card).await?))),
            Decision::PendingThenRefused => Ok(Provision::Pending(Zeroizing::new(NOT_TO_BE.to_owned()))),
            Decision::Refused => Ok(not_allowed()),
            Decision::Expired => Ok(refused("402", "The card is past its expiry")),
            Decision::NotDone => Err(NotDone),
        }
    }

    async fn token(
        &self,
        merchant: &MerchantId,
        brand: &Brand,
        card: &CardToProvision<'_>,
    ) -> Result<Provisioned, NotDone> {
        let pan = card.pan.expose().as_bytes();
        let (number, account) = tokio::try_join!(
            self.mac(framed(&[
                b"network token (simulator)",
                merchant.as_str().as_bytes(),
                pan
            ])),
            self.mac(framed(&[b"payment account reference (simulator)", pan])),
        )?;
        Ok(Provisioned {
            number: number_of(brand, &number, card.pan).ok_or(NotDone)?,
            expiry: later(card.expiry),
            account_reference: account_reference_of(&account).ok_or(NotDone)?,
        })
    }

    async fn mac(&self, of: Vec<u8>) -> Result<[u8; 32], NotDone> {
        let made = self.vault.request_mac(SecretBytes::new(of)).await;
        made.map_err(|error| {
            tracing::warn!(%error, "the simulated network token service could not make a number");
            NotDone
        })
    }
}

impl NetworkTokenService for SimulatedNetworkTokens {
    fn name(&self) -> &'static str {
        "simulator"
    }

    fn provision<'a>(
        &'a self,
        merchant: &'a MerchantId,
        card: CardToProvision<'a>,
    ) -> Fut<'a, Result<Provision, NotDone>> {
        Box::pin(self.answer(merchant, card))
    }

    fn look_up<'a>(&'a self, _: &'a MerchantId, pending: &'a str) -> Fut<'a, Result<Provision, NotDone>> {
        Box::pin(async move {
            match pending {
                NOT_TO_BE => Ok(not_allowed()),
                pending => made_ready(pending).map(Provision::Active).ok_or(NotDone),
            }
        })
    }

    fn cryptogram<'a>(&'a self, _: &'a MerchantId, number: &'a Pan) -> Fut<'a, Result<CryptogramDetails, NotDone>> {
        Box::pin(async move {
            let brand = BRANDS.iter().find(|brand| number.expose().starts_with(brand.begins));
            let brand = brand.ok_or(NotDone)?;
            let mut bytes = Zeroizing::new([0; Cryptogram::BYTES]);
            fill_random(&mut *bytes).map_err(|_| NotDone)?;
            Ok(CryptogramDetails {
                cryptogram: Cryptogram::new(&bytes),
                eci: brand.eci.to_owned(),
            })
        })
    }

    fn delete<'a>(&'a self, _: &'a MerchantId, _: &'a Pan) -> Fut<'a, Result<(), NotDone>> {
        Box::pin(async { Ok(()) })
    }
}

fn decide(expiry: Expiry, now: UnixMillis) -> Decision {
    match (expiry.month(), expiry.year()) {
        (2, 2038) => Decision::NotDone,
        (3, 2038) => Decision::Refused,
        (4, 2038) => Decision::Pending,
        (5, 2038) => Decision::PendingThenRefused,
        _ if expiry.expired_at(now.0) => Decision::Expired,
        _ => Decision::Active,
    }
}

/// The number that `mac` stands for; another part of it where that would be the card's own.
fn number_of(brand: &Brand, mac: &[u8; 32], card: &Pan) -> Option<Pan> {
    let room = brand.length.checked_sub(brand.begins.len() + 1)?;
    let bodies = 10_u64.checked_pow(u32::try_from(room).ok()?)?;
    let (parts, _) = mac.as_chunks::<8>();
    parts.iter().find_map(|part| {
        let body = u64::from_be_bytes(*part) % bodies;
        // room for all of it at once: a string that grows leaves its old bytes behind
        let mut number = Zeroizing::new(String::with_capacity(brand.length));
        write!(number, "{}{body:0room$}", brand.begins).ok()?;
        let check = check_digit(&number)?;
        number.push(check);
        (*number != card.expose()).then(|| Pan::parse(&number).ok()).flatten()
    })
}

fn account_reference_of(mac: &[u8; 32]) -> Option<PaymentAccountReference> {
    let letters = mac.iter().map(|byte| char::from(b'A' + byte % 26));
    let text: Zeroizing<String> = Zeroizing::new(
        "SIM"
            .chars()
            .chain(letters)
            .take(PaymentAccountReference::LENGTH)
            .collect(),
    );
    PaymentAccountReference::parse(&text)
}

fn later(expiry: Expiry) -> Expiry {
    Expiry::new(expiry.month(), expiry.year() + 3).unwrap_or(expiry)
}

/// What is looked up later: the network token itself, since nothing is remembered. It is sealed where it is kept.
fn pending(token: &Provisioned) -> Zeroizing<String> {
    Zeroizing::new(format!(
        "{} {} {} {}",
        token.number.expose(),
        token.expiry.month(),
        token.expiry.year(),
        token.account_reference.expose()
    ))
}

/// Reads what [`pending`] made.
fn made_ready(text: &str) -> Option<Provisioned> {
    let mut parts = text.split(' ');
    Some(Provisioned {
        number: Pan::parse(parts.next()?).ok()?,
        expiry: Expiry::parse(parts.next()?, parts.next()?).ok()?,
        account_reference: PaymentAccountReference::parse(parts.next()?)?,
    })
}

fn not_allowed() -> Provision {
    refused("403", "Further operations for this card are not allowed")
}

fn refused(provider_error_code: &str, message: &str) -> Provision {
    Provision::Refused(ProvisionRefusal {
        error_code: "301".to_owned(),
        provider_error_code: provider_error_code.to_owned(),
        source: "Network token service (simulator)".to_owned(),
        context: "Provision token (simulator)".to_owned(),
        message: format!("{message} (simulator)"),
    })
}

const BRANDS: [Brand; 6] = [
    brand("amex", "370295", 15, "07"),
    brand("diners", "362596", 16, "07"),
    brand("discover", "601196", 16, "07"),
    brand("jcb", "352811", 16, "07"),
    brand("mastercard", "520424", 16, "02"),
    brand("visa", "489537", 16, "07"),
];

const fn brand(name: &'static str, begins: &'static str, length: usize, eci: &'static str) -> Brand {
    Brand {
        name,
        begins,
        length,
        eci,
    }
}

/// What is looked up for a card that is refused then.
const NOT_TO_BE: &str = "refused";

#[cfg(test)]
mod tests;
