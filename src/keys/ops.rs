//! How many DEKs the active KEK has wrapped. It may wrap a limited number (SP 800-57 part 1, 5.3: a cryptoperiod may be one
//! of uses), and a crash must not make it forget any: a number that is at least as large is stored before it is reached.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::{Error, Keys};
use crate::hsm::{self, Epoch};

/// A seal waits so long for room.
const PATIENCE: Duration = Duration::from_millis(if cfg!(test) { 300 } else { 5_000 });
/// The most seals that a crash counts too many.
const BLOCK_MAX: u64 = 1 << 20;

/// The count of the epoch that seals.
pub(super) struct Ops {
    /// `None`: no limit.
    max: Option<u64>,
    state: Mutex<State>,
    /// Room is needed soon.
    wanted: Notify,
    /// There is room.
    grown: Notify,
}

struct State {
    /// `None`: nothing is counted, by keys that nobody seals with for long.
    epoch: Option<Epoch>,
    done: u64,
    /// What is stored: so many may be done before more is.
    stored: u64,
}

/// The count of an epoch that is to be stored, and then told by [`Keys::ops_stored`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpsToStore {
    /// Which.
    pub epoch: Epoch,
    /// At most so many.
    pub count: u64,
}

/// What came of asking for one more.
enum Taken {
    /// It is counted.
    One,
    /// The epoch has been deactivated.
    Over,
    /// There is no room yet.
    Full,
}

impl Ops {
    /// Counts nothing.
    pub(super) fn uncounted() -> Self {
        Self::new(None, None)
    }

    /// Counts what `epoch` wraps, once [`Keys::ops_begin`] says from where.
    pub(super) fn of(epoch: Epoch, max: Option<u64>) -> Self {
        Self::new(Some(epoch), max)
    }

