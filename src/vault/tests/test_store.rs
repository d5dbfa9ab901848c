//! The store in memory, with faults on order.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::store::memory::MemoryStore;
use crate::store::{self, Commit, Depth, Health, Key, Outcome, Page, Part, Store, Versioned};

/// The store in memory, and the faults it is told to have.
#[derive(Default)]
pub(crate) struct TestStore {
    inner: MemoryStore,
    faults: Mutex<Vec<Fault>>,
    commits: AtomicUsize,
    last: Mutex<Commit>,
}

/// What the next commit meets.
pub(crate) enum Fault {
    /// It happens, but the answer is lost.
    AnswerLost,
    /// It does not happen.
    Refused(store::Error),
    /// It happens after this one.
    Behind(Commit),
}

impl TestStore {
    pub(crate) fn next_commit(&self, fault: Fault) {
        self.faults.lock().unwrap().push(fault);
    }

    pub(crate) fn last_commit(&self) -> Commit {
        self.last.lock().unwrap().clone()
    }

    pub(crate) fn commits(&self) -> usize {
        self.commits.load(Ordering::SeqCst)
    }
}

impl Store for TestStore {
    fn commit(&self, commit: Commit) -> store::Fut<'_, Outcome> {
        self.commits.fetch_add(1, Ordering::SeqCst);
        self.last.lock().unwrap().clone_from(&commit);
        let fault = self.faults.lock().unwrap_or_else(PoisonError::into_inner).pop();
        Box::pin(async move {
            // a caller that goes on while this waits is what races are made of
            tokio::task::yield_now().await;
            match fault {
                None => self.inner.commit(commit).await,
                Some(Fault::AnswerLost) => {
                    self.inner.commit(commit).await?;
                    Err(store::Error::OutcomeUnknown)
                }
                Some(Fault::Refused(error)) => Err(error),
                Some(Fault::Behind(first)) => {
                    self.inner.commit(first).await?;
                    self.inner.commit(commit).await
                }
            }
        })
    }

    fn get(&self, part: Part, key: &Key) -> store::Fut<'_, Option<Versioned>> {
        let key = key.clone();
        Box::pin(async move {
            tokio::task::yield_now().await;
            self.inner.get(part, &key).await
        })
    }

    fn scan(
        &self,
        part: Part,
        from: std::ops::Bound<Key>,
        to: std::ops::Bound<Key>,
        limit: u32,
    ) -> store::Fut<'_, Page> {
        self.inner.scan(part, from, to, limit)
    }

    fn audit(&self, from: u64, limit: u32) -> store::Fut<'_, Vec<store::AuditLine>> {
        self.inner.audit(from, limit)
    }

    fn checkpoint(&self, to: tokio::sync::mpsc::Sender<store::Told>) -> store::Fut<'_, store::Mark> {
        self.inner.checkpoint(to)
    }

    fn health(&self) -> Health {
        self.inner.health()
    }

    fn verify(&self, depth: Depth) -> store::Fut<'_, store::Report> {
        self.inner.verify(depth)
    }

    fn close(&self) -> store::Fut<'_, ()> {
        self.inner.close()
    }
}
