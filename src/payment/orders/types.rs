//! What callers hand in and get back.

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::card::Expiry;
use crate::id::{Token, UnixMillis};
use crate::keys::SecretBytes;
use crate::payment::Sources;
use crate::payment::acquirer::{Answer, Verdict};
use crate::payment::money::{Amount, Currency};

/// What a transaction does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Reserve.
    Authorize,
    /// Take what is reserved.
    Capture,
    /// Reserve and take.
    Pay,
    /// Give back.
    Refund,
    /// Change what is reserved.
    UpdateAuthorization,
    /// Check the card.
    Verify,
    /// Undo.
    Void,
}

impl Action {
    /// Whether it is the card's first contact, rather than a step after another transaction.
    pub fn opens(self) -> bool {
        match self {
            Self::Authorize | Self::Pay | Self::Verify => true,
            Self::Capture | Self::Refund | Self::UpdateAuthorization | Self::Void => false,
        }
    }
}

/// A transaction to be done.
pub struct Instruction {
    /// What.
    pub action: Action,
    /// The order's id: 1 to 40 characters, the merchant's own.
    pub order: String,
    /// The transaction's id within the order: 1 to 40 characters.
    pub transaction: String,
    /// How much; absent: what the action takes by itself (a void needs none).
    pub amount: Option<Amount>,
    /// Of what.
    pub currency: Option<Currency>,
    /// The transaction to be undone, captured or refunded, where named.
    pub target: Option<String>,
    /// Where the card comes from, for actions that need one.
    pub sources: Sources,
    /// More are going to follow with the same token, without its holder: the account updater looks ahead for it.
    pub recurring: bool,
    /// The street of the billing address, for address verification.
    pub street: Option<Zeroizing<String>>,
    /// What the dialect wants to see again with order and transaction: references, descriptions. JSON object's text, in
    /// clear, no personal data.
    pub echo: Option<String>,
    /// The same for personal data (customer, billing, shipping); sealed.
    pub personal: Option<Zeroizing<String>>,
    /// All that makes the request the same when it comes again; only its MAC is kept.
    pub request: SecretBytes,
}

/// Where an order stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderStatus {
    /// An amount is reserved.
    Authorized,
    /// The reservation was undone.
    Cancelled,
    /// All is taken.
    Captured,
    /// Nothing succeeded yet.
    Failed,
    /// Some is taken.
    PartiallyCaptured,
    /// Some was given back.
    PartiallyRefunded,
    /// All was given back.
    Refunded,
    /// The card was checked, no money moved.
    Verified,
}

/// An order as it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OrderView {
    /// Its id.
    pub id: String,
    /// What was first asked for.
    pub amount: Amount,
    /// Of what.
    pub currency: Currency,
    /// Made.
    pub created_at: UnixMillis,
    /// Changed.
    pub updated_at: UnixMillis,
    /// Where it stands.
    pub status: OrderStatus,
    /// Reserved so far.
    pub authorized: Amount,
    /// Taken so far.
    pub captured: Amount,
    /// Given back so far.
    pub refunded: Amount,
    /// What the dialect keeps with it.
    pub echo: Option<String>,
}

impl OrderView {
    /// An order on which nothing has succeeded yet.
    pub fn unopened(id: String, amount: Amount, currency: Currency, now: UnixMillis) -> Self {
        Self {
            id,
            amount,
            currency,
            created_at: now,
            updated_at: now,
            status: OrderStatus::Failed,
            authorized: Amount::ZERO,
            captured: Amount::ZERO,
            refunded: Amount::ZERO,
            echo: None,
        }
    }
}

/// The card of a transaction, as it may be shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownCard {
    /// Masked number.
    pub masked: String,
    /// Brand, where known.
    pub brand: Option<String>,
    /// Funding, where known.
    pub funding: Option<String>,
    /// Expiry.
    pub expiry: Option<Expiry>,
    /// The token that it came from.
    pub token: Option<Token>,
}

/// A transaction as it was done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TransactionView {
    /// Its id.
    pub id: String,
    /// What it did.
    pub action: Action,
    /// For a void: what the undone transaction had done.
    pub undone: Option<Action>,
    /// How much.
    pub amount: Amount,
    /// Of what.
    pub currency: Currency,
    /// The acquirer's answer; none while it is pending, and where it was given up.
    pub answer: Option<Answer>,
    /// It was pending for too long, and nobody waits for its answer any more: [`Verdict::Unknown`]. The acquirer may have
    /// done it; the order counts it as not done.
    #[serde(default)]
    pub given_up: bool,
    /// The card, where one was used.
    pub card: Option<ShownCard>,
    /// The transaction it refers to.
    pub target: Option<String>,
    /// When.
    pub at: UnixMillis,
    /// What the dialect keeps with it.
    pub echo: Option<String>,
    /// The order as it stood after it.
    pub order: OrderView,
}

impl TransactionView {
    /// How it ended. None: it is pending, the acquirer was asked and what it said was not written down before the daemon
    /// or the connection ended.
    pub fn verdict(&self) -> Option<Verdict> {
        let given_up = self.given_up.then_some(Verdict::Unknown);
        self.answer.as_ref().map(|answer| answer.verdict).or(given_up)
    }

    /// Whether the acquirer approved it.
    pub fn approved(&self) -> bool {
        self.verdict() == Some(Verdict::Approved)
    }
}

/// A transaction with its personal part opened.
pub struct TransactionRecord {
    /// The transaction.
    pub view: TransactionView,
    /// JSON object's text.
    pub personal: Option<Zeroizing<String>>,
}
