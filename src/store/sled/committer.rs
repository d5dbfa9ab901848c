//! The one thread that writes. It takes what waits, checks conditions against the tree and the commits before in the
//! same batch, applies everything at once, makes it durable, and only then answers.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::thread;
use std::time::Instant;

use ::sled::{Batch, Db, IVec};
use tokio::sync::{mpsc, oneshot};

use super::checkpoint::{self, Watch};
use super::contain::contain;
use super::entry::{HEADER_KEY, Header, audit_key, frame, versioned};
use super::linger::linger;
use super::window::Blocks;
use super::{Shared, engine_error};
use crate::store::{Commit, Cond, Error, Mark, Outcome, Versioned, Write};

/// The most commits of one batch.
const BATCH: usize = 512;
/// Where an answer goes.
pub(super) type Done = oneshot::Sender<Result<Outcome, Error>>;

/// What the committer is asked.
pub(super) enum Request {
    /// To commit.
    Commit(Commit, Done),
    /// To drop audit blocks, by their first lines' numbers, because all up to `through` is in segment files.
    Archived { through: u64, blocks: Vec<u64>, done: Done },
    /// To tell a checkpoint everything that is committed from now on.
    Watch(Watch, oneshot::Sender<Result<(), Error>>),
    /// To say at which revision the checkpoint has been told all, and to tell it no more.
    Fence(Arc<AtomicUsize>, oneshot::Sender<Result<Mark, Error>>),
    /// To take nothing more, and to end when all that waits is done.
    Close,
}

/// Makes what sled wrote durable.
pub(super) type Sync = Box<dyn FnMut() -> io::Result<()> + Send>;

/// The committer's own state.
pub(super) struct Committer<'a> {
    db: Db,
    header: Header,
    sync: Sync,
    shared: &'a Shared,
    scratch: Vec<u8>,
    watches: Vec<Watch>,
}

/// Commits that hold, on their way into one batch.
struct Pending {
    header: Header,
    blocks: Blocks,
    /// The last word on every key that the batch changes, framed.
    overlay: HashMap<IVec, Option<IVec>>,
    deletes: bool,
    answers: Vec<(Done, Result<Outcome, Error>)>,
}

impl<'a> Committer<'a> {
    /// A committer that goes on after `header`.
    pub(super) fn new(db: Db, header: Header, sync: Sync, shared: &'a Shared) -> Self {
        Self {
            db,
            header,
            sync,
            shared,
            scratch: Vec::new(),
            watches: Vec::new(),
        }
    }

    /// Works until the queue is closed and empty.
    pub(super) fn run(mut self, mut queue: mpsc::Receiver<Request>) {
        let mut requests = Vec::with_capacity(BATCH);
        let (mut last, mut since) = (0, Instant::now());
        while queue.blocking_recv_many(&mut requests, BATCH) > 0 {
            let jobs = usize::try_from(self.shared.metrics.hsm_in_flight.get()).unwrap_or(0);
            let every = since.elapsed() / u32::try_from(requests.len()).unwrap_or(u32::MAX);
            let linger = linger(requests.len(), last, jobs, every);
            if !linger.is_zero() {
                thread::sleep(linger);
                while requests.len() < BATCH
                    && let Ok(request) = queue.try_recv()
                {
                    requests.push(request);
                }
            }
            (last, since) = (requests.len(), Instant::now());
            if requests.iter().any(|request| matches!(request, Request::Close)) {
                queue.close();
            }
            self.batch(requests.drain(..));
        }
    }

    fn batch(&mut self, requests: impl Iterator<Item = Request>) {
        let mut pending = Pending {
            header: self.header.clone(),
            blocks: Blocks::new(self.header.head),
            overlay: HashMap::new(),
            deletes: false,
            answers: Vec::new(),
        };
        // asked once the batch is written: what it held is in the store, or told
        let mut aside = Vec::new();
        for request in requests {
            match request {
                Request::Commit(commit, done) => {
                    let answer = self.admit().and_then(|()| self.commit(&mut pending, commit));
                    pending.answers.push((done, answer));
                }
                Request::Archived { through, blocks, done } => {
                    let answer = self.shared.poisoned().map(|()| {
                        pending.header.rev += 1;
                        pending.header.archived = through;
                        let keys = blocks.into_iter().map(|first| (IVec::from(&audit_key(first)), None));
                        pending.overlay.extend(keys);
                        Outcome::Done {
                            rev: pending.header.rev,
                        }
                    });
                    pending.answers.push((done, answer));
                }
                Request::Watch(..) | Request::Fence(..) => aside.push(request),
                Request::Close => {}
            }
        }
        let answers = std::mem::take(&mut pending.answers);
        let written = if pending.header.rev == self.header.rev {
            Ok(())
        } else {
            self.write(pending)
        };
        self.shared
            .metrics
            .store_batch
            .observe(f64::from(u32::try_from(answers.len()).unwrap_or(u32::MAX)));
        for (done, answer) in answers {
            let answer = answer.and_then(|outcome| written.clone().map(|()| outcome));
            self.shared.counters.count(&answer);
            // the caller may have gone; its commit stands
            let _ = done.send(answer);
        }
        for request in aside {
            self.aside(request);
        }
    }

