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
    /// Of seals that are on their way, each may wrap so many more than the one that is done: they are in what is stored too.
    at_risk: u64,
    /// As many may have been made ahead and not be told of yet.
    untold: u64,
}

/// What a seal may wrap beside the one that it is counted as: its job is tried twice on one worker, and twice on another where
/// the first one dies.
const REPEATS: u64 = 3;

/// `init` wraps one in a KEK's check ciphertext.
pub const CANARY: u64 = 1;

/// A seal on its way.
pub(super) struct Counted<'a> {
    ops: &'a Ops,
    epoch: Option<Epoch>,
    is_settled: bool,
}

impl Counted<'_> {
    /// It is answered: whatever it wrapped beside one has been told.
    pub(super) fn settle(mut self) {
        self.is_settled = true;
    }
}

impl Drop for Counted<'_> {
    /// Where the caller went away or the workers do not answer, nobody knows how often it was tried.
    fn drop(&mut self) {
        let Some(epoch) = self.epoch else { return };
        let mut state = self.ops.lock();
        if state.epoch == Some(epoch) {
            state.at_risk = state.at_risk.saturating_sub(REPEATS);
            if !self.is_settled {
                state.done = state.done.saturating_add(REPEATS);
            }
        }
        drop(state);
        self.ops.grown.notify_waiters();
    }
}

impl State {
    /// As many as may have been wrapped by now.
    fn at_most(&self) -> u64 {
        self.done.saturating_add(self.at_risk).saturating_add(self.untold)
    }
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
    /// It is counted, under this epoch; none where nothing is counted.
    One(Option<Epoch>),
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
            at_risk: 0,
            untold: 0,
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
                done: CANARY,
                stored: self.block(),
                at_risk: 0,
                untold: state.untold,
            };
        }
        drop(state);
        self.grown.notify_waiters();
    }

    /// So many may be made ahead before they are told of.
    pub(super) fn expect_untold(&self, untold: u64) {
        self.lock().untold = untold;
    }

    /// Counts what was wrapped beside one for each seal; without an epoch: under the one in use.
    pub(super) fn add(&self, epoch: Option<Epoch>, more: u64) {
        let mut state = self.lock();
        // what is stored of one that was deactivated has room for what was on its way
        if epoch.is_none_or(|epoch| state.epoch == Some(epoch)) {
            state.done = state.done.saturating_add(more);
        }
        drop(state);
        self.wanted.notify_one();
    }

    /// Counts one more. `None`: this epoch seals no more, another one does.
    ///
    /// # Errors
    /// [`hsm::Error::Down`]: the limit is reached. [`hsm::Error::Busy`]: nothing could be stored in time.
    pub(super) async fn take(&self, epoch: Epoch) -> Result<Option<Counted<'_>>, Error> {
        let until = tokio::time::Instant::now() + PATIENCE;
        loop {
            let grown = self.grown.notified();
            match self.try_take(epoch)? {
                Taken::One(epoch) => {
                    return Ok(Some(Counted {
                        ops: self,
                        epoch,
                        is_settled: false,
                    }));
                }
                Taken::Over => return Ok(None),
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
            None => return Ok(Taken::One(None)),
            Some(now) if now != epoch => return Ok(Taken::Over),
            Some(_) => {}
        }
        if let Some(why) = self.used_up_by(&state) {
            return Err(Error::Hsm(hsm::Error::Down(why)));
        }
        if state.at_most().saturating_add(1 + REPEATS) > state.stored {
            return Ok(Taken::Full);
        }
        state.done += 1;
        state.at_risk += REPEATS;
        if state.stored - state.at_most() <= self.block() / 2 || self.max == Some(state.done) {
            self.wanted.notify_one();
        }
        Ok(Taken::One(Some(epoch)))
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
        // what was told of before this
        let done = done.saturating_add(state.done);
        (state.done, state.stored) = (done, done);
        drop(state);
        ops.wanted.notify_one();
    }

    /// What is to be stored now; `None`: there is room enough.
    pub fn ops_wanted(&self) -> Option<OpsToStore> {
        let ops = &self.epochs.ops;
        let state = ops.lock();
        let short = state.stored.saturating_sub(state.at_most()) <= (ops.block() / 2).max(REPEATS);
        state.epoch.filter(|_| short).map(|epoch| OpsToStore {
            epoch,
            count: state.at_most().saturating_add(ops.block()).saturating_add(1 + REPEATS),
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
        let count = state.at_most();
        state.epoch.map(|epoch| OpsToStore { epoch, count })
    }
}

#[cfg(test)]
mod tests;
