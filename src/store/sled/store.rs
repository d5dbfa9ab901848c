//! The store's handle: queueing commits, reading, and closing in order.

use std::ops::Bound;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use ::sled::Db;
use tokio::sync::{mpsc, oneshot};

use super::archiver::Archiver;
use super::checkpoint::checkpoint;
use super::committer::{Committer, Request, Sync};
use super::create::release;
use super::disk::sync_of;
use super::entry::versioned;
use super::files::{failed, sync_tree};
use super::open::{Opened, drop_copy, open};
use super::shared::{Shared, closed};
use super::trail;
use super::verify::verify;
use crate::store::limits::{SCAN_MAX, scan_range};
use crate::store::{
    AuditLine, Commit, Config, Depth, Error, FIRST_TABLE, Fut, Health, Key, Mark, Outcome, Page, Part, Report, Store,
    Told, Versioned,
};
use crate::telemetry::Metrics;

/// The most commits that wait; more are refused.
const QUEUE: usize = 4096;

/// The store in sled. [`Store::close`] it: a store that is only dropped is recovered at the next start.
pub struct SledStore {
    shared: Arc<Shared>,
    queue: mpsc::Sender<Request>,
    threads: Arc<Mutex<Option<Threads>>>,
}

struct Threads {
    committer: JoinHandle<()>,
    archiver: JoinHandle<()>,
}

impl SledStore {
    /// Opens the store of `config`, or makes it where [`Config::create`] says so. Blocks while sled recovers.
    ///
    /// # Errors
    /// [`Error::Unavailable`]: there is none, another process has it, or the file system failed. [`Error::Corrupt`]: it is
    /// not what was written; the text says what to do.
    pub fn open(config: Config, metrics: Metrics) -> Result<Self, Error> {
        if config.record_table.is_some_and(|table| table < FIRST_TABLE) {
            return Err(Error::Invalid("a record table among the engine's own"));
        }
        let opened = open(&config)?;
        let sled = opened.dir.sled();
        let sync = sync_of(&sled).map_err(|e| failed("cannot open the log in", &sled, &e))?;
        Self::start(config, metrics, opened, sync)
    }

    /// Starts the threads of an opened store; `sync` makes what sled flushed durable.
    fn start(config: Config, metrics: Metrics, opened: Opened, sync: Sync) -> Result<Self, Error> {
        let Opened {
            db,
            header,
            segments,
            dir,
            lock,
        } = opened;
        let shared = Arc::new(Shared::new(config, metrics, db.clone(), &header, dir, lock));
        let report = verify(&shared, &db, Depth::Sampled)?;
        if let Some(fault) = report.faults.first() {
            return Err(Error::Corrupt(format!(
                "{fault} ({} faults in a sample)",
                report.faults.len()
            )));
        }
        let (queue, requests) = mpsc::channel(QUEUE);
        let committer = spawn("store-commit", {
            let (shared, db) = (shared.clone(), db.clone());
            move || {
                let _end = End(&shared);
                Committer::new(db, header, sync, &shared).run(requests);
            }
        })?;
        let archiver = spawn("store-archive", {
            let (shared, queue) = (shared.clone(), queue.clone());
            move || {
                Archiver {
                    db,
                    segments,
                    queue,
                    shared: &shared,
                    owed: None,
                }
                .run();
            }
        })?;
        // nobody else sets it
        let _ = shared.archiver.set(archiver.thread().clone());
        Ok(Self {
            shared,
            queue,
            threads: Arc::new(Mutex::new(Some(Threads { committer, archiver }))),
        })
    }

    /// The committer's queue.
    pub(super) fn queue(&self) -> &mpsc::Sender<Request> {
        &self.queue
    }

    /// Runs `work`, which may take long, on a thread of its own.
    fn aside<T: Send + 'static>(
        &self,
        name: &str,
        work: impl FnOnce(&Shared, &Db) -> Result<T, Error> + Send + 'static,
    ) -> Fut<'static, T> {
        let (done, answer) = oneshot::channel();
        let shared = self.shared.clone();
        let started = spawn(name, move || {
            let db = shared.db.read().unwrap_or_else(PoisonError::into_inner);
            let result = db.as_ref().ok_or_else(closed).and_then(|db| work(&shared, db));
            drop(db);
            // the caller may have gone
            let _ = done.send(result);
        });
        Box::pin(async move {
            started?;
            answer
                .await
                .unwrap_or_else(|_| Err(Error::Unavailable("a reading thread ended".to_owned())))
        })
    }
}

