//! Network tokens: numbers that the card schemes give for a card, good at one merchant and with a cryptogram only.
//!
//! One of a merchant's is a document of its own, named by a random reference. What may be shown is in clear; the card's
//! number, the network token's and the account reference are sealed. Two more documents lead to it, one from its own number
//! and one from its card's, named by keyed MACs; all are written and removed together. So a card has one at most: while one
//! is not ready it has no number yet, and is known again by its card.
//!
//! The service is asked before anything is written down, since it gives the same card the same network token: after a crash
//! in between the same request again gets it.

mod documents;
mod provision;
mod reference;
mod retention;
mod stored;
#[cfg(test)]
mod tests;

use zeroize::Zeroizing;

use self::documents::Wrote;
use self::stored::Kept;
use super::network_token::{CryptogramDetails, ProvisionRefusal, Provisioned};
use super::{Error, Part, Payments};
use crate::card::{Expiry, Pan};
use crate::id::Token;
use crate::vault::to_its_end;
use crate::vault::types::{Actor, CallerError, Document, DocumentEvent, DocumentKind, Operation};

/// The card that a network token is asked for.
pub enum ProvisionFrom {
    /// One that is given.
    Card {
        /// Its number.
        pan: Pan,
        /// Its expiry.
        expiry: Expiry,
        /// The name on it.
        holder: Option<Zeroizing<String>>,
    },
    /// The card of this token. It is a use: a single-use token is spent by it.
    Token(Token),
}

/// What there is for a card that a network token was asked for.
pub struct NetworkToken {
    /// A UUID; the merchant's name for it.
    pub reference: String,
    /// The card's first six digits; empty for a number of 12 or 13.
    pub first_six: String,
    /// The card's last four digits.
    pub last_four: String,
    /// The card's expiry.
    pub card_expiry: Expiry,
    /// The network token, or what became of it.
    pub state: NetworkTokenState,
}

/// How a network token stands.
pub enum NetworkTokenState {
    /// It can be paid with.
    Active(Provisioned),
    /// It is not ready; it is asked for again each time it is looked at, and forgotten after a day.
    Pending,
    /// There is none; forgotten after a day.
    Refused(ProvisionRefusal),
}

impl Payments {
    /// What a reference stands for. One that was not ready is looked up first.
    ///
    /// # Errors
    /// [`Error::Unknown`]; [`Error::NoNetworkTokens`]; not granted; the HSM's; the store's.
    pub async fn network_token(&self, actor: &Actor, reference: &str) -> Result<NetworkToken, Error> {
        self.vault.access().permit(actor, Operation::Inspect, 1)?;
        let service = self.network_tokens(actor)?;
        let mut ended = contended();
        for _ in 0..ATTEMPTS {
            let held = self.held(actor, reference).await?.ok_or_else(unknown)?;
            let Kept::Pending { card, handle } = &held.kept else {
                return Ok(held.view());
            };
            // no answer: it is not ready
            let Ok(provision) = service.look_up(&actor.merchant, handle).await else {
                return Ok(held.view());
            };
            let now = Kept::new(copy(card)?, provision);
            if held.kept.stays(&now, true) {
                return Ok(held.view());
            }
            let settled = held.stored.with(&now);
            match self.write_settled(actor, held, &now).await? {
                Wrote::Done => return Ok(settled.view(reference.to_owned(), now)),
                Wrote::Changed => ended = contended(),
                Wrote::NumberTaken => ended = Error::NetworkTokenService,
            }
        }
        Err(ended)
    }

    /// A fresh cryptogram for one payment with the network token of that number. It is on record before it is given, and
    /// kept nowhere.
    ///
    /// # Errors
    /// [`Error::Unknown`]; [`Error::NoNetworkTokens`]; [`Error::NetworkTokenService`]; not granted; the HSM's; the store's.
    pub async fn network_cryptogram(&self, actor: &Actor, number: &Pan) -> Result<CryptogramDetails, Error> {
        self.vault.access().permit(actor, Operation::Pay, 1)?;
        let service = self.network_tokens(actor)?;
        let found = self.of_number(actor, number).await?.filter(|found| !found.held.is_over);
        let found = found.ok_or_else(unknown)?;
        let details = service
            .cryptogram(&actor.merchant, number)
            .await
            .map_err(|_| Error::NetworkTokenService)?;
        let event = event("network-token-cryptogram", "ok", &found.held.reference);
        self.vault.write_documents(actor, Vec::new(), event).await?;
        Ok(details)
    }

