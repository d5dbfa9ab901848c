//! Beginning payments: by the merchant's server, or on a page that the payer opens.

use data_encoding::HEXLOWER;

use super::ids::{self, Kind};
use super::settle::begin;
use super::stored::{Held, Private, State, Step, Stored, StoredSession};
use super::types::{By, CardFrom, NewPayment, NewSession, OpenedSession, PaymentView, Terms, Usage};
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
            return self.view_of(actor, &held).await;
        }
        // nothing is written for what cannot be paid
        let charge = match card {
            CardFrom::Given(card) => self.charge_given(actor, card, terms.store)?,
            CardFrom::Stored { token, code } => {
                let shopper = terms.shopper.as_ref();
                let charge = self
                    .charge_stored(actor, shopper, token, code, agreement.as_deref())
                    .await?;
                let wanted = agreement.as_ref().map_or(Usage::CardOnFile, |_| Usage::Subscription);
                if terms.usage.is_some_and(|given| given != wanted) {
                    return Err(Error::UsageDiffers);
                }
                charge
            }
        };
        let order = match begun {
            Some(held) => held.order,
            None => {
                let mut held = self.new_payment(terms, mac.clone(), None)?;
                held.stored.mit = mit == Some(true);
                held.stored.agreement = agreement;
                let guard = begin(&mut held, Step::Pay(1))?;
                match self.write_new(actor, &held, vec![guard]).await? {
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
        self.view_of(actor, &held).await
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
        let session = match self.begun(actor, &trans_id, &mac).await? {
            Some(held) => held.stored.session,
            None => {
                let session = StoredSession {
                    id: ids::fresh(Kind::Session)?,
                    expires_at,
                };
                let mut held = self.new_payment(terms, mac.clone(), Some(session))?;
                held.private.return_url = Some(return_url);
                held.private.cancel_url = cancel_url;
                match self.write_new(actor, &held, Vec::new()).await? {
                    true => held.stored.session,
                    // another was faster
                    false => {
                        let there = self.begun(actor, &trans_id, &mac).await?;
                        there.ok_or(CallerError::Contended)?.stored.session
                    }
                }
            }
        };
        let id = session.ok_or(Error::IdTaken)?.id;
        let key = self.session_key(actor, &id).await?;
        Ok(OpenedSession { id, key })
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
        self.view_of(actor, &held).await
    }

    /// The key of a page: whoever has it may pay there. It is the same at any time, and only the HSM can make it.
    pub(super) async fn session_key(&self, actor: &Actor, session: &str) -> Result<String, Error> {
        let merchant = actor.merchant.as_str().as_bytes();
        let named = framed(&[b"payment session key v1", merchant, session.as_bytes()]);
        let mac = self.vault.request_mac(SecretBytes::new(named)).await?;
        Ok(HEXLOWER.encode(mac.get(..16).unwrap_or(&mac)))
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
            order: ids::fresh(Kind::Order)?,
            rev: None,
            sealed: None,
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

    /// Writes a new payment, its names, and `more`. `false`: another of its names was faster.
    async fn write_new(&self, actor: &Actor, held: &Held, mut more: Vec<DocumentWrite>) -> Result<bool, Error> {
        more.push(name_of(ids::hashed("t", &held.stored.trans_id), &held.order)?);
        if let Some(session) = &held.stored.session {
            more.push(name_of(ids::hashed("s", &session.id), &held.order)?);
        }
        let event = event("payment-open", "ok", None, &held.order);
        let written = self.write_payment(actor, held, more, event).await?;
        if written.is_some() && held.stored.step.is_some() {
            self.guard(actor, held);
        }
        Ok(written.is_some())
    }

    /// Refuses what cannot be kept.
    fn screen_terms(&self, actor: &Actor, terms: &Terms) -> Result<(), Error> {
        self.screen_id("trans_id", &terms.trans_id)?;
        if let Some(shopper) = &terms.shopper {
            self.screen_id("shopper_reference", shopper.expose())?;
        }
        if terms.amount.is_zero() {
            return Err(field("amount", "must be more than zero"));
        }
        self.screen_url(actor, terms.notify_url.as_ref())?;
        if let Some(personal) = &terms.personal {
            self.vault.screen_object("body", personal, PERSONAL, false)?;
        }
        Ok(())
    }

    /// Refuses a name of the merchant's that cannot be kept.
    pub(super) fn screen_id(&self, name: &'static str, text: &str) -> Result<(), Error> {
        if !(1..=ID).contains(&text.chars().count()) {
            return Err(field(name, "must have 1 to 64 characters"));
        }
        if self.vault.holds_card_number(text) {
            return Err(field(name, "holds what looks like a card number"));
        }
        Ok(())
    }

    /// Refuses an address at which the merchant may not be told.
    pub(super) fn screen_url(&self, actor: &Actor, url: Option<&Text>) -> Result<(), Error> {
        match url {
            Some(url) if self.shopper.hosts.admit(&actor.merchant, url.expose()).is_none() => Err(Error::NotifyUrl),
            Some(_) | None => Ok(()),
        }
    }
}

pub(super) fn field(field: &'static str, reason: &str) -> Error {
    let reason = reason.to_owned();
    CallerError::Field { field, reason }.into()
}

/// Characters of the merchant's ids.
const ID: usize = 64;
/// Bytes of what is personal.
const PERSONAL: usize = 32 << 10;
