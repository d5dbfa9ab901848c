//! How much room the store's disk has. sled does not survive a full disk; so writes stop before it is full.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nix::sys::statvfs::statvfs;

/// How old a measurement may be for those who only ask.
const FRESH: Duration = Duration::from_millis(250);
/// What sled may write for a byte of key and value: twice the most measured (4 to 7), and pages that it moves by the way.
const AMPLIFICATION: u64 = 16;
/// What it may write for the smallest batch.
const LEAST: u64 = 8 << 20;

/// The guard over the free space of a directory's disk.
#[derive(Debug)]
pub(super) struct Space {
    dir: PathBuf,
    min_free: u64,
    started: Instant,
    /// Milliseconds after `started` of the last measurement, plus one; 0 before the first.
    measured: AtomicU64,
    free: AtomicU64,
    full: AtomicBool,
}

impl Space {
    /// Guards the disk that `dir` is on.
    pub(super) fn new(dir: PathBuf, min_free: u64) -> Self {
        Self {
            dir,
            min_free,
            started: Instant::now(),
            measured: AtomicU64::new(0),
            free: AtomicU64::new(0),
            full: AtomicBool::new(false),
        }
    }

    /// Whether a batch of `bytes` of keys and values may be written now. Measures each time: sled that meets a full disk
    /// in the middle of a batch may tear it, so another program must find no time to fill the disk in between.
    pub(super) fn has_room_for(&self, bytes: u64) -> bool {
        self.measure();
        let needed = bytes
            .saturating_mul(AMPLIFICATION)
            .saturating_add(LEAST.min(self.min_free));
        !self.full.load(Ordering::Acquire) && self.free() >= needed
    }

    /// Whether writes are refused now. Measures if the last measurement is old.
    pub(super) fn is_full(&self) -> bool {
        let measured = self.measured.load(Ordering::Acquire);
        if measured == 0 || self.now().saturating_sub(measured) >= u64::try_from(FRESH.as_millis()).unwrap_or(u64::MAX)
        {
            self.measure();
        }
        self.full.load(Ordering::Acquire)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis())
            .unwrap_or(u64::MAX)
            .saturating_add(1)
    }

    /// Free bytes at the last measurement.
    pub(super) fn free(&self) -> u64 {
        self.free.load(Ordering::Acquire)
    }

    /// A disk that cannot be measured counts as full: writing to it blindly could end writing for good.
    fn measure(&self) {
        self.measured.store(self.now(), Ordering::Release);
        let free = match statvfs(&self.dir) {
            Ok(stat) => stat.blocks_available().saturating_mul(stat.fragment_size()),
            Err(errno) => {
                tracing::error!(dir = %self.dir.display(), %errno, "cannot measure the free space of the store's disk");
                0
            }
        };
        let full = free < self.min_free;
        self.free.store(free, Ordering::Release);
        if self.full.swap(full, Ordering::AcqRel) != full {
            if full {
                tracing::error!(
                    free,
                    min_free = self.min_free,
                    "the store's disk is full: writes are refused"
                );
            } else {
                tracing::info!(free, "the store's disk has room again: writes are taken");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_measures_the_disk_it_is_given() {
        let dir = tempfile::tempdir().unwrap();
        let open = Space::new(dir.path().to_owned(), 1);
        assert!(!open.is_full());
        assert!(open.free() > 0);
        assert!(Space::new(dir.path().to_owned(), u64::MAX).is_full());
        assert!(Space::new(dir.path().join("absent"), 1).is_full());
    }

    #[test]
    fn a_batch_is_measured_for_each_time() {
        let dir = tempfile::tempdir().unwrap();
        let space = Space::new(dir.path().to_owned(), 1 << 10);
        assert!(!space.is_full());
        space.free.store(0, Ordering::Release);
        space.full.store(true, Ordering::Release);
        assert!(space.is_full(), "the measurement is fresh");
        assert!(space.has_room_for(1 << 10));
        assert!(!space.is_full());
        assert!(!space.has_room_for(u64::MAX / 2), "no disk has that");
    }
}
