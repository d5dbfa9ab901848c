//! Delivering what is due.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::http::Http;
use super::stored::{Clear, Content, Standing, changed, clear, order_of, removed};
use super::{Dress, Outbox, OutboxSettings};
use crate::id::UnixMillis;
use crate::payment::Payments;
use crate::payment::shopper::stored::decode;
use crate::payment::shopper::{Error, event};
use crate::telemetry::Metrics;
use crate::vault::types::{Actor, Dialect, Document, DocumentKind, Error as CoreError, Peer};

/// What delivers.
pub(super) struct Deliveries {
    shared: Arc<Shared>,
    own: Peer,
    began: UnixMillis,
    /// Nothing of the process before is under way.
    first: bool,
}

struct Shared {
    payments: Arc<Payments>,
    dress: Arc<dyn Dress>,
    http: Http,
    metrics: Metrics,
}

/// Notifications of one payment, in their order.
type Queue = (Actor, Vec<Document>);

impl Deliveries {
    pub(super) fn new(
        payments: Arc<Payments>,
        own: Peer,
        dress: Arc<dyn Dress>,
        settings: OutboxSettings,
        metrics: Metrics,
    ) -> Result<Self, &'static str> {
        Ok(Self {
            shared: Arc::new(Shared {
                payments,
                dress,
                http: Http::new(settings.trust, settings.timeout)?,
                metrics,
            }),
            own,
            began: UnixMillis::now(),
            first: true,
        })
    }

    pub(super) fn outbox(&self) -> &Outbox {
        &self.shared.payments.outbox
    }

    /// Delivers what is due, some payments at a time.
    pub(super) async fn run(&mut self, stopped: &watch::Receiver<bool>) {
        // whatever comes up from here on is noted again
        self.outbox().quiet_until(UnixMillis::now().plus(RECHECK_MS));
        let before = self.first.then_some(self.began);
        match self.queues().await {
            Ok(queues) => {
                self.first = false;
                let (mut waiting, mut dead) = (0, 0);
                let mut under_way: JoinSet<Option<UnixMillis>> = JoinSet::new();
                let mut next = Vec::new();
                for (actor, queue) in queues {
                    for document in &queue {
                        match clear(document).map(|clear| clear.standing) {
                            Ok(Standing::Dead) => dead += 1,
                            Ok(Standing::Waiting) => waiting += 1,
                            Ok(Standing::Undecided) | Err(_) => {}
                        }
                    }
                    if *stopped.borrow() {
                        break;
                    }
                    while under_way.len() >= AT_ONCE {
                        next.extend(under_way.join_next().await.and_then(Result::ok).flatten());
                    }
                    let shared = Arc::clone(&self.shared);
                    under_way.spawn(async move { shared.work_off(&actor, queue, before).await });
                }
                next.extend(under_way.join_all().await.into_iter().flatten());
                self.shared.metrics.notifications_waiting.set(waiting);
                self.shared.metrics.notifications_dead.set(dead);
                next.into_iter().for_each(|at| self.outbox().note(at));
            }
            Err(error) => tracing::warn!(%error, "notifications wait"),
        }
    }

    async fn queues(&self) -> Result<Vec<Queue>, Error> {
        let vault = &self.shared.payments.vault;
        let actors = vault
            .access()
            .own_actors(self.own, Dialect::PayKka)
            .map_err(CoreError::from)?;
        let mut queues: Vec<Queue> = Vec::new();
        for actor in actors {
            for document in self.shared.payments.notifications(&actor).await? {
                match queues.last_mut() {
                    Some((whose, queue))
                        if whose.merchant == actor.merchant
                            && queue
                                .first()
                                .is_some_and(|first| order_of(&first.name) == order_of(&document.name)) =>
                    {
                        queue.push(document);
                    }
                    Some(_) | None => queues.push((actor.clone(), vec![document])),
                }
            }
        }
        Ok(queues)
    }
}

