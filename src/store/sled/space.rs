//! How much room the store's disk has. sled does not survive a full disk; so writes stop before it is full.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nix::sys::statvfs::statvfs;

/// How old a measurement may be.
const FRESH: Duration = Duration::from_millis(250);
/// What sled writes for a byte of key and value, at worst (measured 4 to 7).
const AMPLIFICATION: u64 = 8;

/// The guard over the free space of a directory's disk.
#[derive(Debug)]
pub(super) struct Space {
    dir: PathBuf,
    min_free: u64,
    started: Instant,
    /// Milliseconds after `started` of the last measurement, plus one; 0 before the first.
    measured: AtomicU64,
    free: AtomicU64,
    /// Written since the last measurement, as sled amplifies it.
    written: AtomicU64,
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
            written: AtomicU64::new(0),
            full: AtomicBool::new(false),
        }
    }

    /// Whether writes must be refused now. Measures if the last measurement is old or much was written since.
    pub(super) fn is_full(&self) -> bool {
        let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let measured = self.measured.load(Ordering::Acquire);
        let fresh = u64::try_from(FRESH.as_millis()).unwrap_or(u64::MAX);
        let old = measured == 0 || now.saturating_sub(measured - 1) >= fresh;
        if old || self.written.load(Ordering::Relaxed) >= self.min_free / AMPLIFICATION {
            self.measured.store(now.saturating_add(1), Ordering::Release);
            self.measure();
        }
        self.full.load(Ordering::Acquire)
    }

    /// Free bytes at the last measurement.
    pub(super) fn free(&self) -> u64 {
        self.free.load(Ordering::Acquire)
    }

    /// Tells of `bytes` of keys and values handed to sled.
    pub(super) fn wrote(&self, bytes: u64) {
        self.written
            .fetch_add(bytes.saturating_mul(AMPLIFICATION), Ordering::Relaxed);
    }

    /// A disk that cannot be measured counts as full: writing to it blindly could end writing for good.
    fn measure(&self) {
        self.written.store(0, Ordering::Relaxed);
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
    fn much_writing_measures_before_the_time_is_up() {
        let dir = tempfile::tempdir().unwrap();
        let space = Space::new(dir.path().to_owned(), 1 << 10);
        assert!(!space.is_full());
        space.free.store(0, Ordering::Release);
        space.wrote(1 << 10);
        assert!(!space.is_full());
        assert!(space.free() > 0, "measured again");
    }
}
