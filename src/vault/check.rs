//! Whether records and indexes say the same: every record has its entries, and every entry has its record. So with
//! documents and when they expire.
//!
//! Needs no HSM and opens nothing. Reads a few hundred entries at a time, also while the vault serves: what looks wrong
//! is read once more, and is a fault only if it stood so the whole time. Commits change a record and its entries
//! together, and a store revision is never used twice, so that tells.

pub(super) mod documents;
mod sealed;

use std::ops::Bound;

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

/// All of a store: the engine's own structure, counts and audit chain, then records against indexes.
///
/// # Errors
/// The store cannot be read.
pub async fn everything(store: &dyn Store) -> Result<Report, Error> {
    let mut report = store.verify(Depth::Full).await?;
    report.faults.extend(indexes(store).await?.faults);
    Ok(report)
}

/// Reads all records, documents and index entries and says what does not fit. `audit_lines` stays 0: the chain is the store's
/// own to verify.
///
/// # Errors
/// The store cannot be read.
pub async fn indexes(store: &dyn Store) -> Result<Report, Error> {
    let mut check = Check {
        store,
        report: Report::default(),
        untold: 0,
    };
    for table in tables::CHECKED
        .into_iter()
        .chain([tables::DOCUMENT, tables::DOCUMENT_EXPIRY])
    {
        check.table(table).await?;
    }
    if check.untold > 0 {
        check.report.faults.push(format!("and {} faults more", check.untold));
    }
    Ok(check.report)
}

struct Check<'a> {
    store: &'a dyn Store,
    report: Report,
    untold: u64,
}

impl Check<'_> {
    async fn table(&mut self, table: u8) -> Result<(), Error> {
        let first = Key(vec![table]);
        let to = tables::end_of(&first);
        let mut from = Bound::Included(first);
        loop {
            let page = self.store.scan(Part::default(), from, to.clone(), CHUNK).await?;
            for (key, found) in page.items {
                self.report.entries += 1;
                match table {
                    tables::RECORD => self.record(&key, &found).await?,
                    tables::DOCUMENT => self.document(&key, &found).await?,
                    tables::DOCUMENT_EXPIRY => self.document_expiry(&key, &found).await?,
                    _ => self.entry(&key, &found).await?,
                }
            }
            match page.next {
                Some(last) => from = Bound::Excluded(last),
                None => return Ok(()),
            }
            // reads may never wait: others want the thread too
            tokio::task::yield_now().await;
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
        if self.report.faults.len() < FAULTS_MAX {
            self.report.faults.push(text);
        } else {
            self.untold += 1;
        }
    }
}

fn hex(key: &Key) -> String {
    data_encoding::HEXLOWER.encode(&key.0)
}
