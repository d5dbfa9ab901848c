//! Rotation of the fingerprint key: the step to the next key, at once in force for what is stored from then on, and which
//! keys cards are looked for under while the background puts all index entries under the next one.
//!
//! Every record says under which key it is found. What depends on that is committed on the condition that the keys in use
//! are still those that it was made for: so no entry appears under a key that was left, and of one card in one scope
//! there is one token at any moment of a rotation.
//!
//! Only what is made of a stored card number is moved. Names of persons, namespaces and requests are MACs of what callers
//! say, which is stored nowhere: they stay under the first key, which is kept for that alone.

mod moving;
mod status;

use std::sync::{PoisonError, RwLock};

use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, Notify};

pub use self::status::{FingerprintStatus, GenerationStatus, RefingerprintStatus};
use super::tables::{self, PanIndex};
use super::tokenize::reuse_hash;
use super::types::{Error, IntegrityError, Peer, Uses};
use super::{RotationError, Vault};
use crate::audit::Event;
use crate::card::Pan;
use crate::hsm::{Generation, Rotated};
use crate::id::RepositoryId;
use crate::keys::{Fingerprint, SecretBytes};
use crate::store::{Commit, Cond, Key, Outcome, Part, Write};

/// The format of what is stored here.
const VERSION: u8 = 1;

/// The fingerprint keys in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Generations {
    /// Which commit says so; none in a vault whose key was never rotated.
    rev: Option<u64>,
    /// Records may still be found under this one and all up to the active one.
    oldest: Generation,
    active: Generation,
}

/// As it is stored: one version byte, then postcard.
#[derive(Serialize, Deserialize)]
struct Stored {
    oldest: u32,
    active: u32,
}

/// How far the work is, as it is stored: likewise. It is written with the records that it counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Progress {
    to: u32,
    moved: u64,
    faults: u64,
    finished: bool,
    /// The last key that was looked at; none at the begin.
    after: Option<Vec<u8>>,
}

/// What verbs and the work in the background share.
#[derive(Default)]
pub(super) struct Refingerprint {
    /// Held while what is stored here changes.
    turn: Mutex<()>,
    /// There is something to do.
    wake: Notify,
    /// What is stored, once it was read.
    known: RwLock<Option<Generations>>,
    seen: RwLock<Option<RefingerprintStatus>>,
}

#[cfg(test)]
impl Refingerprint {
    /// As a new process begins.
    pub(super) fn forget(&self) {
        *self.known.write().unwrap() = None;
    }
}

/// A card's fingerprints: under the active key first, then under those that it may still be found by, newest first.
pub(super) struct CardPrints {
    pub(super) generations: Generations,
    pub(super) made: Vec<(Generation, Fingerprint)>,
}

impl CardPrints {
    /// What a new record is found by.
    pub(super) fn newest(&self) -> Result<(Generation, Fingerprint), IntegrityError> {
        self.made.first().copied().ok_or(IntegrityError::Damaged)
    }

    /// Under which keys the card's one token in a scope may stand, that of a new record first.
    pub(super) fn one_token(
        &self,
        repository: RepositoryId,
        scope: &SecretBytes,
        uses: Uses,
        is_personal: bool,
    ) -> Vec<Key> {
        let key = |(_, fingerprint): &(Generation, Fingerprint)| {
            let hash = reuse_hash(fingerprint, scope.expose(), uses);
            tables::one_token(repository, PanIndex::of(fingerprint), &hash, is_personal)
        };
        self.made.iter().map(key).collect()
    }

    /// Whether a record that is found by `pan` under the key `generation` holds this card.
    pub(super) fn is(&self, generation: Generation, pan: PanIndex) -> bool {
        let made = self.made.iter().find(|(made, _)| *made == generation);
        made.is_some_and(|(_, fingerprint)| PanIndex::of(fingerprint) == pan)
    }
}

impl Generations {
    pub(super) fn active(self) -> Generation {
        self.active
    }

    /// The keys before the active one that cards may still be found under, newest first.
    pub(super) fn older(self) -> impl Iterator<Item = Generation> {
        (self.oldest.0..self.active.0).rev().map(Generation)
    }

    /// The keys that nothing is looked for under any more.
    pub(super) fn gone(self) -> impl Iterator<Item = Generation> {
        (Generation::FIRST.0..self.oldest.0).rev().map(Generation)
    }

    /// It is still so.
    pub(super) fn cond(self) -> Cond {
        match self.rev {
            Some(rev) => Cond::Rev(tables::fingerprint_keys(), rev),
            None => Cond::Absent(tables::fingerprint_keys()),
        }
    }

    fn write(self) -> Result<Write, Error> {
        let stored = Stored {
            oldest: self.oldest.0,
            active: self.active.0,
        };
        encoded(tables::fingerprint_keys(), &stored)
    }
}

impl Progress {
    fn new(to: Generation) -> Self {
        Self {
            to: to.0,
            moved: 0,
            faults: 0,
            finished: false,
            after: None,
        }
    }

    fn write(&self) -> Result<Write, Error> {
        encoded(tables::refingerprint(), self)
    }
}

impl Vault {
    /// The keys in use. Where the keyring is ahead of the store, because a step was cut short, the step is finished first.
    ///
    /// # Errors
    /// The store's.
    pub(super) async fn generations(&self) -> Result<Generations, Error> {
        if let Some(known) = *self.refingerprint.known.read().unwrap_or_else(PoisonError::into_inner) {
            return Ok(known);
        }
        let _turn = self.refingerprint.turn.lock().await;
        self.settled().await
    }

