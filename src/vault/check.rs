//! Whether records and indexes say the same: every record has its entries, and every entry has its record. So with
//! documents and when they expire.
//!
//! Needs no HSM and opens nothing. Reads a few hundred entries at a time, also while the vault serves: what looks wrong
//! is read once more, and is a fault only if it stood so the whole time. Commits change a record and its entries
//! together, and a store revision is never used twice, so that tells.

pub(super) mod documents;
mod in_order;
mod opening;
mod sealed;

use std::ops::Bound;
use std::sync::Arc;

use self::in_order::{InOrder, Work};
use super::record::Record;
use super::tables;
use super::types::IntegrityError;
use crate::store::{Depth, Error, Key, Part, Report, Store, Versioned};

#[cfg(test)]
pub(super) use sealed::verify_by;
pub use sealed::{Plan, Told, Verified, verify};

/// Entries read at once.
const CHUNK: u32 = 256;
/// Faults told one by one; the rest is a number.
const FAULTS_MAX: usize = 1_000;

/// All of a store: the engine's own structure, counts and audit chain, then records against indexes. `at_once` pages of these
/// are under way at a time, each a task of its own, beside the engine's; with 1 one after another.
///
/// # Errors
/// The store cannot be read.
pub async fn everything(store: &Arc<dyn Store>, at_once: usize) -> Result<Report, Error> {
    let tasks = |table, items| -> Work<'_, _> {
        let store = Arc::clone(store);
        let task = tokio::spawn(async move { page(store.as_ref(), table, items).await });
        let lost = |_| Error::Unavailable("a page was not looked through".to_owned());
        Box::pin(async move { task.await.map_err(lost)? })
    };
    let engine = store.verify(Depth::Full);
    let (mut report, found) = if at_once > 1 {
        tokio::try_join!(engine, pages(store.as_ref(), at_once, tasks))?
    } else {
        (engine.await?, pages(store.as_ref(), 1, tasks).await?)
    };
    report.faults.extend(found.faults);
    Ok(report)
}

/// Reads all records, documents and index entries and says what does not fit. `audit_lines` stays 0: the chain is the store's
/// own to verify.
///
/// # Errors
/// The store cannot be read.
pub async fn indexes(store: &dyn Store) -> Result<Report, Error> {
    pages(store, 1, |table, items| Box::pin(page(store, table, items))).await
}

/// Entries of one page.
type Items = Vec<(Key, Versioned)>;

/// Looks through all pages of all tables, `at_once` of them at a time; what is told comes in their order.
async fn pages<'a>(
    store: &'a dyn Store,
    at_once: usize,
    look: impl Fn(u8, Items) -> Work<'a, Result<Looked, Error>>,
) -> Result<Report, Error> {
    let (mut all, mut under_way) = (Looked::default(), InOrder::new());
    for table in tables::CHECKED
        .into_iter()
        .chain([tables::DOCUMENT, tables::DOCUMENT_EXPIRY])
    {
        let first = Key(vec![table]);
        let to = tables::end_of(&first);
        let mut from = Bound::Included(first);
        loop {
            let page = store.scan(Part::default(), from, to.clone(), CHUNK).await?;
            under_way.push(look(table, page.items));
            if under_way.len() >= at_once
                && let Some(looked) = under_way.next().await
            {
                all.add(looked?);
            }
            match page.next {
                Some(last) => from = Bound::Excluded(last),
                None => break,
            }
            // reads may never wait: others want the thread too
            tokio::task::yield_now().await;
        }
    }
    while let Some(looked) = under_way.next().await {
        all.add(looked?);
    }
    if all.untold > 0 {
        all.report.faults.push(format!("and {} faults more", all.untold));
    }
    Ok(all.report)
}

/// Looks through one page of a table.
async fn page(store: &dyn Store, table: u8, items: Items) -> Result<Looked, Error> {
    let mut check = Check::new(store);
    for (key, found) in items {
        check.looked.report.entries += 1;
        match table {
            tables::RECORD => check.record(&key, &found).await?,
            tables::DOCUMENT => check.document(&key, &found).await?,
            tables::DOCUMENT_EXPIRY => check.document_expiry(&key, &found).await?,
            _ => check.entry(&key, &found).await?,
        }
    }
    Ok(check.looked)
}

/// What was found, told one by one as far as it is not too much.
#[derive(Default)]
struct Looked {
    report: Report,
    untold: u64,
}

impl Looked {
    fn fault(&mut self, text: String) {
        if self.report.faults.len() < FAULTS_MAX {
            self.report.faults.push(text);
        } else {
            self.untold += 1;
        }
    }

    fn add(&mut self, next: Self) {
        self.report.entries += next.report.entries;
        self.untold += next.untold;
        next.report.faults.into_iter().for_each(|fault| self.fault(fault));
    }
}

struct Check<'a> {
    store: &'a dyn Store,
    looked: Looked,
}

impl<'a> Check<'a> {
    fn new(store: &'a dyn Store) -> Self {
        Self {
            store,
            looked: Looked::default(),
        }
    }

    /// The record reads, and all its entries are there.
    async fn record(&mut self, key: &Key, found: &Versioned) -> Result<(), Error> {
        let Some((repository, token)) = tables::owner_of(key, &found.value) else {
            self.fault(format!("record {}: there is no such key", hex(key)));
            return Ok(());
        };
        let name = format!("record {token} of repository {}", repository.0);
        let record = match Record::decode(&found.value, repository, &token) {
            Ok(record) => record,
            Err(error) => {
                self.fault(format!("{name}: {error}"));
                return Ok(());
            }
        };
        for (entry, value) in record.entries() {
            let there = self.store.get(Part::default(), &entry).await?;
            if there.is_none_or(|there| there.value != value) && self.unchanged(key, found.rev).await? {
                self.fault(format!("{name}: is not in the {}", tables::name_of(&entry)));
            }
        }
        Ok(())
    }

    /// The record that the entry stands for has this entry.
    async fn entry(&mut self, key: &Key, found: &Versioned) -> Result<(), Error> {
        let table = tables::name_of(key);
        let Some((repository, token)) = tables::owner_of(key, &found.value) else {
            self.fault(format!("{table}: {} names no token", hex(key)));
            return Ok(());
        };
        let held = self
            .store
            .get(Part::default(), &tables::record(repository, &token))
            .await?;
        let record = held.map(|held| Record::decode(&held.value, repository, &token));
        let what = match record {
            Some(Ok(record)) if record.has(key, &found.value) => return Ok(()),
            // told with the records
            Some(Err(
                IntegrityError::Damaged
                | IntegrityError::KekDestroyed { .. }
                | IntegrityError::KekLeft { .. }
                | IntegrityError::NewerFormat
                | IntegrityError::Tampered,
            )) => {
                return Ok(());
            }
            Some(Ok(_)) => "whose record says otherwise",
            None => "which has no record",
        };
        if self.unchanged(key, found.rev).await? {
            let repository = repository.0;
            self.fault(format!("{table}: names {token} of repository {repository}, {what}"));
        }
        Ok(())
    }

    /// Whether what was read under `key` stands there still.
    async fn unchanged(&self, key: &Key, rev: u64) -> Result<bool, Error> {
        let now = self.store.get(Part::default(), key).await?;
        Ok(now.is_some_and(|now| now.rev == rev))
    }

    fn fault(&mut self, text: String) {
        self.looked.fault(text);
    }
}

fn hex(key: &Key) -> String {
    data_encoding::HEXLOWER.encode(&key.0)
}
