//! How orders and their transactions look in an answer.

use super::kept::give_back;
use super::refusal::Refusal;
use super::shape;
use super::tree::Tree;
use super::version::Version;
use crate::id::MerchantId;
use crate::payment::acquirer::{Answer, CodeCheck, Verdict};
use crate::payment::money::Amount;
use crate::payment::orders::{Action, OrderStatus, OrderView, ShownCard, TransactionRecord, TransactionView};

/// What every answer about an order says beside it.
pub(super) struct Teller<'a> {
    pub(super) version: Version,
    pub(super) merchant: &'a MerchantId,
    /// The acquirer's name.
    pub(super) acquirer: Option<&'static str>,
}

impl Teller<'_> {
    /// A transaction.
    ///
    /// # Errors
    /// What it keeps cannot be read.
    pub(super) fn transaction(&self, record: &TransactionRecord) -> Result<Tree, Refusal> {
        let view = &record.view;
        let mut tree = Tree::new();
        tree.group("order", order(&view.order));
        // the order's own first: what this transaction gave is newer
        give_back(&mut tree, view.order.echo.as_deref(), |path| {
            Some(path).filter(|path| path.starts_with("order."))
        })?;
        let own = [view.echo.as_deref(), record.personal.as_ref().map(|text| text.as_str())];
        give_back(&mut tree, own.into_iter().flatten(), |path| Some(path))?;

        self.around(&mut tree, outcome(view));
        tree.text("response.gatewayCode", gateway_code(view));
        if let Some(answer) = &view.answer {
            self.answer(&mut tree, answer);
        }
        tree.text("gatewayEntryPoint", "WEB_SERVICES_API");
        tree.text("timeOfRecord", view.at.to_string());
        tree.text("timeOfLastUpdate", view.order.updated_at.to_string());
        tree.text("version", self.version.number().to_string());

        tree.text("transaction.id", view.id.clone());
        tree.text("transaction.type", kind(view.action, view.undone));
        tree.number("transaction.amount", view.amount.decimal(view.currency));
        tree.text("transaction.currency", view.currency.as_str().to_owned());
        tree.maybe("transaction.targetTransactionId", view.target.clone());
        if let Some(card) = &view.card {
            source(&mut tree, card);
        }
        Ok(tree)
    }

    /// An order: its fields at the top, its transactions in a list.
    ///
    /// # Errors
    /// What it keeps cannot be read.
    pub(super) fn order(&self, view: &OrderView, records: &[TransactionRecord]) -> Result<Tree, Refusal> {
        let mut tree = order(view);
        for record in records {
            let kept = [
                record.view.echo.as_deref(),
                record.personal.as_ref().map(|text| text.as_str()),
            ];
            give_back(&mut tree, kept.into_iter().flatten(), |path| {
                let path = path.strip_prefix("order.").unwrap_or(path);
                Some(path).filter(|path| !path.starts_with("transaction."))
            })?;
        }
        let last = records.last().map(|record| outcome(&record.view));
        self.around(
            &mut tree,
            match view.status {
                OrderStatus::Failed => last.unwrap_or("FAILURE"),
                OrderStatus::Authorized
                | OrderStatus::Cancelled
                | OrderStatus::Captured
                | OrderStatus::PartiallyCaptured
                | OrderStatus::PartiallyRefunded
                | OrderStatus::Refunded
                | OrderStatus::Verified => "SUCCESS",
            },
        );
        if let Some(card) = records.iter().rev().find_map(|record| record.view.card.as_ref()) {
            source(&mut tree, card);
        }
        let transactions = records.iter().map(|record| self.transaction(record));
        tree.list("transaction", transactions.collect::<Result<_, _>>()?);
        Ok(tree)
    }

    /// What came of a transaction that found its order in use: nothing was done.
    ///
    /// # Errors
    /// As [`Teller::transaction`].
    pub(super) fn lock_failure(&self, view: TransactionView) -> Result<Tree, Refusal> {
        let mut tree = self.transaction(&TransactionRecord { view, personal: None })?;
        tree.text("result", "FAILURE");
        tree.text("response.gatewayCode", "LOCK_FAILURE");
        Ok(tree)
    }

    fn around(&self, tree: &mut Tree, result: &'static str) {
        tree.text("merchant", self.merchant.as_str().to_owned());
        tree.text("result", result);
    }

    fn answer(&self, tree: &mut Tree, answer: &Answer) {
        tree.text("response.acquirerCode", answer.code.clone());
        tree.text("response.acquirerMessage", answer.message.clone());
        if let Some((letter, code)) = security_code(answer.security_code) {
            tree.text("response.cardSecurityCode.acquirerCode", letter);
            tree.text("response.cardSecurityCode.gatewayCode", code);
        }
        tree.maybe("transaction.acquirer.id", self.acquirer);
        tree.text("transaction.acquirer.transactionId", answer.reference.clone());
        tree.maybe("transaction.authorizationCode", answer.authorization_code.clone());
        tree.text("transaction.receipt", answer.receipt.clone());
        tree.text("transaction.stan", answer.stan.clone());
    }
}

