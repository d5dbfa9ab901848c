//! Delivering what is due.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::http::Http;
use super::stored::{Clear, Content, Standing, changed, clear, dead, order_of, removed};
use super::{Dress, Outbox, OutboxSettings, Queue};
use crate::id::{MerchantId, UnixMillis};
use crate::payment::Payments;
use crate::payment::shopper::stored::decode;
use crate::payment::shopper::{Error, event};
use crate::telemetry::Metrics;
use crate::vault::types::{Actor, Dialect, Document, DocumentKind, Error as CoreError, Peer};

/// What delivers.
pub(super) struct Deliveries {
    shared: Arc<Shared>,
    own: Peer,
    /// When all notifications are counted and noted again.
    survey: UnixMillis,
    /// Each merchant has so many of its own: one that does not answer keeps none of the others from being told.
    lanes: HashMap<MerchantId, Arc<Semaphore>>,
    under_way: JoinSet<()>,
    stopped: watch::Receiver<bool>,
}

struct Shared {
    payments: Arc<Payments>,
    dress: Arc<dyn Dress>,
    http: Http,
    give_up: Duration,
    metrics: Metrics,
    /// What was begun before belongs to a process that has ended.
    began: UnixMillis,
    /// Payments whose notifications are being worked off.
    busy: Mutex<HashSet<Queue>>,
}

impl Deliveries {
    pub(super) fn new(
        payments: Arc<Payments>,
        own: Peer,
        dress: Arc<dyn Dress>,
        settings: OutboxSettings,
        metrics: Metrics,
        stopped: watch::Receiver<bool>,
    ) -> Result<Self, &'static str> {
        // there from the start, at zero: a counter that comes with its first event has not risen
        for outcome in ["delivered", "failed", "dead"] {
            metrics.notifications.with_label_values(&[outcome]);
        }
        Ok(Self {
            shared: Arc::new(Shared {
                payments,
                dress,
                http: Http::new(settings.trust, settings.timeout)?,
                give_up: settings.give_up,
                metrics,
                began: UnixMillis::now(),
                busy: Mutex::default(),
            }),
            own,
            survey: UnixMillis(0),
            lanes: HashMap::new(),
            under_way: JoinSet::new(),
            stopped,
        })
    }

    pub(super) fn outbox(&self) -> &Outbox {
        &self.shared.payments.outbox
    }

    /// Begins with what is due; each payment's goes on by itself.
    pub(super) async fn run(&mut self) {
        while self.under_way.try_join_next().is_some() {}
        let actors = match self
            .shared
            .payments
            .vault
            .access()
            .own_actors(self.own, Dialect::PayKka)
        {
            Ok(actors) => actors,
            Err(error) => return tracing::warn!(%error, "notifications wait"),
        };
        if self.survey <= UnixMillis::now() {
            self.survey = UnixMillis::now().plus(SURVEY_MS);
            self.shared.survey(&actors).await;
        }
        for (merchant, order) in self.outbox().take_due() {
            let Some(actor) = actors.iter().find(|actor| actor.merchant == merchant).cloned() else {
                // suspended, or gone: the next survey knows
                continue;
            };
            if !self.shared.busy().insert((merchant.clone(), order.clone())) {
                // one at a time: whoever is at it does not know yet what came meanwhile
                self.outbox().note(&merchant, &order, UnixMillis::now().plus(BUSY_MS));
                continue;
            }
            let lane = self
                .lanes
                .entry(merchant)
                .or_insert_with(|| Arc::new(Semaphore::new(AT_ONCE)));
            let (shared, lane, stopped) = (Arc::clone(&self.shared), Arc::clone(lane), self.stopped.clone());
            self.under_way.spawn(async move {
                let permit = lane.acquire().await;
                if permit.is_ok() && !*stopped.borrow() {
                    shared.work_off(&actor, &order).await;
                }
                shared.busy().remove(&(actor.merchant, order));
            });
        }
        let waiting = self.outbox().len() + self.under_way.len();
        let waiting = i64::try_from(waiting).unwrap_or(i64::MAX);
        self.shared.metrics.notifications_waiting.set(waiting);
    }

    /// Waits for what is under way; what has not begun does not.
    pub(super) async fn end(self) {
        self.under_way.join_all().await;
    }
}

impl Shared {
    fn busy(&self) -> MutexGuard<'_, HashSet<Queue>> {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes and counts all that there are. What cannot be read of one merchant keeps nobody else's.
    async fn survey(&self, actors: &[Actor]) {
        let mut dead = 0;
        for actor in actors {
            let mut note = |document: Document| match clear(&document) {
                Ok(clear) => {
                    let left = clear.standing == Standing::Undecided && clear.made_at < self.began;
                    let at = if left { UnixMillis(0) } else { clear.due };
                    self.payments.outbox.note(&actor.merchant, order_of(&document.name), at);
                }
                Err(error) => tracing::error!(%error, notification = document.name, "a notification cannot be read"),
            };
            let kind = DocumentKind::Notification;
            let noted = self.payments.each_notification(actor, kind, &mut note).await;
            let mut count = |_| dead += 1;
            let kind = DocumentKind::DeadNotification;
            let counted = self.payments.each_notification(actor, kind, &mut count).await;
            for error in [noted, counted].into_iter().filter_map(Result::err) {
                tracing::error!(%error, merchant = %actor.merchant, "notifications cannot be read");
            }
        }
        self.metrics.notifications_dead.set(dead);
    }

