//! The simulated acquirer.
//!
//! It approves every card that is not past its expiry, but for these, by expiry and by security code:
//!
//! | expiry | verdict |
//! |---|---|
//! | 05/39 | declined |
//! | 04/27 | expired card |
//! | 08/28 | timed out |
//! | 01/37 | system error |
//! | 02/37 | unspecified failure |
//! | 05/37 | unknown |
//! | in the past | expired card |
//! | none | declined |
//!
//! | security code | result |
//! |---|---|
//! | 100, 1000 | match |
//! | 101, 1010 | not processed |
//! | 102, 1020 | no match |
//! | any other | not processed |
//! | none | not presented |
//!
//! A code that does not match refuses a verification (invalid security code), because there the code is what is asked about.
//! Payments and authorizations are approved all the same: what to make of the answer is the merchant's choice then. A
//! verdict that the expiry gives comes first.
//!
//! It remembers nothing. Authorization code, receipt, trace number and reference come from merchant and key, never from the
//! card, so a repeated request gets its first answer. A reference carries a check part: a transaction that refers to one
//! that is not the merchant's own ends in a system error. Whether amounts fit is the orders' concern.
//!
//! Its token for a card is the same at any time, which takes a hash of the number. An unkeyed one would be found by trying
//! all numbers, and a key made at start would be another after a restart: so it is the vault's keyed MAC, made in the HSM.

use std::sync::Arc;

use ring::digest::{SHA256, digest};

use crate::card::Expiry;
use crate::hsm::framed;
use crate::id::{MerchantId, Token, UnixMillis};
use crate::keys::SecretBytes;
use crate::payment::SecurityCode;
use crate::payment::acquirer::{Acquirer, AcquirerToken, Answer, Ask, CodeCheck, Fut, Presented, Verdict};
use crate::vault::Vault;

/// An acquirer that moves no money.
pub(in crate::payment) struct SimulatedAcquirer {
    vault: Arc<Vault>,
}

impl SimulatedAcquirer {
    /// `vault` makes the MACs for [`Acquirer::tokenize`].
    pub(in crate::payment) fn new(vault: Arc<Vault>) -> Self {
        Self { vault }
    }
}

impl Acquirer for SimulatedAcquirer {
    fn name(&self) -> &'static str {
        "simulator"
    }

    fn ask<'a>(&'a self, merchant: &'a MerchantId, key: &'a str, ask: Ask<'a>) -> Fut<'a, Answer> {
        Box::pin(async move {
            let decided = decide(merchant, &ask, UnixMillis::now());
            let network_reference = match &ask {
                Ask::Verify {
                    card, on_file: true, ..
                } if decided.0 == Verdict::Approved => self.network_reference(merchant, card).await,
                _ => None,
            };
            Answer {
                network_reference,
                ..answer(merchant, key, decided)
            }
        })
    }

    fn tokenize<'a>(&'a self, merchant: &'a MerchantId, card: Presented<'a>) -> Fut<'a, AcquirerToken> {
        Box::pin(async move {
            let verdict = of_expiry(card.expiry, UnixMillis::now());
            if verdict != Verdict::Approved {
                return AcquirerToken::Refused(verdict);
            }
            let merchant = merchant.as_str().as_bytes();
            let card = framed(&[b"acquirer token (simulator)", merchant, card.pan.expose().as_bytes()]);
            match self.vault.request_mac(SecretBytes::new(card)).await {
                Ok(mac) => named(&mac).map_or(AcquirerToken::Refused(Verdict::SystemError), AcquirerToken::Token),
                Err(error) => {
                    tracing::warn!(%error, "the simulated acquirer could not make a token");
                    AcquirerToken::Refused(Verdict::SystemError)
                }
            }
        })
    }
}

impl SimulatedAcquirer {
    /// The scheme's reference of a card on file: the same for the same card of a merchant, as nothing here remembers one.
    async fn network_reference(&self, merchant: &MerchantId, card: &Presented<'_>) -> Option<String> {
        let merchant = merchant.as_str().as_bytes();
        let card = framed(&[b"scheme reference (simulator)", merchant, card.pan.expose().as_bytes()]);
        match self.vault.request_mac(SecretBytes::new(card)).await {
            Ok(mac) => Some(format!("{PREFIX}{}", letters(&mac, 15))),
            Err(error) => {
                tracing::warn!(%error, "the simulated acquirer could not make a reference");
                None
            }
        }
    }
}

/// Letters only, so that no part of it looks like a card number.
fn named(mac: &[u8]) -> Option<Token> {
    let letters = mac
        .iter()
        .take(16)
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|nibble| char::from(b'A' + nibble));
    Token::parse(&"SIM".chars().chain(letters).collect::<String>()).ok()
}

