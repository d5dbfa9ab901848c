//! An order before a transaction. What a crash left pending in it is given up here when nobody completed it in time.

use super::invalid;
use super::ledger::{Entry, Ledger};
use super::stored::{HeldTransaction, Names};
use super::types::{OrderView, TransactionRecord, TransactionView};
use super::writing::Pending;
use crate::id::UnixMillis;
use crate::payment::{Error, Part, Payments};
use crate::vault::types::Actor;

/// An order with all that is known of it, before the transaction.
pub(super) struct Standing {
    /// None: it is opened now.
    pub(super) order: Option<(u64, OrderView)>,
    pub(super) transactions: Vec<HeldTransaction>,
    pub(super) ledger: Ledger,
}

impl Standing {
    pub(super) fn view(&self, id: &str) -> Option<&TransactionView> {
        let held = self.transactions.iter().find(|held| held.stored.view.id == id)?;
        Some(&held.stored.view)
    }
}

impl Payments {
    /// The order of `names` before its transaction `own`. Another transaction that is pending for too long is given up.
    ///
    /// # Errors
    /// [`Error::Invalid`] while another transaction of it is pending: what it came to decides what else may be done.
    pub(super) async fn standing(&self, actor: &Actor, names: &Names, own: &str) -> Result<Standing, Error> {
        loop {
            let order = self.load_order(actor, names).await?;
            let mut transactions = match &order {
                Some(_) => self.load_transactions(actor, names).await?,
                None => Vec::new(),
            };
            transactions.retain(|held| held.stored.view.id != own);
            let pending = transactions
                .iter()
                .position(|held| held.stored.view.verdict().is_none())
                .map(|at| transactions.remove(at));
            let ledger = Ledger::new(transactions.iter().map(|held| Entry::of(&held.stored.view)).collect());
            match (pending, order) {
                (None, order) => {
                    return Ok(Standing {
                        order,
                        transactions,
                        ledger,
                    });
                }
                (Some(pending), Some(order)) if is_overdue(&pending) => {
                    self.give_up(actor, order, pending, ledger).await?;
                }
                (Some(_), _) => {
                    let reason = "Another transaction of the order is pending: repeat its request, or come again in 10 \
                                  minutes";
                    return Err(invalid(Part::Order, reason));
                }
            }
        }
    }

    /// Gives up the pending transaction `own` on its own request, whose card is not to be had again.
    pub(super) async fn give_up_own(
        &self,
        actor: &Actor,
        names: &Names,
        own: &str,
    ) -> Result<TransactionRecord, Error> {
        let Standing { order, ledger, .. } = self.standing(actor, names, own).await?;
        let pending = self.load_transaction(actor, names).await?.ok_or_else(Error::damaged)?;
        self.give_up(actor, order.ok_or_else(Error::damaged)?, pending, ledger)
            .await?;
        // as it was sealed: the request may have got its personal part from a session that is gone
        let given_up = self.load_transaction(actor, names).await?.ok_or_else(Error::damaged)?;
        self.record(given_up).await
    }

    /// A transaction that was pending, given up if it has been so for too long. `None`: it still is, or is being worked on.
    ///
    /// # Errors
    /// The store's; the HSM's.
    pub(in crate::payment) async fn give_up_overdue(
        &self,
        actor: &Actor,
        order: &str,
        transaction: &str,
    ) -> Result<Option<TransactionView>, Error> {
        let Some(_in_use) = self.orders_in_use.take(&actor.merchant, order) else {
            return Ok(None);
        };
        let names = Names::new(order, transaction);
        let held = self.load_transaction(actor, &names).await?.ok_or_else(Error::damaged)?;
        if held.stored.view.verdict().is_some() {
            return Ok(Some(held.stored.view));
        }
        if !is_overdue(&held) {
            return Ok(None);
        }
        let given_up = self.give_up_own(actor, &names, transaction).await?;
        Ok(Some(given_up.view))
    }

    async fn give_up(
        &self,
        actor: &Actor,
        (order_rev, order): (u64, OrderView),
        transaction: HeldTransaction,
        before: Ledger,
    ) -> Result<(), Error> {
        tracing::warn!(request = %actor.request, "a pending transaction is given up: its outcome is not known");
        let names = Names::new(&order.id, &transaction.stored.view.id);
        let pending = Pending {
            order,
            order_rev,
            transaction,
        };
        self.complete(actor, &names, pending, before, None, None).await?;
        Ok(())
    }
}

/// Whether a pending transaction has been so for too long. One that is being worked on is not met: its order is in use.
pub(super) fn is_overdue(pending: &HeldTransaction) -> bool {
    pending.stored.view.at.plus(GIVE_UP_AFTER_MS) <= UnixMillis::now()
}

/// A pending transaction is left alone for 10 minutes. That is longer than clients go on to repeat a request that was cut
/// off, and a repetition is better: the acquirer then tells what became of it. It is shorter than a session lives without a
/// change, so that a payer who tries again still has his.
const GIVE_UP_AFTER_MS: u64 = 10 * 60 * 1000;
