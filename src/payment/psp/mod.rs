//! Tokens that payment service providers (PSPs) make of a card: good for one payment or for many, at that provider only.
//!
//! The core sends the card out and keeps nothing of it and nothing of the token: what is to be kept of it is a
//! [`ConnectorToken`], and where, is the affair of who asked. That a card goes out is on record before it does, and what
//! came of it after.
//!
//! A merchant's connectors are configured (`[[psp]]`); a TEST merchant has the simulator beside them, under every id that
//! begins with [`SIMULATOR`].

mod base_url;
mod card;
mod config;
mod connector;
mod connectors;
mod error;
mod failure;
mod secret_file;
mod stripe;
#[cfg(test)]
mod tests;
mod token;

use std::sync::Arc;

use data_encoding::HEXLOWER;

pub use self::base_url::BaseUrl;
pub use self::card::{Billing, PspCard, PspFrom, PspTokenize};
pub use self::config::{BadConnector, PspConfig, PspKind};
pub use self::connector::{Ask, Made, PspConnector};
pub use self::connectors::{Connectors, Owner, SIMULATOR};
pub use self::error::Error;
pub use self::failure::{Failure, Refusal};
pub use self::token::{ConnectorToken, TokenKind, TokenStatus};
use super::sources::{CardDetails, Need, Sources};
use super::{Part, Payments};
use crate::card::contains_pan;
use crate::hsm::framed;
use crate::id::{ConnectorId, IdempotencyKey, Token, UnixMillis, fill_random};
use crate::keys::SecretBytes;
use crate::vault::to_its_end;
use crate::vault::types::{self as core, Actor, DocumentEvent, Operation};

impl Payments {
    /// A provider's token of a card. It goes on to its end where the caller stops waiting: what came of it is on record all
    /// the same.
    ///
    /// # Errors
    /// [`Error::UnknownConnector`], [`Error::SimulatorOnly`] and [`Error::Text`] before anything is done; for a token that
    /// does not exist, is not active or has no expiry [`super::Error`]; not granted; [`Error::Provider`]; the HSM's; the
    /// store's. After the latter two, after [`Failure::Unreachable`], [`Failure::Unavailable`] and [`Failure::Answer`] the
    /// provider may have made a token that is told to nobody; the event `psp-tokenize sent` is what is left of it.
    pub async fn psp_tokenize(&self, actor: &Actor, asked: PspTokenize) -> Result<ConnectorToken, Error> {
        // whether it is granted at all; the card takes its part of a cap below
        self.vault.access().permit(actor, Operation::Pay, 0)?;
        let connector = self.connector(actor, &asked.connector_id)?;
        asked.check(&self.vault)?;
        let (payments, actor) = (self.clone(), actor.clone());
        to_its_end(async move { payments.tokenize_at(&actor, connector.as_ref(), asked).await }).await
    }

