//! When a token is expected to be charged again, and what was asked for that charge.

use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};

use crate::id::UnixMillis;
use crate::payment::Error;

/// What is kept of a token that is charged again and again. Holds no card data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Plan {
    /// The last charge.
    last: UnixMillis,
    /// The one before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    before: Option<UnixMillis>,
    /// When the updater was last asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    asked_at: Option<UnixMillis>,
    /// For the next charge nothing is to be asked any more.
    #[serde(default)]
    settled: bool,
}

impl Plan {
    /// Charged for the first time.
    pub(super) fn first(at: UnixMillis) -> Self {
        Self {
            last: at,
            before: None,
            asked_at: None,
            settled: false,
        }
    }

    /// Charged again; none where that was so soon after the last time that it is the same.
    pub(super) fn used(&self, at: UnixMillis) -> Option<Self> {
        let between = at.0.checked_sub(self.last.0)?;
        (between >= DAY_MS).then(|| Self {
            before: Some(self.last),
            ..Self::first(at)
        })
    }

    /// When the next charge is expected.
    pub(super) fn next(&self) -> UnixMillis {
        match self.before {
            Some(before) => UnixMillis(self.last.0.saturating_add(self.last.0.saturating_sub(before.0))),
            None => month_after(self.last),
        }
    }

    /// Whether the updater is to be asked now.
    pub(super) fn is_due(&self, now: UnixMillis, look_ahead: Duration) -> bool {
        let ahead = u64::try_from(look_ahead.as_millis()).unwrap_or(u64::MAX);
        let rested = self.asked_at.is_none_or(|at| now.0.saturating_sub(at.0) >= DAY_MS);
        !self.settled && rested && now.0.saturating_add(ahead) >= self.next().0
    }

    /// The updater was asked; `settled`: and answered.
    pub(super) fn asked(&self, at: UnixMillis, settled: bool) -> Self {
        Self {
            asked_at: Some(at),
            settled,
            ..self.clone()
        }
    }

    /// When the token counts as charged no more.
    pub(super) fn forgotten_at(&self) -> UnixMillis {
        UnixMillis(self.last.0.saturating_add(FORGET_AFTER_MS))
    }

    pub(super) fn encode(&self) -> Result<Vec<u8>, Error> {
        serde_json::to_vec(self).map_err(|_| Error::damaged())
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Error> {
        serde_json::from_slice(bytes).map_err(|_| Error::damaged())
    }
}

/// The same day of the next month, or its last day where it is shorter.
fn month_after(at: UnixMillis) -> UnixMillis {
    let next = i64::try_from(at.0)
        .ok()
        .and_then(|millis| Timestamp::from_millisecond(millis).ok())
        .and_then(|time| time.to_zoned(TimeZone::UTC).checked_add(1.month()).ok())
        .and_then(|time| u64::try_from(time.timestamp().as_millisecond()).ok());
    UnixMillis(next.unwrap_or(at.0.saturating_add(31 * DAY_MS)))
}

const DAY_MS: u64 = 86_400_000;
const FORGET_AFTER_MS: u64 = 396 * DAY_MS;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// 2026-01-31T00:00:00Z
    const JANUARY_31: UnixMillis = UnixMillis(1_769_817_600_000);
    const WEEK: Duration = Duration::from_secs(7 * 86_400);

    fn days_later(days: u64) -> UnixMillis {
        UnixMillis(JANUARY_31.0 + days * DAY_MS)
    }

    #[test]
    fn one_charge_makes_expect_another_in_a_month() {
        let plan = Plan::first(JANUARY_31);
        assert_eq!(plan.next(), days_later(28), "February's last day");
        assert!(!plan.is_due(days_later(20), WEEK));
        assert!(plan.is_due(days_later(21), WEEK));
    }

    #[test]
    fn two_charges_give_the_interval() {
        let plan = Plan::first(JANUARY_31).used(days_later(7)).unwrap();
        assert_eq!(plan.next(), days_later(14));
        let plan = plan.used(days_later(97)).unwrap();
        assert_eq!(plan.next(), days_later(187));
    }

    #[test]
    fn charges_of_one_day_are_one() {
        let plan = Plan::first(days_later(1));
        assert_eq!(plan.used(UnixMillis(days_later(2).0 - 1)), None);
        assert_eq!(plan.used(JANUARY_31), None, "a clock that was set back");
        assert!(plan.used(days_later(2)).is_some());
    }

    #[test]
    fn an_answer_settles_one_charge_and_silence_a_day() {
        let due = days_later(25);
        let plan = Plan::first(JANUARY_31);
        let silent = plan.asked(due, false);
        assert!(!silent.is_due(UnixMillis(due.0 + DAY_MS - 1), WEEK));
        assert!(silent.is_due(UnixMillis(due.0 + DAY_MS), WEEK));
        let answered = plan.asked(due, true);
        assert!(!answered.is_due(days_later(300), WEEK));
        let charged = answered.used(days_later(28)).unwrap();
        assert!(charged.is_due(charged.next(), WEEK));
    }

    proptest! {
        #[test]
        fn plans_come_back(at in 0u64..4_000_000_000_000, later in 0u64..400, asked in proptest::option::of(any::<u32>()), settled: bool) {
            let plan = Plan::first(UnixMillis(at));
            let plan = plan.used(UnixMillis(at + later * DAY_MS)).unwrap_or(plan);
            let plan = asked.map_or(plan.clone(), |asked| plan.asked(UnixMillis(asked.into()), settled));
            prop_assert!(plan.next() > plan.last && plan.forgotten_at() > plan.last);
            prop_assert_eq!(Plan::decode(&plan.encode().unwrap()).unwrap(), plan);
        }
    }
}
