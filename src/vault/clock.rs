//! Whether the wall clock was set: times in the audit trail are compared with a clock that nobody sets.

use std::time::{Duration, Instant};

use crate::audit::Event;
use crate::id::UnixMillis;

/// Less is how clocks are disciplined.
const TOLERATED_MS: u64 = 1_000;

/// Both clocks were read at the same time if it took no longer than this.
const AT_ONCE: Duration = Duration::from_millis(100);

/// The action of the event that marks a step.
pub(super) const CLOCK_STEP: &str = "clock-step";

/// Both clocks as they were last seen.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clocks {
    wall: UnixMillis,
    steady: Instant,
}

impl Clocks {
    /// As they are now. A process that is held up between the two readings must not take that for a step.
    pub(super) fn now() -> Self {
        loop {
            let (before, wall, steady) = (Instant::now(), UnixMillis::now(), Instant::now());
            if steady.duration_since(before) < AT_ONCE {
                return Self { wall, steady };
            }
        }
    }

    /// What the wall clock should show when the steady one shows this.
    fn due(self, steady: Instant) -> UnixMillis {
        let passed = steady.saturating_duration_since(self.steady);
        self.wall.plus(u64::try_from(passed.as_millis()).unwrap_or(u64::MAX))
    }

    /// The event of a step between then and `now`, if there was one.
    pub(super) fn step(self, now: Self) -> Option<Event> {
        step(self.due(now.steady), now.wall)
    }
}

/// The event of a clock that went back between the last record of an earlier run and now.
pub(super) fn step_since(last_record: UnixMillis, now: UnixMillis) -> Option<Event> {
    (last_record > now).then(|| step(last_record, now)).flatten()
}

fn step(due: UnixMillis, shown: UnixMillis) -> Option<Event> {
    let by = due.0.abs_diff(shown.0);
    if by <= TOLERATED_MS {
        return None;
    }
    let outcome = if shown < due { "back" } else { "ahead" };
    Some(Event {
        detail: Some(format!("by {:?}, from {due} to {shown}", Duration::from_millis(by))),
        ..Event::new(CLOCK_STEP, outcome)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn later(clocks: Clocks, steady_ms: u64, wall_ms: i64) -> Clocks {
        Clocks {
            wall: UnixMillis(clocks.wall.0.checked_add_signed(wall_ms).unwrap()),
            steady: clocks.steady + Duration::from_millis(steady_ms),
        }
    }

    #[test]
    fn steps_are_told_from_drift() {
        let start = Clocks::now();
        assert_eq!(start.step(later(start, 60_000, 60_900)), None);
        assert_eq!(start.step(later(start, 60_000, 59_100)), None);
        let back = start.step(later(start, 200, -1_000)).unwrap();
        assert_eq!((back.action.as_str(), back.outcome.as_str()), ("clock-step", "back"));
        assert!(back.detail.unwrap().starts_with("by 1.2s, from "));
        let ahead = start.step(later(start, 200, 3_600_000)).unwrap();
        assert_eq!(ahead.outcome, "ahead");
    }

    #[test]
    fn a_start_before_the_last_record_is_a_step_back() {
        let last = UnixMillis(1_800_000_000_000);
        assert_eq!(step_since(last, last.plus(86_400_000)), None);
        assert_eq!(step_since(last, UnixMillis(last.0 - 900)), None);
        assert_eq!(step_since(last, UnixMillis(last.0 - 1_001)).unwrap().outcome, "back");
    }
}
