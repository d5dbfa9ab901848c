//! KEK rotation: the step to the next epoch, which is at once in force for what is sealed from then on, and how far the work
//! in the background is that puts everything else under it.

mod compromise;
mod moving;
mod relocation;
mod under;

use std::ops::Bound;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use super::Vault;
use super::epochs::{TABLES, by_epoch};
use super::tables;
use super::types::{Error, IntegrityError, Peer};
use crate::audit::Event;
use crate::hsm::Epoch;
use crate::id::UnixMillis;
use crate::keys::{EpochState, Keys, NotMoved};
use crate::store::{Commit, Key, Part, Write};

pub use self::compromise::Compromised;
pub use self::relocation::{Relocated, Relocation};

/// The format of [`Progress`] in the store.
const VERSION: u8 = 1;

/// How the vault's KEKs stand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeyStatus {
    /// All epochs, ascending.
    pub epochs: Vec<EpochStatus>,
    /// When the active epoch seals no more, where that is so; RFC 3339.
    pub not_after: Option<String>,
    /// How many data keys an epoch wraps, where that is limited.
    pub max_ops: Option<u64>,
    /// Epochs that a rotation can still go to.
    pub prepared: usize,
    /// The last rotation; none where there never was one.
    pub rotation: Option<RotationStatus>,
}

/// One KEK epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EpochStatus {
    /// Its number, from 1.
    pub epoch: u32,
    /// Its state.
    pub state: EpochState,
    /// Tokens whose card is sealed under it.
    pub tokens: u64,
    /// Other sealed records: customers, orders, payments and such.
    pub documents: u64,
    /// Data keys that it wrapped, at most; none where nobody counted.
    pub ops: Option<u64>,
    /// Since when it is compromised; RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compromised: Option<String>,
    /// Why, in an operator's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Since when it is destroyed; RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destroyed: Option<String>,
}

/// How far a rotation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct RotationStatus {
    /// Everything is put under this epoch.
    pub to: u32,
    /// So many records were.
    pub moved: u64,
    /// So many could not be, because they do not open: each is an alarm of its own.
    pub faults: u64,
    /// Nothing is left to be done.
    pub finished: bool,
}

/// Why the vault stays with its epoch.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum RotationError {
    /// The keys'.
    #[error(transparent)]
    Keys(#[from] NotMoved),
    /// It cannot be audited.
    #[error("the rotation cannot be audited: {0}")]
    Audit(Error),
}

/// What verbs and the work in the background share.
#[derive(Default)]
pub(super) struct Rotation {
    /// Held while the progress in the store changes.
    pub(super) turn: tokio::sync::Mutex<()>,
    /// There is something to do.
    wake: Notify,
    seen: Mutex<Option<RotationStatus>>,
}

/// How far the work is, as it is stored: one version byte, then postcard. It is written with the records that it counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Progress {
    to: u32,
    moved: u64,
    faults: u64,
    finished: bool,
    /// The last key that was looked at; none at the begin.
    after: Option<Vec<u8>>,
}

impl Progress {
    fn new(to: Epoch) -> Self {
        Self {
            to: to.0,
            moved: 0,
            faults: 0,
            finished: false,
            after: None,
        }
    }

    /// The keys of a table that were not looked at in this pass, from the first one and to the end; `None`: it is done.
    fn rest_of(&self, table: u8) -> Option<(Bound<Key>, Bound<Key>)> {
        let prefix = tables::key(table, &[]);
        let to = tables::end_of(&prefix);
        let from = match &self.after {
            Some(after) if after.first().is_some_and(|there| *there > table) => return None,
            Some(after) if after.first() == Some(&table) => Bound::Excluded(Key(after.clone())),
            _ => Bound::Included(prefix),
        };
        Some((from, to))
    }

    fn status(&self) -> RotationStatus {
        RotationStatus {
            to: self.to,
            moved: self.moved,
            faults: self.faults,
            finished: self.finished,
        }
    }

    fn write(&self) -> Result<Write, Error> {
        let value = postcard::to_extend(self, vec![VERSION]).map_err(|_| IntegrityError::Damaged)?;
        Ok(Write::Put(tables::rotation(), value))
    }

    fn read(value: &[u8]) -> Result<Self, IntegrityError> {
        match value.split_first() {
            Some((&VERSION, body)) => postcard::from_bytes(body).map_err(|_| IntegrityError::Damaged),
            Some((newer, _)) if *newer > VERSION => Err(IntegrityError::NewerFormat),
            _ => Err(IntegrityError::Damaged),
        }
    }
}

