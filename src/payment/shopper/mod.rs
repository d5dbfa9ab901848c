//! Shoppers' payments: by the merchant's server or on a hosted page, cards that are stored after them, agreements under
//! which a stored card is charged again, refunds, and telling the merchant.
//!
//! A payment is a document of its own that leads to an order of the ledger ([`super::orders`]); the ledger knows what moved.
//! One thing at a time is done with it, and what is being done is written down before the acquirer is asked: a crash in
//! between is settled by what the ledger says. A card is stored after its payment succeeded, never before.

mod agreements;
mod attempt;
mod back;
mod error;
mod ids;
mod keeping;
mod nonces;
mod open;
mod outbox;
mod page;
mod refunds;
mod rules;
mod settle;
mod stored;
mod types;
mod view;

use std::collections::BTreeSet;

pub use self::error::Error;
pub use self::outbox::{
    Dress, Event, Hosts, Notified, Outbox, OutboxHandle, OutboxSettings, Signed, Trust as NotificationTrust,
    Undelivered,
};
pub use self::page::Choice;
use self::stored::{Held, Named, Private, Stored, decode, encode};
pub use self::types::{
    Balances, By, Capture, CardFrom, Consent, NewPayment, NewRefund, NewSession, OpenedSession, Outcome, PageView,
    PaymentStatus, PaymentType, PaymentView, RefundStatus, RefundView, ShownCard, StoredCard, Terms, Usage,
};
use super::Payments;
use crate::id::{MerchantId, Token, UnixMillis};
use crate::vault::types as core;
use crate::vault::types::{Actor, CallerError, DocumentEvent, DocumentKind, DocumentWrite, Expect, Secret, Written};

/// How shoppers' payments are done.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// Merchants that may send card numbers in plain: certified for it.
    pub pci_merchants: BTreeSet<MerchantId>,
    /// Where merchants may be told.
    pub hosts: Hosts,
}

impl Payments {
    /// Whether the merchant may send card numbers in plain.
    pub fn may_send_cards(&self, merchant: &MerchantId) -> bool {
        self.shopper.pci_merchants.contains(merchant)
    }

    /// The payment of that order.
    async fn held_payment(&self, actor: &Actor, order: &str) -> Result<Held, Error> {
        let kind = DocumentKind::ShopperPayment;
        let document = self.vault.document(actor, kind, order).await?.ok_or(Error::Unknown)?;
        let stored: Stored = decode(&document.clear)?;
        let sealed = self.vault.document_secret(&document).await?;
        let sealed = sealed.ok_or_else(super::Error::damaged)?;
        let private: Private = decode(sealed.expose())?;
        Ok(Held {
            order: order.to_owned(),
            rev: Some(document.rev),
            sealed: document.sealed,
            stored,
            private,
        })
    }

    /// The order that a name leads to.
    async fn order_named(&self, actor: &Actor, name: &str) -> Result<Option<String>, Error> {
        let kind = DocumentKind::ShopperPaymentName;
        let found = self.vault.document(actor, kind, name).await?;
        Ok(match found {
            Some(document) => Some(decode::<Named>(&document.clear)?.order),
            None => None,
        })
    }

    /// Writes a payment as it is now, and more with it; what is sealed only where it changed. Gives the commit. `None`: the
    /// payment changed meanwhile.
    async fn write_payment(
        &self,
        actor: &Actor,
        held: &Held,
        more: Vec<DocumentWrite>,
        event: DocumentEvent,
    ) -> Result<Option<u64>, Error> {
        let mut writes = vec![DocumentWrite {
            kind: DocumentKind::ShopperPayment,
            name: held.order.clone(),
            expect: held.rev.map_or(Expect::Absent, Expect::Rev),
            clear: encode(&held.stored)?,
            secret: match &held.sealed {
                Some(sealed) => Secret::Keep(Some(sealed.clone())),
                None => Secret::Seal(held.private.sealed()?),
            },
            expires_at: None,
        }];
        writes.extend(more);
        match self.vault.write_documents(actor, writes, event).await {
            Ok(Written::Done { rev }) => Ok(Some(rev)),
            // or the card of its agreement was erased meanwhile: the outbox ends the payment without
            Ok(Written::Changed) | Err(core::Error::Caller(CallerError::UnknownToken)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// As [`Self::write_payment`], for who has the payment's turn: nobody else changes it then.
    async fn must_write_payment(
        &self,
        actor: &Actor,
        held: Held,
        more: Vec<DocumentWrite>,
        event: DocumentEvent,
    ) -> Result<Held, Error> {
        match self.write_payment(actor, &held, more, event).await? {
            // what was sealed anew is known when it is read
            Some(_) if held.sealed.is_none() => self.held_payment(actor, &held.order).await,
            Some(rev) => Ok(Held { rev: Some(rev), ..held }),
            None => Err(CallerError::Contended.into()),
        }
    }

    /// Has the outbox look after a step that began, if it does not end.
    fn guard(&self, actor: &Actor, held: &Held) {
        let at = UnixMillis::now().plus(outbox::UNDECIDED_MS);
        self.outbox.note(&actor.merchant, &held.order, at);
    }

    /// Waits for the turn of a payment.
    async fn payment_turn(&self, actor: &Actor, order: &str) -> Option<tokio::sync::MutexGuard<'_, ()>> {
        let name = Token::parse(order).ok()?;
        self.payment_turns.wait(actor.repository, &name).await
    }
}

/// What happened to what has this id.
fn event(action: &'static str, outcome: &'static str, token: Option<&Token>, id: &str) -> DocumentEvent {
    DocumentEvent {
        action,
        outcome,
        token: token.cloned(),
        detail: Some(ids::grouped(id)),
    }
}

/// A document under a new name that leads to an order.
fn name_of(name: String, order: &str) -> Result<DocumentWrite, Error> {
    Ok(DocumentWrite {
        kind: DocumentKind::ShopperPaymentName,
        name,
        expect: Expect::Absent,
        clear: encode(&Named {
            order: order.to_owned(),
        })?,
        secret: Secret::Nothing,
        expires_at: None,
    })
}