fn order(order: &OrderView) -> Tree {
    let amount = |amount: Amount| amount.decimal(order.currency);
    let mut tree = Tree::new();
    tree.text("id", order.id.clone());
    tree.number("amount", amount(order.amount));
    tree.text("currency", order.currency.as_str().to_owned());
    tree.text("creationTime", order.created_at.to_string());
    tree.text("lastUpdatedTime", order.updated_at.to_string());
    tree.text("status", status(order.status));
    tree.number("totalAuthorizedAmount", amount(order.authorized));
    tree.number("totalCapturedAmount", amount(order.captured));
    tree.number("totalRefundedAmount", amount(order.refunded));
    tree
}

fn source(tree: &mut Tree, card: &ShownCard) {
    tree.text("sourceOfFunds.type", "CARD");
    tree.maybe(
        "sourceOfFunds.token",
        card.token.as_ref().map(|token| token.as_str().to_owned()),
    );
    shape::number(tree, &card.masked, card.brand.as_deref());
    tree.text(
        "sourceOfFunds.provided.card.fundingMethod",
        shape::funding(card.funding.as_deref()),
    );
    if let Some(expiry) = card.expiry {
        month_and_year(tree, Some(expiry.month()), Some(expiry.year()));
    }
}

/// Writes an expiry as far as it is known, without leading zeros: `{"month":"5","year":"21"}`.
pub(super) fn month_and_year(tree: &mut Tree, month: Option<u8>, year: Option<u16>) {
    tree.maybe(
        "sourceOfFunds.provided.card.expiry.month",
        month.map(|month| month.to_string()),
    );
    tree.maybe(
        "sourceOfFunds.provided.card.expiry.year",
        year.map(|year| format!("{:02}", year % 100)),
    );
}

/// `transaction.type`. What is undone is one of four: an update is undone with its authorization, and a verification or a
/// void never.
fn kind(action: Action, undone: Option<Action>) -> &'static str {
    match (action, undone) {
        (Action::Authorize, _) => "AUTHORIZATION",
        (Action::Capture, _) => "CAPTURE",
        (Action::Pay, _) => "PAYMENT",
        (Action::Refund, _) => "REFUND",
        (Action::UpdateAuthorization, _) => "AUTHORIZATION_UPDATE",
        (Action::Verify, _) => "VERIFICATION",
        (Action::Void, Some(Action::Capture)) => "VOID_CAPTURE",
        (Action::Void, Some(Action::Pay)) => "VOID_PAYMENT",
        (Action::Void, Some(Action::Refund)) => "VOID_REFUND",
        (
            Action::Void,
            Some(Action::Authorize | Action::UpdateAuthorization | Action::Verify | Action::Void) | None,
        ) => "VOID_AUTHORIZATION",
    }
}

/// `result`.
fn outcome(view: &TransactionView) -> &'static str {
    match view.verdict() {
        None => "PENDING",
        Some(Verdict::Approved) => "SUCCESS",
        Some(Verdict::Unknown) => "UNKNOWN",
        Some(
            Verdict::Declined
            | Verdict::ExpiredCard
            | Verdict::InsufficientFunds
            | Verdict::InvalidSecurityCode
            | Verdict::SystemError
            | Verdict::TimedOut
            | Verdict::UnspecifiedFailure,
        ) => "FAILURE",
    }
}

/// `response.gatewayCode`.
fn gateway_code(view: &TransactionView) -> &'static str {
    match view.verdict() {
        None => "PENDING",
        Some(Verdict::Approved) => "APPROVED",
        Some(Verdict::Declined) => "DECLINED",
        Some(Verdict::ExpiredCard) => "EXPIRED_CARD",
        Some(Verdict::InsufficientFunds) => "INSUFFICIENT_FUNDS",
        Some(Verdict::InvalidSecurityCode) => "INVALID_CSC",
        Some(Verdict::SystemError) => "ACQUIRER_SYSTEM_ERROR",
        Some(Verdict::TimedOut) => "TIMED_OUT",
        Some(Verdict::Unknown) => "UNKNOWN",
        Some(Verdict::UnspecifiedFailure) => "UNSPECIFIED_FAILURE",
    }
}

/// What became of a security code that was sent: the letter that card schemes have for it, and the API's word.
fn security_code(check: CodeCheck) -> Option<(&'static str, &'static str)> {
    match check {
        CodeCheck::Match => Some(("M", "MATCH")),
        CodeCheck::NoMatch => Some(("N", "NO_MATCH")),
        CodeCheck::NotProcessed => Some(("P", "NOT_PROCESSED")),
        CodeCheck::NotPresented => None,
    }
}

/// `order.status`.
fn status(status: OrderStatus) -> &'static str {
    match status {
        OrderStatus::Authorized => "AUTHORIZED",
        OrderStatus::Cancelled => "CANCELLED",
        OrderStatus::Captured => "CAPTURED",
        OrderStatus::Failed => "FAILED",
        OrderStatus::PartiallyCaptured => "PARTIALLY_CAPTURED",
        OrderStatus::PartiallyRefunded => "PARTIALLY_REFUNDED",
        OrderStatus::Refunded => "REFUNDED",
        OrderStatus::Verified => "VERIFIED",
    }
}

#[cfg(test)]
mod tests;
