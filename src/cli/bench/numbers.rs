//! Card numbers of a load.

/// Numbers of a lane.
const MOST: u64 = 10_000_000_000;

/// Made-up card numbers, distinct in a run: they begin with 0, which no issuer has, and pass Luhn.
pub(super) struct Numbers {
    lane: u64,
    count: u64,
}

impl Numbers {
    pub(super) fn new(lane: usize) -> Self {
        Self {
            lane: u64::try_from(lane).unwrap_or(0) % 1000,
            count: 0,
        }
    }

    /// Others in each run, for what finds a card that it has.
    pub(super) fn of_now(lane: usize) -> Self {
        let now = crate::id::UnixMillis::now().0;
        Self {
            // no lane takes more than so many in a millisecond
            count: now.wrapping_mul(8) % MOST,
            ..Self::new(lane)
        }
    }

    pub(super) fn next(&mut self) -> String {
        self.count = (self.count + 1) % MOST;
        let body = format!("00{:03}{:010}", self.lane, self.count);
        let check = crate::card::check_digit(&body).unwrap_or('0');
        format!("{body}{check}")
    }
}
