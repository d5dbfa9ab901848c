//! Commits whose end is not known, and what comes between two of them.

use std::ops::Bound;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::store::{self, AuditLine, Depth, Fut, Health, Page, Report, Versioned};

/// A store in memory with bad days.
struct Doubtful {
    inner: Arc<MemoryStore>,
    /// Commits happen, but it says that it does not know.
    doubt: AtomicBool,
    /// Scans fail.
    deaf: AtomicBool,
    /// Before the next commit without an event a token comes into repository 1.
    late_token: AtomicBool,
}

impl Doubtful {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            inner: Arc::new(MemoryStore::new()),
            doubt: AtomicBool::new(false),
            deaf: AtomicBool::new(false),
            late_token: AtomicBool::new(false),
        })
    }
}

impl Store for Doubtful {
    fn commit(&self, commit: Commit) -> Fut<'_, Outcome> {
        Box::pin(async move {
            if commit.event.is_none() && self.late_token.swap(false, Ordering::Relaxed) {
                put_token(&*self.inner, RepositoryId(1), None).await;
            }
            let outcome = self.inner.commit(commit).await;
            match self.doubt.load(Ordering::Relaxed) {
                true => Err(store::Error::OutcomeUnknown),
                false => outcome,
            }
        })
    }

    fn get(&self, part: Part, key: &Key) -> Fut<'_, Option<Versioned>> {
        self.inner.get(part, key)
    }

    fn scan(&self, part: Part, from: Bound<Key>, to: Bound<Key>, limit: u32) -> Fut<'_, Page> {
        match self.deaf.load(Ordering::Relaxed) {
            true => Box::pin(async { Err(store::Error::Unavailable("deaf".to_owned())) }),
            false => self.inner.scan(part, from, to, limit),
        }
    }

    fn audit(&self, from: u64, limit: u32) -> Fut<'_, Vec<AuditLine>> {
        self.inner.audit(from, limit)
    }

    fn checkpoint(&self, to: tokio::sync::mpsc::Sender<store::Told>) -> Fut<'_, store::Mark> {
        self.inner.checkpoint(to)
    }

    fn health(&self) -> Health {
        self.inner.health()
    }

    fn verify(&self, depth: Depth) -> Fut<'_, Report> {
        self.inner.verify(depth)
    }

    fn close(&self) -> Fut<'_, ()> {
        self.inner.close()
    }
}

#[tokio::test]
async fn memory_follows_the_store_where_a_commit_ended_in_doubt() {
    let doubtful = Doubtful::new();
    let accounts = Accounts::load(doubtful.clone()).await.unwrap();
    doubtful.doubt.store(true, Ordering::Relaxed);
    // reading works: memory is right at once
    assert!(accounts.add_repository(ADMIN, &repository("a"), None).await.is_err());
    assert_eq!(accounts.repositories().len(), 1);
    // reading fails too: no change is made until it works again
    doubtful.deaf.store(true, Ordering::Relaxed);
    assert!(accounts.add_repository(ADMIN, &repository("b"), None).await.is_err());
    doubtful.doubt.store(false, Ordering::Relaxed);
    assert!(accounts.add_repository(ADMIN, &repository("c"), None).await.is_err());
    doubtful.deaf.store(false, Ordering::Relaxed);
    accounts.add_repository(ADMIN, &repository("d"), None).await.unwrap();
    let names: Vec<_> = accounts.repositories().into_iter().map(|row| row.name).collect();
    assert_eq!(names, ["a", "b", "d"].map(repository));
    assert_in_step(&doubtful.inner, &accounts).await;
}

#[tokio::test]
async fn a_token_that_comes_while_its_repository_is_shut_keeps_it() {
    let doubtful = Doubtful::new();
    let accounts = Accounts::load(doubtful.clone()).await.unwrap();
    let shop = accounts.add_merchant(ADMIN, new_merchant("shop")).await.unwrap();
    doubtful.late_token.store(true, Ordering::Relaxed);
    assert_eq!(
        accounts.remove_merchant(ADMIN, &shop.id).await,
        Err(AccountError::InUse("repository shop holds tokens".to_owned()))
    );
    assert!(!doubtful.late_token.load(Ordering::Relaxed), "it came");
    assert!(
        has(&*doubtful.inner, &gate_key(RepositoryId(1), None)).await,
        "open again"
    );
    assert_eq!(accounts.merchants().unwrap(), [shop]);
}
