//! Other keys for all workers: each is replaced by one that was started with them, as when it is recycled.

use tokio::sync::oneshot;

use super::Supervisor;
use crate::hsm::Keyset;
use crate::hsm::message::Hello;
use crate::hsm::pool::WorkerId;
use crate::hsm::pool::launch::Launch;

/// Who waits until no worker is left that was started before.
#[derive(Default)]
pub(super) struct Renewals {
    /// The last one that was started with other keys than those in force.
    before: Option<WorkerId>,
    /// Up to which one, and whom to tell.
    waiting: Vec<(WorkerId, oneshot::Sender<()>)>,
}

impl Renewals {
    /// Whether anyone waits.
    pub(super) fn wait(&self) -> bool {
        !self.waiting.is_empty()
    }
}

impl<L: Launch> Supervisor<L> {
    /// Workers get these keys from now on; `done` hears of it when the last one with others has ended and one is up.
    pub(super) fn renew(&mut self, keyset: Keyset, done: oneshot::Sender<()>) {
        self.hello = std::sync::Arc::new(Hello {
            keyset,
            ..(*self.hello).clone()
        });
        let last = WorkerId(self.started);
        for id in self.roster.working() {
            self.roster.recycle(id);
        }
        self.renewals.before = Some(last);
        self.renewals.waiting.push((last, done));
    }

    /// A worker that is up now was perhaps started with other keys.
    pub(super) fn renew_started(&mut self, id: WorkerId) {
        if self.renewals.before.is_some_and(|last| id <= last) {
            self.roster.recycle(id);
        }
    }

    /// Tells those whose workers are all new.
    pub(super) fn settle_renewals(&mut self) {
        if !self.renewals.wait() {
            return;
        }
        let Self {
            roster,
            endings,
            renewals,
            ..
        } = self;
        let oldest = roster.ids().chain(endings.ids()).min();
        let up = roster.working().last().is_some();
        let settled = |last: &WorkerId| up && oldest.is_none_or(|oldest| oldest > *last);
        let all = std::mem::take(&mut renewals.waiting).into_iter();
        let (done, mut waiting): (Vec<_>, Vec<_>) = all.partition(|(last, _)| settled(last));
        for (_, done) in done {
            // who asked may have left
            let _ = done.send(());
        }
        waiting.retain(|(_, done)| !done.is_closed());
        renewals.waiting = waiting;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;
    use std::time::Duration;

    use crate::hsm::pool::fake::{Threads, config, keyset};
    use crate::hsm::{Client, Error, Job, StartFault};
    use crate::telemetry::Metrics;

    const PATIENCE: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn every_worker_is_replaced_and_no_job_is_lost() {
        let threads = Threads::default();
        let metrics = Metrics::new().unwrap();
        let client = Client::start_with(threads.clone(), config(3), keyset(), metrics.clone()).unwrap();
        // also those that are just starting
        client.ready().await.unwrap();
        let before = threads.started.load(Ordering::SeqCst);
        assert!(before >= 1);
        let jobs: Vec<_> = (0..100)
            .map(|_| {
                let client = client.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(3)).await;
                    client.call(Job::Random { len: 1 }).await
                })
            })
            .collect();
        let (first, second) = tokio::join!(client.renew(keyset(), PATIENCE), client.renew(keyset(), PATIENCE));
        assert_eq!((first, second), (Ok(()), Ok(())));
        for job in jobs {
            job.await.unwrap().unwrap();
        }
        let old = client.health().pids.into_iter().filter(|pid| *pid <= before).count();
        assert_eq!(old, 0, "{:?} of {before}", client.health());
        client.shutdown().await;
        let crashed = metrics.hsm_worker_ends.with_label_values(&["crashed"]).get();
        assert_eq!(crashed, 0);
        assert!(client.renew(keyset(), PATIENCE).await.is_err());
    }

    #[tokio::test]
    async fn where_no_new_worker_starts_the_old_ones_go_on() {
        let place = tempfile::tempdir().unwrap();
        let config = crate::hsm::Config {
            state_dir: place.path().to_owned(),
            ..config(1)
        };
        let client = Client::start_with(Threads::default(), config, keyset(), Metrics::new().unwrap()).unwrap();
        client.ready().await.unwrap();
        std::fs::write(place.path().join("away"), "").unwrap();
        let renewed = client.renew(keyset(), Duration::from_millis(300)).await;
        assert_eq!(renewed, Err(Error::Deadline));
        client.call(Job::Random { len: 1 }).await.unwrap();
        assert_eq!(client.refusal(), None::<StartFault>);
        std::fs::remove_file(place.path().join("away")).unwrap();
        client.renew(keyset(), PATIENCE).await.unwrap();
        client.call(Job::Random { len: 1 }).await.unwrap();
        client.shutdown().await;
    }
}