    /// The name of the provider behind a connector of the merchant's. A simulator's says that it is one.
    ///
    /// # Errors
    /// [`Error::UnknownConnector`], [`Error::SimulatorOnly`].
    pub fn psp_name(&self, actor: &Actor, connector_id: &ConnectorId) -> Result<&'static str, Error> {
        self.connector(actor, connector_id).map(|connector| connector.name())
    }

    fn connector(&self, actor: &Actor, id: &ConnectorId) -> Result<Arc<dyn PspConnector>, Error> {
        if connectors::is_simulator(id) {
            return match actor.test {
                true => Ok(Arc::clone(&self.psp_simulator)),
                false => Err(Error::SimulatorOnly),
            };
        }
        self.connectors.find(actor, id).ok_or(Error::UnknownConnector)
    }

    async fn tokenize_at(
        &self,
        actor: &Actor,
        connector: &dyn PspConnector,
        asked: PspTokenize,
    ) -> Result<ConnectorToken, Error> {
        let PspTokenize {
            connector_id,
            from,
            billing,
            kind,
            customer,
            key,
        } = asked;
        let token = match &from {
            PspFrom::Card(_) => None,
            PspFrom::Token { token, .. } => Some(token.clone()),
        };
        let about = format!("connector {connector_id} ({}), {}", connector.name(), kind.as_str());
        let note = |outcome, detail| self.note(actor, token.clone(), outcome, detail);
        let card = self.card_for_psp(actor, from).await?;
        let key = self.psp_key(actor, &connector_id, key.as_ref()).await?;
        note("sent", about.clone()).await?;
        let ask = Ask {
            merchant: &actor.merchant,
            connector_id: &connector_id,
            pan: &card.pan,
            expiry: card.expiry,
            holder: card.holder.as_ref().map(|holder| holder.as_str()),
            security_code: card.security_code.as_ref(),
            billing: &billing,
            kind,
            customer: customer.as_ref(),
            key: &key,
        };
        let made = match connector.tokenize(ask).await {
            // a token is shown and kept in clear
            Ok(made) if holds_card_number(&made) => Err(Failure::Answer),
            made => made,
        };
        match made {
            Ok(made) => {
                note("ok", format!("{about}, {}", named(&made))).await?;
                Ok(ConnectorToken {
                    connector_id,
                    provider: connector.name().to_owned(),
                    token_type: kind,
                    status: made.status,
                    token: made.token,
                    connector_customer_id: made.customer,
                    request_reference_id: made.request,
                    created_at: UnixMillis::now(),
                })
            }
            Err(failure) => {
                let code = failure.refusal().and_then(Refusal::code);
                let code = code.map(|code| format!(", code {code}")).unwrap_or_default();
                note(failure.word(), format!("{about}{code}")).await?;
                Err(Error::Provider(failure))
            }
        }
    }

    /// The card, taken out unseen where a token has it.
    async fn card_for_psp(&self, actor: &Actor, from: PspFrom) -> Result<PspCard, Error> {
        match from {
            PspFrom::Card(card) => {
                self.vault.access().permit(actor, Operation::Pay, 1)?;
                Ok(card)
            }
            PspFrom::Token { token, security_code } => {
                let sources = Sources {
                    card: CardDetails {
                        security_code,
                        ..CardDetails::default()
                    },
                    token: Some(token),
                    ..Sources::default()
                };
                // counts by itself
                let card = self.resolve(actor, sources, Need::Number).await?.card;
                Ok(PspCard {
                    expiry: card.expiry()?,
                    pan: card.pan.ok_or(super::Error::Missing(Part::Number))?,
                    holder: card.holder,
                    security_code: card.security_code,
                })
            }
        }
    }

    /// What the provider knows the wish by. A caller's own key may say something about the caller, and merchants that share
    /// an account at the provider may use the same: so it is a MAC.
    async fn psp_key(
        &self,
        actor: &Actor,
        connector_id: &ConnectorId,
        key: Option<&IdempotencyKey>,
    ) -> Result<String, Error> {
        let Some(key) = key else {
            let mut fresh = [0; 16];
            fill_random(&mut fresh).map_err(core::Error::from)?;
            return Ok(HEXLOWER.encode(&fresh));
        };
        let parts = [actor.merchant.as_str(), connector_id.as_str(), key.as_str()].map(str::as_bytes);
        let mut named = vec![b"psp tokenize".as_slice()];
        named.extend(parts);
        let mac = self.vault.request_mac(SecretBytes::new(framed(&named))).await?;
        Ok(HEXLOWER.encode(&mac))
    }

    async fn note(
        &self,
        actor: &Actor,
        token: Option<Token>,
        outcome: &'static str,
        detail: String,
    ) -> Result<(), Error> {
        let event = DocumentEvent {
            action: "psp-tokenize",
            outcome,
            token,
            detail: Some(detail),
        };
        self.vault.write_documents(actor, Vec::new(), event).await?;
        Ok(())
    }
}

fn holds_card_number(made: &Made) -> bool {
    let texts = [Some(&made.token), made.customer.as_ref(), made.request.as_ref()];
    texts.into_iter().flatten().any(|text| contains_pan(text.as_str()))
}

/// What the provider made, for the audit trail.
fn named(made: &Made) -> String {
    let more = [("customer", &made.customer), ("request", &made.request)];
    let mut text = format!("token {}", made.token);
    for (word, reference) in more {
        if let Some(reference) = reference {
            text.push_str(&format!(", {word} {reference}"));
        }
    }
    text
}
