//! How many data keys KEKs wrapped, kept in the store: always at least as many as there were, those too that were wrapped twice
//! or in vain because a worker died, and after a crash at most a block of them more and what was on its way.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::Vault;
use super::tables;
use super::types::{Error, IntegrityError};
use crate::keys::{KEK_CHECK_WRAPS, Keys, OpsToStore};
use crate::store::{Commit, Part, Store, Versioned, Write};

/// The figure is shown so often.
const LOOK: Duration = Duration::from_secs(5);
/// Before it is tried again where the store takes nothing.
const PAUSE: Duration = Duration::from_secs(1);

impl Vault {
    /// Counts until it is told to stop; then what is stored is exact, and nothing more is sealed.
    pub(super) async fn count_ops_until(self: Arc<Self>, mut stopped: watch::Receiver<bool>) {
        let Some(keys) = self.sealer.keys().cloned() else {
            return;
        };
        let mut begun = false;
        let mut told = Told::Nothing;
        loop {
            let done = match begun {
                false => self.begin_ops(&keys).await.map(|()| begun = true),
                true => self.store_ops(&keys).await,
            };
            if let Err(error) = &done {
                tracing::warn!(%error, "how many data keys the KEK wrapped is not stored");
            }
            self.show_ops(&keys);
            if begun {
                told = told.tell(&keys);
            }
            let wanted = done.is_ok() && keys.ops_wanted().is_some();
            tokio::select! {
                () = std::future::ready(()), if wanted => {}
                () = keys.ops_wait(), if done.is_ok() => {}
                () = tokio::time::sleep(LOOK), if done.is_ok() => {}
                () = tokio::time::sleep(PAUSE), if done.is_err() => {}
                // an error: whoever could stop this is gone
                _ = stopped.wait_for(|stop| *stop) => break,
            }
        }
        if let Some(exact) = keys.ops_end().filter(|_| begun)
            && let Err(error) = self.put_ops(exact).await
        {
            tracing::warn!(%error, "the KEK's exact number of uses is not stored; a larger one is");
        }
    }

    /// Data keys that an epoch's KEK wrapped, at most; `None` where nothing is stored.
    pub(super) async fn stored_ops(&self, epoch: u32) -> Result<Option<u64>, Error> {
        stored(self.store.as_ref(), epoch).await
    }

    async fn begin_ops(&self, keys: &Keys) -> Result<(), Error> {
        let stored = self.stored_ops(keys.active_epoch().0).await?;
        let prefix = tables::all_kek_ops();
        let to = tables::end_of(&prefix);
        let from = std::ops::Bound::Included(prefix);
        let any = self.store.scan(Part::default(), from, to, 1).await?;
        // of a vault that did not count yet: what is sealed is on record, and is there unless it was deleted
        let health = self.store.health();
        let guess = any.items.is_empty().then_some(health.audit_seq.max(health.records));
        let guess = guess.map(|guess| guess.saturating_add(KEK_CHECK_WRAPS));
        keys.ops_begin(stored.or(guess));
        Ok(())
    }

    async fn store_ops(&self, keys: &Keys) -> Result<(), Error> {
        while let Some(wanted) = keys.ops_wanted() {
            self.put_ops(wanted).await?;
            keys.ops_stored(wanted);
        }
        Ok(())
    }

    async fn put_ops(&self, ops: OpsToStore) -> Result<(), Error> {
        put(self.store.as_ref(), ops).await
    }

    fn show_ops(&self, keys: &Keys) {
        let gauge = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        if let Some((done, max)) = keys.ops() {
            self.metrics.kek_ops.set(gauge(done));
            self.metrics.kek_max_ops.set(gauge(max.unwrap_or(0)));
        }
    }
}

/// What people were told of the epoch in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Told {
    Nothing,
    /// Nine tenths of its uses are gone.
    Soon,
    Over,
}

impl Told {
    /// Tells it once; an epoch that takes over begins anew.
    fn tell(self, keys: &Keys) -> Self {
        let Some((done, Some(max))) = keys.ops() else {
            return Self::Nothing;
        };
        let now = match done {
            _ if done >= max => Self::Over,
            _ if done >= max - max / 10 => Self::Soon,
            _ => Self::Nothing,
        };
        let epoch = keys.active_epoch().0;
        match now {
            Self::Over if now > self => {
                tracing::error!(
                    epoch,
                    max,
                    "the KEK has wrapped as many data keys as it may, and nothing is sealed: panvault key rotate"
                );
            }
            Self::Soon if now > self => {
                tracing::warn!(
                    epoch,
                    done,
                    max,
                    "the KEK has wrapped nine tenths of the data keys that it may: panvault key rotate"
                );
            }
            Self::Nothing | Self::Soon | Self::Over => {}
        }
        now
    }
}

/// As [`Vault::stored_ops`].
pub(super) async fn stored(store: &dyn Store, epoch: u32) -> Result<Option<u64>, Error> {
    let held = store.get(Part::default(), &tables::kek_ops(epoch)).await?;
    held.map(|held| read(&held)).transpose()
}

/// Stores a count.
pub(super) async fn put(store: &dyn Store, ops: OpsToStore) -> Result<(), Error> {
    let value = ops.count.to_be_bytes().to_vec();
    let commit = Commit {
        writes: vec![Write::Put(tables::kek_ops(ops.epoch.0), value)],
        ..Commit::default()
    };
    store.commit(commit).await?;
    Ok(())
}

fn read(held: &Versioned) -> Result<u64, Error> {
    let bytes = held.value.as_slice().try_into();
    Ok(u64::from_be_bytes(bytes.map_err(|_| IntegrityError::Damaged)?))
}