impl Vault {
    /// Moves on to the next KEK epoch: what is sealed from now on is sealed under it, and the background puts all that there
    /// is under it. A rotation that is under way goes on to the new epoch. The audit trail has it before it happens.
    ///
    /// # Errors
    /// [`RotationError`]: nothing has changed.
    pub async fn rotate(&self, asked_by: Peer) -> Result<u32, RotationError> {
        let _turn = self.rotation.turn.lock().await;
        let before = self.sealer.active_epoch();
        let event = |outcome: &str, detail: String| Event {
            peer: Some(asked_by),
            detail: Some(detail),
            ..Event::new("kek-rotate", outcome)
        };
        let asked = event("asked", format!("KEK epoch {} is to be deactivated", before.0));
        self.note(asked).await.map_err(RotationError::Audit)?;
        let to = match self.sealer.advance().await {
            Ok(to) => to,
            Err(error) => {
                self.note(event("refused", error.to_string()))
                    .await
                    .map_err(RotationError::Audit)?;
                return Err(error.into());
            }
        };
        self.show_epoch();
        let progress = Progress::new(to);
        let detail = format!("KEK epoch {} is deactivated, {} is active", before.0, to.0);
        // without this commit the next start finds that the epochs differ, and begins
        let commit = Commit {
            writes: vec![progress.write().map_err(RotationError::Audit)?],
            event: Some(event("ok", detail).encode()),
            ..Commit::default()
        };
        let committed = self.store.commit(commit).await;
        self.show(&progress);
        self.rotation.wake.notify_one();
        committed.map_err(|error| RotationError::Audit(error.into()))?;
        Ok(to.0)
    }

    /// How the KEKs stand. Walks through all records: some seconds with a million of them.
    ///
    /// # Errors
    /// The store's, and [`IntegrityError`].
    pub async fn key_status(&self) -> Result<KeyStatus, Error> {
        let mut counts = by_epoch(self.store.as_ref()).await?;
        let life = self.sealer.keys().map(|keys| keys.lifecycle());
        let ops = self.sealer.keys().and_then(|keys| keys.ops());
        let mut epochs = Vec::new();
        for (epoch, state) in self.sealer.epochs() {
            let under = counts.remove(&epoch.0).unwrap_or_default();
            let mark = life
                .as_ref()
                .and_then(|life| life.marks().get(&epoch).cloned())
                .unwrap_or_default();
            let text = |at: Option<UnixMillis>| at.map(|at| at.to_string());
            let counted = ops.filter(|_| epoch == self.sealer.active_epoch());
            epochs.push(EpochStatus {
                epoch: epoch.0,
                state,
                tokens: under.tokens,
                documents: under.documents,
                ops: match counted {
                    Some((done, _)) => Some(done),
                    None => self.stored_ops(epoch.0).await?,
                },
                compromised: text(mark.compromised),
                reason: mark.reason,
                destroyed: text(mark.destroyed),
            });
        }
        let is_prepared = |epoch: &&EpochStatus| epoch.state == EpochState::PreActive;
        Ok(KeyStatus {
            max_ops: ops.and_then(|(_, max)| max),
            not_after: self.sealer.not_after().map(|end| end.to_string()),
            prepared: epochs.iter().filter(is_prepared).count(),
            epochs,
            rotation: self.rotation_status(),
        })
    }

    /// The epoch that seals, and until when it does, where that is limited.
    pub fn sealing_epoch(&self) -> (u32, Option<UnixMillis>) {
        (self.sealer.active_epoch().0, self.sealer.not_after())
    }

    /// Why nothing is sealed until the KEK is rotated, where that is so; and how many data keys the epoch in use has wrapped, of how
    /// many that it may.
    pub fn sealing_stopped(&self) -> (Option<String>, Option<(u64, Option<u64>)>) {
        let keys = self.sealer.keys();
        (keys.and_then(Keys::sealing_stopped), keys.and_then(Keys::ops))
    }

    /// The store's revision at which everything was under the epoch in use: 0 where there never was another one. `None` while a
    /// rotation is under way.
    pub(super) async fn rotated_at(&self) -> Result<Option<u64>, Error> {
        let held = self.store.get(Part::default(), &tables::rotation()).await?;
        let Some(held) = held else {
            // the first one is in use
            return Ok((self.sealer.active_epoch() == Epoch(1)).then_some(0));
        };
        let progress = Progress::read(&held.value)?;
        let whole = progress.finished && progress.to == self.sealer.active_epoch().0;
        Ok(whole.then_some(held.rev))
    }

    /// How far the last rotation is; cheap.
    pub fn rotation_status(&self) -> Option<RotationStatus> {
        *self.rotation.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The active epoch and the end of its cryptoperiod, as metrics.
    pub(super) fn show_epoch(&self) {
        self.metrics.kek_epoch.set(i64::from(self.sealer.active_epoch().0));
        // far away, where there is none: an alarm compares it with the time
        let end = self
            .sealer
            .not_after()
            .map_or(i64::MAX, |end| i64::try_from(end.0 / 1000).unwrap_or(i64::MAX));
        self.metrics.kek_not_after.set(end);
        let compromised = self.sealer.epochs().into_iter();
        let compromised = compromised
            .filter(|(_, state)| *state == EpochState::Compromised)
            .count();
        self.metrics
            .kek_compromised
            .set(i64::try_from(compromised).unwrap_or(i64::MAX));
    }

    fn show(&self, progress: &Progress) {
        *self.rotation.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(progress.status());
        self.metrics.rewrap_running.set(i64::from(!progress.finished));
    }
}
