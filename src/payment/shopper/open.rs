//! Beginning payments: by the merchant's server, or on a page that the payer opens.

use data_encoding::HEXLOWER;

use super::ids::{self, Kind};
use super::outbox::UNDECIDED_MS;
use super::settle::begin;
use super::stored::{Held, Private, State, Step, Stored, StoredSession};
use super::types::{By, NewPayment, NewSession, OpenedSession, PaymentView, Terms};
use super::{Error, event, name_of, rules};
use crate::hsm::framed;
use crate::id::UnixMillis;
use crate::keys::SecretBytes;
use crate::payment::Payments;
use crate::payment::wallet::{Json, Text};
use crate::vault::to_its_end;
use crate::vault::types::{Actor, CallerError, DocumentWrite, Operation};

impl Payments {
    /// Pays. The same request again gives what it gave; one that was cut is brought to its end.
    ///
    /// # Errors
    /// What does not fit together; an id that was used for something else; a token or agreement that cannot be used; the
    /// core's, the ledger's. A refusal of the acquirer's is none.
    pub async fn pay(&self, actor: &Actor, new: NewPayment) -> Result<PaymentView, Error> {
        self.vault.access().permit(actor, Operation::Pay, 0)?;
        self.acquirer(actor)?;
        rules::of_payment(&new)?;
        self.screen_terms(actor, &new.terms)?;
        let (payments, actor) = (self.clone(), actor.clone());
        to_its_end(async move { payments.pay_at_once(&actor, new).await }).await
    }

    async fn pay_at_once(&self, actor: &Actor, new: NewPayment) -> Result<PaymentView, Error> {
        let NewPayment {
            mut terms,
            card,
            mit,
            agreement,
        } = new;
        let mac = self.take_mac(&mut terms).await?;
        let trans_id = terms.trans_id.clone();
        let mut begun = self.begun(actor, &trans_id, &mac).await?;
        if let Some(held) = &begun
            && held.stored.session.is_some()
        {
            return Err(Error::IdTaken);
        }
        let lacks_card =
            |held: &Held| held.stored.state == State::Paid && held.stored.store && held.stored.token.is_none();
        if let Some(held) = begun.take_if(|held| held.stored.is_over() && !lacks_card(held)) {
            return self.payment_view(actor, held).await;
        }
        // nothing is written for what cannot be paid
        let charge = self.charge(actor, &terms, card, agreement.as_deref()).await?;
        let order = match begun {
            Some(held) => held.order,
            None => {
                let mut held = self.new_payment(terms, mac.clone(), None)?;
                let mut more = Vec::new();
                held.stored.mit = mit == Some(true);
                held.stored.agreement = agreement;
                more.push(begin(&mut held, Step::Pay(1))?);
                match self.write_new(actor, &held, &trans_id, None, more).await? {
                    true => held.order,
                    false => {
                        let there = self.begun(actor, &trans_id, &mac).await?;
                        there.ok_or(CallerError::Contended)?.order
                    }
                }
            }
        };
        let _turn = self.payment_turn(actor, &order).await;
        let held = self.held_payment(actor, &order).await?;
        let held = match held.stored.is_over() {
            // a crash came before its card was stored, and here it is again
            true if lacks_card(&held) => self.keep_late(actor, held, charge).await?,
            true => held,
            false => self.attempt(actor, held, charge, None).await?,
        };
        self.payment_view(actor, held).await
    }

    /// Opens a page for a payment. The same request again opens the same page.
    ///
    /// # Errors
    /// As [`Payments::pay`].
    pub async fn open_payment_session(&self, actor: &Actor, new: NewSession) -> Result<OpenedSession, Error> {
        self.vault.access().permit(actor, Operation::Pay, 1)?;
        self.acquirer(actor)?;
        rules::of_session(&new.terms)?;
        self.screen_terms(actor, &new.terms)?;
        let NewSession {
            mut terms,
            return_url,
            cancel_url,
            expires_at,
        } = new;
        if expires_at <= UnixMillis::now() {
            return Err(field("expire_time", "is past"));
        }
        let mac = self.take_mac(&mut terms).await?;
        let trans_id = terms.trans_id.clone();
        for _ in 0..2 {
            if let Some(held) = self.begun(actor, &trans_id, &mac).await? {
                let session = held.stored.session.ok_or(Error::IdTaken)?;
                return self.opened(actor, session.id).await;
            }
            let id = ids::fresh(&self.vault, Kind::Session)?;
            let session = StoredSession {
                id: id.clone(),
                expires_at,
            };
            // the requests of one trans_id share its terms
            let mut held = self.new_payment(copy(&terms), mac.clone(), Some(session))?;
            held.private.return_url = Some(return_url.clone());
            held.private.cancel_url = cancel_url.clone();
            if self.write_new(actor, &held, &trans_id, Some(&id), Vec::new()).await? {
                return self.opened(actor, id).await;
            }
        }
        Err(CallerError::Contended.into())
    }

    /// The payment as it stands.
    ///
    /// # Errors
    /// [`Error::Unknown`]; not granted; the HSM's; the store's.
    pub async fn payment(&self, actor: &Actor, by: By<'_>) -> Result<PaymentView, Error> {
        self.vault.access().permit(actor, Operation::Inspect, 1)?;
        let order = match by {
            By::Trans(id) => self.order_named(actor, &ids::hashed("t", id)).await?,
            By::Session(id) => self.order_named(actor, &ids::hashed("s", id)).await?,
            By::Order(id) => Some(id.to_owned()).filter(|id| Kind::Order.is_of(id)),
        };
        let held = self.held_payment(actor, &order.ok_or(Error::Unknown)?).await?;
        self.payment_view(actor, held).await
    }

