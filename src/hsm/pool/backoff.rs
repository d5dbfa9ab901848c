//! How long to wait before the next start after one that failed.

use std::time::Duration;

use crate::id::fill_random;

const FIRST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(5);

/// Doubles from 50 ms to 5 s, each shortened by up to a half at random, so that daemons that share an HSM do not come
/// back to it at once.
#[derive(Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The pause after one more failure.
    pub(super) fn failed(&mut self) -> Duration {
        let full = FIRST
            .saturating_mul(1u32.checked_shl(self.failures.min(31)).unwrap_or(u32::MAX))
            .min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        let mut random = [0u8; 1];
        // Without random bytes the pause is whole, which is only less polite.
        if fill_random(&mut random).is_err() {
            return full;
        }
        full - full.mul_f64(f64::from(random[0]) / 512.0)
    }

    /// Something worked for a good while.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_to_a_limit_and_start_again_after_a_reset() {
        let mut backoff = Backoff::default();
        let mut full = FIRST;
        for _ in 0..100 {
            let pause = backoff.failed();
            assert!(
                pause <= full && pause > full / 2 - Duration::from_millis(1),
                "{pause:?} of {full:?}"
            );
            full = (full * 2).min(LONGEST);
        }
        assert_eq!(full, LONGEST);
        backoff.reset();
        assert!(backoff.failed() <= FIRST);
    }
}
