//! Audit events that may come too often to be written one by one (failed logins, refusals): counted by who and what,
//! and written as one record each with the count, every few seconds and at the end.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use super::types::{Dialect, Error, Peer};
use crate::audit::Event;
use crate::id::{MerchantId, RepositoryName, UnixMillis};
use crate::store::{Commit, Store};

/// What makes two events the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Repeated {
    /// What was tried.
    pub action: &'static str,
    /// How it ended.
    pub outcome: &'static str,
    /// By which user and primary group; `None` for the daemon itself.
    pub caller: Option<(u32, u32)>,
    /// In which dialect.
    pub dialect: Option<Dialect>,
    /// For which merchant.
    pub merchant: Option<MerchantId>,
    /// In which repository.
    pub repository: Option<RepositoryName>,
}

/// Counts repeated events until they are written.
pub struct Events {
    store: Arc<dyn Store>,
    pending: Mutex<HashMap<Repeated, Pending>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pending {
    count: u64,
    /// Of several callers: there was no room to count them apart.
    mixed: bool,
    first: UnixMillis,
    last: UnixMillis,
}

impl Events {
    /// Nothing counted yet.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            pending: Mutex::default(),
        }
    }

    /// Counts one. It is in the audit trail after the next flush; a crash before that loses the count.
    pub fn count(&self, event: Repeated) {
        let now = UnixMillis::now();
        let one = Pending {
            count: 1,
            mixed: false,
            first: now,
            last: now,
        };
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        add(&mut pending, event, one);
    }

    /// Makes one event durable by itself.
    ///
    /// # Errors
    /// The store's.
    pub async fn note(&self, event: Event) -> Result<(), Error> {
        let commit = Commit {
            event: Some(event.encode()),
            ..Commit::default()
        };
        self.store.commit(commit).await?;
        Ok(())
    }

    /// Writes what was counted. What cannot be written is kept for the next time.
    ///
    /// # Errors
    /// The store's, the first one met.
    pub async fn flush(&self) -> Result<(), Error> {
        let counted = mem::take(&mut *self.pending.lock().unwrap_or_else(PoisonError::into_inner));
        let mut unwritten = Unwritten {
            events: self,
            left: counted.into_iter().collect(),
        };
        while let Some((event, pending)) = unwritten.left.last() {
            self.note(pending.event(event)).await?;
            unwritten.left.pop();
        }
        Ok(())
    }
}

/// What a flush still has to write; given back when the flush fails or is dropped half-way.
struct Unwritten<'a> {
    events: &'a Events,
    left: Vec<(Repeated, Pending)>,
}

impl Drop for Unwritten<'_> {
    fn drop(&mut self) {
        let mut pending = self.events.pending.lock().unwrap_or_else(PoisonError::into_inner);
        for (event, counted) in self.left.drain(..) {
            add(&mut pending, event, counted);
        }
    }
}

impl Pending {
    fn event(self, what: &Repeated) -> Event {
        let callers = if self.mixed { ", of several callers" } else { "" };
        let detail = (self.count > 1).then(|| format!("from {} to {}{callers}", self.first, self.last));
        Event {
            at: self.last,
            peer: what.caller.map(|(uid, gid)| Peer { uid, gid, pid: None }),
            dialect: what.dialect.map(|dialect| dialect.as_str().to_owned()),
            merchant: what.merchant.clone(),
            repository: what.repository.clone(),
            count: Some(self.count),
            detail,
            ..Event::new(what.action, what.outcome)
        }
    }
}

/// Adds `counted`; when there is no room for another kind, what was done and how it ended are still counted.
fn add(pending: &mut HashMap<Repeated, Pending>, event: Repeated, counted: Pending) {
    let (event, counted) = if pending.len() < MAX_KINDS || pending.contains_key(&event) {
        (event, counted)
    } else {
        let shared = Repeated {
            action: event.action,
            outcome: event.outcome,
            caller: None,
            dialect: None,
            merchant: None,
            repository: None,
        };
        (shared, Pending { mixed: true, ..counted })
    };
    match pending.entry(event) {
        Entry::Occupied(mut there) => {
            let there = there.get_mut();
            there.count = there.count.saturating_add(counted.count);
            there.mixed |= counted.mixed;
            there.first = there.first.min(counted.first);
            there.last = there.last.max(counted.last);
        }
        Entry::Vacant(room) => {
            room.insert(counted);
        }
    }
}

/// A digest's hex digits as the audit trail can hold them: it masks what could be a card number, so no 12 digits may
/// stand together.
pub fn grouped(hex: &str) -> String {
    let digits: Vec<char> = hex.chars().collect();
    let groups: Vec<String> = digits.chunks(8).map(|group| group.iter().collect()).collect();
    groups.join(":")
}

const MAX_KINDS: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::memory::MemoryStore;

    fn failed(uid: u32) -> Repeated {
        Repeated {
            action: "auth-failed",
            outcome: "wrong",
            caller: Some((uid, uid)),
            dialect: Some(Dialect::Native),
            merchant: None,
            repository: None,
        }
    }

    async fn written(store: &MemoryStore) -> Vec<Event> {
        #[derive(serde::Deserialize)]
        struct Line {
            event: Event,
        }
        let lines = store.audit(1, 10_000).await.unwrap();
        let event = |bytes: &[u8]| serde_json::from_slice::<Line>(bytes).unwrap().event;
        lines.iter().map(|line| event(&line.line)).collect()
    }

    #[tokio::test]
    async fn the_same_event_is_one_record_with_a_count() {
        let store = Arc::new(MemoryStore::new());
        let events = Events::new(store.clone());
        for _ in 0..500 {
            events.count(failed(1));
        }
        events.count(failed(2));
        events.flush().await.unwrap();
        events.flush().await.unwrap();
        let mut counts: Vec<_> = written(&store)
            .await
            .into_iter()
            .map(|event| (event.peer.unwrap().uid, event.count, event.detail.is_some()))
            .collect();
        counts.sort();
        assert_eq!(counts, [(1, Some(500), true), (2, Some(1), false)]);
    }

    #[tokio::test]
    async fn too_many_kinds_are_still_counted() {
        let store = Arc::new(MemoryStore::new());
        let events = Events::new(store.clone());
        for uid in 0..3_000 {
            events.count(failed(uid));
        }
        assert!(events.pending.lock().unwrap().len() <= MAX_KINDS + 1);
        events.flush().await.unwrap();
        let written = written(&store).await;
        assert_eq!(written.iter().filter_map(|event| event.count).sum::<u64>(), 3_000);
        let mixed: Vec<_> = written.iter().filter(|event| event.peer.is_none()).collect();
        assert_eq!(mixed.len(), 1);
        assert!(mixed[0].detail.as_deref().unwrap().ends_with("of several callers"));
    }

    #[tokio::test]
    async fn what_cannot_be_written_is_kept() {
        let store = Arc::new(MemoryStore::new());
        let events = Events::new(store.clone());
        events.count(failed(1));
        store.close().await.unwrap();
        assert!(events.flush().await.is_err());
        events.count(failed(1));
        let counted: Vec<u64> = events.pending.lock().unwrap().values().map(|p| p.count).collect();
        assert_eq!(counted, [2]);
    }
}
