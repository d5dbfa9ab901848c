//! How much a caller may take out: per second and per UTC day, for each operation that shows what is stored.
//!
//! Rates are token buckets on the monotonic clock, in whole billionths of a record, so that no rounding adds up.
//! Day volumes are counted in memory: a restart begins a new count.

mod table;

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

pub use table::{Cap, CapOverrides, CapTable};

use super::types::Operation;
use crate::id::{MerchantId, UnixMillis};

/// A cap is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Exceeded {
    /// The same request may be granted after this many seconds.
    pub(super) retry_after_s: u64,
}

/// Both clocks at one moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub(super) monotonic: Instant,
    pub(super) wall: UnixMillis,
}

/// What each caller has used.
pub(super) struct Caps {
    usage: Mutex<Usage>,
    capacity: usize,
}

#[derive(Default)]
struct Usage {
    by_merchant: HashMap<MerchantId, HashMap<(u32, Operation), Used>>,
    entries: usize,
}

/// One caller's use of one operation.
#[derive(Debug, Clone, Copy)]
struct Used {
    /// Billionths of a record that may be taken now; below zero after a request larger than the burst.
    level: i128,
    filled: Instant,
    /// Days since 1970 in UTC. Never goes back, so that setting the clock back gives nothing.
    day: u64,
    taken: u64,
    cap: Cap,
}

impl Moment {
    pub(super) fn now() -> Self {
        Self {
            monotonic: Instant::now(),
            wall: UnixMillis::now(),
        }
    }
}

impl Caps {
    /// Nothing used yet; remembers at most `capacity` pairs of caller and operation.
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            usage: Mutex::new(Usage::default()),
            capacity,
        }
    }

    /// Takes `volume` records for `op`, all or none.
    ///
    /// # Errors
    /// [`Exceeded`]; nothing was taken then.
    pub(super) fn take(
        &self,
        cap: Cap,
        (uid, merchant): (u32, &MerchantId),
        op: Operation,
        volume: u64,
        now: Moment,
    ) -> Result<(), Exceeded> {
        let mut usage = self.usage.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(used) = usage
            .by_merchant
            .get_mut(merchant)
            .and_then(|callers| callers.get_mut(&(uid, op)))
        {
            return used.take(cap, volume, now);
        }
        if usage.entries >= self.capacity {
            usage.forget_idle(now);
        }
        if usage.entries >= self.capacity {
            // forgetting someone who is not idle would give a new allowance
            return Err(Exceeded {
                retry_after_s: CROWDED_S,
            });
        }
        let mut used = Used::new(cap, now);
        let taken = used.take(cap, volume, now);
        usage.entries += 1;
        usage
            .by_merchant
            .entry(merchant.clone())
            .or_default()
            .insert((uid, op), used);
        taken
    }

    /// Takes `volume` records more for what [`Caps::take`] let through a moment ago, and never refuses: where that is
    /// more than there is, the caller waits next time.
    pub(super) fn charge(&self, (uid, merchant): (u32, &MerchantId), op: Operation, volume: u64) {
        let mut usage = self.usage.lock().unwrap_or_else(PoisonError::into_inner);
        // what was taken from a moment ago was not idle, so it was not forgotten
        if let Some(used) = usage
            .by_merchant
            .get_mut(merchant)
            .and_then(|callers| callers.get_mut(&(uid, op)))
        {
            used.charge(volume);
        }
    }
}

impl Usage {
    /// Forgets every entry that a fresh one would equal.
    fn forget_idle(&mut self, now: Moment) {
        for callers in self.by_merchant.values_mut() {
            callers.retain(|_, used| {
                used.advance(used.cap, now);
                used.taken > 0 || used.level < full(used.cap)
            });
        }
        self.by_merchant.retain(|_, callers| !callers.is_empty());
        self.entries = self.by_merchant.values().map(HashMap::len).sum();
    }
}

impl Used {
    fn new(cap: Cap, now: Moment) -> Self {
        Self {
            level: full(cap),
            filled: now.monotonic,
            day: day_of(now.wall),
            taken: 0,
            cap,
        }
    }

    /// Refills the bucket and begins a new day where one began.
    fn advance(&mut self, cap: Cap, now: Moment) {
        let elapsed = now.monotonic.saturating_duration_since(self.filled).as_nanos();
        let gained = i128::try_from(elapsed)
            .unwrap_or(i128::MAX)
            .saturating_mul(i128::from(cap.per_second));
        self.level = self.level.saturating_add(gained).min(full(cap));
        self.filled = self.filled.max(now.monotonic);
        self.cap = cap;
        let day = day_of(now.wall);
        if day > self.day {
            self.day = day;
            self.taken = 0;
        }
    }

    fn take(&mut self, cap: Cap, volume: u64, now: Moment) -> Result<(), Exceeded> {
        self.advance(cap, now);
        let taken = self.taken.saturating_add(volume);
        if cap.per_day > 0 && taken > cap.per_day {
            let midnight = (self.day + 1).saturating_mul(DAY_MS);
            return Err(Exceeded {
                retry_after_s: midnight.saturating_sub(now.wall.0).div_ceil(1000).max(1),
            });
        }
        if cap.per_second > 0 {
            // a request larger than the burst needs a full bucket and leaves it in debt: the rate over time holds
            let missing = (i128::from(volume) * BILLION).min(full(cap)) - self.level;
            if missing > 0 {
                let per_second = u128::from(cap.per_second) * BILLION.unsigned_abs();
                let wait = missing.unsigned_abs().div_ceil(per_second);
                return Err(Exceeded {
                    retry_after_s: u64::try_from(wait).unwrap_or(u64::MAX),
                });
            }
        }
        self.charge(volume);
        Ok(())
    }

    fn charge(&mut self, volume: u64) {
        if self.cap.per_second > 0 {
            self.level = self.level.saturating_sub(i128::from(volume) * BILLION);
        }
        self.taken = self.taken.saturating_add(volume);
    }
}

/// A full bucket, in billionths of a record.
fn full(cap: Cap) -> i128 {
    i128::from(cap.full_burst()) * BILLION
}

fn day_of(wall: UnixMillis) -> u64 {
    wall.0 / DAY_MS
}

const BILLION: i128 = 1_000_000_000;
const DAY_MS: u64 = 86_400_000;
/// What a caller is told that no room is left to count.
const CROWDED_S: u64 = 60;

#[cfg(test)]
mod tests;
