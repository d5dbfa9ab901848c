//! The store without a disk, for tests of the floors above: the same answers as an engine, nothing kept.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;

use super::chain::Head;
use super::limits::{self, SCAN_MAX};
use super::{
    AuditLine, Commit, Cond, Depth, Error, Fut, Health, Key, Mark, Outcome, Page, Part, Report, Store, Told, Versioned,
    Write,
};

/// A store in memory. For tests only: "durable" is kept for the life of the value.
#[derive(Debug)]
pub struct MemoryStore {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    entries: BTreeMap<Key, Versioned>,
    rev: u64,
    records: i64,
    head: Head,
    audit: Vec<AuditLine>,
    closed: bool,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self {
            state: Mutex::new(State {
                entries: BTreeMap::new(),
                rev: 0,
                records: 0,
                head: Head::START,
                audit: Vec::new(),
                closed: false,
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl Store for MemoryStore {
    fn commit(&self, commit: Commit) -> Fut<'_, Outcome> {
        Box::pin(async move {
            commit.check()?;
            self.state().commit(commit)
        })
    }

    fn get(&self, part: Part, key: &Key) -> Fut<'_, Option<Versioned>> {
        let found = part
            .check()
            .and_then(|()| key.check())
            .map(|()| self.state().entries.get(key).cloned());
        Box::pin(async move { found })
    }

    fn scan(&self, part: Part, from: Bound<Key>, to: Bound<Key>, limit: u32) -> Fut<'_, Page> {
        Box::pin(async move {
            part.check()?;
            let Some(range) = limits::scan_range(from, to, limit)? else {
                return Ok(Page::default());
            };
            let state = self.state();
            let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
            let items: Vec<_> = state
                .entries
                .range(range)
                .take(wanted)
                .map(|(key, entry)| (key.clone(), entry.clone()))
                .collect();
            let next = items
                .last()
                .filter(|_| items.len() == wanted)
                .map(|(key, _)| key.clone());
            Ok(Page { items, next })
        })
    }

    fn audit(&self, from: u64, limit: u32) -> Fut<'_, Vec<AuditLine>> {
        Box::pin(async move {
            let skip = usize::try_from(from.saturating_sub(1)).unwrap_or(usize::MAX);
            let wanted = usize::try_from(limit.min(SCAN_MAX)).unwrap_or(usize::MAX);
            Ok(self.state().audit.iter().skip(skip).take(wanted).cloned().collect())
        })
    }

    fn checkpoint(&self, to: mpsc::Sender<Told>) -> Fut<'_, Mark> {
        Box::pin(async move {
            let (entries, mark) = {
                let state = self.state();
                let entries: Vec<_> = state
                    .entries
                    .iter()
                    .map(|(key, entry)| (key.clone(), entry.clone()))
                    .collect();
                let mark = Mark {
                    rev: state.rev,
                    records: state.records,
                    head: state.head,
                };
                (entries, mark)
            };
            let gone = || Error::Unavailable("nobody takes the checkpoint any more".to_owned());
            to.send(Told::Entries(entries)).await.map_err(|_| gone())?;
            Ok(mark)
        })
    }

    fn health(&self) -> Health {
        let state = self.state();
        Health {
            writable: !state.closed,
            reason: state.closed.then(|| "closed".to_owned()),
            free_bytes: u64::MAX,
            disk_bytes: 0,
            records: u64::try_from(state.records).unwrap_or(0),
            audit_seq: state.head.seq,
        }
    }

    fn verify(&self, _: Depth) -> Fut<'_, Report> {
        Box::pin(async move {
            let state = self.state();
            let mut head = Head::START;
            let faults = state.audit.iter().find_map(|line| head.follow(&line.line).err());
            Ok(Report {
                entries: u64::try_from(state.entries.len()).unwrap_or(u64::MAX),
                audit_lines: head.seq,
                faults: faults.iter().map(ToString::to_string).collect(),
            })
        })
    }

    fn close(&self) -> Fut<'_, ()> {
        Box::pin(async move {
            self.state().closed = true;
            Ok(())
        })
    }
}

impl State {
    fn commit(&mut self, commit: Commit) -> Result<Outcome, Error> {
        if self.closed {
            return Err(Error::Unavailable("closed".to_owned()));
        }
        for cond in &commit.conds {
            let (key, now, holds) = match cond {
                Cond::Absent(key) => (key, self.entries.get(key), !self.entries.contains_key(key)),
                Cond::Exists(key) => (key, self.entries.get(key), self.entries.contains_key(key)),
                Cond::Rev(key, rev) => {
                    let now = self.entries.get(key);
                    (key, now, now.is_some_and(|entry| entry.rev == *rev))
                }
            };
            if !holds {
                return Ok(Outcome::CondFailed {
                    key: key.clone(),
                    now: now.cloned(),
                });
            }
        }
        self.rev += 1;
        let rev = self.rev;
        for write in commit.writes {
            match write {
                Write::Put(key, value) => self.entries.insert(key, Versioned { rev, value }),
                Write::Del(key) => self.entries.remove(&key),
            };
        }
        self.records = self.records.saturating_add(commit.records);
        if let Some(event) = commit.event {
            let mut line = Vec::new();
            self.head.append(&event, &mut line);
            self.audit.push(AuditLine {
                seq: self.head.seq,
                line,
            });
        }
        Ok(Outcome::Done { rev })
    }
}
