//! A payment as it stands: what was decided, and what the ledger has of it.

use super::stored::{Held, State};
use super::types::{Balances, PaymentStatus, PaymentView};
use super::{Error, stored::Stored};
use crate::id::UnixMillis;
use crate::payment::money::Amount;
use crate::payment::orders::{OrderStatus, OrderView};
use crate::payment::{self, Part, Payments};
use crate::vault::types::Actor;

impl Payments {
    /// The payment, with what the ledger has of it.
    pub(super) async fn view_of(&self, actor: &Actor, held: &Held) -> Result<PaymentView, Error> {
        let order = match self.order_and_target(actor, &held.order, None).await {
            Ok((order, _)) => Some(order),
            Err(payment::Error::Unknown(Part::Order)) => None,
            Err(error) => return Err(error.into()),
        };
        let stored = held.stored.clone();
        let status = status(&stored, order.as_ref(), UnixMillis::now());
        Ok(PaymentView {
            order: held.order.clone(),
            trans_id: stored.trans_id,
            expires_at: stored.session.as_ref().map(|session| session.expires_at),
            session: stored.session.map(|session| session.id),
            payment_type: stored.payment_type,
            capture: stored.capture,
            amount: stored.amount,
            currency: stored.currency,
            status,
            outcome: stored.outcome,
            finished_at: stored.finished_at,
            token: stored.token.filter(|_| stored.state == State::Paid),
            agreement: stored.agreement,
            shopper: held.private.shopper.clone(),
            card: stored.card,
            balances: balances(order.as_ref()),
        })
    }
}

fn status(stored: &Stored, order: Option<&OrderView>, now: UnixMillis) -> PaymentStatus {
    match stored.state {
        State::Failed => PaymentStatus::Failure,
        State::Unknown => PaymentStatus::Processing,
        State::Open => {
            let over = stored.session.as_ref().is_some_and(|session| session.expires_at <= now);
            match over && stored.step.is_none() {
                true => PaymentStatus::Canceled,
                false => PaymentStatus::Processing,
            }
        }
        State::Paid => match order.map(|order| order.status) {
            Some(OrderStatus::Authorized | OrderStatus::Verified) => PaymentStatus::Authorized,
            Some(OrderStatus::Cancelled) => PaymentStatus::Canceled,
            Some(OrderStatus::Captured | OrderStatus::PartiallyCaptured) => PaymentStatus::Success,
            Some(OrderStatus::PartiallyRefunded) => PaymentStatus::PartiallyRefunded,
            Some(OrderStatus::Refunded) => PaymentStatus::Refunded,
            // what is paid has an order that says so
            Some(OrderStatus::Failed) | None => PaymentStatus::Failure,
        },
    }
}

fn balances(order: Option<&OrderView>) -> Balances {
    let Some(order) = order else {
        return Balances::default();
    };
    Balances {
        authorized: order.authorized,
        captured: order.captured,
        voided: match order.status {
            OrderStatus::Cancelled => order.amount,
            OrderStatus::Authorized
            | OrderStatus::Captured
            | OrderStatus::Failed
            | OrderStatus::PartiallyCaptured
            | OrderStatus::PartiallyRefunded
            | OrderStatus::Refunded
            | OrderStatus::Verified => Amount::ZERO,
        },
        refunded: order.refunded,
    }
}
