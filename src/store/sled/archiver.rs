//! The thread that moves the oldest audit blocks from sled to segment files, and keeps the gauges fresh.

use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use ::sled::Db;
use tokio::sync::{mpsc, oneshot};

use super::Shared;
use super::committer::Request;
use super::segments::{self, Segments};
use super::window::blocks_from;
use crate::store::Error;

/// How often it looks when nobody wakes it.
const TICK: Duration = Duration::from_millis(500);
/// How often sizes on disk are taken.
const SIZES: Duration = Duration::from_secs(5);
/// The most lines moved in one step.
const STEP: u64 = 4096;
/// How long it waits after a failure.
const PAUSE: Duration = Duration::from_secs(5);

/// The archiver's own state.
pub(super) struct Archiver<'a> {
    pub(super) db: Db,
    pub(super) segments: Segments,
    pub(super) queue: mpsc::Sender<Request>,
    pub(super) shared: &'a Shared,
    /// Moved to a segment file, and not yet dropped from sled because there was no room for that.
    pub(super) owed: Option<Moved>,
}

/// Blocks that are in a segment file now.
pub(super) struct Moved {
    through: u64,
    firsts: Vec<u64>,
}

impl Archiver<'_> {
    /// Works until the store closes.
    pub(super) fn run(mut self) {
        let (mut sizes, mut paused) = (None::<Instant>, None::<Instant>);
        while !self.shared.closing.load(Ordering::Acquire) {
            self.shared.refresh();
            if sizes.is_none_or(|last| last.elapsed() >= SIZES) {
                sizes = Some(Instant::now());
                self.measure();
            }
            if paused.is_none_or(|since| since.elapsed() >= PAUSE) {
                paused = None;
                if let Err(error) = self.archive() {
                    tracing::error!(%error, "audit records cannot be moved to segment files; they stay in the store");
                    paused = Some(Instant::now());
                }
            }
            thread::park_timeout(TICK);
        }
    }

    /// Moves blocks until the window is kept, once it is over by a sixteenth.
    fn archive(&mut self) -> Result<(), Error> {
        let window = self.shared.config.audit_window;
        if !self.shared.archive_due() {
            return Ok(());
        }
        if let Some(moved) = self.owed.take()
            && !self.drop_blocks(moved)?
        {
            return Ok(());
        }
        while self.shared.window() > window && !self.shared.closing.load(Ordering::Acquire) {
            if self.shared.poisoned().is_err() || self.shared.space.is_full() {
                return Ok(());
            }
            if !self.step(self.shared.window() - window)? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Moves whole blocks, at most `wanted` lines of them. False if there was none that small.
    fn step(&mut self, wanted: u64) -> Result<bool, Error> {
        let from = self.shared.archived.load(Ordering::Acquire) + 1;
        let durable = self.shared.audit_seq.load(Ordering::Acquire);
        let (mut through, mut lines, mut firsts) = (from - 1, Vec::new(), Vec::new());
        for block in blocks_from(&self.db, from) {
            let block = block?;
            let count = u64::try_from(block.lines.iter().filter(|b| **b == b'\n').count()).unwrap_or(u64::MAX);
            if block.first != through + 1 {
                return Err(Error::Corrupt(format!("audit record {} is missing", through + 1)));
            }
            let last = through.saturating_add(count);
            if last > durable || last - (from - 1) > wanted.min(STEP) {
                break;
            }
            through = last;
            lines.extend_from_slice(&block.lines);
            firsts.push(block.first);
        }
        if firsts.is_empty() {
            return Ok(false);
        }
        self.segments
            .append(from, &lines)
            .map_err(|e| Error::Unavailable(format!("writing a segment file: {e}")))?;
        // readers go to the segments from here on, before the blocks go
        self.shared.archived.store(through, Ordering::Release);
        self.drop_blocks(Moved { through, firsts })
    }

    /// Drops blocks from sled that are in a segment file. False if the store is closing.
    fn drop_blocks(&mut self, moved: Moved) -> Result<bool, Error> {
        let (done, answer) = oneshot::channel();
        let request = Request::Archived {
            through: moved.through,
            blocks: moved.firsts.clone(),
            done,
        };
        if self.queue.blocking_send(request).is_err() {
            return Ok(false);
        }
        match answer.blocking_recv().unwrap_or(Err(Error::OutcomeUnknown)) {
            Ok(_) => Ok(true),
            // the next blocks may not go before these: sled must hold what follows the segments, without a gap
            Err(Error::Full | Error::Unavailable(_)) => {
                self.owed = Some(moved);
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    fn measure(&self) {
        let audit = segments::bytes(&self.shared.audit_dir).unwrap_or(0);
        match self.shared.dir.bytes() {
            Ok(sled) => self.shared.sized(sled.saturating_add(audit)),
            Err(error) => tracing::warn!(%error, "cannot take the store's size"),
        }
    }
}
