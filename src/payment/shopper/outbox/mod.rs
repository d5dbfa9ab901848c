//! Telling merchants: what they are to be told is a document that is written with what it tells of, so a crash loses none.
//! One payment's are delivered in their order, again and again with growing pauses, and after a time (a day) kept as dead
//! for the operator. The dialect dresses them: what they say and how they are signed.

mod delivery;
mod hosts;
mod http;
mod stored;
mod upkeep;

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

pub use self::hosts::Hosts;
pub(super) use self::stored::{decided, removed, undecided};
use super::types::{PaymentView, RefundView};
use crate::id::{MerchantId, UnixMillis};
use crate::payment::Payments;
pub use crate::payment::trust::Trust;
use crate::vault::types::Error as CoreError;

/// How long a step may be under way before somebody else looks after it, milliseconds: longer than the ledger waits for
/// an acquirer.
pub(super) const UNDECIDED_MS: u64 = 11 * 60 * 1_000;

/// What a merchant is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// Reserved.
    #[serde(rename = "PAYMENT.AUTHORIZATION")]
    PaymentAuthorization,
    /// Paid.
    #[serde(rename = "PAYMENT.SUCCESS")]
    PaymentSuccess,
    /// Not paid.
    #[serde(rename = "PAYMENT.FAILURE")]
    PaymentFailure,
    /// Undone.
    #[serde(rename = "PAYMENT.CANCELED")]
    PaymentCanceled,
    /// Given back.
    #[serde(rename = "REFUND.SUCCESS")]
    RefundSuccess,
    /// Not given back.
    #[serde(rename = "REFUND.FAILURE")]
    RefundFailure,
}

/// A notification, as it was when it came up.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Notified {
    /// What.
    pub event: Event,
    /// The payment, as it stood then.
    pub payment: PaymentView,
    /// The refund, where it is about one.
    pub refund: Option<RefundView>,
}

/// A notification dressed for its way.
pub struct Signed {
    /// Names and values.
    pub headers: Vec<(&'static str, String)>,
    /// What is sent.
    pub body: Bytes,
}

/// A future of a dialect.
pub(super) type Fut<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// How a dialect tells its merchants.
pub trait Dress: Send + Sync {
    /// The request to `path` at the merchant's.
    fn dress<'a>(
        &'a self,
        merchant: &'a MerchantId,
        notified: &'a Notified,
        path: &'a str,
    ) -> Fut<'a, Result<Signed, CoreError>>;

    /// Whether the merchant's answer, with a status of success, says that it was understood.
    fn understood(&self, answer: &[u8]) -> bool;
}

/// How notifications are delivered.
pub struct OutboxSettings {
    /// One attempt takes no longer.
    pub timeout: Duration,
    /// A notification is attempted for so long, then it is dead.
    pub give_up: Duration,
    /// Whose certificates are taken.
    pub trust: Trust,
}

/// Whose notifications: the merchant's, of this payment.
type Queue = (MerchantId, String);

/// Which payments have notifications, and when they are looked at.
#[derive(Default)]
pub struct Outbox {
    due: Mutex<HashMap<Queue, UnixMillis>>,
    bell: Notify,
}

impl Outbox {
    /// The payment's notifications are to be looked at then, or before.
    pub(super) fn note(&self, merchant: &MerchantId, order: &str, at: UnixMillis) {
        let mut all = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        let due = all.entry((merchant.clone(), order.to_owned())).or_insert(at);
        *due = at.min(*due);
        self.bell.notify_one();
    }

    /// Takes what is due now.
    fn take_due(&self) -> Vec<Queue> {
        let now = UnixMillis::now();
        let mut all = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        let (due, later) = all.drain().partition(|(_, at)| *at <= now);
        *all = later;
        let due: HashMap<Queue, UnixMillis> = due;
        due.into_keys().collect()
    }

    /// Payments that have some.
    fn len(&self) -> usize {
        self.due.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// How long nothing is due.
    fn wait(&self) -> Duration {
        let all = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        let next = all.values().min().map_or(u64::MAX, |at| at.0);
        Duration::from_millis(next.saturating_sub(UnixMillis::now().0)).min(LONGEST_SLEEP)
    }
}

/// Deliveries under way. To be shut down before the vault.
pub struct OutboxHandle {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl OutboxHandle {
    /// Ends deliveries; one that is under way is brought to its end.
    pub async fn shutdown(self) {
        self.stop.send_replace(true);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the delivery of notifications died");
        }
    }
}

/// A notification that waits, or is dead, for operators.
#[derive(Debug, Clone, Serialize)]
pub struct Undelivered {
    /// Whose.
    pub merchant: MerchantId,
    /// Its name.
    pub name: String,
    /// What it tells; none: not decided yet.
    pub event: Option<Event>,
    /// Given up.
    pub dead: bool,
    /// Attempts so far.
    pub attempts: u32,
    /// When it is attempted next.
    pub due: UnixMillis,
    /// Where it goes.
    pub host: String,
    /// Why the last attempt failed.
    pub fault: Option<String>,
}

impl Payments {
    /// Starts deliveries on the runtime of the caller.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn start_outbox(
        self: &Arc<Self>,
        own: crate::vault::types::Peer,
        dress: Arc<dyn Dress>,
        settings: OutboxSettings,
        metrics: crate::telemetry::Metrics,
    ) -> Result<OutboxHandle, &'static str> {
        let (stop, mut stopped) = watch::channel(false);
        let payments = Arc::clone(self);
        let mut deliveries = delivery::Deliveries::new(payments, own, dress, settings, metrics, stopped.clone())?;
        let task = tokio::spawn(async move {
            loop {
                deliveries.run().await;
                let wait = deliveries.outbox().wait();
                tokio::select! {
                    // an error: whoever could stop this is gone
                    _ = stopped.wait_for(|stop| *stop) => break,
                    () = deliveries.outbox().bell.notified() => {}
                    () = tokio::time::sleep(wait) => {}
                }
            }
            deliveries.end().await;
        });
        Ok(OutboxHandle { stop, task })
    }
}

/// It is looked at least so often.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);