fn decide(merchant: &MerchantId, ask: &Ask<'_>, now: UnixMillis) -> (Verdict, CodeCheck) {
    match ask {
        Ask::Verify { card, .. } => match of_card(card, now) {
            (Verdict::Approved, CodeCheck::NoMatch) => (Verdict::InvalidSecurityCode, CodeCheck::NoMatch),
            other => other,
        },
        Ask::Authorize { card, .. } | Ask::Pay { card, .. } => of_card(card, now),
        Ask::UpdateAuthorization { reference, .. }
        | Ask::Capture { reference, .. }
        | Ask::Refund { reference, .. }
        | Ask::Void { reference } => {
            let verdict = match issued(merchant, reference) {
                true => Verdict::Approved,
                false => Verdict::SystemError,
            };
            (verdict, CodeCheck::NotPresented)
        }
    }
}

fn of_card(card: &Presented<'_>, now: UnixMillis) -> (Verdict, CodeCheck) {
    (of_expiry(card.expiry, now), of_code(card.security_code))
}

fn of_expiry(expiry: Option<Expiry>, now: UnixMillis) -> Verdict {
    let Some(expiry) = expiry else {
        return Verdict::Declined;
    };
    match (expiry.month(), expiry.year()) {
        (5, 2039) => Verdict::Declined,
        (4, 2027) => Verdict::ExpiredCard,
        (8, 2028) => Verdict::TimedOut,
        (1, 2037) => Verdict::SystemError,
        (2, 2037) => Verdict::UnspecifiedFailure,
        (5, 2037) => Verdict::Unknown,
        _ if expiry.expired_at(now.0) => Verdict::ExpiredCard,
        _ => Verdict::Approved,
    }
}

fn of_code(code: Option<&SecurityCode>) -> CodeCheck {
    match code.map(SecurityCode::expose) {
        None => CodeCheck::NotPresented,
        Some("100" | "1000") => CodeCheck::Match,
        Some("102" | "1020") => CodeCheck::NoMatch,
        Some(_) => CodeCheck::NotProcessed,
    }
}

fn answer(merchant: &MerchantId, key: &str, (verdict, security_code): (Verdict, CodeCheck)) -> Answer {
    // response codes of ISO 8583
    let (code, text) = match verdict {
        Verdict::Approved => ("00", "Approved"),
        Verdict::Declined => ("05", "Declined"),
        Verdict::ExpiredCard => ("54", "Expired card"),
        Verdict::InvalidSecurityCode => ("82", "Security code does not match"),
        Verdict::InsufficientFunds => ("51", "Insufficient funds"),
        Verdict::TimedOut => ("68", "No answer in time"),
        Verdict::SystemError => ("96", "System error"),
        Verdict::UnspecifiedFailure => ("06", "Failed"),
        Verdict::Unknown => ("91", "Outcome not known"),
    };
    let numbers = hash(&["numbers", merchant.as_str(), key]);
    let digits = |skip: usize, count: usize| -> String {
        let digits = numbers.iter().skip(skip).take(count);
        digits.map(|byte| char::from(b'0' + byte % 10)).collect()
    };
    Answer {
        verdict,
        code: code.to_owned(),
        message: format!("{text} (simulator)"),
        authorization_code: (verdict == Verdict::Approved).then(|| digits(0, 6)),
        reference: reference(merchant, key),
        security_code,
        receipt: digits(6, 12),
        stan: digits(18, 6),
        network_reference: None,
    }
}

/// What later transactions refer to.
fn reference(merchant: &MerchantId, key: &str) -> String {
    let body = letters(&hash(&["reference", merchant.as_str(), key]), 20);
    let check = check_part(merchant, &body);
    format!("{PREFIX}{body}{check}")
}

/// Whether [`reference`] made it for this merchant.
fn issued(merchant: &MerchantId, text: &str) -> bool {
    text.strip_prefix(PREFIX)
        .and_then(|rest| rest.split_at_checked(20))
        .is_some_and(|(body, check)| check == check_part(merchant, body))
}

fn check_part(merchant: &MerchantId, body: &str) -> String {
    letters(&hash(&["check", merchant.as_str(), body]), 12)
}

fn letters(bytes: &[u8], count: usize) -> String {
    bytes
        .iter()
        .take(count)
        .map(|byte| char::from(b'A' + byte % 26))
        .collect()
}

fn hash(parts: &[&str]) -> Vec<u8> {
    let mut framed_parts = vec![&b"panvault acquirer (simulator)"[..]];
    framed_parts.extend(parts.iter().map(|part| part.as_bytes()));
    digest(&SHA256, &framed(&framed_parts)).as_ref().to_vec()
}

const PREFIX: &str = "SIM";

#[cfg(test)]
mod tests;
