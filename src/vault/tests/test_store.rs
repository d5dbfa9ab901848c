//! The store in memory, with faults on order.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;

use crate::store::memory::MemoryStore;
use crate::store::{self, Commit, Cond, Depth, Health, Key, Outcome, Page, Part, Store, Versioned, Write};
use crate::vault::destroy::not_ended;
use crate::vault::epochs::sealed_of;

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
    /// It says that it came, and happens once it may.
    Halted(Arc<Semaphore>, Arc<Semaphore>),
}

impl TestStore {
    pub(crate) fn next_commit(&self, fault: Fault) {
        self.faults.lock().unwrap().push(fault);
    }

    pub(crate) fn last_commit(&self) -> Commit {
        self.last.lock().unwrap().clone()
    }

    /// That whatever a verb seals under an epoch is committed on the condition that the epoch's end is not decided; what stays
    /// under the epoch that it is under has its own revision for that.
    async fn check_seals(&self, commit: &Commit) {
        // what a test writes behind the verbs' back is on no record
        if commit.event.is_none() {
            return;
        }
        for write in &commit.writes {
            let Write::Put(key, value) = write else { continue };
            let Ok(Some(sealed)) = sealed_of(key, value) else {
                continue;
            };
            let before = self.inner.get(commit.part, key).await.unwrap();
            let before = before.and_then(|held| Some((held.rev, sealed_of(key, &held.value).ok()??)));
            let stays = before.is_some_and(|(rev, before)| {
                before.epoch == sealed.epoch
                    && before.dek == sealed.dek
                    && commit.conds.contains(&Cond::Rev(key.clone(), rev))
            });
            assert!(
                stays || commit.conds.contains(&not_ended(sealed.epoch)) || self.is_stale(commit, key).await,
                "sealed under an epoch that may be destroyed meanwhile"
            );
        }
    }

    /// Whether it is not going to happen: what it changes was changed by others.
    async fn is_stale(&self, commit: &Commit, key: &Key) -> bool {
        let now = self.inner.get(commit.part, key).await.unwrap().map(|held| held.rev);
        commit.conds.iter().any(|cond| match cond {
            Cond::Rev(there, rev) => there == key && now != Some(*rev),
            Cond::Absent(there) => there == key && now.is_some(),
            Cond::Exists(_) => false,
        })
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
                None => {
                    self.check_seals(&commit).await;
                    self.inner.commit(commit).await
                }
                Some(Fault::AnswerLost) => {
                    self.inner.commit(commit).await?;
                    Err(store::Error::OutcomeUnknown)
                }
                Some(Fault::Refused(error)) => Err(error),
                Some(Fault::Halted(came, may)) => {
                    came.add_permits(1);
                    may.acquire().await.unwrap().forget();
                    self.check_seals(&commit).await;
                    self.inner.commit(commit).await
                }
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
