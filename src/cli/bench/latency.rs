//! Latencies of a run, kept one by one: exact percentiles at four bytes a request.

use std::time::Duration;

/// Microseconds, one entry per request.
#[derive(Debug, Default)]
pub(super) struct Latencies(Vec<u32>);

/// Percentiles in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Percentiles {
    pub(super) p50: u32,
    pub(super) p90: u32,
    pub(super) p99: u32,
    pub(super) p999: u32,
}

impl Latencies {
    /// Notes one.
    pub(super) fn note(&mut self, took: Duration) {
        self.0.push(u32::try_from(took.as_micros()).unwrap_or(u32::MAX));
    }

    /// Takes another's entries over.
    pub(super) fn absorb(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// How many.
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// The percentiles by nearest rank; zeros when nothing was noted.
    pub(super) fn percentiles(mut self) -> Percentiles {
        self.0.sort_unstable();
        let last = self.0.len().saturating_sub(1);
        let at = |per_mille: usize| {
            let rank = (self.0.len() * per_mille).div_ceil(1000).saturating_sub(1).min(last);
            self.0.get(rank).copied().unwrap_or(0)
        };
        Percentiles {
            p50: at(500),
            p90: at(900),
            p99: at(990),
            p999: at(999),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_nearest_rank() {
        let mut all = Latencies::default();
        for micros in (1..=1000).rev() {
            all.note(Duration::from_micros(micros));
        }
        let expected = Percentiles {
            p50: 500,
            p90: 900,
            p99: 990,
            p999: 999,
        };
        assert_eq!(all.percentiles(), expected);
        assert_eq!(Latencies::default().percentiles().p99, 0);
    }
}
