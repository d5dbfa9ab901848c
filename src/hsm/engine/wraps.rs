//! How many DEKs a session wrapped that the server does not know of. The server counts one for each job that seals, before
//! it sends it; a job that is tried twice wraps two, and one made ahead is wrapped before any job needs it, or in vain.

use crate::hsm::job::Epoch;

/// The count of the epoch that was wrapped under last.
#[derive(Default)]
pub(super) struct Wraps {
    epoch: Option<Epoch>,
    /// Wraps less jobs that the server counted.
    ahead: i64,
    /// As far ahead as the server was told of: later jobs use that up first.
    told: i64,
    /// To be told of epochs before.
    owed: Vec<(Epoch, u32)>,
}

impl Wraps {
    /// A DEK is about to be wrapped; whether that succeeds is not waited for.
    pub(super) fn made(&mut self, epoch: Epoch) {
        self.turn_to(epoch);
        self.ahead = self.ahead.saturating_add(1);
    }

    /// A job came that the server counted as one.
    pub(super) fn counted(&mut self, epoch: Epoch) {
        self.turn_to(epoch);
        self.ahead = self.ahead.saturating_sub(1);
    }

    /// What the server has to add.
    pub(super) fn tell(&mut self) -> Vec<(Epoch, u32)> {
        self.settle();
        std::mem::take(&mut self.owed)
    }

    fn settle(&mut self) {
        let more = u32::try_from(self.ahead.saturating_sub(self.told)).unwrap_or(0);
        if let Some(epoch) = self.epoch.filter(|_| more > 0) {
            self.owed.push((epoch, more));
            self.told = self.ahead;
        }
    }

    /// What was told of one epoch is of no use to another.
    fn turn_to(&mut self, epoch: Epoch) {
        if self.epoch != Some(epoch) {
            self.settle();
            (self.epoch, self.ahead, self.told) = (Some(epoch), 0, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ONE: Epoch = Epoch(1);

    #[test]
    fn a_job_that_wraps_one_is_nothing_to_tell() {
        let mut wraps = Wraps::default();
        for _ in 0..3 {
            wraps.counted(ONE);
            wraps.made(ONE);
            assert!(wraps.tell().is_empty());
        }
        wraps.counted(ONE);
        wraps.made(ONE);
        wraps.made(ONE);
        assert_eq!(wraps.tell(), [(ONE, 1)], "tried twice");
    }

    #[test]
    fn keys_made_ahead_are_told_once_and_again_when_they_are_thrown_away() {
        let mut wraps = Wraps::default();
        (0..4).for_each(|_| wraps.made(ONE));
        assert_eq!(wraps.tell(), [(ONE, 4)]);
        // one is used and another made, over and over
        for _ in 0..20 {
            wraps.counted(ONE);
            wraps.made(ONE);
            assert!(wraps.tell().is_empty());
        }
        // all are lost with their session
        (0..4).for_each(|_| wraps.made(ONE));
        assert_eq!(wraps.tell(), [(ONE, 4)]);
        wraps.made(Epoch(2));
        assert_eq!(wraps.tell(), [(Epoch(2), 1)]);
    }

    proptest! {
        /// Whatever happens, the server has counted as many as were made as soon as it is told.
        #[test]
        fn never_fewer_are_counted_than_were_made(steps in proptest::collection::vec((0..3u8, 1..3usize), 0..200)) {
            let mut wraps = Wraps::default();
            let (mut made, mut counted) = ([0_u64; 3], [0_u64; 3]);
            for (what, of) in steps {
                let epoch = u32::try_from(of).unwrap();
                match what {
                    0 => {
                        wraps.made(Epoch(epoch));
                        made[of] += 1;
                    }
                    1 => {
                        wraps.counted(Epoch(epoch));
                        counted[of] += 1;
                    }
                    _ => {}
                }
                for (epoch, more) in wraps.tell() {
                    counted[usize::try_from(epoch.0).unwrap()] += u64::from(more);
                }
                prop_assert!(made.iter().zip(counted).all(|(made, counted)| *made <= counted));
            }
        }
    }
}
