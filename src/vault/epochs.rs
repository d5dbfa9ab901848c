//! What is sealed under which KEK epoch.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::documents::{Address, Row};
use super::record::Record;
use super::tables;
use super::types::{Error, IntegrityError};
use crate::keys::Sealed;
use crate::store::{Key, Part, Store};

/// Entries read at once.
const CHUNK: u32 = 256;
/// The tables that have sealed parts, in the order in which they are walked through.
pub(super) const TABLES: [u8; 2] = [tables::RECORD, tables::DOCUMENT];

/// How much is sealed under an epoch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Under {
    /// Tokens.
    pub tokens: u64,
    /// Other sealed records: customers, orders, payments and such.
    pub documents: u64,
}

impl Under {
    /// Both.
    pub fn all(self) -> u64 {
        self.tokens.saturating_add(self.documents)
    }
}

/// Walks through a store: some seconds with a million records.
///
/// # Errors
/// The store's, and [`IntegrityError`].
pub async fn by_epoch(store: &dyn Store) -> Result<BTreeMap<u32, Under>, Error> {
    let mut counts = BTreeMap::new();
    for table in TABLES {
        let prefix = tables::key(table, &[]);
        let (mut from, to) = (Bound::Included(prefix.clone()), tables::end_of(&prefix));
        loop {
            let page = store.scan(Part::default(), from, to.clone(), CHUNK).await?;
            for (key, found) in &page.items {
                count(&mut counts, key, &found.value)?;
            }
            match page.next {
                Some(last) => from = Bound::Excluded(last),
                None => break,
            }
            tokio::task::yield_now().await;
        }
    }
    Ok(counts)
}

/// Counts an entry of any table, if it has a sealed part.
///
/// # Errors
/// [`IntegrityError`].
pub fn count(counts: &mut BTreeMap<u32, Under>, key: &Key, value: &[u8]) -> Result<(), Error> {
    let Some(sealed) = sealed_of(key, value)? else {
        return Ok(());
    };
    let count = counts.entry(sealed.epoch.0).or_default();
    match key.0.first() {
        Some(&tables::RECORD) => count.tokens += 1,
        _ => count.documents += 1,
    }
    Ok(())
}

/// The sealed part of an entry; none of a token that is spent, of a document without one, or of other tables.
pub(super) fn sealed_of(key: &Key, value: &[u8]) -> Result<Option<Sealed>, Error> {
    let bytes = match key.0.first() {
        Some(&tables::RECORD) => {
            let (repository, token) = tables::owner_of(key, value).ok_or(IntegrityError::Damaged)?;
            Record::decode(value, repository, &token)?.sealed
        }
        Some(&tables::DOCUMENT) => {
            let address = Address::parse(key).ok_or(IntegrityError::Damaged)?;
            Row::decode(value, &address)?.sealed.map(|secret| secret.sealed)
        }
        _ => None,
    };
    Ok(bytes.map(|bytes| Sealed::decode(&bytes)).transpose()?)
}
