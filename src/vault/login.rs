//! A pause for callers whose logins fail again and again (PCI DSS 8.3.4).
//!
//! The caller is the process's user and the dialect: what the kernel says, not what the request says. During the pause
//! nothing is looked at, so a right credential waits too.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::types::Dialect;

/// When a caller is paused and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoginLimits {
    /// Failures that are free, each at most `window` after the one before.
    pub failures: u32,
    /// Without a failure for this long, all are forgotten.
    pub window: Duration,
    /// The first pause; each failure after it doubles the next.
    pub first_wait: Duration,
    /// The longest pause.
    pub longest_wait: Duration,
}

/// Who failed how often.
pub(super) struct Login {
    limits: LoginLimits,
    capacity: usize,
    failing: Mutex<HashMap<(u32, Dialect), Failing>>,
}

struct Failing {
    failures: u32,
    /// The end of the pause, or the last failure where there is none.
    until: Instant,
}

impl Login {
    /// Remembers at most `capacity` callers.
    pub(super) fn new(limits: LoginLimits, capacity: usize) -> Self {
        Self {
            limits,
            capacity,
            failing: Mutex::default(),
        }
    }

    /// How long the caller must still wait.
    pub(super) fn pause(&self, uid: u32, dialect: Dialect, now: Instant) -> Option<Duration> {
        let failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        let left = failing.get(&(uid, dialect))?.until.saturating_duration_since(now);
        (!left.is_zero()).then_some(left)
    }

    /// Counts a failed login.
    pub(super) fn failed(&self, uid: u32, dialect: Dialect, now: Instant) {
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        if failing.len() >= self.capacity && !failing.contains_key(&(uid, dialect)) {
            self.make_room(&mut failing, now);
        }
        let entry = failing.entry((uid, dialect)).or_insert(Failing {
            failures: 0,
            until: now,
        });
        if self.is_over(entry, now) {
            entry.failures = 0;
        }
        entry.failures = entry.failures.saturating_add(1);
        entry.until = now + self.wait_after(entry.failures);
    }

    /// Forgets the caller's failures.
    pub(super) fn succeeded(&self, uid: u32, dialect: Dialect) {
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        failing.remove(&(uid, dialect));
    }

    fn wait_after(&self, failures: u32) -> Duration {
        let Some(doublings) = failures.checked_sub(self.limits.failures) else {
            return Duration::ZERO;
        };
        let factor = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
        self.limits
            .first_wait
            .saturating_mul(factor)
            .min(self.limits.longest_wait)
    }

    fn is_over(&self, entry: &Failing, now: Instant) -> bool {
        now.saturating_duration_since(entry.until) > self.limits.window
    }

    /// Forgets what is over, or else the caller that has been quiet longest.
    fn make_room(&self, failing: &mut HashMap<(u32, Dialect), Failing>, now: Instant) {
        failing.retain(|_, entry| !self.is_over(entry, now));
        if failing.len() < self.capacity {
            return;
        }
        let quietest = failing.iter().min_by_key(|(_, entry)| entry.until).map(|(key, _)| *key);
        if let Some(key) = quietest {
            failing.remove(&key);
        }
    }
}

impl Default for LoginLimits {
    fn default() -> Self {
        Self {
            failures: 10,
            window: Duration::from_secs(15 * 60),
            first_wait: Duration::from_secs(30),
            longest_wait: Duration::from_secs(30 * 60),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NATIVE: Dialect = Dialect::Native;

    fn login(capacity: usize) -> Login {
        Login::new(LoginLimits::default(), capacity)
    }

    fn fail(login: &Login, times: u32, now: Instant) {
        for _ in 0..times {
            login.failed(1, NATIVE, now);
        }
    }

    #[test]
    fn ten_failures_pause_and_each_more_doubles_up_to_half_an_hour() {
        let login = login(8);
        let mut now = Instant::now();
        fail(&login, 9, now);
        assert_eq!(login.pause(1, NATIVE, now), None);
        let mut waits = Vec::new();
        for _ in 0..9 {
            fail(&login, 1, now);
            let wait = login.pause(1, NATIVE, now).unwrap();
            waits.push(wait.as_secs());
            now += wait;
            assert_eq!(login.pause(1, NATIVE, now), None, "over when it is over");
        }
        assert_eq!(waits, [30, 60, 120, 240, 480, 960, 1800, 1800, 1800]);
    }

    #[test]
    fn success_and_a_quiet_quarter_of_an_hour_forget() {
        let login = login(8);
        let now = Instant::now();
        fail(&login, 9, now);
        login.succeeded(1, NATIVE);
        fail(&login, 9, now);
        assert_eq!(login.pause(1, NATIVE, now), None);
        let later = now + Duration::from_secs(15 * 60 + 1);
        fail(&login, 9, later);
        assert_eq!(login.pause(1, NATIVE, later), None);
        fail(&login, 1, later);
        assert!(login.pause(1, NATIVE, later).is_some());
    }

    #[test]
    fn slow_guessing_within_the_window_still_counts() {
        let login = login(8);
        let mut now = Instant::now();
        for _ in 0..10 {
            now += Duration::from_secs(14 * 60);
            login.failed(1, NATIVE, now);
        }
        assert!(login.pause(1, NATIVE, now).is_some());
    }

    #[test]
    fn callers_are_apart_and_memory_is_bounded() {
        let login = login(4);
        let now = Instant::now();
        fail(&login, 10, now);
        assert_eq!(login.pause(2, NATIVE, now), None);
        for uid in 2..100 {
            login.failed(uid, NATIVE, now);
        }
        assert!(login.failing.lock().unwrap().len() <= 4);
        assert!(login.pause(1, NATIVE, now).is_some(), "the paused one is kept");
    }
}