impl Shared {
    /// Works off the notifications of one payment until one has to wait. Gives when it is due then.
    async fn work_off(&self, actor: &Actor, queue: Vec<Document>, before: Option<UnixMillis>) -> Option<UnixMillis> {
        for document in queue {
            let name = document.name.clone();
            match self.work_on(actor, document, before).await {
                Ok(None) => {}
                Ok(Some(due)) => return Some(due),
                Err(error) => {
                    tracing::warn!(%error, merchant = %actor.merchant, notification = name, "a notification waits");
                    return Some(UnixMillis::now().plus(RECHECK_MS));
                }
            }
        }
        None
    }

    /// `None`: the next one may be worked on.
    async fn work_on(
        &self,
        actor: &Actor,
        document: Document,
        before: Option<UnixMillis>,
    ) -> Result<Option<UnixMillis>, Error> {
        let now = UnixMillis::now();
        let standing = clear(&document)?;
        match standing.standing {
            Standing::Dead => Ok(None),
            Standing::Undecided => {
                let left = before.is_some_and(|began| standing.made_at < began);
                if standing.due > now && !left {
                    return Ok(Some(standing.due));
                }
                match self.payments.settle(actor, order_of(&document.name)).await? {
                    // it is decided now, and comes up again at once
                    Some(()) => {
                        self.drop_undecided(actor, &document).await?;
                        Ok(Some(now))
                    }
                    None => Ok(Some(now.plus(RECHECK_MS))),
                }
            }
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
        // the operator may have taken the host off the list since
        let sent = match self.payments.shopper.hosts.admit(content.url.expose()) {
            Some(uri) => {
                let path = uri.path().to_owned();
                let signed = self.dress.dress(&actor.merchant, &content.notified, &path).await?;
                self.http.post(uri, signed).await
            }
            None => Err("the host is not among those that the operator allows".to_owned()),
        };
        let sent = sent.and_then(|answer| match self.dress.understood(&answer) {
            true => Ok(()),
            false => Err("the merchant's answer refuses it".to_owned()),
        });
        let name = document.name.clone();
        let (write, word, next) = match sent {
            Ok(()) => (removed(document), "delivered", None),
            Err(fault) => {
                tracing::warn!(merchant = %actor.merchant, notification = name, host = clear.host, fault, "not delivered");
                let now = UnixMillis::now();
                clear.attempts += 1;
                clear.fault = Some(fault);
                let pause = PAUSES.get(usize::try_from(clear.attempts).unwrap_or(usize::MAX).saturating_sub(1));
                match pause {
                    Some(pause) => clear.due = now.plus(pause.as_secs() * 1_000),
                    None => clear.standing = Standing::Dead,
                }
                let word = match clear.standing {
                    Standing::Dead => "dead",
                    Standing::Undecided | Standing::Waiting => "failed",
                };
                let next = pause.map(|_| clear.due);
                (changed(&document, &clear)?, word, next)
            }
        };
        self.metrics.notifications.with_label_values(&[word]).inc();
        let event = event("notification", word, None, &name);
        vault.write_documents(actor, vec![write], event).await?;
        Ok(next)
    }
}

/// The pauses between attempts; after the last one a notification is dead. A day in all.
const PAUSES: [Duration; 11] = [
    Duration::from_secs(2),
    Duration::from_secs(10),
    Duration::from_secs(30),
    Duration::from_secs(2 * 60),
    Duration::from_secs(10 * 60),
    Duration::from_secs(30 * 60),
    Duration::from_secs(3_600),
    Duration::from_secs(2 * 3_600),
    Duration::from_secs(4 * 3_600),
    Duration::from_secs(8 * 3_600),
    Duration::from_secs(8 * 3_600),
];
/// Payments whose notifications are delivered at the same time.
const AT_ONCE: usize = 8;
/// Something that could not be done now is looked at again after this.
const RECHECK_MS: u64 = 30_000;
