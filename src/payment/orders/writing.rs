//! How a transaction is written down, before and after the acquirer is asked: always together with its order, and only if
//! the order is as it was read.

use zeroize::Zeroizing;

use super::ledger::{Entry, Ledger};
use super::stored::{self, HeldTransaction, Names, StoredTransaction};
use super::types::{Action, OrderView, TransactionRecord, TransactionView};
use crate::id::UnixMillis;
use crate::keys::SecretBytes;
use crate::payment::acquirer::{Answer, Verdict};
use crate::payment::{Error, Payments};
use crate::vault::types::{
    self as core, Actor, CallerError, Document, DocumentEvent, DocumentKind, DocumentWrite, Expect, Secret, Written,
};

/// A transaction that is written down and not answered yet.
pub(super) struct Pending {
    /// The order as it stands in the store.
    pub(super) order: OrderView,
    pub(super) order_rev: u64,
    pub(super) transaction: HeldTransaction,
}

impl Payments {
    /// Writes the transaction down as pending; `before` is the commit that wrote its order, if there is one. It is refused
    /// where it could not be completed for its size.
    pub(super) async fn write_pending(
        &self,
        actor: &Actor,
        names: &Names,
        before: Option<u64>,
        new: StoredTransaction,
        personal: Option<&Zeroizing<String>>,
    ) -> Result<Pending, Error> {
        let order = new.view.order.clone();
        let secret = match personal {
            Some(personal) => Secret::Seal(SecretBytes::new(personal.as_bytes().to_vec())),
            None => Secret::Nothing,
        };
        let transaction = transaction_write(names, Expect::Absent, &new, secret)?;
        if transaction.clear.len().saturating_add(ANSWER_ROOM) > Document::CLEAR_MAX {
            return Err(Error::Core(core::Error::Caller(CallerError::Field {
                field: "order",
                reason: "is longer, with what the order holds already, than can be kept".to_owned(),
            })));
        }
        let writes = vec![
            order_write(names, before.map_or(Expect::Absent, Expect::Rev), &order)?,
            transaction,
        ];
        let written = self
            .vault
            .write_documents(actor, writes, event(&new.view, "asked"))
            .await?;
        let Written::Done { rev } = written else {
            return Err(Error::Locked);
        };
        // read back for its sealed part
        let transaction = self.load_transaction(actor, names).await?.ok_or_else(Error::damaged)?;
        Ok(Pending {
            order,
            order_rev: rev,
            transaction,
        })
    }

    /// Writes down what the acquirer said, and where the order stands now. Without an answer it is given up.
    pub(super) async fn complete(
        &self,
        actor: &Actor,
        names: &Names,
        pending: Pending,
        before: Ledger,
        answer: Option<Answer>,
        personal: Option<Zeroizing<String>>,
    ) -> Result<TransactionRecord, Error> {
        let Pending {
            order,
            order_rev,
            transaction: HeldTransaction { document, mut stored },
        } = pending;
        stored.view.given_up = answer.is_none();
        stored.view.answer = answer;
        let totals = before.with(Entry::of(&stored.view)).totals();
        let order = OrderView {
            updated_at: UnixMillis::now(),
            status: totals.status,
            authorized: totals.authorized,
            captured: totals.captured,
            refunded: totals.refunded,
            ..order
        };
        stored.view.order = order.clone();
        let writes = vec![
            order_write(names, Expect::Rev(order_rev), &order)?,
            transaction_write(names, Expect::Rev(document.rev), &stored, Secret::Keep(document.sealed))?,
        ];
        let event = event(&stored.view, stored.view.verdict().map_or("pending", outcome));
        match self.vault.write_documents(actor, writes, event).await? {
            Written::Done { .. } => Ok(TransactionRecord {
                view: stored.view,
                personal,
            }),
            Written::Changed => Err(Error::Unwritten),
        }
    }
}

fn order_write(names: &Names, expect: Expect, order: &OrderView) -> Result<DocumentWrite, Error> {
    Ok(DocumentWrite {
        kind: DocumentKind::Order,
        name: names.order().to_owned(),
        expect,
        clear: stored::encode(order)?,
        secret: Secret::Nothing,
        expires_at: None,
    })
}

fn transaction_write(
    names: &Names,
    expect: Expect,
    transaction: &StoredTransaction,
    secret: Secret,
) -> Result<DocumentWrite, Error> {
    Ok(DocumentWrite {
        kind: DocumentKind::Transaction,
        name: names.transaction().to_owned(),
        expect,
        clear: stored::encode(transaction)?,
        secret,
        expires_at: None,
    })
}

fn event(view: &TransactionView, outcome: &'static str) -> DocumentEvent {
    DocumentEvent {
        action: match view.action {
            Action::Authorize => "order-authorize",
            Action::Capture => "order-capture",
            Action::Pay => "order-pay",
            Action::Refund => "order-refund",
            Action::UpdateAuthorization => "order-update-authorization",
            Action::Verify => "order-verify",
            Action::Void => "order-void",
        },
        outcome,
        token: view.card.as_ref().and_then(|card| card.token.clone()),
        detail: Some(format!("order {}, transaction {}", view.order.id, view.id)),
    }
}

fn outcome(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Approved => "approved",
        Verdict::Declined | Verdict::ExpiredCard | Verdict::InsufficientFunds | Verdict::InvalidSecurityCode => {
            "declined"
        }
        Verdict::SystemError | Verdict::TimedOut | Verdict::UnspecifiedFailure => "failed",
        Verdict::Unknown => "unknown",
    }
}

/// What an answer may add to a transaction's document, bytes: [`Answer::TEXT_MAX`] where every byte is escaped to six, its
/// names, and the totals.
const ANSWER_ROOM: usize = 6 * Answer::TEXT_MAX + 1024;
