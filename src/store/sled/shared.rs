//! What the handle, the committer and the archiver share.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError, RwLock};
use std::thread::Thread;

use ::sled::Db;
use prometheus::IntCounter;
use tokio::sync::watch;

use super::contain::contain;
use super::dir::{Dir, Lock};
use super::entry::Header;
use super::space::Space;
use crate::store::{Config, Error, Health, Outcome};
use crate::telemetry::Metrics;

/// The state of an open store.
pub(super) struct Shared {
    pub(super) config: Config,
    pub(super) dir: Dir,
    pub(super) audit_dir: PathBuf,
    pub(super) metrics: Metrics,
    pub(super) space: Space,
    pub(super) counters: Counters,
    /// The engine; taken out when the store closes.
    pub(super) db: RwLock<Option<Db>>,
    /// The engine failed and stays open until the process ends.
    pub(super) abandoned: AtomicBool,
    /// No more is taken.
    pub(super) closing: AtomicBool,
    /// The last revision handed to sled.
    pub(super) applied: AtomicU64,
    /// The last revision that deleted something.
    deleted: AtomicU64,
    /// What is on disk.
    durable: watch::Sender<Durable>,
    /// The last audit record on disk.
    pub(super) audit_seq: AtomicU64,
    /// The last audit record to be read from segment files.
    pub(super) archived: AtomicU64,
    records: AtomicI64,
    disk_bytes: AtomicU64,
    /// To be woken when the window is over.
    pub(super) archiver: OnceLock<Thread>,
    /// Why writing ended for good.
    broken: OnceLock<String>,
    /// The hold on the directory, until the store closes.
    pub(super) lock: Mutex<Option<Lock>>,
}

#[derive(Debug, Clone, Copy)]
struct Durable {
    rev: u64,
    /// No later revision will get there.
    last: bool,
}

impl Shared {
    /// Of a store that was just opened.
    pub(super) fn new(config: Config, metrics: Metrics, db: Db, header: &Header, dir: Dir, lock: Lock) -> Self {
        let audit_dir = config.audit_dir.clone().unwrap_or_else(|| dir.audit());
        let shared = Self {
            space: Space::new(config.dir.clone(), config.min_free_bytes),
            counters: Counters::new(&metrics),
            config,
            dir,
            audit_dir,
            metrics,
            db: RwLock::new(Some(db)),
            abandoned: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            applied: AtomicU64::new(header.rev),
            // a delete that the last process did not acknowledge is durable by now, like everything that was found
            deleted: AtomicU64::new(0),
            durable: watch::Sender::new(Durable {
                rev: header.rev,
                last: false,
            }),
            audit_seq: AtomicU64::new(0),
            archived: AtomicU64::new(0),
            records: AtomicI64::new(0),
            disk_bytes: AtomicU64::new(0),
            archiver: OnceLock::new(),
            broken: OnceLock::new(),
            lock: Mutex::new(Some(lock)),
        };
        shared.committed(header);
        shared.refresh();
        shared
    }

    /// Runs `read` on the engine; panics in it are errors.
    pub(super) fn read<T>(&self, read: impl FnOnce(&Db) -> ::sled::Result<T>) -> Result<T, Error> {
        let db = self.db.read().unwrap_or_else(PoisonError::into_inner);
        let db = db.as_ref().ok_or_else(closed)?;
        contain(|| read(db))?.map_err(engine_error)
    }

    /// Says, before sled is given them, that revisions up to `rev` are on their way.
    pub(super) fn applying(&self, rev: u64, deletes: bool) {
        self.applied.store(rev, Ordering::Release);
        if deletes {
            self.deleted.store(rev, Ordering::Release);
        }
    }

    /// Says that everything up to `header` is on disk.
    pub(super) fn committed(&self, header: &Header) {
        self.audit_seq.store(header.head.seq, Ordering::Release);
        self.archived.fetch_max(header.archived, Ordering::AcqRel);
        let records = self.records.swap(header.records, Ordering::AcqRel);
        if records != header.records {
            self.metrics.tokens.set(header.records);
        }
        self.metrics.audit_window.set(gauge(self.window()));
        if self.archive_due() {
            self.wake_archiver();
        }
        self.durable
            .send_modify(|durable| durable.rev = durable.rev.max(header.rev));
    }

    /// Waits until what was read is on disk: sled shows changes before that. `found` is the revision read, `None` where
    /// nothing was found, which may be the work of a delete. `false`: writing ended for good before it was, so nobody
    /// was told that it happened.
    pub(super) async fn settled(&self, found: Option<u64>) -> Result<bool, Error> {
        let rev = found.unwrap_or_else(|| self.deleted.load(Ordering::Acquire));
        if self.durable.borrow().rev >= rev {
            return Ok(true);
        }
        if rev > self.applied.load(Ordering::Acquire) {
            return Err(Error::Corrupt(format!(
                "a value has revision {rev}, which was never given"
            )));
        }
        let reached = self
            .durable
            .subscribe()
            .wait_for(|now| now.rev >= rev || now.last)
            .await
            .map(|now| now.rev >= rev);
        match reached {
            Ok(true) => Ok(true),
            Ok(false) if self.broken.get().is_some() => Ok(false),
            Ok(false) | Err(_) => Err(closed()),
        }
    }