    /// What a checkpoint asks; one that has gone is not missed.
    fn aside(&mut self, request: Request) {
        match request {
            Request::Watch(watch, done) => {
                self.watches.retain(Watch::is_open);
                let answer = if self.watches.len() < checkpoint::AT_ONCE {
                    self.watches.push(watch);
                    Ok(())
                } else {
                    Err(checkpoint::taken())
                };
                let _ = done.send(answer);
            }
            Request::Fence(held, done) => {
                let watched = self.watches.extract_if(.., |watch| watch.is(&held)).next();
                let mark = Mark {
                    rev: self.header.rev,
                    records: self.header.records,
                    head: self.header.head,
                };
                let answer = watched.ok_or_else(checkpoint::behind).map(|_| mark);
                let _ = done.send(self.shared.poisoned().and(answer));
            }
            Request::Commit(..) | Request::Archived { .. } | Request::Close => {}
        }
    }

    /// Whether commits are taken at all now.
    fn admit(&self) -> Result<(), Error> {
        self.shared.poisoned()?;
        if self.shared.is_full() {
            return Err(Error::Full);
        }
        Ok(())
    }

    /// Checks one commit and adds it to the batch. On an error, or a condition that fails, the batch is as before.
    fn commit(&mut self, pending: &mut Pending, commit: Commit) -> Result<Outcome, Error> {
        for cond in commit.conds {
            if let Some(failed) = self.failed(&pending.overlay, cond)? {
                return Ok(failed);
            }
        }
        pending.header.rev += 1;
        let rev = pending.header.rev;
        for write in commit.writes {
            match write {
                Write::Put(key, value) => {
                    let framed = frame(&key.0, rev, &value, &mut self.scratch);
                    pending.overlay.insert(IVec::from(key.0), Some(framed));
                }
                Write::Del(key) => {
                    pending.deletes = true;
                    pending.overlay.insert(IVec::from(key.0), None);
                }
            }
        }
        pending.header.records = pending.header.records.saturating_add(commit.records);
        if let Some(event) = commit.event {
            pending.blocks.push(&event);
        }
        Ok(Outcome::Done { rev })
    }

    fn failed(&self, overlay: &HashMap<IVec, Option<IVec>>, cond: Cond) -> Result<Option<Outcome>, Error> {
        let (Cond::Absent(key) | Cond::Exists(key) | Cond::Rev(key, _)) = &cond;
        let framed = match overlay.get(key.0.as_slice()) {
            Some(framed) => framed.clone(),
            None => contain(|| self.db.get(&key.0))?.map_err(engine_error)?,
        };
        let now = framed.map(|framed| versioned(&key.0, &framed)).transpose()?;
        let holds = match (&cond, &now) {
            (Cond::Absent(_), now) => now.is_none(),
            (Cond::Exists(_), now) => now.is_some(),
            (Cond::Rev(_, wanted), Some(Versioned { rev, .. })) => rev == wanted,
            (Cond::Rev(..), None) => false,
        };
        if holds {
            return Ok(None);
        }
        let (Cond::Absent(key) | Cond::Exists(key) | Cond::Rev(key, _)) = cond;
        Ok(Some(Outcome::CondFailed { key, now }))
    }

    /// Applies the batch and makes it durable, if there is room for it. A failure after that ends writing for good:
    /// Linux may drop dirty pages after a failed sync, so that a second one would only pretend.
    fn write(&mut self, pending: Pending) -> Result<(), Error> {
        let Pending {
            mut header,
            blocks,
            overlay,
            deletes,
            ..
        } = pending;
        let told = self.watches.first().map(|_| Watch::of(&overlay));
        let mut batch = Batch::default();
        let mut bytes = 0;
        let mut add = |key: IVec, value: Option<IVec>| {
            bytes += key.len() + value.as_ref().map_or(0, |value| value.len());
            match value {
                Some(value) => batch.insert(key, value),
                None => batch.remove(key),
            }
        };
        for (key, value) in overlay {
            add(key, value);
        }
        let (head, blocks) = blocks.finish();
        header.head = head;
        for block in blocks {
            let key = audit_key(block.first);
            let value = frame(&key, header.rev, &block.lines, &mut self.scratch);
            add(IVec::from(&key), Some(value));
        }
        add(
            IVec::from(HEADER_KEY),
            Some(frame(HEADER_KEY, header.rev, &header.encode(), &mut self.scratch)),
        );
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        if !self.shared.space.has_room_for(bytes) {
            return Err(Error::Full);
        }
        self.shared.applying(header.rev, deletes);
        let db = &self.db;
        let applied = contain(|| db.apply_batch(batch)).and_then(|done| done.map_err(engine_error));
        let timer = self.shared.metrics.store_sync.start_timer();
        let flushed = applied.and_then(|()| contain(|| db.flush())?.map_err(engine_error));
        if let Err(error) = flushed {
            self.shared.abandon(&error.to_string());
            return Err(Error::OutcomeUnknown);
        }
        if let Err(error) = (self.sync)() {
            self.shared.poison(&format!("fdatasync: {error}"));
            return Err(Error::OutcomeUnknown);
        }
        timer.observe_duration();
        self.shared
            .metrics
            .audit_records
            .inc_by(header.head.seq - self.header.head.seq);
        self.shared.committed(&header);
        self.header = header;
        if let Some(told) = told {
            self.watches.retain(|watch| watch.tell(told.clone()));
        }
        Ok(())
    }
}
