//! After a payment: it is undone, or what is reserved is taken.

use super::ids::Kind;
use super::open::field;
use super::stored::{Held, State, Step};
use super::types::{Outcome, PaymentView};
use super::{Error, Event, event};
use crate::hsm::framed;
use crate::keys::SecretBytes;
use crate::payment::acquirer::Verdict;
use crate::payment::money::Amount;
use crate::payment::orders::{Action, Instruction, TransactionView};
use crate::payment::{Payments, Sources};
use crate::vault::to_its_end;
use crate::vault::types::{Actor, Operation};

impl Payments {
    /// Undoes a payment that is not refunded. One that is undone stays so.
    ///
    /// # Errors
    /// [`Error::Unknown`]; it is not paid, or was refunded; the acquirer refused; the core's, the ledger's.
    pub async fn void_payment(&self, actor: &Actor, order: &str) -> Result<PaymentView, Error> {
        self.change_payment(actor, order, None).await
    }

    /// Takes what is reserved, all of it where no amount is given.
    ///
    /// # Errors
    /// As [`Payments::void_payment`].
    pub async fn capture_payment(
        &self,
        actor: &Actor,
        order: &str,
        amount: Option<Amount>,
    ) -> Result<PaymentView, Error> {
        self.change_payment(actor, order, Some(amount)).await
    }

    /// `captured`: how much is to be taken; none: it is to be undone.
    async fn change_payment(
        &self,
        actor: &Actor,
        order: &str,
        captured: Option<Option<Amount>>,
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
            let (step, action, amount) = match captured {
                None if view.status == super::PaymentStatus::Canceled => return Ok(view),
                None => (Step::Void, Action::Void, None),
                Some(amount) => {
                    let left = view.balances.authorized.checked_sub(view.balances.captured);
                    let amount = amount.or(left);
                    let number = held.stored.notified + 1;
                    (Step::Capture(number), Action::Capture, amount)
                }
            };
            let held = match &held.stored.step {
                None => payments.begin_step(actor, held, step.clone()).await?,
                Some(under_way) if *under_way == step => held,
                Some(_) => return Err(Error::Busy),
            };
            let held = payments.do_step(actor, held, step, action, amount).await?;
            let approved = held
                .stored
                .outcome
                .as_ref()
                .is_none_or(|outcome| outcome.verdict == Verdict::Approved);
            match approved {
                true => payments.payment_view(actor, held).await,
                false => Err(field("order_id", "was not changed: the acquirer refused")),
            }
        })
        .await
    }

    /// Has the acquirer do a step that was begun, and writes down how it ended.
    pub(super) async fn do_step(
        &self,
        actor: &Actor,
        held: Held,
        step: Step,
        action: Action,
        amount: Option<Amount>,
    ) -> Result<Held, Error> {
        let transaction = step.transaction();
        let instruction = Instruction {
            action,
            order: held.order.clone(),
            request: SecretBytes::new(framed(&[b"step", transaction.as_bytes()])),
            transaction,
            amount,
            currency: Some(held.stored.currency),
            target: None,
            sources: Sources::default(),
            recurring: false,
            street: None,
            echo: None,
            personal: None,
        };
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
            Step::Capture(_) => ("payment-capture", Event::PaymentSuccess),
            Step::Pay(_) | Step::Refund(_) | Step::Void => ("payment-void", Event::PaymentCanceled),
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

pub(super) fn outcome(done: &TransactionView) -> Outcome {
    let message = done.answer.as_ref().map(|answer| answer.message.clone());
    Outcome {
        verdict: done.verdict().unwrap_or(Verdict::Unknown),
        message: message.unwrap_or_else(|| "The outcome is not known".to_owned()),
    }
}
