//! What an order's transactions come to. Pure: the totals are worked out from the transactions each time.

use std::collections::HashSet;

use super::types::{Action, OrderStatus, TransactionView};
use crate::payment::money::Amount;

/// What counts of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) id: String,
    pub(super) action: Action,
    pub(super) amount: Amount,
    pub(super) approved: bool,
    pub(super) target: Option<String>,
}

/// An order's amounts and where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Totals {
    /// Of an authorization as it was last updated, or of a payment.
    pub(super) authorized: Amount,
    pub(super) captured: Amount,
    pub(super) refunded: Amount,
    pub(super) status: OrderStatus,
}

/// An order's transactions, oldest first.
pub(super) struct Ledger {
    entries: Vec<Entry>,
    /// Ids of those that were undone.
    voided: HashSet<String>,
}

impl Entry {
    pub(super) fn of(view: &TransactionView) -> Self {
        Self {
            id: view.id.clone(),
            action: view.action,
            amount: view.amount,
            approved: view.approved(),
            target: view.target.clone(),
        }
    }
}

impl Ledger {
    pub(super) fn new(entries: Vec<Entry>) -> Self {
        let voided = entries
            .iter()
            .filter(|entry| entry.approved && entry.action == Action::Void)
            .filter_map(|entry| entry.target.clone())
            .collect();
        Self { entries, voided }
    }

    /// These and one more.
    pub(super) fn with(mut self, entry: Entry) -> Self {
        self.entries.push(entry);
        Self::new(self.entries)
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The transaction of that id, whatever became of it.
    pub(super) fn find(&self, id: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.id == id)
    }

    /// Whether money was reserved or taken, also if that was undone since.
    pub(super) fn opened(&self) -> bool {
        let opens = |entry: &Entry| entry.approved && matches!(entry.action, Action::Authorize | Action::Pay);
        self.entries.iter().any(opens)
    }

    /// The authorization in force.
    pub(super) fn authorization(&self) -> Option<&Entry> {
        self.in_force().find(|entry| entry.action == Action::Authorize)
    }

    /// Captures and payments in force, the latest first.
    pub(super) fn taken(&self) -> impl Iterator<Item = &Entry> {
        self.in_force().rev().filter(|entry| takes(entry))
    }

    /// What can still be given back of a capture or payment.
    pub(super) fn left(&self, taken: &Entry) -> Amount {
        let refunds = self.in_force().filter(|entry| is_of(entry, Action::Refund, taken));
        less(taken.amount, sum(refunds))
    }

    /// Why `entry` cannot be undone, if so.
    pub(super) fn not_voidable(&self, entry: &Entry) -> Option<&'static str> {
        if !entry.approved {
            return Some("The transaction is not known to have succeeded");
        }
        if self.voided.contains(&entry.id) {
            return Some("The transaction has been voided already");
        }
        match entry.action {
            Action::Authorize if self.totals().captured != Amount::ZERO => Some("The authorization has been captured"),
            Action::Capture | Action::Pay if self.left(entry) != entry.amount => {
                Some("The transaction has been refunded")
            }
            Action::Authorize | Action::Capture | Action::Pay | Action::Refund => None,
            Action::UpdateAuthorization | Action::Verify | Action::Void => Some("There is nothing to void in it"),
        }
    }

    /// The last transaction that can be undone.
    pub(super) fn last_voidable(&self) -> Option<&Entry> {
        self.entries
            .iter()
            .rev()
            .find(|entry| self.not_voidable(entry).is_none())
    }

    pub(super) fn totals(&self) -> Totals {
        let captured = sum(self.taken());
        let refunded = sum(self.in_force().filter(|entry| entry.action == Action::Refund));
        let reserved = self.authorization().map(|authorization| {
            let update = self
                .in_force()
                .rev()
                .find(|entry| is_of(entry, Action::UpdateAuthorization, authorization));
            update.unwrap_or(authorization).amount
        });
        let authorized = reserved.unwrap_or_else(|| sum(self.taken().filter(|entry| entry.action == Action::Pay)));
        let verified = self
            .entries
            .iter()
            .any(|entry| entry.approved && entry.action == Action::Verify);
        let status = match (self.opened(), authorized, captured, refunded) {
            (false, ..) if verified => OrderStatus::Verified,
            (false, ..) => OrderStatus::Failed,
            (true, Amount::ZERO, ..) => OrderStatus::Cancelled,
            (true, _, Amount::ZERO, _) => OrderStatus::Authorized,
            (true, _, captured, refunded) if refunded == captured => OrderStatus::Refunded,
            (true, _, _, refunded) if refunded != Amount::ZERO => OrderStatus::PartiallyRefunded,
            (true, authorized, captured, _) if captured < authorized => OrderStatus::PartiallyCaptured,
            (true, ..) => OrderStatus::Captured,
        };
        Totals {
            authorized,
            captured,
            refunded,
            status,
        }
    }

    /// Those that succeeded and were not undone.
    fn in_force(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        self.entries
            .iter()
            .filter(|entry| entry.approved && !self.voided.contains(&entry.id))
    }
}

fn takes(entry: &Entry) -> bool {
    matches!(entry.action, Action::Capture | Action::Pay)
}

fn is_of(entry: &Entry, action: Action, target: &Entry) -> bool {
    entry.action == action && entry.target.as_deref() == Some(&target.id)
}

fn sum<'a>(entries: impl Iterator<Item = &'a Entry>) -> Amount {
    entries.fold(Amount::ZERO, |total, entry| Amount {
        thousandths: total.thousandths.saturating_add(entry.amount.thousandths),
    })
}

/// The difference, at least nothing.
pub(super) fn less(amount: Amount, taken: Amount) -> Amount {
    amount.checked_sub(taken).unwrap_or(Amount::ZERO)
}
