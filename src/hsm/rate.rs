//! The worker's own cap on opens: what it grants even to a server that was taken over.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A token bucket that holds one second's worth.
pub(crate) struct Cap {
    per_second: u32,
    state: Mutex<State>,
}

struct State {
    /// In billionths of an open, so that no fraction is lost between calls.
    left: u64,
    at: Instant,
}

const OPEN: u64 = 1_000_000_000;

impl Cap {
    /// `None` for 0: no cap.
    pub(crate) fn new(per_second: u32, now: Instant) -> Option<Self> {
        let state = Mutex::new(State {
            left: u64::from(per_second).saturating_mul(OPEN),
            at: now,
        });
        (per_second > 0).then_some(Self { per_second, state })
    }

    /// Takes one open, if one is left.
    pub(crate) fn take(&self, now: Instant) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // A full bucket needs no more than a second.
        let passed = now.saturating_duration_since(state.at).min(Duration::from_secs(1));
        let gained = u64::try_from(passed.as_nanos())
            .unwrap_or(OPEN)
            .saturating_mul(u64::from(self.per_second));
        let full = u64::from(self.per_second).saturating_mul(OPEN);
        state.left = state.left.saturating_add(gained).min(full);
        state.at = state.at.max(now);
        match state.left.checked_sub(OPEN) {
            Some(left) => {
                state.left = left;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_the_rate_and_one_second_ahead() {
        let start = Instant::now();
        assert!(Cap::new(0, start).is_none());
        let cap = Cap::new(10, start).unwrap();
        assert_eq!((0..20).filter(|_| cap.take(start)).count(), 10);
        assert!(!cap.take(start + Duration::from_millis(99)));
        assert!(cap.take(start + Duration::from_millis(100)));
        // An hour's rest gives one second's worth.
        let later = start + Duration::from_secs(3600);
        assert_eq!((0..20).filter(|_| cap.take(later)).count(), 10);
        // The clock of another thread may be a little behind.
        assert!(!cap.take(start));
    }

    #[test]
    fn small_steps_lose_nothing() {
        let start = Instant::now();
        let cap = Cap::new(3, start).unwrap();
        let granted = (0..=10_000)
            .filter(|ms| cap.take(start + Duration::from_millis(*ms)))
            .count();
        // 3 at once, then 3 a second for 10 seconds.
        assert!((32..=33).contains(&granted), "{granted}");
    }
}
