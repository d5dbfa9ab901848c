//! How the fingerprint keys stand, for people.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::PoisonError;

use serde::Serialize;

use super::Progress;
use crate::hsm::Rotated;
use crate::keys::EpochState;
use crate::store::Part;
use crate::vault::record::Record;
use crate::vault::types::{Error, IntegrityError};
use crate::vault::{Vault, tables};

/// Entries read at once.
const CHUNK: u32 = 256;

/// How the fingerprint keys stand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FingerprintStatus {
    /// All keys, ascending.
    pub keys: Vec<GenerationStatus>,
    /// The last rotation; none where there never was one.
    pub rotation: Option<RefingerprintStatus>,
}

/// One fingerprint key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GenerationStatus {
    /// Its number, from 1.
    pub generation: u32,
    /// Its state. The first one serves names, whatever its state.
    pub state: EpochState,
    /// Tokens that are found under it.
    pub tokens: u64,
}

/// How far a rotation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct RefingerprintStatus {
    /// Everything is put under this key.
    pub to: u32,
    /// So many records were.
    pub moved: u64,
    /// So many could not be, because they do not open: each is an alarm of its own.
    pub faults: u64,
    /// Nothing is left to be done.
    pub finished: bool,
}

impl Vault {
    /// How far the last rotation of the fingerprint key is; cheap.
    pub fn refingerprint_status(&self) -> Option<RefingerprintStatus> {
        *self.refingerprint.seen.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// How the fingerprint keys stand. Walks through all records: some seconds with a million of them.
    ///
    /// # Errors
    /// The store's, and [`IntegrityError`].
    pub async fn fingerprint_status(&self) -> Result<FingerprintStatus, Error> {
        let mut counts: BTreeMap<u32, u64> = BTreeMap::new();
        let prefix = tables::key(tables::RECORD, &[]);
        let (mut from, to) = (Bound::Included(prefix.clone()), tables::end_of(&prefix));
        loop {
            let page = self.store.scan(Part::default(), from, to.clone(), CHUNK).await?;
            for (key, found) in &page.items {
                let (repository, token) = tables::owner_of(key, &found.value).ok_or(IntegrityError::Damaged)?;
                let record = Record::decode(&found.value, repository, &token)?;
                *counts.entry(record.generation.0).or_default() += 1;
            }
            match page.next {
                Some(last) => from = Bound::Excluded(last),
                None => break,
            }
            tokio::task::yield_now().await;
        }
        let keys = self.sealer.states(Rotated::Fingerprint).into_iter();
        Ok(FingerprintStatus {
            keys: keys
                .map(|key| GenerationStatus {
                    generation: key.generation,
                    state: key.state,
                    tokens: counts.remove(&key.generation).unwrap_or_default(),
                })
                .collect(),
            rotation: self.refingerprint_status(),
        })
    }

    pub(super) fn show_refingerprint(&self, progress: &Progress) {
        let status = RefingerprintStatus {
            to: progress.to,
            moved: progress.moved,
            faults: progress.faults,
            finished: progress.finished,
        };
        *self.refingerprint.seen.write().unwrap_or_else(PoisonError::into_inner) = Some(status);
        self.metrics.fingerprint_key.set(i64::from(progress.to));
        self.metrics.refingerprint_running.set(i64::from(!progress.finished));
    }
}