    /// Whether a condition on the keys in use was the one that did not hold; then they are read anew.
    pub(super) fn outdated(&self, key: &Key) -> bool {
        let outdated = *key == tables::fingerprint_keys();
        if outdated {
            self.know(None);
        }
        outdated
    }

    /// What a card is found by, under each key in use.
    ///
    /// # Errors
    /// The HSM's or the store's.
    pub(super) async fn card_prints(&self, repository: RepositoryId, pan: &Pan) -> Result<CardPrints, Error> {
        let generations = self.generations().await?;
        let active = generations.active();
        let mut made = vec![(active, self.sealer.fingerprint(active, repository, pan).await?)];
        made.extend(self.older_prints(generations, repository, pan).await?);
        Ok(CardPrints { generations, made })
    }

    /// As [`Vault::card_prints`], without the active key.
    pub(super) async fn older_prints(
        &self,
        generations: Generations,
        repository: RepositoryId,
        pan: &Pan,
    ) -> Result<Vec<(Generation, Fingerprint)>, Error> {
        let mut made = Vec::new();
        for generation in generations.older() {
            let fingerprint = self.sealer.fingerprint(generation, repository, pan).await?;
            made.push((generation, fingerprint));
        }
        Ok(made)
    }

    /// Goes on to the next fingerprint key: what is stored from now on is found under it, and the background puts all that
    /// there is under it. The audit trail has it before it happens.
    ///
    /// # Errors
    /// [`RotationError`]: nothing has changed.
    pub async fn rotate_fingerprint(&self, asked_by: Peer) -> Result<u32, RotationError> {
        let _turn = self.refingerprint.turn.lock().await;
        let before = self.settled().await.map_err(RotationError::Audit)?;
        let event = |outcome: &str, detail: String| Event {
            peer: Some(asked_by),
            detail: Some(detail),
            ..Event::new("fingerprint-rotate", outcome)
        };
        let asked = event(
            "asked",
            format!("fingerprint key {} is to be deactivated", before.active.0),
        );
        self.note(asked).await.map_err(RotationError::Audit)?;
        let to = match self.sealer.next_fingerprint().await {
            Ok(to) => to,
            Err(error) => {
                self.note(event("refused", error.to_string()))
                    .await
                    .map_err(RotationError::Audit)?;
                return Err(error.into());
            }
        };
        let detail = format!("fingerprint key {} is deactivated, {} is active", before.active.0, to.0);
        self.know(None);
        // should this commit fail, the next look at the keys in use finds that the keyring is ahead, and makes it
        self.take_step(before, to, event("ok", detail))
            .await
            .map_err(RotationError::Audit)?;
        Ok(to.0)
    }

    /// The stored keys, up to the keyring. The turn is the caller's.
    async fn settled(&self) -> Result<Generations, Error> {
        let known = *self.refingerprint.known.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known {
            return Ok(known);
        }
        let held = self.store.get(Part::default(), &tables::fingerprint_keys()).await?;
        let stored = held.map(|held| Ok::<_, Error>((held.rev, read::<Stored>(&held.value)?)));
        let stored = match stored.transpose()? {
            Some((rev, Stored { oldest, active })) => Generations {
                rev: Some(rev),
                oldest: Generation(oldest),
                active: Generation(active),
            },
            None => Generations {
                rev: None,
                oldest: Generation::FIRST,
                active: Generation::FIRST,
            },
        };
        let active = self.sealer.generation(Rotated::Fingerprint);
        if stored.active > active {
            let (store, keyring) = (stored.active.0, active.0);
            tracing::error!(
                store,
                keyring,
                "the keyring is older than the store, by its fingerprint key: put the newer one back"
            );
        }
        if stored.active >= active {
            self.know(Some(stored));
            return Ok(stored);
        }
        let detail = format!("fingerprint key {} is active: a step that was cut short", active.0);
        let event = Event {
            detail: Some(detail),
            ..Event::new("fingerprint-rotate", "ok")
        };
        self.take_step(stored, active, event).await
    }

    /// One commit: the key `to` is active, and the work begins. The turn is the caller's.
    async fn take_step(&self, before: Generations, to: Generation, event: Event) -> Result<Generations, Error> {
        let mut after = Generations { active: to, ..before };
        let progress = Progress::new(to);
        let commit = Commit {
            conds: vec![before.cond()],
            writes: vec![after.write()?, progress.write()?],
            event: Some(event.encode()),
            ..Commit::default()
        };
        match self.store.commit(commit).await? {
            Outcome::Done { rev } => after.rev = Some(rev),
            // nobody else writes this, and the turn is ours
            Outcome::CondFailed { .. } => return Err(IntegrityError::Damaged.into()),
        }
        self.know(Some(after));
        self.show_refingerprint(&progress);
        self.refingerprint.wake.notify_one();
        Ok(after)
    }

    fn know(&self, generations: Option<Generations>) {
        *self.refingerprint.known.write().unwrap_or_else(PoisonError::into_inner) = generations;
    }
}

fn encoded<T: Serialize>(key: Key, value: &T) -> Result<Write, Error> {
    let value = postcard::to_extend(value, vec![VERSION]).map_err(|_| IntegrityError::Damaged)?;
    Ok(Write::Put(key, value))
}

fn read<'a, T: Deserialize<'a>>(value: &'a [u8]) -> Result<T, IntegrityError> {
    match value.split_first() {
        Some((&VERSION, body)) => postcard::from_bytes(body).map_err(|_| IntegrityError::Damaged),
        Some((newer, _)) if *newer > VERSION => Err(IntegrityError::NewerFormat),
        _ => Err(IntegrityError::Damaged),
    }
}
