//! A payment as it is stored: amounts, ids and what became of it in clear, what is personal sealed.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::types::{Capture, Consent, Outcome, PaymentType, RefundView, ShownCard, Usage};
use crate::id::{Token, UnixMillis};
use crate::keys::SecretBytes;
use crate::payment::Error;
use crate::payment::money::{Amount, Currency};
use crate::payment::wallet::{Json, Text, written};
use crate::vault::types::SealedSecret;

/// The part in clear.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Stored {
    pub(super) trans_id: String,
    /// The MAC of its request, hexadecimal.
    pub(super) request_mac: String,
    pub(super) session: Option<StoredSession>,
    pub(super) payment_type: PaymentType,
    pub(super) capture: Capture,
    pub(super) amount: Amount,
    pub(super) currency: Currency,
    pub(super) mit: bool,
    pub(super) store: bool,
    pub(super) usage: Option<Usage>,
    pub(super) made_at: UnixMillis,
    pub(super) state: State,
    /// Attempts so far, the one under way among them.
    pub(super) attempts: u32,
    pub(super) step: Option<Step>,
    pub(super) outcome: Option<Outcome>,
    pub(super) card: Option<ShownCard>,
    pub(super) token: Option<Token>,
    /// The agreement it is charged under, or began.
    pub(super) agreement: Option<String>,
    pub(super) consent: Option<Consent>,
    pub(super) finished_at: Option<UnixMillis>,
    pub(super) refunds: Vec<RefundView>,
    /// Notifications so far.
    pub(super) notified: u32,
}

/// Its hosted page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StoredSession {
    pub(super) id: String,
    pub(super) expires_at: UnixMillis,
}

/// What was decided so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    /// Nothing: it may be attempted.
    Open,
    /// Not paid; a payment without a page is over.
    Failed,
    /// Nobody knows: the acquirer did not say. The merchant reconciles it.
    Unknown,
    /// Reserved or paid; the order says how it stands.
    Paid,
}

/// What is being done with it. It is written before the acquirer is asked, with a notification that is not decided yet, so
/// that a crash in between leaves somebody who looks after it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Step {
    /// The attempt of this number.
    Pay(u32),
    /// The refund of this place.
    Refund(usize),
    /// The undoing of this number.
    Void(u32),
    /// A taking of what is reserved: its number, and how much.
    Capture(u32, Amount),
}

impl Step {
    /// The ledger's name of its transaction.
    pub(super) fn transaction(&self) -> String {
        match self {
            Self::Pay(attempt) => format!("pay-{attempt}"),
            Self::Refund(place) => format!("refund-{place}"),
            Self::Void(number) => format!("void-{number}"),
            Self::Capture(number, _) => format!("capture-{number}"),
        }
    }
}

/// The sealed part.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Private {
    pub(super) shopper: Option<Text>,
    pub(super) notify_url: Option<Text>,
    pub(super) return_url: Option<Text>,
    pub(super) cancel_url: Option<Text>,
    pub(super) personal: Option<Json>,
    /// Where those are told who asked for a refund, by its place, if not as for the payment.
    pub(super) refund_urls: Vec<Option<Text>>,
}

/// What a name leads to.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Named {
    pub(super) order: String,
}

/// A payment as it was read.
pub(super) struct Held {
    pub(super) order: String,
    /// The commit that wrote it; none: not written yet.
    pub(super) rev: Option<u64>,
    /// `private` as it is stored; none: it is to be sealed anew.
    pub(super) sealed: Option<SealedSecret>,
    pub(super) stored: Stored,
    pub(super) private: Private,
}

impl Stored {
    /// Whether it was decided whether it is paid.
    pub(super) fn is_over(&self) -> bool {
        self.state != State::Open && !matches!(self.step, Some(Step::Pay(_)))
    }
}

impl Private {
    pub(super) fn sealed(&self) -> Result<SecretBytes, Error> {
        written(self).map(SecretBytes::from).map_err(|_| Error::damaged())
    }
}

pub(super) fn encode(value: &impl Serialize) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(value).map_err(|_| Error::damaged())
}

pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(bytes).map_err(|_| Error::damaged())
}