    /// The key of a page: whoever has it may pay there. It is the same at any time, and only the HSM can make it.
    pub(super) async fn session_key(&self, actor: &Actor, session: &str) -> Result<String, Error> {
        let merchant = actor.merchant.as_str().as_bytes();
        let named = framed(&[b"payment session key v1", merchant, session.as_bytes()]);
        let mac = self.vault.request_mac(SecretBytes::new(named)).await?;
        Ok(HEXLOWER.encode(mac.get(..16).unwrap_or(&mac)))
    }

    async fn opened(&self, actor: &Actor, id: String) -> Result<OpenedSession, Error> {
        let key = self.session_key(actor, &id).await?;
        Ok(OpenedSession { id, key })
    }

    async fn take_mac(&self, terms: &mut Terms) -> Result<String, Error> {
        let request = std::mem::replace(&mut terms.request, SecretBytes::new(Vec::new()));
        Ok(HEXLOWER.encode(&self.vault.request_mac(request).await?))
    }

    /// The payment that was begun under the merchant's id, by the same request.
    async fn begun(&self, actor: &Actor, trans_id: &str, mac: &str) -> Result<Option<Held>, Error> {
        let Some(order) = self.order_named(actor, &ids::hashed("t", trans_id)).await? else {
            return Ok(None);
        };
        let held = self.held_payment(actor, &order).await?;
        match held.stored.request_mac == mac {
            true => Ok(Some(held)),
            false => Err(Error::IdTaken),
        }
    }

    fn new_payment(&self, terms: Terms, request_mac: String, session: Option<StoredSession>) -> Result<Held, Error> {
        let personal = terms.personal.as_ref().map(|text| serde_json::from_str::<Json>(text));
        Ok(Held {
            order: ids::fresh(&self.vault, Kind::Order)?,
            document: None,
            stored: Stored {
                trans_id: terms.trans_id,
                request_mac,
                session,
                payment_type: terms.payment_type,
                capture: terms.capture,
                amount: terms.amount,
                currency: terms.currency,
                mit: false,
                store: terms.store,
                usage: terms.usage,
                made_at: UnixMillis::now(),
                state: State::Open,
                attempts: 0,
                step: None,
                outcome: None,
                card: None,
                token: None,
                agreement: None,
                consent: None,
                finished_at: None,
                refunds: Vec::new(),
                notified: 0,
            },
            private: Private {
                shopper: terms.shopper,
                notify_url: terms.notify_url,
                return_url: None,
                cancel_url: None,
                personal: personal.transpose().map_err(|_| field("body", "is not JSON"))?,
                refund_urls: Vec::new(),
            },
        })
    }

    async fn write_new(
        &self,
        actor: &Actor,
        held: &Held,
        trans_id: &str,
        session: Option<&str>,
        mut names: Vec<DocumentWrite>,
    ) -> Result<bool, Error> {
        names.push(name_of(ids::hashed("t", trans_id), &held.order)?);
        if let Some(session) = session {
            names.push(name_of(ids::hashed("s", session), &held.order)?);
        }
        let event = event("payment-open", "ok", None, &held.order);
        let written = self.write_payment(actor, held, names, event).await?;
        if written && held.stored.step.is_some() {
            self.outbox
                .note(&actor.merchant, &held.order, UnixMillis::now().plus(UNDECIDED_MS));
        }
        Ok(written)
    }

    /// Refuses what cannot be kept.
    fn screen_terms(&self, actor: &Actor, terms: &Terms) -> Result<(), Error> {
        let long = |text: &str| !(1..=ID).contains(&text.chars().count());
        if long(&terms.trans_id) {
            return Err(field("trans_id", "must have 1 to 64 characters"));
        }
        if terms.shopper.as_ref().is_some_and(|shopper| long(shopper.expose())) {
            return Err(field("shopper_reference", "must have 1 to 64 characters"));
        }
        let shopper = terms.shopper.as_ref().map(Text::expose).unwrap_or_default();
        for (name, text) in [("trans_id", terms.trans_id.as_str()), ("shopper_reference", shopper)] {
            if self.vault.holds_card_number(text) {
                return Err(field(name, "holds what looks like a card number"));
            }
        }
        if terms.amount.is_zero() {
            return Err(field("amount", "must be more than zero"));
        }
        if let Some(url) = &terms.notify_url {
            let admitted = self.shopper.hosts.admit(&actor.merchant, url.expose());
            admitted.ok_or(Error::NotifyUrl)?;
        }
        if let Some(personal) = &terms.personal {
            self.vault.screen_object("body", personal, PERSONAL, false)?;
        }
        Ok(())
    }
}

pub(super) fn field(field: &'static str, reason: &str) -> Error {
    let reason = reason.to_owned();
    CallerError::Field { field, reason }.into()
}

fn copy(terms: &Terms) -> Terms {
    Terms {
        trans_id: terms.trans_id.clone(),
        shopper: terms.shopper.clone(),
        notify_url: terms.notify_url.clone(),
        personal: terms.personal.clone(),
        request: SecretBytes::new(Vec::new()),
        ..*terms
    }
}

/// Characters of the merchant's ids.
const ID: usize = 64;
/// Bytes of what is personal.
const PERSONAL: usize = 32 << 10;
