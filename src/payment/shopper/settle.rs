//! Steps: begun on paper before the acquirer is asked, ended with a notification, and settled by what the ledger says where
//! a crash came in between.

use super::outbox;
use super::stored::{Held, State, Step};
use super::types::{Outcome, RefundStatus};
use super::{Error, Event, event};
use crate::hsm::framed;
use crate::id::UnixMillis;
use crate::keys::SecretBytes;
use crate::payment::acquirer::Verdict;
use crate::payment::orders::{Action, Instruction, TransactionView};
use crate::payment::{self, Part, Payments, Sources};
use crate::vault::types::{Actor, DocumentEvent, DocumentWrite};

impl Payments {
    /// Writes down that `step` begins, and with it who looks after it if it does not end.
    pub(super) async fn begin_step(
        &self,
        actor: &Actor,
        mut held: Held,
        step: Step,
        mut more: Vec<DocumentWrite>,
    ) -> Result<Held, Error> {
        more.push(begin(&mut held, step)?);
        let event = event("payment-step", "begun", held.stored.token.as_ref(), &held.order);
        let held = self.must_write_payment(actor, held, more, event).await?;
        self.guard(actor, &held);
        Ok(held)
    }

    /// Writes down how the step ended that is no longer in `held`; whoever is to be told is told `told`.
    pub(super) async fn end_step(
        &self,
        actor: &Actor,
        held: Held,
        told: Option<Event>,
        refund: Option<usize>,
        mut more: Vec<DocumentWrite>,
        event: DocumentEvent,
    ) -> Result<Held, Error> {
        let of_refund = refund
            .and_then(|place| held.private.refund_urls.get(place))
            .cloned()
            .flatten();
        let url = of_refund.or_else(|| held.private.notify_url.clone());
        let there = self.notification(actor, &held.order, held.stored.notified).await?;
        match (told, url) {
            (Some(told), Some(url)) => {
                let payment = self.view_of(actor, &held).await?;
                let refund = refund.and_then(|place| held.stored.refunds.get(place)).cloned();
                more.push(outbox::decided(
                    &held.order,
                    held.stored.notified,
                    there,
                    told,
                    url,
                    payment,
                    refund,
                )?);
            }
            // nobody is told: the guard goes
            (None, _) | (_, None) => more.extend(there.map(outbox::removed)),
        }
        let held = self.must_write_payment(actor, held, more, event).await?;
        self.outbox.note(&actor.merchant, &held.order, UnixMillis::now());
        Ok(held)
    }

    /// Settles what was left of a step. `None`: the acquirer may still answer, or whoever asked it is at it.
    ///
    /// # Errors
    /// The core's.
    pub(super) async fn settle(&self, actor: &Actor, order: &str) -> Result<Option<()>, Error> {
        let _turn = self.payment_turn(actor, order).await;
        let held = match self.held_payment(actor, order).await {
            Err(Error::Unknown) => return Ok(Some(())),
            held => held?,
        };
        self.settle_held(actor, held).await
    }

    /// [`Self::settle`], for who has the turn.
    pub(super) async fn settle_held(&self, actor: &Actor, mut held: Held) -> Result<Option<()>, Error> {
        let Some(step) = held.stored.step.clone() else {
            return Ok(Some(()));
        };
        let Some(done) = self.ledger_says(actor, &held.order, &step).await? else {
            // the acquirer was not asked: as before
            held.stored.step = None;
            let (told, refund) = match step {
                Step::Pay(_) if held.stored.session.is_none() => {
                    held.stored.state = State::Failed;
                    held.stored.finished_at = Some(UnixMillis::now());
                    held.stored.outcome = Some(not_asked());
                    (Some(Event::PaymentFailure), None)
                }
                Step::Refund(place) => {
                    if let Some(refund) = held.stored.refunds.get_mut(place) {
                        refund.status = RefundStatus::Failure;
                        refund.finished_at = Some(UnixMillis::now());
                        refund.outcome = Some(not_asked());
                    }
                    (Some(Event::RefundFailure), Some(place))
                }
                Step::Pay(_) | Step::Void(_) | Step::Capture(..) => (None, None),
            };
            let event = event("payment-step", "not-asked", held.stored.token.as_ref(), &held.order);
            self.end_step(actor, held, told, refund, Vec::new(), event).await?;
            return Ok(Some(()));
        };
        let done = match (done.verdict(), &step) {
            (Some(_), _) => done,
            // the card is gone with who gave it
            (None, Step::Pay(_)) => {
                let given_up = self.give_up_overdue(actor, &held.order, &done.id).await;
                match given_up.map_err(Error::from)? {
                    Some(given_up) => given_up,
                    None => return Ok(None),
                }
            }
            // these need none, and the acquirer knows them again by their keys
            (None, Step::Refund(_) | Step::Void(_) | Step::Capture(..)) => {
                self.transact(actor, instruction(&held, &step)?).await?.view
            }
        };
        self.finish(actor, held, &step, &done).await?;
        Ok(Some(()))
    }

