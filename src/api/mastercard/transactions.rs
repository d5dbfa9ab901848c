//! Transactions are done and shown, orders are shown.

use axum::http::StatusCode;

use super::call::{Answer, Call};
use super::faults::Names;
use super::instruction::{canonical, instruction, take_from_session};
use super::record::Teller;
use super::refusal::Refusal;
use crate::api::Services;
use crate::id::UnixMillis;
use crate::payment;
use crate::payment::money::{Amount, Currency};
use crate::payment::orders::{Action, Instruction, OrderView, TransactionView};

/// Does a transaction.
pub(super) async fn perform(services: &Services, mut call: Call, action: Action) -> Result<Answer, Refusal> {
    let names = Names::of(&call);
    // before the session adds to it: a repetition is the same when the session is gone
    let request = canonical(call.operation, &call.fields);
    take_from_session(services, &mut call).await?;
    let instruction = instruction(&services.vault, &call, action, request)?;
    let attempt = Attempt::of(&instruction);
    let tree = match services.payments.transact(&call.actor, instruction).await {
        Ok(record) => teller(services, &call).transaction(&record)?,
        Err(error @ payment::Error::Locked) => match attempt.view(services, &call).await {
            Some(view) => teller(services, &call).lock_failure(view)?,
            None => return Err(names.refusal(error)),
        },
        Err(error) => return Err(names.refusal(error)),
    };
    Ok(Answer {
        status: StatusCode::CREATED,
        tree,
    })
}

/// Shows a transaction.
pub(super) async fn retrieve(services: &Services, call: &Call) -> Result<Answer, Refusal> {
    let order = call.fields.required("order.id")?;
    let transaction = call.fields.required("transaction.id")?;
    let record = services.payments.transaction(&call.actor, order, transaction).await;
    let record = record.map_err(|error| Names::of(call).refusal(error))?;
    Ok(Answer {
        status: StatusCode::OK,
        tree: teller(services, call).transaction(&record)?,
    })
}

/// Shows an order with its transactions.
pub(super) async fn retrieve_order(services: &Services, call: &Call) -> Result<Answer, Refusal> {
    let order = call.fields.required("order.id")?;
    let found = services.payments.order(&call.actor, order).await;
    let (view, records) = found.map_err(|error| Names::of(call).refusal(error))?;
    Ok(Answer {
        status: StatusCode::OK,
        tree: teller(services, call).order(&view, &records)?,
    })
}

fn teller<'a>(services: &Services, call: &'a Call) -> Teller<'a> {
    Teller {
        version: call.version,
        merchant: &call.actor.merchant,
        acquirer: services.payments.acquirer_name(&call.actor),
    }
}

/// What is told of a transaction that found its order in use. Nothing was done: the same request may come again.
struct Attempt {
    action: Action,
    order: String,
    transaction: String,
    amount: Amount,
    currency: Option<Currency>,
    target: Option<String>,
}

impl Attempt {
    fn of(instruction: &Instruction) -> Self {
        Self {
            action: instruction.action,
            order: instruction.order.clone(),
            transaction: instruction.transaction.clone(),
            amount: instruction.amount.unwrap_or_default(),
            currency: instruction.currency,
            target: instruction.target.clone(),
        }
    }

    /// It as a transaction that nobody answered, of the order as it stands or, where none is to be seen yet, as it would
    /// have been opened. None where even the currency is not known, or the order cannot be read.
    async fn view(self, services: &Services, call: &Call) -> Option<TransactionView> {
        let now = UnixMillis::now();
        let payments = &services.payments;
        let found = payments.order_and_target(&call.actor, &self.order, self.target.as_deref());
        let (order, target) = match found.await {
            Ok(found) => found,
            Err(payment::Error::Unknown(_)) => (self.unopened(now)?, None),
            Err(_) => return None,
        };
        Some(TransactionView {
            id: self.transaction,
            action: self.action,
            undone: target.as_ref().map(|target| target.action),
            amount: self.amount,
            currency: order.currency,
            answer: None,
            given_up: false,
            card: None,
            // the request's may be no id at all
            target: target.map(|target| target.id),
            at: now,
            echo: None,
            order,
        })
    }

    fn unopened(&self, now: UnixMillis) -> Option<OrderView> {
        Some(OrderView::unopened(
            self.order.clone(),
            self.amount,
            self.currency?,
            now,
        ))
    }
}
