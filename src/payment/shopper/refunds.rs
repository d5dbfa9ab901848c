//! Money given back.

use super::ids::{self, Kind};
use super::open::field;
use super::settle::outcome;
use super::stored::{Held, Step};
use super::types::{NewRefund, PaymentView, RefundStatus, RefundView};
use super::{Error, Event, event, name_of};
use crate::id::UnixMillis;
use crate::payment::Payments;
use crate::payment::acquirer::Verdict;
use crate::payment::money::Amount;
use crate::payment::orders::TransactionView;
use crate::vault::to_its_end;
use crate::vault::types::{Actor, Operation};

impl Payments {
    /// Gives money back. The same request again gives what it gave; one that was cut is brought to its end.
    ///
    /// # Errors
    /// [`Error::Unknown`] payment; [`Error::IdTaken`]; more than is left; the core's, the ledger's. A refusal of the
    /// acquirer's is none.
    pub async fn refund(&self, actor: &Actor, new: NewRefund) -> Result<(RefundView, PaymentView), Error> {
        self.vault.access().permit(actor, Operation::Pay, 0)?;
        self.screen_id("refund_trans_id", &new.trans_id)?;
        if !Kind::Order.is_of(&new.order) {
            return Err(Error::Unknown);
        }
        self.screen_url(actor, new.notify_url.as_ref())?;
        let (payments, actor) = (self.clone(), actor.clone());
        to_its_end(async move { payments.refund_at_once(&actor, new).await }).await
    }

    async fn refund_at_once(&self, actor: &Actor, new: NewRefund) -> Result<(RefundView, PaymentView), Error> {
        let name = ids::hashed("r", &new.trans_id);
        if let Some(order) = self.order_named(actor, &name).await?
            && order != new.order
        {
            return Err(Error::IdTaken);
        }
        let _turn = self.payment_turn(actor, &new.order).await;
        let mut held = self.held_payment(actor, &new.order).await?;
        if held.stored.currency != new.currency {
            return Err(field("currency", "is not the payment's"));
        }
        let mut refunds = held.stored.refunds.iter().enumerate();
        let found = refunds.find(|(_, refund)| refund.trans_id == new.trans_id);
        let place = match found {
            Some((_, refund)) if refund.amount != new.amount => return Err(Error::IdTaken),
            Some((place, _)) if held.stored.step == Some(Step::Refund(place)) => place,
            Some((place, _)) => return self.refund_shown(actor, held, place).await,
            None => {
                if held.stored.step.is_some() {
                    return Err(Error::Busy);
                }
                let left = self.view_of(actor, &held).await?.balances;
                let left = left.captured.checked_sub(left.refunded).unwrap_or(Amount::ZERO);
                if new.amount.is_zero() || new.amount > left {
                    return Err(field(
                        "refund_amount",
                        "must be more than zero and no more than what is left",
                    ));
                }
                let place = held.stored.refunds.len();
                if place >= REFUNDS {
                    return Err(field("ori_order_id", "has as many refunds as it can have"));
                }
                let id = ids::fresh(Kind::Refund)?;
                let names = vec![
                    name_of(name, &held.order)?,
                    name_of(ids::hashed("g", &id), &held.order)?,
                ];
                held.stored.refunds.push(RefundView {
                    id,
                    trans_id: new.trans_id,
                    amount: new.amount,
                    status: RefundStatus::Processing,
                    outcome: None,
                    finished_at: None,
                });
                held.private.refund_urls.push(new.notify_url);
                held.sealed = None;
                held = self.begin_step(actor, held, Step::Refund(place), names).await?;
                place
            }
        };
        let held = self.do_step(actor, held, Step::Refund(place)).await?;
        self.refund_shown(actor, held, place).await
    }

    /// A refund as it stands, by the merchant's id or by ours.
    ///
    /// # Errors
    /// [`Error::Unknown`]; not granted; the store's.
    pub async fn refund_by(
        &self,
        actor: &Actor,
        trans_id: Option<&str>,
        id: Option<&str>,
    ) -> Result<(RefundView, PaymentView), Error> {
        self.vault.access().permit(actor, Operation::Inspect, 1)?;
        let name = match (trans_id, id) {
            (Some(trans_id), _) => ids::hashed("r", trans_id),
            (None, Some(id)) => ids::hashed("g", id),
            (None, None) => return Err(Error::Unknown),
        };
        let order = self.order_named(actor, &name).await?.ok_or(Error::Unknown)?;
        let held = self.held_payment(actor, &order).await?;
        let place = held
            .stored
            .refunds
            .iter()
            .position(|refund| Some(refund.trans_id.as_str()) == trans_id || Some(refund.id.as_str()) == id);
        self.refund_shown(actor, held, place.ok_or(Error::Unknown)?).await
    }

    async fn refund_shown(&self, actor: &Actor, held: Held, place: usize) -> Result<(RefundView, PaymentView), Error> {
        let refund = held.stored.refunds.get(place).cloned().ok_or(Error::Unknown)?;
        Ok((refund, self.view_of(actor, &held).await?))
    }

    pub(super) async fn finish_refund(
        &self,
        actor: &Actor,
        mut held: Held,
        place: usize,
        done: &TransactionView,
    ) -> Result<Held, Error> {
        let outcome = outcome(done);
        let refund = held
            .stored
            .refunds
            .get_mut(place)
            .ok_or_else(crate::payment::Error::damaged)?;
        let (status, word, told) = match outcome.verdict {
            Verdict::Approved => (RefundStatus::Success, "approved", Some(Event::RefundSuccess)),
            // it may have been given back: nobody is told what nobody knows
            Verdict::TimedOut | Verdict::Unknown => (RefundStatus::Processing, "unknown", None),
            Verdict::Declined
            | Verdict::ExpiredCard
            | Verdict::InsufficientFunds
            | Verdict::InvalidSecurityCode
            | Verdict::SystemError
            | Verdict::UnspecifiedFailure => (RefundStatus::Failure, "refused", Some(Event::RefundFailure)),
        };
        refund.status = status;
        refund.outcome = Some(outcome);
        refund.finished_at = (status != RefundStatus::Processing).then(UnixMillis::now);
        held.stored.step = None;
        let event = event("refund", word, held.stored.token.as_ref(), &held.order);
        self.end_step(actor, held, told, Some(place), Vec::new(), event).await
    }
}

/// Refunds of one payment: all are kept with it.
const REFUNDS: usize = 64;