    /// Ends the network token of that number and forgets it and its card. It goes on to its end where the caller stops
    /// waiting.
    ///
    /// # Errors
    /// [`Error::Unknown`]; [`Error::NoNetworkTokens`]; [`Error::NetworkTokenService`]; not granted; the HSM's; the store's.
    /// After one of the latter two the service may have ended it: the same request again does the rest.
    pub async fn delete_network_token(&self, actor: &Actor, number: &Pan) -> Result<(), Error> {
        self.vault.access().permit(actor, Operation::Delete, 1)?;
        self.network_tokens(actor)?;
        let (payments, actor, number) = (self.clone(), actor.clone(), copy(number)?);
        to_its_end(async move { payments.end_network_token(&actor, &number).await }).await
    }

    /// Ends and forgets the network token of a card, whatever has become of it; for who erases the card. How many documents
    /// were removed.
    ///
    /// # Errors
    /// [`Error::NetworkTokenService`]; the HSM's; the store's: the same again does the rest.
    pub(super) async fn forget_network_token(&self, actor: &Actor, card: &Pan) -> Result<u64, Error> {
        let name = self.name_by_card(actor, card).await?;
        for _ in 0..ATTEMPTS {
            let Some(found) = self.of_card(actor, &name, card).await? else {
                return Ok(0);
            };
            let (wrote, count) = match found.held.kept.number() {
                Some(number) => {
                    let deleted = self.network_tokens(actor)?.delete(&actor.merchant, number).await;
                    deleted.map_err(|_| Error::NetworkTokenService)?;
                    match self.of_number(actor, number).await? {
                        Some(found) => (self.remove_network_token(actor, &found).await?, 3),
                        None => (Wrote::Changed, 0),
                    }
                }
                None => (self.remove_unready(actor, &found).await?, 2),
            };
            if wrote == Wrote::Done {
                return Ok(count);
            }
        }
        Err(contended())
    }

    /// As [`Self::forget_network_token`], of the card that a network token's document is for.
    ///
    /// # Errors
    /// As there; it does not open.
    pub(super) async fn forget_network_token_of(&self, actor: &Actor, document: &Document) -> Result<u64, Error> {
        let Some(held) = self.held_ever(actor, &document.name).await? else {
            return Ok(0);
        };
        match held.kept.card() {
            Some(card) => self.forget_network_token(actor, card).await,
            // refused: nobody has anything of it
            None => Ok(0),
        }
    }

    /// As [`Self::forget_network_token`], by the name of the way from the card.
    ///
    /// # Errors
    /// As there; it does not open.
    pub(super) async fn forget_network_token_named(&self, actor: &Actor, name: &str) -> Result<u64, Error> {
        let found = self
            .vault
            .document(actor, DocumentKind::NetworkTokenNumber, name)
            .await?;
        let Some(way) = found else { return Ok(0) };
        let reference = String::from_utf8(way.clear).map_err(|_| Error::damaged())?;
        let found = self
            .vault
            .document(actor, DocumentKind::NetworkToken, &reference)
            .await?;
        match found {
            Some(document) => self.forget_network_token_of(actor, &document).await,
            None => Ok(0),
        }
    }

    async fn end_network_token(&self, actor: &Actor, number: &Pan) -> Result<(), Error> {
        let mut told = false;
        for _ in 0..ATTEMPTS {
            let found = self.of_number(actor, number).await?.ok_or_else(unknown)?;
            // first: one that the service has and the vault has forgotten could not be ended any more
            if !told {
                let deleted = self.network_tokens(actor)?.delete(&actor.merchant, number).await;
                deleted.map_err(|_| Error::NetworkTokenService)?;
                told = true;
            }
            if self.remove_network_token(actor, &found).await? == Wrote::Done {
                return Ok(());
            }
        }
        Err(contended())
    }
}

fn event(action: &'static str, outcome: &'static str, reference: &str) -> DocumentEvent {
    DocumentEvent {
        action,
        outcome,
        token: None,
        detail: Some(format!("network token {reference}")),
    }
}

/// A second one, for who keeps it.
pub(super) fn copy(pan: &Pan) -> Result<Pan, Error> {
    Pan::parse(pan.expose()).map_err(|_| Error::damaged())
}

fn unknown() -> Error {
    Error::Unknown(Part::NetworkToken)
}

fn contended() -> Error {
    Error::Core(CallerError::Contended.into())
}

/// Rounds against others who change the same network token.
const ATTEMPTS: usize = 8;
