//! What callers hand in and get back.

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::id::{Token, UnixMillis};
use crate::keys::SecretBytes;
use crate::payment::CardDetails;
use crate::payment::SecurityCode;
use crate::payment::acquirer::Verdict;
use crate::payment::money::{Amount, Currency};
use crate::payment::wallet::Text;

/// What a stored card may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Usage {
    /// Payments at which the shopper is present.
    CardOnFile,
    /// Charges under an agreement, without the shopper.
    Subscription,
}

/// Whether more payments follow from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum PaymentType {
    /// One payment.
    Purchase,
    /// The first of an agreement, or a later one.
    Recurring,
}

/// When the money is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Capture {
    /// At once.
    Automatic,
    /// When the merchant says so.
    Manual,
}

/// What is to be paid, for whom, and what is to be kept.
pub struct Terms {
    /// The merchant's id of the payment, unique: 1 to 64 characters.
    pub trans_id: String,
    /// Whether more follow.
    pub payment_type: PaymentType,
    /// When the money is taken.
    pub capture: Capture,
    /// How much.
    pub amount: Amount,
    /// Of what.
    pub currency: Currency,
    /// The card is to be stored.
    pub store: bool,
    /// What for.
    pub usage: Option<Usage>,
    /// The merchant's name of the shopper.
    pub shopper: Option<Text>,
    /// Whom the merchant wants told.
    pub notify_url: Option<Text>,
    /// Bill, shipping, goods, customer: one JSON object, sealed.
    pub personal: Option<Zeroizing<String>>,
    /// All that makes the request the same when it comes again; only its MAC is kept.
    pub request: SecretBytes,
}

/// Where a payment's card comes from.
pub enum CardFrom {
    /// The payer gave it.
    Given(CardDetails),
    /// A token of the shopper's.
    Stored {
        /// Which.
        token: Token,
        /// What the payer gave again.
        code: Option<SecurityCode>,
    },
}

/// A payment by the merchant's server.
pub struct NewPayment {
    /// What.
    pub terms: Terms,
    /// With which card.
    pub card: CardFrom,
    /// The merchant charges without the shopper; none: it was not said.
    pub mit: Option<bool>,
    /// Under which agreement.
    pub agreement: Option<String>,
}

/// A hosted page to be opened.
pub struct NewSession {
    /// What is to be paid on it.
    pub terms: Terms,
    /// Where the payer goes afterwards.
    pub return_url: Text,
    /// Where the payer goes who gives up.
    pub cancel_url: Option<Text>,
    /// Until when it may be paid.
    pub expires_at: UnixMillis,
}

/// A hosted page that was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenedSession {
    /// Its id.
    pub id: String,
    /// What opens it, for the payer's browser alone.
    pub key: String,
}

/// A card as it may be shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownCard {
    /// The first six digits; empty for a number of 12 or 13.
    pub bin: String,
    /// The last four.
    pub last4: String,
    /// Its brand, where known.
    pub brand: Option<String>,
}

/// Where a payment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum PaymentStatus {
    /// Nothing is decided yet.
    Processing,
    /// Reserved.
    Authorized,
    /// Paid.
    Success,
    /// Not paid, and not going to be.
    Failure,
    /// Undone, or its session ended unpaid.
    Canceled,
    /// Some was given back.
    PartiallyRefunded,
    /// All was given back.
    Refunded,
}

/// An order's amounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Balances {
    /// Reserved so far.
    pub authorized: Amount,
    /// Taken so far.
    pub captured: Amount,
    /// Undone.
    pub voided: Amount,
    /// Given back so far.
    pub refunded: Amount,
}

/// Why a payment did not succeed, as the acquirer has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// How it decided.
    pub verdict: Verdict,
    /// Its own text.
    pub message: String,
}

/// A payment as it stands.
#[derive(Clone, Serialize, Deserialize)]
pub struct PaymentView {
    /// Ours.
    pub order: String,
    /// The merchant's.
    pub trans_id: String,
    /// Its hosted page's, where it has one.
    pub session: Option<String>,
    /// When that page ends.
    pub expires_at: Option<UnixMillis>,
    /// Whether more follow.
    pub payment_type: PaymentType,
    /// When the money is taken.
    pub capture: Capture,
    /// How much.
    pub amount: Amount,
    /// Of what.
    pub currency: Currency,
    /// Where it stands.
    pub status: PaymentStatus,
    /// What the acquirer said last.
    pub outcome: Option<Outcome>,
    /// When it was decided.
    pub finished_at: Option<UnixMillis>,
    /// The card's token, where it has one that the shopper agreed to.
    pub token: Option<Token>,
    /// The agreement that it began, or was charged under.
    pub agreement: Option<String>,
    /// The merchant's name of the shopper.
    pub shopper: Option<Text>,
    /// The card.
    pub card: Option<ShownCard>,
    /// Amounts.
    pub balances: Balances,
}

impl PaymentView {
    /// Whether the acquirer did not say how it ended: money may have moved, and it is not tried again.
    pub fn is_unknown(&self) -> bool {
        let verdict = self.outcome.as_ref().map(|outcome| outcome.verdict);
        self.status == PaymentStatus::Processing && matches!(verdict, Some(Verdict::TimedOut | Verdict::Unknown))
    }
}

/// Money to be given back.
pub struct NewRefund {
    /// The merchant's id of the refund, unique.
    pub trans_id: String,
    /// Of which payment, ours.
    pub order: String,
    /// How much.
    pub amount: Amount,
    /// Of what.
    pub currency: Currency,
    /// Whom the merchant wants told; none: as for the payment.
    pub notify_url: Option<Text>,
}

/// How a refund stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RefundStatus {
    /// Not decided yet.
    Processing,
    /// Given back.
    Success,
    /// Not given back.
    Failure,
}

/// A refund as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundView {
    /// Ours.
    pub id: String,
    /// The merchant's.
    pub trans_id: String,
    /// How much.
    pub amount: Amount,
    /// How it stands.
    pub status: RefundStatus,
    /// What the acquirer said.
    pub outcome: Option<Outcome>,
    /// When it was decided.
    pub finished_at: Option<UnixMillis>,
}

/// By what a payment is found.
pub enum By<'a> {
    /// The merchant's id.
    Trans(&'a str),
    /// Ours.
    Order(&'a str),
    /// Its hosted page's.
    Session(&'a str),
}

/// A stored card of a shopper's.
pub struct StoredCard {
    /// Its token.
    pub token: Token,
    /// What for.
    pub usage: Usage,
    /// The card.
    pub card: ShownCard,
    /// Its expiry, `MM/YY`.
    pub expiry: Option<String>,
    /// The agreements in force that hang on it.
    pub agreements: Vec<String>,
    /// When it was stored.
    pub created_at: UnixMillis,
}

/// What a payer's page shows.
pub struct PageView {
    /// The payment.
    pub payment: PaymentView,
    /// The card is going to be stored, for this.
    pub store: Option<Usage>,
    /// The shopper's cards that may be used.
    pub cards: Vec<StoredCard>,
    /// Where to go afterwards.
    pub return_url: Text,
    /// Where to go to give up.
    pub cancel_url: Option<Text>,
    /// Nothing is paid here in earnest: the acquirer's name, which says that it is a simulator.
    pub acquirer: &'static str,
}

/// That the shopper agreed to have the card stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consent {
    /// When.
    pub at: UnixMillis,
    /// To which version of the text.
    pub text: String,
    /// On which page.
    pub session: String,
}
