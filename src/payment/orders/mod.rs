//! Orders and their transactions.
//!
//! An order is what became of its transactions: its totals and where it stands are worked out anew from all of them after
//! each. A transaction is written down as pending before the acquirer is asked, and completed after: a crash in between
//! loses nothing and does nothing twice, since the same request again asks the acquirer under the same key. One that nobody
//! completes is given up after 10 minutes, with an outcome that is not known.

mod asking;
mod in_use;
mod ledger;
mod plan;
mod standing;
mod stored;
#[cfg(test)]
mod tests;
mod transact;
mod types;
mod writing;

use zeroize::Zeroizing;

pub(super) use self::in_use::OrdersInUse;
use self::stored::{HeldTransaction, Names};
pub use self::types::{Action, Instruction, OrderStatus, OrderView, ShownCard, TransactionRecord, TransactionView};
use super::{Error, Part, Payments};
use crate::keys::SecretBytes;
use crate::vault::types::{Actor, DocumentKind, Operation};

impl Payments {
    /// A transaction that was done, or is pending.
    ///
    /// # Errors
    /// [`Error::Unknown`]; not granted; the HSM's; the store's.
    pub async fn transaction(&self, actor: &Actor, order: &str, transaction: &str) -> Result<TransactionRecord, Error> {
        self.vault.access().permit(actor, Operation::Inspect, 1)?;
        let names = Names::new(order, transaction);
        match self.load_transaction(actor, &names).await? {
            Some(held) => self.record(held).await,
            None => Err(Error::Unknown(Part::Transaction)),
        }
    }

    /// An order as it stands, and its transaction of the id `target` if it has one: for who does transactions on it. Nothing
    /// is opened.
    ///
    /// # Errors
    /// [`Error::Unknown`] order; not granted; the store's.
    pub async fn order_and_target(
        &self,
        actor: &Actor,
        order: &str,
        target: Option<&str>,
    ) -> Result<(OrderView, Option<TransactionView>), Error> {
        self.vault.access().permit(actor, Operation::Pay, 0)?;
        let names = Names::new(order, target.unwrap_or_default());
        let Some((_, view)) = self.load_order(actor, &names).await? else {
            return Err(Error::Unknown(Part::Order));
        };
        let held = match target {
            Some(_) => self.load_transaction(actor, &names).await?,
            None => None,
        };
        Ok((view, held.map(|held| held.stored.view)))
    }

    /// An order and its transactions, oldest first; at most 500.
    ///
    /// # Errors
    /// [`Error::Unknown`]; not granted; the HSM's; the store's.
    pub async fn order(&self, actor: &Actor, order: &str) -> Result<(OrderView, Vec<TransactionRecord>), Error> {
        self.vault.access().permit(actor, Operation::Inspect, 1)?;
        let names = Names::new(order, "");
        let Some((_, view)) = self.load_order(actor, &names).await? else {
            return Err(Error::Unknown(Part::Order));
        };
        let held = self.load_transactions(actor, &names).await?;
        let (documents, views): (Vec<_>, Vec<_>) =
            held.into_iter().map(|held| (held.document, held.stored.view)).unzip();
        let secrets = self.vault.document_secrets(documents).await;
        let records = views
            .into_iter()
            .zip(secrets)
            .map(|(view, secret)| TransactionRecord::of(view, secret?));
        Ok((view, records.collect::<Result<_, _>>()?))
    }

    /// The order, and which commit wrote it.
    async fn load_order(&self, actor: &Actor, names: &Names) -> Result<Option<(u64, OrderView)>, Error> {
        let held = self.vault.document(actor, DocumentKind::Order, names.order()).await?;
        held.map(|document| Ok((document.rev, stored::decode(&document.clear)?)))
            .transpose()
    }

    async fn load_transaction(&self, actor: &Actor, names: &Names) -> Result<Option<HeldTransaction>, Error> {
        let held = self
            .vault
            .document(actor, DocumentKind::Transaction, names.transaction())
            .await?;
        held.map(HeldTransaction::read).transpose()
    }

    /// All of the order, oldest first.
    async fn load_transactions(&self, actor: &Actor, names: &Names) -> Result<Vec<HeldTransaction>, Error> {
        let documents = self
            .vault
            .documents(actor, DocumentKind::Transaction, names.order(), None, MAX_TRANSACTIONS)
            .await?;
        let mut all = documents
            .into_iter()
            .map(HeldTransaction::read)
            .collect::<Result<Vec<_>, _>>()?;
        all.sort_by_key(|held| held.stored.ordinal);
        Ok(all)
    }

    async fn record(&self, held: HeldTransaction) -> Result<TransactionRecord, Error> {
        let secret = self.vault.document_secret(&held.document).await?;
        TransactionRecord::of(held.stored.view, secret)
    }
}

impl TransactionRecord {
    fn of(view: TransactionView, secret: Option<SecretBytes>) -> Result<Self, Error> {
        Ok(Self {
            view,
            personal: secret.map(text).transpose()?,
        })
    }
}

fn text(secret: SecretBytes) -> Result<Zeroizing<String>, Error> {
    let text = std::str::from_utf8(secret.expose()).map_err(|_| Error::damaged())?;
    Ok(Zeroizing::new(text.to_owned()))
}

fn invalid(part: Part, reason: &str) -> Error {
    Error::Invalid {
        part,
        reason: reason.to_owned(),
    }
}

/// Transactions that an order may have.
const MAX_TRANSACTIONS: u32 = 500;
