//! What the vault does by itself: removes tokens, documents and idempotency keys past their time, and writes the times
//! of last use and the refusals that were counted.

use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::batch::each;
use super::types::{CallerError, Error, IntegrityError};
use super::{Held, Vault, idempotency, tables};
use crate::audit::Event;
use crate::id::UnixMillis;
use crate::store::{Commit, Cond, Key, Part, Versioned, Write};

/// How often expired tokens are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(1);
/// Entries read at once.
const CHUNK: u32 = 256;

/// The work in the background. To be shut down before the store is closed.
pub struct Background {
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Background {
    /// Ends the work: commits under way finish, the times of last use are written.
    pub async fn shutdown(self) {
        self.stop.send_replace(true);
        for task in self.tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "work in the background died");
            }
        }
    }
}

impl Vault {
    /// Starts the work in the background, on the runtime of the caller. A KEK rotation, and one of the fingerprint key, moves at
    /// most `rewraps_per_second` records; 0: as many as the HSM can.
    pub fn start_background(self: &Arc<Self>, rewraps_per_second: u32) -> Background {
        let (stop, stopped) = watch::channel(false);
        let sweeper = tokio::spawn(Arc::clone(self).sweep_until(stopped.clone()));
        let flusher = tokio::spawn(Arc::clone(self).flush_until(stopped.clone()));
        let rotation = tokio::spawn(Arc::clone(self).rewrap_until(rewraps_per_second, stopped.clone()));
        let retention = tokio::spawn(Arc::clone(self).retain_until(stopped.clone()));
        let refingerprint = tokio::spawn(Arc::clone(self).refingerprint_until(rewraps_per_second, stopped.clone()));
        let ops = tokio::spawn(Arc::clone(self).count_ops_until(stopped.clone()));
        let ends = tokio::spawn(Arc::clone(self).finish_destructions_until(stopped.clone()));
        let access = tokio::spawn(Arc::clone(self).run_access_until(stopped));
        let tasks = vec![sweeper, flusher, rotation, retention, refingerprint, ops, ends, access];
        Background { stop, tasks }
    }

    async fn sweep_until(self: Arc<Self>, mut stopped: watch::Receiver<bool>) {
        if let Err(error) = self.sweep_orphaned_documents(&stopped).await {
            tracing::warn!(%error, "documents of removed merchants wait to be removed");
        }
        loop {
            if let Err(error) = self.sweep(&stopped).await {
                tracing::warn!(%error, "expired tokens wait to be removed");
            }
            if let Err(error) = self.sweep_documents(&stopped).await {
                tracing::warn!(%error, "expired documents wait to be removed");
            }
            tokio::select! {
                () = tokio::time::sleep(SWEEP_EVERY) => {}
                // an error: whoever could stop this is gone
                _ = stopped.wait_for(|stop| *stop) => return,
            }
        }
    }

    async fn flush_until(self: Arc<Self>, mut stopped: watch::Receiver<bool>) {
        loop {
            let ending = tokio::select! {
                () = self.last_used.due() => false,
                _ = stopped.wait_for(|stop| *stop) => true,
            };
            self.flush_last_used().await;
            if ending {
                return;
            }
        }
    }

    async fn run_access_until(self: Arc<Self>, mut stopped: watch::Receiver<bool>) {
        self.access
            .run(async {
                // the sender gone is the end too
                let _ = stopped.wait_for(|stopped| *stopped).await;
            })
            .await;
    }

    /// Removes what is past its time now, many at a time: the store makes them durable together.
    pub(super) async fn sweep(self: &Arc<Self>, stopped: &watch::Receiver<bool>) -> Result<(), Error> {
        self.sweep_idempotency(stopped).await?;
        let (mut from, to) = tables::expired_until(UnixMillis::now());
        let mut bad = None;
        while !*stopped.borrow() {
            let page = self.store.scan(Part::default(), from, to.clone(), CHUNK).await?;
            let entries = page.items.into_iter().map(Ok).collect();
            let removed = each(entries, |_, (key, entry)| {
                let vault = Arc::clone(self);
                async move { vault.sweep_entry(key, entry).await }
            });
            for error in removed.await.into_iter().filter_map(Result::err) {
                match error {
                    // the others would fare no better
                    Error::Dependency(_) => return Err(error),
                    // one bad record must not keep the others
                    Error::Caller(_) | Error::Integrity(_) | Error::Policy(_) => bad = Some(error),
                }
            }
            match page.next {
                Some(last) => from = Bound::Excluded(last),
                None => break,
            }
        }
        bad.map_or(Ok(()), Err)
    }

    async fn sweep_entry(&self, key: Key, entry: Versioned) -> Result<(), Error> {
        let (at, repository, token) = tables::parse_expiry(&key).ok_or(IntegrityError::Damaged)?;
        match self.load(repository, &token).await {
            Ok(held) if held.record.expires_at == Some(at) => {
                self.expire(&held).await?;
            }
            // left behind by a change that came in between
            Ok(_) | Err(Error::Caller(CallerError::UnknownToken)) => {
                let commit = Commit {
                    conds: vec![Cond::Rev(key.clone(), entry.rev)],
                    writes: vec![Write::Del(key)],
                    ..Commit::default()
                };
                self.store.commit(commit).await?;
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Removes a token that is past its time, with an audit event. `false`: others changed or removed it first.
    pub(super) async fn expire(&self, held: &Held) -> Result<bool, Error> {
        let mut event = Event::new("expire", "ok");
        event.merchant = Some(held.record.merchant.clone());
        event.token = Some(held.record.token.clone());
        let accounts = self.access.accounts().current();
        event.repository = accounts.repository(held.record.repository).map(|row| row.name.clone());
        let removed = self.remove(held, event).await?;
        if removed {
            self.metrics.expired.inc();
        }
        Ok(removed)
    }

    async fn sweep_idempotency(&self, stopped: &watch::Receiver<bool>) -> Result<(), Error> {
        let (from, to) = tables::idempotency_before(idempotency::oldest_day(UnixMillis::now()));
        while !*stopped.borrow() {
            let page = self
                .store
                .scan(Part::default(), from.clone(), to.clone(), CHUNK)
                .await?;
            if page.items.is_empty() {
                break;
            }
            let commit = Commit {
                writes: page.items.into_iter().map(|(key, _)| Write::Del(key)).collect(),
                ..Commit::default()
            };
            self.store.commit(commit).await?;
        }
        Ok(())
    }
}