    fn new(epoch: Option<Epoch>, max: Option<u64>) -> Self {
        let state = State {
            epoch,
            done: 0,
            stored: 0,
        };
        Self {
            max,
            state: Mutex::new(state),
            wanted: Notify::new(),
            grown: Notify::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Room for so many is made at once: a hundredth of the limit, and a million at most.
    fn block(&self) -> u64 {
        self.max.map_or(BLOCK_MAX, |max| (max / 100).clamp(1, BLOCK_MAX))
    }

    /// Another epoch seals. Of one of which nothing is stored a block is taken to be.
    pub(super) fn restart(&self, epoch: Epoch) {
        let mut state = self.lock();
        if state.epoch.is_some_and(|before| before != epoch) {
            *state = State {
                epoch: Some(epoch),
                done: 0,
                stored: self.block(),
            };
        }
        drop(state);
        self.grown.notify_waiters();
    }

    /// Counts one more. `false`: this epoch seals no more, another one does.
    ///
    /// # Errors
    /// [`hsm::Error::Down`]: the limit is reached. [`hsm::Error::Busy`]: nothing could be stored in time.
    pub(super) async fn take(&self, epoch: Epoch) -> Result<bool, Error> {
        let until = tokio::time::Instant::now() + PATIENCE;
        loop {
            let grown = self.grown.notified();
            match self.try_take(epoch)? {
                Taken::One => return Ok(true),
                Taken::Over => return Ok(false),
                Taken::Full => {}
            }
            self.wanted.notify_one();
            if tokio::time::timeout_at(until, grown).await.is_err() {
                return Err(Error::Hsm(hsm::Error::Busy));
            }
        }
    }

    /// Why it seals no more, if it has sealed as much as it may.
    pub(super) fn used_up(&self) -> Option<String> {
        self.used_up_by(&self.lock())
    }

    fn used_up_by(&self, state: &State) -> Option<String> {
        let epoch = state.epoch?;
        let max = self.max.filter(|max| state.done >= *max)?;
        Some(format!(
            "KEK epoch {} has wrapped {max} data keys, as many as it may: `panvault key rotate`",
            epoch.0
        ))
    }

    fn try_take(&self, epoch: Epoch) -> Result<Taken, Error> {
        let mut state = self.lock();
        match state.epoch {
            // nothing is counted where no keyring is
            None => return Ok(Taken::One),
            Some(now) if now != epoch => return Ok(Taken::Over),
            Some(_) => {}
        }
        if let Some(why) = self.used_up_by(&state) {
            return Err(Error::Hsm(hsm::Error::Down(why)));
        }
        if state.done >= state.stored {
            return Ok(Taken::Full);
        }
        state.done += 1;
        if state.stored - state.done <= self.block() / 2 || self.max == Some(state.done) {
            self.wanted.notify_one();
        }
        Ok(Taken::One)
    }
}

impl Keys {
    /// What the epoch that seals has wrapped, and how much it may, where that is limited; `None` where nobody counts.
    pub fn ops(&self) -> Option<(u64, Option<u64>)> {
        let state = self.epochs.ops.lock();
        state.epoch.map(|_| (state.done, self.epochs.ops.max))
    }

    /// The active epoch has wrapped so many DEKs, at most; `None`: it took over and ended before anything was stored of it.
    pub fn ops_begin(&self, stored: Option<u64>) {
        let ops = &self.epochs.ops;
        let done = stored.unwrap_or_else(|| ops.block());
        let mut state = ops.lock();
        (state.done, state.stored) = (done, done);
        drop(state);
        ops.wanted.notify_one();
    }

    /// What is to be stored now; `None`: there is room enough.
    pub fn ops_wanted(&self) -> Option<OpsToStore> {
        let ops = &self.epochs.ops;
        let state = ops.lock();
        let short = state.stored.saturating_sub(state.done) <= ops.block() / 2;
        state.epoch.filter(|_| short).map(|epoch| OpsToStore {
            epoch,
            count: state.done.saturating_add(ops.block()),
        })
    }

    /// Waits until [`Keys::ops_wanted`] may want something.
    pub async fn ops_wait(&self) {
        self.epochs.ops.wanted.notified().await;
    }

    /// It is stored.
    pub fn ops_stored(&self, stored: OpsToStore) {
        let ops = &self.epochs.ops;
        let mut state = ops.lock();
        if state.epoch == Some(stored.epoch) {
            state.stored = state.stored.max(stored.count);
        }
        drop(state);
        ops.grown.notify_waiters();
    }

    /// The exact count: no more is sealed from now on.
    pub fn ops_end(&self) -> Option<OpsToStore> {
        let mut state = self.epochs.ops.lock();
        state.stored = 0;
        let count = state.done;
        state.epoch.map(|epoch| OpsToStore { epoch, count })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn figures(ops: &Ops) -> (u64, u64) {
        let state = ops.lock();
        (state.done, state.stored)
    }

    fn store(ops: &Ops, count: u64) {
        ops.lock().stored = count;
        ops.grown.notify_waiters();
    }

    #[tokio::test]
    async fn no_seal_is_done_before_it_is_stored_and_none_over_the_limit() {
        let ops = Arc::new(Ops::of(Epoch(1), Some(1000)));
        ops.lock().done = 985;
        store(&ops, 985);
        let seals: Vec<_> = (0..40)
            .map(|_| {
                let ops = Arc::clone(&ops);
                tokio::spawn(async move { ops.take(Epoch(1)).await })
            })
            .collect();
        tokio::task::yield_now().await;
        for count in [990, 995, 1005] {
            ops.wanted.notified().await;
            let (done, stored) = figures(&ops);
            assert!(done <= stored);
            store(&ops, count);
        }
        let mut done = 0;
        for seal in seals {
            match seal.await.unwrap() {
                Ok(taken) => done += u64::from(taken),
                Err(error) => assert!(error.to_string().contains("as many as it may"), "{error}"),
            }
        }
        assert_eq!((done, figures(&ops).0), (15, 1000));
        ops.restart(Epoch(2));
        assert_eq!(ops.take(Epoch(1)).await, Ok(false), "it seals no more");
        assert_eq!(ops.take(Epoch(2)).await, Ok(true));
        assert_eq!(figures(&ops), (1, 10));
    }

    #[tokio::test]
    async fn what_cannot_be_stored_is_not_sealed() {
        let ops = Ops::of(Epoch(1), None);
        assert_eq!(ops.take(Epoch(1)).await, Err(Error::Hsm(hsm::Error::Busy)));
        store(&ops, 1);
        ops.take(Epoch(1)).await.unwrap();
        assert_eq!(ops.take(Epoch(1)).await, Err(Error::Hsm(hsm::Error::Busy)));
        Ops::uncounted().take(Epoch(1)).await.unwrap();
    }
}
