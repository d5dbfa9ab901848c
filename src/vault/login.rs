//! A pause for callers whose logins fail again and again (PCI DSS 8.3.4).
//!
//! Who fails is the process's user, as the kernel says, and what was shown: a credential, so that one client with a key
//! of the past does not pause the others of its user, or a merchant's name. Ids that nobody has share one pool per user;
//! names do not, whether there is such a merchant or not, or else the pauses would tell which there are.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::types::Dialect;
use crate::id::{CredentialId, MerchantId};

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
    failing: Mutex<HashMap<Source, Failing>>,
}

/// Where failed logins come from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Source {
    /// The process's user.
    pub(super) uid: u32,
    pub(super) dialect: Dialect,
    pub(super) shown: Shown,
}

/// Whose secret was wrong.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Shown {
    /// This credential's.
    Credential(CredentialId),
    /// One said to be this merchant's, which may not exist.
    Merchant(MerchantId),
    /// No credential's.
    Unknown,
}

struct Failing {
    failures: u32,
    /// The end of the pause, or the last failure where there is none.
    until: Instant,
}

impl Login {
    /// Remembers at most `capacity` sources.
    pub(super) fn new(limits: LoginLimits, capacity: usize) -> Self {
        Self {
            limits,
            capacity,
            failing: Mutex::default(),
        }
    }

    /// How long the source must still wait.
    pub(super) fn pause(&self, source: &Source, now: Instant) -> Option<Duration> {
        let failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        let left = failing.get(source)?.until.saturating_duration_since(now);
        (!left.is_zero()).then_some(left)
    }

    /// Counts a failed login.
    pub(super) fn failed(&self, source: Source, now: Instant) {
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        if failing.len() >= self.capacity && !failing.contains_key(&source) {
            self.make_room(&mut failing, now);
        }
        let entry = failing.entry(source).or_insert(Failing {
            failures: 0,
            until: now,
        });
        if self.is_over(entry, now) {
            entry.failures = 0;
        }
        entry.failures = entry.failures.saturating_add(1);
        entry.until = now + self.wait_after(entry.failures);
    }

    /// Forgets the source's failures.
    pub(super) fn succeeded(&self, source: &Source) {
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        failing.remove(source);
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

    /// Forgets what is over, or else the source that has been quiet longest.
    fn make_room(&self, failing: &mut HashMap<Source, Failing>, now: Instant) {
        failing.retain(|_, entry| !self.is_over(entry, now));
        if failing.len() < self.capacity {
            return;
        }
        let quietest = failing
            .iter()
            .min_by_key(|(_, entry)| entry.until)
            .map(|(source, _)| source.clone());
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

    fn of(uid: u32) -> Source {
        Source {
            uid,
            dialect: Dialect::Native,
            shown: Shown::Unknown,
        }
    }

    fn login(capacity: usize) -> Login {
        Login::new(LoginLimits::default(), capacity)
    }

    fn fail(login: &Login, times: u32, now: Instant) {
        for _ in 0..times {
            login.failed(of(1), now);
        }
    }

    #[test]
    fn ten_failures_pause_and_each_more_doubles_up_to_half_an_hour() {
        let login = login(8);
        let mut now = Instant::now();
        fail(&login, 9, now);
        assert_eq!(login.pause(&of(1), now), None);
        let mut waits = Vec::new();
        for _ in 0..9 {
            fail(&login, 1, now);
            let wait = login.pause(&of(1), now).unwrap();
            waits.push(wait.as_secs());
            now += wait;
            assert_eq!(login.pause(&of(1), now), None, "over when it is over");
        }
        assert_eq!(waits, [30, 60, 120, 240, 480, 960, 1800, 1800, 1800]);
    }

    #[test]
    fn success_and_a_quiet_quarter_of_an_hour_forget() {
        let login = login(8);
        let now = Instant::now();
        fail(&login, 9, now);
        login.succeeded(&of(1));
        fail(&login, 9, now);
        assert_eq!(login.pause(&of(1), now), None);
        let later = now + Duration::from_secs(15 * 60 + 1);
        fail(&login, 9, later);
        assert_eq!(login.pause(&of(1), later), None);
        fail(&login, 1, later);
        assert!(login.pause(&of(1), later).is_some());
    }

    #[test]
    fn slow_guessing_within_the_window_still_counts() {
        let login = login(8);
        let mut now = Instant::now();
        for _ in 0..10 {
            now += Duration::from_secs(14 * 60);
            login.failed(of(1), now);
        }
        assert!(login.pause(&of(1), now).is_some());
    }

    #[test]
    fn callers_are_apart_and_memory_is_bounded() {
        let login = login(4);
        let now = Instant::now();
        fail(&login, 10, now);
        assert_eq!(login.pause(&of(2), now), None);
        let known = Source {
            shown: Shown::Credential(CredentialId::parse("a").unwrap()),
            ..of(1)
        };
        assert_eq!(login.pause(&known, now), None);
        for uid in 2..100 {
            login.failed(of(uid), now);
        }
        assert!(login.failing.lock().unwrap().len() <= 4);
        assert!(login.pause(&of(1), now).is_some(), "the paused one is kept");
    }
}
