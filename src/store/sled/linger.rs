//! Whether the committer waits for more commits before it writes those that it has.

use std::time::Duration;

/// How long a batch that begins much smaller than the last one waits for more.
const LINGER: Duration = Duration::from_micros(200);
/// How long a batch waits for each job at the HSM, where they are many more than the commits in it. What they end in is
/// mostly a commit, and each of their callers waits longer than this for the HSM alone.
const LINGER_PER_JOB: Duration = Duration::from_micros(75);
/// The longest wait.
const LINGER_MOST: Duration = Duration::from_millis(5);
/// Jobs for each commit of a batch, from which on they are many more.
const JOBS: usize = 8;

/// How long a batch of `begun` commits waits for more, after one of `last`, while the HSM has `jobs`. A batch costs the same
/// wake-ups and the same sync whatever is in it: under load this makes fewer of them, and a few callers never wait.
pub(super) fn linger(begun: usize, last: usize, jobs: usize) -> Duration {
    if begun.saturating_mul(JOBS) < jobs {
        let jobs = u32::try_from(jobs).unwrap_or(u32::MAX);
        return LINGER_PER_JOB.saturating_mul(jobs).min(LINGER_MOST);
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
        for (begun, last, jobs, wait) in [
            (1, 1, 0, 0),
            (1, 1, 1, 0),
            (1, 1, 8, 0),
            (1, 1, 9, 675),
            (2, 2, 16, 0),
            (2, 2, 60, 4_500),
            (8, 8, 64, 0),
            (1, 1, 100_000, 5_000),
            (3, 8, 2, 200),
            (4, 8, 2, 0),
        ] {
            let waits = linger(begun, last, jobs);
            assert_eq!(waits, Duration::from_micros(wait), "{begun} after {last}, {jobs} jobs");
        }
    }
}