    /// Works off the notifications of one payment, in their order, until one has to wait.
    async fn work_off(&self, actor: &Actor, order: &str) {
        let next = match self.work_on_all(actor, order).await {
            Ok(next) => next,
            // the HSM or the store: others tell of them
            Err(Error::Payment(crate::payment::Error::Core(CoreError::Dependency(error)))) => {
                tracing::debug!(%error, merchant = %actor.merchant, order, "notifications wait");
                Some(UnixMillis::now().plus(SOON_MS))
            }
            Err(error) => {
                tracing::warn!(%error, merchant = %actor.merchant, order, "notifications wait");
                Some(UnixMillis::now().plus(RECHECK_MS))
            }
        };
        if let Some(at) = next {
            self.payments.outbox.note(&actor.merchant, order, at);
        }
    }

    async fn work_on_all(&self, actor: &Actor, order: &str) -> Result<Option<UnixMillis>, Error> {
        let (kind, prefix) = (DocumentKind::Notification, format!("{order}/"));
        for document in self
            .payments
            .vault
            .documents(actor, kind, &prefix, None, OF_PAYMENT)
            .await?
        {
            if let Some(due) = self.work_on(actor, document).await? {
                return Ok(Some(due));
            }
        }
        Ok(None)
    }

    /// `None`: the next one may be worked on.
    async fn work_on(&self, actor: &Actor, document: Document) -> Result<Option<UnixMillis>, Error> {
        let now = UnixMillis::now();
        let standing = clear(&document)?;
        match standing.standing {
            Standing::Undecided if standing.due > now && standing.made_at >= self.began => Ok(Some(standing.due)),
            Standing::Undecided => match self.payments.settle(actor, order_of(&document.name)).await? {
                // it is decided now, and comes up again at once
                Some(()) => {
                    self.drop_undecided(actor, &document).await?;
                    Ok(Some(now))
                }
                None => Ok(Some(now.plus(RECHECK_MS))),
            },
            Standing::Waiting if standing.due > now => Ok(Some(standing.due)),
            Standing::Waiting => self.deliver(actor, document, standing).await,
        }
    }

    /// Removes one that its payment knows nothing of.
    async fn drop_undecided(&self, actor: &Actor, before: &Document) -> Result<(), Error> {
        let vault = &self.payments.vault;
        let there = vault.document(actor, DocumentKind::Notification, &before.name).await?;
        if let Some(there) = there.filter(|there| there.rev == before.rev) {
            let event = event("notification", "void", None, &there.name);
            vault.write_documents(actor, vec![removed(there)], event).await?;
        }
        Ok(())
    }

    async fn deliver(&self, actor: &Actor, document: Document, mut clear: Clear) -> Result<Option<UnixMillis>, Error> {
        let vault = &self.payments.vault;
        let sealed = vault.document_secret(&document).await?;
        let sealed = sealed.ok_or_else(crate::payment::Error::damaged)?;
        let content: Content = decode(sealed.expose())?;
        let sent = self.send(actor, &content).await?;
        let name = document.name.clone();
        let (writes, word, next) = match sent {
            Ok(()) => (vec![removed(document)], "delivered", None),
            Err(fault) => {
                tracing::warn!(merchant = %actor.merchant, notification = name, host = clear.host, fault, "not delivered");
                let place = usize::try_from(clear.attempts).unwrap_or(usize::MAX);
                let pause = PAUSES.get(place).or(PAUSES.last()).copied().unwrap_or_default();
                clear.attempts += 1;
                clear.fault = Some(fault);
                clear.due = UnixMillis::now().plus(millis(pause));
                if clear.due > clear.made_at.plus(millis(self.give_up)) {
                    (vec![dead(&name, &clear, &content)?, removed(document)], "dead", None)
                } else {
                    (vec![changed(&document, &clear)?], "failed", Some(clear.due))
                }
            }
        };
        let event = event("notification", word, None, &name);
        vault.write_documents(actor, writes, event).await?;
        self.metrics.notifications.with_label_values(&[word]).inc();
        if word == "dead" {
            self.metrics.notifications_dead.inc();
        }
        Ok(next)
    }

    /// Why it was not taken.
    async fn send(&self, actor: &Actor, content: &Content) -> Result<Result<(), String>, Error> {
        // the operator may have taken the host off the list since
        let Some(uri) = self.payments.shopper.hosts.admit(&actor.merchant, content.url.expose()) else {
            return Ok(Err("the host is not among those that the operator allows".to_owned()));
        };
        let path = uri.path().to_owned();
        let signed = self.dress.dress(&actor.merchant, &content.notified, &path).await?;
        let answer = self.http.post(uri, signed).await;
        Ok(answer.and_then(|answer| match self.dress.understood(&answer) {
            true => Ok(()),
            false => Err("the merchant's answer refuses it".to_owned()),
        }))
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The pauses between attempts; the last one is repeated.
const PAUSES: [Duration; 8] = [
    Duration::from_secs(2),
    Duration::from_secs(10),
    Duration::from_secs(30),
    Duration::from_secs(2 * 60),
    Duration::from_secs(10 * 60),
    Duration::from_secs(30 * 60),
    Duration::from_secs(3_600),
    Duration::from_secs(2 * 3_600),
];
/// Payments of one merchant whose notifications are delivered at the same time.
const AT_ONCE: usize = 4;
/// What comes while a payment's notifications are worked off is looked at after this, milliseconds.
const BUSY_MS: u64 = 200;
/// Notifications of one payment that are looked at at once.
const OF_PAYMENT: u32 = 100;
/// What waits for the HSM or the store is looked at again after this, milliseconds.
const SOON_MS: u64 = 2_000;
/// Something else that could not be done now is looked at again after this, milliseconds.
const RECHECK_MS: u64 = 30_000;
/// All are counted and noted again so often, milliseconds.
const SURVEY_MS: u64 = 10 * 60 * 1_000;
