//! Refusals on record: one by one while they are few, then counted, so that nobody fills the audit trail.

use std::time::{Duration, Instant};

/// Told one by one in a [`SPAN`].
const FEW: u32 = 10;

/// After this the count begins anew.
const SPAN: Duration = Duration::from_secs(60);

/// Those of the last [`SPAN`].
#[derive(Default)]
pub(super) struct Refusals {
    since: Option<Instant>,
    count: u32,
}

impl Refusals {
    /// One more; whether it is told by itself.
    pub(super) fn add(&mut self, now: Instant) -> bool {
        self.since.get_or_insert(now);
        self.count = self.count.saturating_add(1);
        self.count <= FEW
    }

    /// How many were not told by themselves, once the span is over.
    pub(super) fn over(&mut self, now: Instant) -> Option<u32> {
        if now.saturating_duration_since(self.since?) < SPAN {
            return None;
        }
        let more = self.count.saturating_sub(FEW);
        *self = Self::default();
        (more > 0).then_some(more)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_are_told_and_many_are_counted() {
        let (mut refusals, now) = (Refusals::default(), Instant::now());
        assert_eq!(refusals.over(now), None);
        let told = (0..25).filter(|_| refusals.add(now)).count();
        assert_eq!(told, 10);
        assert_eq!(refusals.over(now + SPAN / 2), None);
        assert_eq!(refusals.over(now + SPAN), Some(15));
        assert!(refusals.add(now + SPAN));
        assert_eq!(refusals.over(now + SPAN * 2), None);
        assert!(refusals.add(now + SPAN * 2));
    }
}
