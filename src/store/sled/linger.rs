//! Whether the committer waits for more commits before it writes those that it has.

use std::time::Duration;

/// How long a batch that begins much smaller than the last one waits for more.
const LINGER: Duration = Duration::from_micros(200);
/// A batch is to have a commit for so many jobs at the HSM: what they end in is mostly a commit.
const JOBS: usize = 8;
/// The longest wait for each job: its caller waits longer than this for the HSM alone.
const LINGER_PER_JOB: Duration = Duration::from_micros(75);
/// The longest wait.
const LINGER_MOST: Duration = Duration::from_millis(5);

/// How long a batch of `begun` commits waits for more, after one of `last`, while the HSM has `jobs` and one commit comes
/// `every` so often. A batch costs the same wake-ups and the same sync whatever is in it: under load this makes fewer of them,
/// and a few callers never wait.
pub(super) fn linger(begun: usize, last: usize, jobs: usize, every: Duration) -> Duration {
    let missing = (jobs / JOBS).saturating_sub(begun);
    if missing > 0 {
        let times = |of: Duration, count: usize| of.saturating_mul(u32::try_from(count).unwrap_or(u32::MAX));
        return times(every, missing).min(times(LINGER_PER_JOB, jobs)).min(LINGER_MOST);
    }
    if begun.saturating_mul(2) < last {
        return LINGER;
    }
    Duration::ZERO
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_waits_only_where_more_will_come() {
        for (begun, last, jobs, every, wait) in [
            (1, 1, 0, 1_000, 0),
            (1, 1, 1, 1_000, 0),
            (1, 1, 15, 1_000, 0),
            (1, 1, 16, 100, 100),
            (1, 1, 16, 1_000, 1_000),
            (1, 1, 16, 60_000, 1_200),
            (2, 2, 60, 100, 500),
            (2, 2, 60, 1_000, 4_500),
            (8, 8, 64, 1_000, 0),
            (1, 1, 100_000, 1_000, 5_000),
            (3, 8, 2, 1_000, 200),
            (4, 8, 2, 1_000, 0),
        ] {
            let waits = linger(begun, last, jobs, Duration::from_micros(every));
            let what = format!("{begun} after {last}, {jobs} jobs, one every {every} µs");
            assert_eq!(waits, Duration::from_micros(wait), "{what}");
        }
    }
}
