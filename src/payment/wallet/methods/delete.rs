//! Deleting a payment method: card, key and all that leads to it. That it was there is remembered for some time, without
//! anything of it, so that a client is told that it was deleted.
//!
//! It is remembered first. Where the rest was interrupted, the same request again goes on.

use super::Error;
use super::view::{Held, MethodState};
use crate::id::{Token, UnixMillis};
use crate::payment::Payments;
use crate::vault::to_its_end;
use crate::vault::types::{
    Actor, CallerError, DocumentEvent, DocumentKind, DocumentWrite, Error as CoreError, Expect, Operation, Secret,
};

impl Payments {
    /// Deletes a payment method and the network token of its card, unless another one has that too. It goes on to its end where
    /// the caller stops waiting.
    ///
    /// # Errors
    /// [`Error::MethodUnknown`], also for one out of use; [`Error::MethodRedacted`]; not granted; the HSM's; the store's.
    pub async fn delete_method(&self, actor: &Actor, id: &str) -> Result<(), Error> {
        self.vault.access().permit(actor, Operation::Delete, 0)?;
        let (payments, actor, id) = (self.clone(), actor.clone(), id.to_owned());
        to_its_end(async move {
            if payments.delete_volatile(&actor, &id).await? {
                return Ok(());
            }
            let Some(held) = payments.held_method(&actor, &id).await? else {
                if payments.delete_intent(&actor, &id).await? {
                    return Ok(());
                }
                return Err(payments.gone(&actor, &id).await?);
            };
            if held.state() == MethodState::Inactive {
                return Err(Error::MethodUnknown);
            }
            payments.delete_held(&actor, held).await
        })
        .await
    }

    /// Deletes all payment methods of a customer.
    pub(in crate::payment::wallet) async fn delete_methods_of(
        &self,
        actor: &Actor,
        customer: &str,
    ) -> Result<(), Error> {
        for id in self.volatile_of(actor, customer) {
            self.delete_volatile(actor, &id).await?;
        }
        for held in self.held_methods_of(actor, customer).await? {
            self.delete_held(actor, held).await?;
        }
        Ok(())
    }

    /// Forgets a customer's payment methods that wait in memory.
    pub(in crate::payment) fn forget_volatile(&self, actor: &Actor, customer: &str) {
        let now = UnixMillis::now();
        for id in self.volatile_of(actor, customer) {
            self.codes.take(&actor.merchant, &id, now);
            self.volatile.take(&actor.merchant, &id, now);
        }
    }

    fn volatile_of(&self, actor: &Actor, customer: &str) -> Vec<String> {
        let own = |there: &super::Volatile| there.kept.customer.as_deref() == Some(customer);
        self.volatile.names(&actor.merchant, UnixMillis::now(), own)
    }

    /// Deletes one that may be gone already.
    pub(super) async fn delete_stored(&self, actor: &Actor, id: &str) -> Result<(), Error> {
        match self.held_method(actor, id).await? {
            Some(held) => self.delete_held(actor, held).await,
            None => Ok(()),
        }
    }

    async fn delete_held(&self, actor: &Actor, held: Held) -> Result<(), Error> {
        let Held { token, kept, .. } = held;
        let id = token.as_str();
        let write = DocumentWrite {
            kind: DocumentKind::DeletedMethod,
            name: id.to_owned(),
            expect: Expect::Absent,
            clear: Vec::new(),
            secret: Secret::Nothing,
            expires_at: Some(UnixMillis::now().plus(REMEMBERED)),
        };
        let event = DocumentEvent {
            action: "payment-method-delete",
            outcome: "begun",
            token: Some(token.clone()),
            detail: None,
        };
        // it stands there already where this was interrupted
        self.vault.write_documents(actor, vec![write], event).await?;
        self.codes.take(&actor.merchant, id, UnixMillis::now());
        // of two that share a network token and go at once, the second sees that it is the last
        let _turn = match kept.network_token.as_deref().map(Token::parse) {
            Some(Ok(reference)) => self.network_turns.wait(actor.repository, &reference).await,
            Some(Err(_)) | None => None,
        };
        if let Some(reference) = &kept.network_token
            && !self.shares_network_token(actor, &token, reference).await?
        {
            self.end_network_token_of(actor, reference).await;
        }
        match self.vault.delete(actor, &token).await {
            Ok(_) => {}
            // another request was faster
            Err(CoreError::Caller(CallerError::Expired | CallerError::UnknownToken)) => {}
            Err(error) => return Err(error.into()),
        }
        match &kept.customer {
            Some(customer) => self.clear_default_method(actor, customer, id).await,
            None => Ok(()),
        }
    }

    /// Whether another payment method leads to the same network token: a merchant has one for a card, however many customers
    /// have the card.
    async fn shares_network_token(&self, actor: &Actor, token: &Token, reference: &str) -> Result<bool, Error> {
        let others = match self.vault.others_of_card(actor, Operation::Delete, token).await {
            Ok(Some(others)) => others,
            // too many to tell: it stays, and its own name leads to it
            Ok(None) => return Ok(true),
            Err(CoreError::Caller(CallerError::Expired | CallerError::UnknownToken)) => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        for other in others {
            let held = self.held_method(actor, other.as_str()).await?;
            if held.is_some_and(|held| held.kept.network_token.as_deref() == Some(reference)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether one of that name waited in memory.
    async fn delete_volatile(&self, actor: &Actor, id: &str) -> Result<bool, Error> {
        let now = UnixMillis::now();
        if !self.volatile.waits(&actor.merchant, id, now) {
            return Ok(false);
        }
        let event = DocumentEvent {
            action: Operation::Delete.as_str(),
            outcome: "volatile",
            token: Token::parse(id).ok(),
            detail: None,
        };
        self.vault.write_documents(actor, Vec::new(), event).await?;
        self.codes.take(&actor.merchant, id, now);
        Ok(self.volatile.take(&actor.merchant, id, now).is_some())
    }
}

/// How long it is remembered that a payment method was deleted, milliseconds: 400 days.
const REMEMBERED: u64 = 400 * 24 * 60 * 60 * 1_000;