    /// Whether what this revision wrote is on disk.
    pub(super) fn is_durable(&self, rev: u64) -> bool {
        self.durable.borrow().rev >= rev
    }

    /// The last revision that deleted something.
    pub(super) fn last_delete(&self) -> u64 {
        self.deleted.load(Ordering::Acquire)
    }

    /// Ends writing for good because the engine failed. It is left alone then: after a write of its own that failed, sled
    /// can wait for ever in its last drop.
    pub(super) fn abandon(&self, reason: &str) {
        let db = self.db.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(db) = db.as_ref().filter(|_| !self.abandoned.swap(true, Ordering::AcqRel)) {
            std::mem::forget(db.clone());
        }
        drop(db);
        self.poison(reason);
    }

    /// Ends writing for good.
    pub(super) fn poison(&self, reason: &str) {
        if self.broken.set(reason.to_owned()).is_ok() {
            tracing::error!(
                reason,
                "the store failed to write: it is read-only until the daemon is started again"
            );
        }
        self.metrics.store_writable.set(0);
        self.durable.send_modify(|durable| durable.last = true);
    }

    /// The error of a store that writes no more, if it is one.
    pub(super) fn poisoned(&self) -> Result<(), Error> {
        self.broken
            .get()
            .map_or(Ok(()), |reason| Err(Error::ReadOnly(reason.clone())))
    }

    /// Audit records still in sled.
    pub(super) fn window(&self) -> u64 {
        self.audit_seq
            .load(Ordering::Acquire)
            .saturating_sub(self.archived.load(Ordering::Acquire))
    }

    /// Whether the window is over by so much that moving records is worth a sync.
    pub(super) fn archive_due(&self) -> bool {
        let window = self.config.audit_window;
        self.window() > window.saturating_add(window / 16)
    }

    /// Has the archiver look now.
    pub(super) fn wake_archiver(&self) {
        if let Some(archiver) = self.archiver.get() {
            archiver.unpark();
        }
    }

    /// Whether there is no room: on the disk, or for audit records that cannot be archived.
    pub(super) fn is_full(&self) -> bool {
        self.space.is_full() || self.window() > self.overfull()
    }

    /// sled takes this many audit records before it is too much; nothing unaudited is committed instead.
    fn overfull(&self) -> u64 {
        self.config.audit_window.saturating_mul(4).saturating_add(100_000)
    }

    /// Sets the gauges that change by themselves.
    pub(super) fn refresh(&self) {
        let writable = !self.is_full() && self.broken.get().is_none() && !self.closing.load(Ordering::Acquire);
        self.metrics.store_writable.set(i64::from(writable));
        self.metrics.store_free_bytes.set(gauge(self.space.free()));
    }

    /// Tells the size on disk.
    pub(super) fn sized(&self, bytes: u64) {
        self.disk_bytes.store(bytes, Ordering::Release);
        self.metrics.store_disk_bytes.set(gauge(bytes));
    }

    /// What the store says of itself.
    pub(super) fn health(&self) -> Health {
        let reason = if self.closing.load(Ordering::Acquire) {
            Some("closed".to_owned())
        } else if let Err(error) = self.poisoned() {
            Some(error.to_string())
        } else if self.space.is_full() {
            Some("the disk is full".to_owned())
        } else if self.window() > self.overfull() {
            Some("audit records cannot be moved to segment files".to_owned())
        } else {
            None
        };
        Health {
            writable: reason.is_none(),
            reason,
            free_bytes: self.space.free(),
            disk_bytes: self.disk_bytes.load(Ordering::Acquire),
            records: u64::try_from(self.records.load(Ordering::Acquire)).unwrap_or(0),
            audit_seq: self.audit_seq.load(Ordering::Acquire),
        }
    }
}

/// Counters of commits by how they ended, looked up once.
pub(super) struct Counters {
    done: IntCounter,
    condition: IntCounter,
    error: IntCounter,
}

impl Counters {
    fn new(metrics: &Metrics) -> Self {
        let by = |outcome| metrics.store_commits.with_label_values(&[outcome]);
        Self {
            done: by("done"),
            condition: by("condition"),
            error: by("error"),
        }
    }

    /// Counts one.
    pub(super) fn count(&self, answer: &Result<Outcome, Error>) {
        match answer {
            Ok(Outcome::Done { .. }) => self.done.inc(),
            Ok(Outcome::CondFailed { .. }) => self.condition.inc(),
            Err(_) => self.error.inc(),
        }
    }
}

/// The answer of a store that is closed.
pub(super) fn closed() -> Error {
    Error::Unavailable("the store is closed".to_owned())
}

/// What an error of sled is to us.
pub(super) fn engine_error(error: ::sled::Error) -> Error {
    match error {
        ::sled::Error::Io(e) => Error::Unavailable(format!("the engine's files: {e}")),
        ::sled::Error::Corruption { .. } => Error::Corrupt("the engine read damaged data".to_owned()),
        ::sled::Error::CollectionNotFound(_) | ::sled::Error::Unsupported(_) | ::sled::Error::ReportableBug(_) => {
            Error::Corrupt(format!("the engine: {error}"))
        }
    }
}

fn gauge(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
