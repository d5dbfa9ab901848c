//! A hosted page: who has its key sees what is to be paid and pays it.

use subtle::ConstantTimeEq;

use super::Error;
use super::stored::Held;
use super::types::{Consent, PageView, PaymentType, PaymentView, Usage};
use crate::id::{Token, UnixMillis};
use crate::payment::{CardDetails, Payments, SecurityCode};
use crate::vault::to_its_end;
use crate::vault::types::{Actor, Operation};

/// How the payer pays.
pub enum Choice {
    /// With a card that is typed in.
    Card {
        /// The card.
        card: CardDetails,
        /// The version of the text to which the payer agreed that the card be stored.
        agreed: Option<String>,
    },
    /// With a stored one.
    Stored {
        /// Its token.
        token: Token,
        /// Its security code, typed in again.
        code: Option<SecurityCode>,
    },
}

impl Payments {
    /// What a page shows to who has its key. A wrong key counts as a failed login.
    ///
    /// # Errors
    /// [`Error::Unknown`], also for a wrong key; not granted; the HSM's; the store's.
    pub async fn payment_page(&self, actor: &Actor, session: &str, key: &str) -> Result<PageView, Error> {
        self.vault.access().permit(actor, Operation::Inspect, 1)?;
        let held = self.page_of(actor, session, key).await?;
        let payment = self.view_of(actor, &held).await?;
        let cards = match &held.private.shopper {
            // stored for payments with the shopper, of which this is one
            Some(shopper) if held.stored.payment_type == PaymentType::Purchase => {
                let mut cards = self.stored_cards(actor, shopper.expose()).await?;
                cards.retain(|card| card.usage == Usage::CardOnFile);
                cards
            }
            Some(_) | None => Vec::new(),
        };
        Ok(PageView {
            payment,
            store: held.stored.usage.filter(|_| held.stored.store),
            cards,
            return_url: held.private.return_url.ok_or(Error::Unknown)?,
            cancel_url: held.private.cancel_url,
            acquirer: self.acquirer_name(actor).unwrap_or_default(),
        })
    }

    /// Pays on a page. A page that is paid stays so.
    ///
    /// # Errors
    /// [`Error::Unknown`], also for a wrong key; [`Error::SessionOver`]; [`Error::CodeMissing`]; as
    /// [`Payments::pay`].
    pub async fn pay_on_page(
        &self,
        actor: &Actor,
        session: &str,
        key: &str,
        choice: Choice,
    ) -> Result<PaymentView, Error> {
        self.vault.access().permit(actor, Operation::Pay, 0)?;
        let (payments, actor) = (self.clone(), actor.clone());
        let (session, key) = (session.to_owned(), key.to_owned());
        to_its_end(async move { payments.pay_on(&actor, &session, &key, choice).await }).await
    }

    async fn pay_on(&self, actor: &Actor, session: &str, key: &str, choice: Choice) -> Result<PaymentView, Error> {
        let order = self.page_of(actor, session, key).await?.order;
        let _turn = self.payment_turn(actor, &order).await;
        let held = self.held_payment(actor, &order).await?;
        if held.stored.is_over() {
            return self.view_of(actor, &held).await;
        }
        let ended = held
            .stored
            .session
            .as_ref()
            .is_none_or(|page| page.expires_at <= UnixMillis::now());
        if ended && held.stored.step.is_none() {
            return Err(Error::SessionOver);
        }
        let (charge, consent) = match choice {
            Choice::Card { card, agreed } => {
                let at = UnixMillis::now();
                let store = held.stored.store;
                let consent = agreed.filter(|_| store).map(|text| Consent {
                    at,
                    text,
                    session: session.to_owned(),
                });
                if store && held.stored.usage == Some(Usage::Subscription) && consent.is_none() {
                    return Err(Error::ConsentMissing);
                }
                (self.charge_given(actor, card, store)?, consent)
            }
            Choice::Stored { .. } if held.stored.payment_type == PaymentType::Recurring => {
                return Err(Error::TokenUnknown);
            }
            Choice::Stored { code: None, .. } => return Err(Error::CodeMissing),
            Choice::Stored { token, code } => {
                let shopper = held.private.shopper.as_ref();
                (self.charge_stored(actor, shopper, token, code, None).await?, None)
            }
        };
        let held = self.attempt(actor, held, charge, consent).await?;
        self.view_of(actor, &held).await
    }

    async fn page_of(&self, actor: &Actor, session: &str, key: &str) -> Result<Held, Error> {
        let right = self.session_key(actor, session).await?;
        if !bool::from(right.as_bytes().ct_eq(key.as_bytes())) {
            self.vault.access().wrong_secret(actor)?;
            return Err(Error::Unknown);
        }
        let named = super::ids::hashed("s", session);
        let order = self.order_named(actor, &named).await?.ok_or(Error::Unknown)?;
        self.held_payment(actor, &order).await
    }
}