    /// What becomes of a step that the ledger did not do. Where the request was at fault it is over; else the same request
    /// again goes on with it, and if none comes it is settled like one that a crash cut.
    pub(super) async fn left_undone(&self, actor: &Actor, held: Held, why: &payment::Error) {
        if why.is_of_request()
            && let Err(error) = self.settle_held(actor, held).await
        {
            tracing::warn!(%error, request = %actor.request, "a payment waits to be settled");
        }
    }

    /// Writes down what the ledger says of a step. A card that was to be stored is gone with who gave it.
    pub(super) async fn finish(
        &self,
        actor: &Actor,
        held: Held,
        step: &Step,
        done: &TransactionView,
    ) -> Result<Held, Error> {
        match step {
            Step::Pay(_) => self.finish_pay(actor, held, done, None).await,
            Step::Refund(place) => self.finish_refund(actor, held, *place, done).await,
            Step::Void(_) | Step::Capture(..) => self.finish_change(actor, held, step, done).await,
        }
    }

    async fn ledger_says(&self, actor: &Actor, order: &str, step: &Step) -> Result<Option<TransactionView>, Error> {
        match self.order_and_target(actor, order, Some(&step.transaction())).await {
            Ok((_, done)) => Ok(done),
            Err(payment::Error::Unknown(Part::Order)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// Has the payment begin a step; gives who looks after it.
pub(super) fn begin(held: &mut Held, step: Step) -> Result<DocumentWrite, Error> {
    if let Step::Pay(attempt) = step {
        // of an attempt before
        held.stored.attempts = attempt;
        (held.stored.card, held.stored.token, held.stored.consent) = (None, None, None);
    }
    held.stored.step = Some(step);
    held.stored.notified += 1;
    outbox::undecided(&held.order, held.stored.notified)
}

/// What the ledger is to do for a step. A payment's card, and what makes it the same card, are to be added.
pub(super) fn instruction(held: &Held, step: &Step) -> Result<Instruction, Error> {
    let transaction = step.transaction();
    let (action, amount, target) = match step {
        Step::Refund(place) => {
            let refund = held.stored.refunds.get(*place).ok_or_else(payment::Error::damaged)?;
            (Action::Refund, Some(refund.amount), None)
        }
        Step::Capture(_, amount) => (Action::Capture, Some(*amount), None),
        // the payment itself, and not what came last
        Step::Void(_) => (Action::Void, None, Some(Step::Pay(held.stored.attempts).transaction())),
        Step::Pay(_) => {
            let action = match held.stored.capture {
                super::Capture::Automatic => Action::Pay,
                super::Capture::Manual => Action::Authorize,
            };
            (action, Some(held.stored.amount), None)
        }
    };
    Ok(Instruction {
        action,
        order: held.order.clone(),
        request: SecretBytes::new(framed(&[b"step", transaction.as_bytes()])),
        transaction,
        amount,
        currency: Some(held.stored.currency),
        target,
        sources: Sources::default(),
        recurring: false,
        street: None,
        echo: None,
        personal: None,
    })
}

/// How the acquirer decided.
pub(super) fn outcome(done: &TransactionView) -> Outcome {
    let message = done.answer.as_ref().map(|answer| answer.message.clone());
    Outcome {
        verdict: done.verdict().unwrap_or(Verdict::Unknown),
        message: message.unwrap_or_else(|| "The outcome is not known".to_owned()),
    }
}

fn not_asked() -> Outcome {
    Outcome {
        verdict: Verdict::SystemError,
        message: "The acquirer was not asked".to_owned(),
    }
}
