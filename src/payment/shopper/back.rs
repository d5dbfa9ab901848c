//! After a payment: it is undone, or what is reserved is taken.

use super::ids::Kind;
use super::open::field;
use super::settle::{instruction, outcome};
use super::stored::{Held, State, Step};
use super::types::{Capture, PaymentStatus, PaymentView};
use super::{Error, Event, event};
use crate::payment::Payments;
use crate::payment::acquirer::Verdict;
use crate::payment::money::{Amount, Currency};
use crate::payment::orders::TransactionView;
use crate::vault::to_its_end;
use crate::vault::types::{Actor, Operation};

impl Payments {
    /// Undoes a payment of which nothing was refunded, or a reservation of which nothing was taken. One that is undone stays
    /// so.
    ///
    /// # Errors
    /// [`Error::Unknown`]; it is not paid, or was refunded or taken; the acquirer refused; the core's, the ledger's.
    pub async fn void_payment(&self, actor: &Actor, order: &str) -> Result<PaymentView, Error> {
        let change = |held: &Held, view: &PaymentView| {
            if view.status == PaymentStatus::Canceled {
                return Ok(None);
            }
            let taken = held.stored.capture == Capture::Manual && !view.balances.captured.is_zero();
            match (&held.stored.step, taken || !view.balances.refunded.is_zero()) {
                (Some(step @ Step::Void(_)), _) => Ok(Some(step.clone())),
                (_, true) => Err(field(
                    "order_id",
                    "is of a payment that was captured or refunded: refund it",
                )),
                (_, false) => Ok(Some(Step::Void(held.stored.notified + 1))),
            }
        };
        self.change_payment(actor, order, change).await
    }

    /// Takes what is reserved: so much in the payment's currency, or all of it.
    ///
    /// # Errors
    /// As [`Payments::void_payment`]; another currency.
    pub async fn capture_payment(
        &self,
        actor: &Actor,
        order: &str,
        wanted: Option<(Amount, Currency)>,
    ) -> Result<PaymentView, Error> {
        let change = move |held: &Held, view: &PaymentView| {
            if wanted.is_some_and(|(_, currency)| currency != held.stored.currency) {
                return Err(field("currency", "is not the payment's"));
            }
            let left = view.balances.authorized.checked_sub(view.balances.captured);
            let amount = wanted.map(|(amount, _)| amount).or(left).unwrap_or_default();
            Ok(Some(match &held.stored.step {
                Some(step @ Step::Capture(_, begun)) if *begun == amount => step.clone(),
                _ => Step::Capture(held.stored.notified + 1, amount),
            }))
        };
        self.change_payment(actor, order, change).await
    }

    /// `change` says with which step the payment changes, the one under way or a new one; none: it is so already.
    async fn change_payment(
        &self,
        actor: &Actor,
        order: &str,
        change: impl Fn(&Held, &PaymentView) -> Result<Option<Step>, Error> + Send + 'static,
    ) -> Result<PaymentView, Error> {
        self.vault.access().permit(actor, Operation::Pay, 0)?;
        if !Kind::Order.is_of(order) {
            return Err(Error::Unknown);
        }
        let (payments, actor, order) = (self.clone(), actor.clone(), order.to_owned());
        to_its_end(async move {
            let actor = &actor;
            let _turn = payments.payment_turn(actor, &order).await;
            let held = payments.held_payment(actor, &order).await?;
            if held.stored.state != State::Paid {
                return Err(field("order_id", "is of a payment that did not succeed"));
            }
            let view = payments.view_of(actor, &held).await?;
            let Some(step) = change(&held, &view)? else {
                return Ok(view);
            };
            let held = match &held.stored.step {
                None => payments.begin_step(actor, held, step.clone(), Vec::new()).await?,
                Some(under_way) if *under_way == step => held,
                Some(_) => return Err(Error::Busy),
            };
            let held = payments.do_step(actor, held, step).await?;
            let approved = held
                .stored
                .outcome
                .as_ref()
                .is_none_or(|outcome| outcome.verdict == Verdict::Approved);
            match approved {
                true => payments.view_of(actor, &held).await,
                false => Err(field("order_id", "was not changed: the acquirer refused")),
            }
        })
        .await
    }

    /// Has the acquirer do a step that was begun, and writes down how it ended.
    pub(super) async fn do_step(&self, actor: &Actor, held: Held, step: Step) -> Result<Held, Error> {
        let instruction = instruction(&held, &step)?;
        match self.transact(actor, instruction).await {
            Ok(record) => self.finish(actor, held, &step, &record.view).await,
            Err(error) => {
                self.left_undone(actor, held, &error).await;
                Err(error.into())
            }
        }
    }

    /// An undoing or a taking.
    pub(super) async fn finish_change(
        &self,
        actor: &Actor,
        mut held: Held,
        step: &Step,
        done: &TransactionView,
    ) -> Result<Held, Error> {
        let outcome = outcome(done);
        let approved = outcome.verdict == Verdict::Approved;
        held.stored.step = None;
        held.stored.outcome = Some(outcome);
        let (action, told) = match step {
            Step::Capture(..) => ("payment-capture", Event::PaymentSuccess),
            Step::Pay(_) | Step::Refund(_) | Step::Void(_) => ("payment-void", Event::PaymentCanceled),
        };
        let word = match approved {
            true => "approved",
            false => "refused",
        };
        let event = event(action, word, held.stored.token.as_ref(), &held.order);
        self.end_step(actor, held, approved.then_some(told), None, Vec::new(), event)
            .await
    }
}
