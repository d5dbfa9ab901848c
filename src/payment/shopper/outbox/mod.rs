//! Telling merchants: what they are to be told is a document that is written with what it tells of, so a crash loses none.
//! One payment's are delivered in their order, again and again with growing pauses, and after a day kept as dead for the
//! operator. The dialect dresses them: what they say and how they are signed.

mod delivery;
mod hosts;
mod http;
mod stored;
mod upkeep;

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
    /// Whose certificates are taken.
    pub trust: Trust,
}

/// When there is something to do.
pub struct Outbox {
    due: Mutex<UnixMillis>,
    bell: Notify,
}

impl Default for Outbox {
    fn default() -> Self {
        Self {
            due: Mutex::new(UnixMillis(0)),
            bell: Notify::new(),
        }
    }
}

impl Outbox {
    /// There is something to do at `at`.
    pub(super) fn note(&self, at: UnixMillis) {
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        if at < *due {
            *due = at;
            self.bell.notify_one();
        }
    }

    fn is_due(&self) -> bool {
        *self.due.lock().unwrap_or_else(PoisonError::into_inner) <= UnixMillis::now()
    }

    /// Nothing is to be done before `at`, unless something is noted from here on.
    fn quiet_until(&self, at: UnixMillis) {
        *self.due.lock().unwrap_or_else(PoisonError::into_inner) = at;
    }

    fn wait(&self) -> Duration {
        let due = *self.due.lock().unwrap_or_else(PoisonError::into_inner);
        Duration::from_millis(due.0.saturating_sub(UnixMillis::now().0)).min(LONGEST_SLEEP)
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
pub struct Dead {
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
        let mut deliveries = delivery::Deliveries::new(payments, own, dress, settings, metrics)?;
        let task = tokio::spawn(async move {
            loop {
                if deliveries.outbox().is_due() {
                    deliveries.run(&stopped).await;
                }
                let wait = deliveries.outbox().wait();
                tokio::select! {
                    // an error: whoever could stop this is gone
                    _ = stopped.wait_for(|stop| *stop) => return,
                    () = deliveries.outbox().bell.notified() => {}
                    () = tokio::time::sleep(wait) => {}
                }
            }
        });
        Ok(OutboxHandle { stop, task })
    }
}

/// It is looked at least so often.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);