impl Store for SledStore {
    fn commit(&self, commit: Commit) -> Fut<'_, Outcome> {
        Box::pin(async move {
            commit.check()?;
            if self.shared.closing.load(Ordering::Acquire) {
                return Err(closed());
            }
            let (done, answer) = oneshot::channel();
            self.queue
                .try_send(Request::Commit(commit, done))
                .map_err(|e| match e {
                    mpsc::error::TrySendError::Full(_) => Error::Unavailable("too many commits wait".to_owned()),
                    mpsc::error::TrySendError::Closed(_) => self.shared.poisoned().err().unwrap_or_else(closed),
                })?;
            answer.await.unwrap_or(Err(Error::OutcomeUnknown))
        })
    }

    fn get(&self, part: Part, key: &Key) -> Fut<'_, Option<Versioned>> {
        let found = part.check().and_then(|()| key.check()).and_then(|()| {
            self.shared
                .read(|db| db.get(&key.0))?
                .map(|framed| versioned(&key.0, &framed))
                .transpose()
        });
        Box::pin(async move {
            let found = found?;
            let settled = self.shared.settled(found.as_ref().map(|entry| entry.rev)).await?;
            if !settled && found.is_some() {
                self.shared.poisoned()?;
            }
            Ok(found)
        })
    }

    fn scan(&self, part: Part, from: Bound<Key>, to: Bound<Key>, limit: u32) -> Fut<'_, Page> {
        Box::pin(async move {
            part.check()?;
            let Some((from, to)) = scan_range(from, to, limit)? else {
                return Ok(Page::default());
            };
            let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
            let range = (from.map(|key| key.0), to.map(|key| key.0));
            let entries = self
                .shared
                .read(|db| db.range(range).take(wanted).collect::<::sled::Result<Vec<_>>>())?;
            let mut newest = self.shared.last_delete();
            let mut items = Vec::with_capacity(entries.len());
            for (key, framed) in entries {
                let entry = versioned(&key, &framed)?;
                newest = newest.max(entry.rev);
                items.push((Key(key.to_vec()), entry));
            }
            let next = items
                .last()
                .filter(|_| items.len() == wanted)
                .map(|(key, _)| key.clone());
            if !self.shared.settled(Some(newest)).await? {
                // What the failed commit wrote is not there for anyone; the rest still is.
                items.retain(|(_, entry)| self.shared.is_durable(entry.rev));
            }
            Ok(Page { items, next })
        })
    }

    fn audit(&self, from: u64, limit: u32) -> Fut<'_, Vec<AuditLine>> {
        let wanted = usize::try_from(limit.min(SCAN_MAX)).unwrap_or(usize::MAX);
        self.aside("store-audit", move |shared, db| {
            let last = shared.audit_seq.load(Ordering::Acquire);
            let mut lines = Vec::new();
            if wanted > 0 {
                trail::read(shared, db, from.max(1), last, |line| {
                    lines.push(line);
                    lines.len() < wanted
                })?;
            }
            Ok(lines)
        })
    }

    fn checkpoint(&self, to: mpsc::Sender<Told>) -> Fut<'_, Mark> {
        Box::pin(checkpoint(self, to))
    }

    fn health(&self) -> Health {
        self.shared.health()
    }

    fn verify(&self, depth: Depth) -> Fut<'_, Report> {
        self.aside("store-verify", move |shared, db| {
            let report = verify(shared, db, depth)?;
            if depth == Depth::Full && report.faults.is_empty() {
                drop_copy(&shared.dir).map_err(|e| failed("cannot remove the copy in", shared.dir.root(), &e))?;
            }
            Ok(report)
        })
    }

    fn close(&self) -> Fut<'_, ()> {
        self.shared.closing.store(true, Ordering::Release);
        self.shared.wake_archiver();
        let (done, answer) = oneshot::channel();
        let (shared, queue, threads) = (self.shared.clone(), self.queue.clone(), self.threads.clone());
        let started = spawn("store-close", move || {
            // the caller may have gone
            let _ = done.send(close(&shared, &queue, &threads));
        });
        Box::pin(async move {
            started?;
            answer.await.unwrap_or(Err(Error::OutcomeUnknown))
        })
    }
}

impl Drop for SledStore {
    /// The threads end by themselves, the committer when all that waits is done.
    fn drop(&mut self) {
        self.shared.closing.store(true, Ordering::Release);
        self.shared.wake_archiver();
    }
}

/// A committer that ends while the store is open takes the store's writing with it.
struct End<'a>(&'a Shared);

impl Drop for End<'_> {
    fn drop(&mut self) {
        if !self.0.closing.load(Ordering::Acquire) || thread::panicking() {
            self.0.poison("the committer ended");
        }
    }
}

/// Ends both threads, closes sled, and lets go of the directory. Again: nothing.
fn close(shared: &Shared, queue: &mpsc::Sender<Request>, threads: &Mutex<Option<Threads>>) -> Result<(), Error> {
    let mut threads = threads.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(running) = threads.take() else {
        return Ok(());
    };
    let archived = running.archiver.join();
    // a committer that has ended has closed the queue
    let _ = queue.blocking_send(Request::Close);
    let committed = running.committer.join();
    shared.metrics.store_writable.set(0);
    if shared.abandoned.load(Ordering::Acquire) {
        return shared.poisoned();
    }
    if let Some(db) = shared.db.write().unwrap_or_else(PoisonError::into_inner).take() {
        release(db, &shared.dir.sled())?;
    }
    let left = if archived.is_err() || committed.is_err() {
        Err(Error::OutcomeUnknown)
    } else {
        leave(shared)
    };
    drop(shared.lock.lock().unwrap_or_else(PoisonError::into_inner).take());
    left
}

/// Marks the store as closed in order, if it is.
fn leave(shared: &Shared) -> Result<(), Error> {
    shared.poisoned()?;
    let sled = shared.dir.sled();
    sync_tree(&sled).map_err(|e| failed("cannot sync", &sled, &e))?;
    shared.dir.mark_clean(shared.applied.load(Ordering::Acquire))?;
    drop_copy(&shared.dir).map_err(|e| failed("cannot remove the copy in", shared.dir.root(), &e))
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, Error> {
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(work)
        .map_err(|e| Error::Unavailable(format!("cannot start a thread: {e}")))
}

#[cfg(test)]
mod tests;
