//! The simulated payment service provider. It answers by the card's expiry:
//!
//! | expiry | answer |
//! |---|---|
//! | 02/38 | none: it cannot be reached |
//! | 03/38 | the card is refused: `card_declined`, by the issuer `generic_decline` |
//! | 04/38 | for one use a token; for many uses the card is refused as with 03/38 |
//! | 05/38 | a token that is inactive |
//! | 06/38 | none: too many requests, to be asked again after 1 second |
//! | 07/38 | none: the merchant's account is refused |
//! | 08/38 | none: it has a failure |
//! | in the past | the card is refused: `expired_card` |
//! | any other | a token |
//!
//! The security codes 102 and 1020 are refused: `incorrect_cvc`; an answer that the expiry gives comes first.
//!
//! It remembers nothing: the same request gets the same token, `pm_simulator_` and 24 letters, and a token for many uses the
//! same customer, `cus_simulator_` and 24 letters, unless the request names one of that form. They come from merchant,
//! connector, kind and card by the vault's keyed MAC, made in the HSM: an unkeyed hash of the card would be found by trying
//! all numbers. Nothing can be paid with them.

use std::sync::Arc;

use crate::card::Expiry;
use crate::hsm::framed;
use crate::id::{PspReference, UnixMillis};
use crate::keys::SecretBytes;
use crate::payment::SecurityCode;
use crate::payment::acquirer::Fut;
use crate::payment::psp::{Ask, Failure, Made, PspConnector, Refusal, TokenKind, TokenStatus};
use crate::vault::Vault;

/// A payment service provider that no money passes.
pub(in crate::payment) struct SimulatedPsp {
    vault: Arc<Vault>,
}

impl SimulatedPsp {
    /// `vault` makes the MACs.
    pub(in crate::payment) fn new(vault: Arc<Vault>) -> Self {
        Self { vault }
    }

    async fn answer(&self, ask: Ask<'_>) -> Result<Made, Failure> {
        let status = decide(ask.expiry, ask.kind, ask.security_code, UnixMillis::now())?;
        let token = self.named("pm_simulator_", &ask, ask.kind.as_str()).await?;
        let customer = match (ask.kind, ask.customer) {
            (TokenKind::SingleUse, _) => None,
            (TokenKind::MultiUse, Some(customer)) if customer.as_str().starts_with(CUSTOMER) => Some(customer.clone()),
            (TokenKind::MultiUse, _) => Some(self.named(CUSTOMER, &ask, "customer").await?),
        };
        Ok(Made {
            token,
            status,
            customer,
            request: None,
        })
    }

    async fn named(&self, begins: &str, ask: &Ask<'_>, what: &str) -> Result<PspReference, Failure> {
        let expiry = format!("{}/{}", ask.expiry.month(), ask.expiry.year());
        let of = framed(&[
            b"payment service provider (simulator)",
            what.as_bytes(),
            ask.merchant.as_str().as_bytes(),
            ask.connector_id.as_str().as_bytes(),
            ask.pan.expose().as_bytes(),
            expiry.as_bytes(),
        ]);
        let mac = self.vault.request_mac(SecretBytes::new(of)).await.map_err(|error| {
            tracing::warn!(%error, "the simulated payment service provider could not make a token");
            Failure::Unavailable
        })?;
        let letters = mac.iter().take(24).map(|byte| char::from(b'a' + byte % 26));
        let text: String = begins.chars().chain(letters).collect();
        PspReference::parse(&text).map_err(|_| Failure::Unavailable)
    }
}

impl PspConnector for SimulatedPsp {
    fn name(&self) -> &'static str {
        "simulator"
    }

    fn tokenize<'a>(&'a self, ask: Ask<'a>) -> Fut<'a, Result<Made, Failure>> {
        Box::pin(self.answer(ask))
    }
}

fn decide(
    expiry: Expiry,
    kind: TokenKind,
    code: Option<&SecurityCode>,
    now: UnixMillis,
) -> Result<TokenStatus, Failure> {
    match (expiry.month(), expiry.year(), kind) {
        (2, 2038, _) => Err(Failure::Unreachable),
        (3, 2038, _) | (4, 2038, TokenKind::MultiUse) => Err(declined()),
        (5, 2038, _) => Ok(TokenStatus::Inactive),
        (6, 2038, _) => Err(Failure::Busy { retry_after_s: Some(1) }),
        (7, 2038, _) => Err(Failure::Account),
        (8, 2038, _) => Err(Failure::Unavailable),
        _ if expiry.expired_at(now.0) => Err(refused("expired_card", None, "The card is past its expiry (simulator)")),
        _ if code.is_some_and(|code| matches!(code.expose(), "102" | "1020")) => {
            Err(refused("incorrect_cvc", None, "The security code is wrong (simulator)"))
        }
        _ => Ok(TokenStatus::Active),
    }
}

fn declined() -> Failure {
    refused(
        "card_declined",
        Some("generic_decline"),
        "The card was declined (simulator)",
    )
}

fn refused(code: &str, decline_code: Option<&str>, message: &str) -> Failure {
    Failure::Card(Refusal::new(Some(code), decline_code, Some(message)))
}

const CUSTOMER: &str = "cus_simulator_";
