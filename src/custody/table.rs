//! The tables of this floor. Their bytes are given out in the core's list of tables.
//!
//! | byte | table | key after the byte | value |
//! |---|---|---|---|
//! | `0x40` | operator | name | [`Operator`](super::operator::Operator) |
//! | `0x41` | ceremony | id | [`Ceremony`](super::Ceremony) |
//! | `0x42` | a file that was approved | what it is, SHA-256 in hex | [`Approval`](super::files::Approval) |
//! | `0x43` | there while only approved files are loaded | - | [`Approval`](super::files::Approval) |

use std::ops::Bound;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Error;
use crate::audit::Event;
use crate::store::{Commit, Cond, Key, Outcome, Part, Store, Write};
use crate::vault::types::{Error as VaultError, IntegrityError};

/// A kind of row with a table of its own.
pub(super) trait Row: Serialize + DeserializeOwned {
    const TABLE: u8;

    fn key(&self) -> Key;

    fn key_of(rest: &str) -> Key {
        let mut bytes = vec![Self::TABLE];
        bytes.extend_from_slice(rest.as_bytes());
        Key(bytes)
    }
}

/// A row as it was read.
pub(super) struct Held<R> {
    pub(super) row: R,
    pub(super) rev: u64,
}

pub(super) async fn read<R: Row>(store: &dyn Store, key: &Key) -> Result<Option<Held<R>>, Error> {
    let held = store.get(Part::default(), key).await.map_err(VaultError::from)?;
    held.map(|held| decode(held.rev, &held.value)).transpose()
}

/// All rows of a table: there are never many.
pub(super) async fn all<R: Row>(store: &dyn Store) -> Result<Vec<Held<R>>, Error> {
    let mut rows = Vec::new();
    let mut from = Bound::Included(Key(vec![R::TABLE]));
    let end = Bound::Excluded(Key(vec![R::TABLE + 1]));
    loop {
        let scanned = store.scan(Part::default(), from, end.clone(), PAGE).await;
        let page = scanned.map_err(VaultError::from)?;
        for (_, held) in page.items {
            rows.push(decode(held.rev, &held.value)?);
        }
        match page.next {
            Some(next) => from = Bound::Excluded(next),
            None => return Ok(rows),
        }
    }
}

pub(super) fn put<R: Row>(row: &R) -> Result<Write, Error> {
    let mut bytes = vec![VERSION];
    serde_json::to_writer(&mut bytes, row).map_err(|_| DAMAGED)?;
    Ok(Write::Put(row.key(), bytes))
}

/// Changes and their audit record, if `conds` hold. Those who lose against another change are told to look again.
pub(super) async fn commit(store: &dyn Store, conds: Vec<Cond>, writes: Vec<Write>, event: Event) -> Result<(), Error> {
    let commit = Commit {
        conds,
        writes,
        event: Some(event.encode()),
        ..Commit::default()
    };
    match store.commit(commit).await.map_err(VaultError::from)? {
        Outcome::Done { .. } => Ok(()),
        Outcome::CondFailed { .. } => Err(Error::Changed),
    }
}

fn decode<R: Row>(rev: u64, bytes: &[u8]) -> Result<Held<R>, Error> {
    match bytes.split_first() {
        Some((&VERSION, json)) => Ok(Held {
            row: serde_json::from_slice(json).map_err(|_| DAMAGED)?,
            rev,
        }),
        Some((&newer, _)) if newer > VERSION => Err(VaultError::Integrity(IntegrityError::NewerFormat).into()),
        _ => Err(DAMAGED),
    }
}

const DAMAGED: Error = Error::Vault(VaultError::Integrity(IntegrityError::Damaged));
const VERSION: u8 = 1;
const PAGE: u32 = 1_000;
