//! KEK epochs: which one seals, the step to the next one, and records put under it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::Mutex;

use super::{Error, Keyring, KeyringError, KeyringFault, Keys, Place, Sealed, malformed, storable};
use crate::hsm::{self, Boxed, Epoch, Job, KekMode, Keyset, Reply, Rotated};
use crate::id::UnixMillis;

/// The states of a KEK epoch (NIST SP 800-57 part 1, 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum EpochState {
    /// Made, and never used.
    PreActive,
    /// Seals and opens.
    Active,
    /// Opens what was sealed under it, and seals nothing any more.
    Deactivated,
}

impl EpochState {
    /// The state of `epoch` while `active` seals.
    pub fn of(epoch: Epoch, active: Epoch) -> Self {
        Self::among(epoch.0, active.0)
    }

    /// Likewise of keys that are counted otherwise.
    pub(super) fn among(key: u32, active: u32) -> Self {
        match key.cmp(&active) {
            std::cmp::Ordering::Less => Self::Deactivated,
            std::cmp::Ordering::Equal => Self::Active,
            std::cmp::Ordering::Greater => Self::PreActive,
        }
    }
}

/// Why the vault stays with its epoch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotMoved {
    /// No epoch is prepared.
    #[error("no prepared KEK epoch is left: the security officer makes more by `panvault init --epochs`")]
    NoneLeft,
    /// No key of the role is prepared.
    #[error("no {0} key is prepared: with the daemon stopped, `panvault init --next {0}` makes one")]
    NotMade(Rotated),
    /// The keyring could not be written, or not be signed.
    #[error(transparent)]
    Keyring(KeyringError),
    /// The HSM did not sign it.
    #[error(transparent)]
    Keys(Error),
}

/// The epochs of a serving vault.
pub(super) struct Epochs {
    active: AtomicU32,
    all: Vec<Epoch>,
    /// An unwrapped DEK cannot be wrapped again: records are sealed anew.
    seals_anew: bool,
    /// The end of the active epoch's cryptoperiod, in milliseconds of Unix time; `u64::MAX` where there is none.
    not_after: AtomicU64,
    /// How long an epoch seals.
    period: Option<Duration>,
    /// What holds the active epoch beyond this process; none in tests of the floors above.
    pub(super) file: Mutex<Option<(PathBuf, Keyring)>>,
}

impl Epochs {
    pub(super) fn new(keyset: &Keyset, active: Epoch) -> Self {
        Self {
            active: AtomicU32::new(active.0),
            all: keyset.keks.iter().map(|kek| kek.epoch).collect(),
            seals_anew: keyset.mode == KekMode::NoTrusted,
            not_after: AtomicU64::new(u64::MAX),
            period: None,
            file: Mutex::new(None),
        }
    }

    fn begin_period(&self, since: UnixMillis) {
        let end = self.period.map_or(u64::MAX, |period| {
            since.plus(u64::try_from(period.as_millis()).unwrap_or(u64::MAX)).0
        });
        self.not_after.store(end, Ordering::Release);
    }
}

impl Keys {
    /// These keys, of the keyring at `path`: they can move on to the next epoch, and an epoch seals no longer than `period`
    /// (its cryptoperiod; NIST SP 800-57 part 1, 5.3). What was sealed opens for ever.
    pub fn of_keyring(mut self, path: &Path, keyring: Keyring, period: Option<Duration>) -> Self {
        let mut epochs = Epochs::new(keyring.keyset(), keyring.active_epoch());
        epochs.period = period;
        epochs.begin_period(keyring.active_since());
        self.generations.set(&keyring);
        epochs.file = Mutex::new(Some((path.to_owned(), keyring)));
        self.epochs = Arc::new(epochs);
        self
    }

    /// The end of the active epoch's cryptoperiod, where there is one.
    pub fn not_after(&self) -> Option<UnixMillis> {
        Some(self.epochs.not_after.load(Ordering::Acquire))
            .filter(|end| *end != u64::MAX)
            .map(UnixMillis)
    }

    /// The epoch that seals.
    ///
    /// # Errors
    /// [`hsm::Error::Down`]: its cryptoperiod is over. Nothing is sealed until it is rotated.
    pub(super) fn sealing_epoch(&self) -> Result<Epoch, Error> {
        let epoch = self.active_epoch();
        match self.not_after() {
            Some(end) if end < UnixMillis::now() => Err(Error::Hsm(hsm::Error::Down(format!(
                "the cryptoperiod of KEK epoch {} is over since {end}: `panvault key rotate`",
                epoch.0
            )))),
            _ => Ok(epoch),
        }
    }

    /// New DEKs are wrapped under this epoch.
    pub fn active_epoch(&self) -> Epoch {
        Epoch(self.epochs.active.load(Ordering::Acquire))
    }

    /// All epochs, ascending.
    pub fn epochs(&self) -> Vec<(Epoch, EpochState)> {
        let active = self.active_epoch();
        let with_state = |epoch: &Epoch| (*epoch, EpochState::of(*epoch, active));
        self.epochs.all.iter().map(with_state).collect()
    }

    /// Moves on to the next epoch: the keyring says so, durably and signed by the audit key, before the first DEK is
    /// wrapped under it. No epoch is gone back to.
    ///
    /// # Errors
    /// [`NotMoved`]: the epoch is as before.
    pub async fn advance(&self) -> Result<Epoch, NotMoved> {
        let mut file = self.epochs.file.lock().await;
        let (path, keyring) = file.as_mut().ok_or(NotMoved::NoneLeft)?;
        let (next, moved) = self.write_moved(path, keyring).await?;
        self.epochs.begin_period(moved.active_since());
        *keyring = moved;
        self.epochs.active.store(next.0, Ordering::Release);
        Ok(next)
    }

    async fn write_moved(&self, path: &Path, keyring: &Keyring) -> Result<(Epoch, Keyring), NotMoved> {
        let active = self.active_epoch();
        let next = self.epochs.all.iter().copied().find(|epoch| *epoch > active);
        let next = next.ok_or(NotMoved::NoneLeft)?;
        let unwritable = |fault: KeyringFault| {
            NotMoved::Keyring(KeyringError {
                path: path.to_owned(),
                fault,
            })
        };
        let moved = keyring.with_active_epoch(next, UnixMillis::now()).map_err(unwritable)?;
        self.write_keyring(path, &moved).await?;
        Ok((next, moved))
    }

    /// Has a keyring signed by the audit key that it names, and puts it in the place of what is there.
    pub(super) async fn write_keyring(&self, path: &Path, keyring: &Keyring) -> Result<(), NotMoved> {
        let unwritable = |fault: KeyringFault| {
            NotMoved::Keyring(KeyringError {
                path: path.to_owned(),
                fault,
            })
        };
        let draft = keyring.draft().map_err(unwritable)?;
        let by = keyring.active(Rotated::Audit);
        let signature = self.sign_by(by, draft.message()).await.map_err(NotMoved::Keys)?;
        let signed = draft.signed(&signature).map_err(unwritable)?;
        let to = path.to_owned();
        tokio::task::spawn_blocking(move || signed.write(&to))
            .await
            .map_err(|error| unwritable(KeyringFault::NotWritten(error.to_string())))?
            .map_err(NotMoved::Keyring)
    }

    /// The record under the active epoch; as it is, where it is there already. Its compartments keep their revisions.
    ///
    /// # Errors
    /// [`Error::Tampered`] when the DEK does not unwrap, or the HSM's.
    pub async fn rewrap(&self, place: Place, sealed: &Sealed) -> Result<Sealed, Error> {
        let to = self.active_epoch();
        if sealed.epoch == to {
            return Ok(sealed.clone());
        }
        let mut parts = Vec::new();
        if self.epochs.seals_anew {
            parts.extend(sealed.compartments.iter().map(|there| Boxed {
                aad: place.aad(there.compartment, there.revision),
                sealed: there.part.clone(),
            }));
        }
        let expected = parts.len();
        let job = Job::Rewrap {
            from: sealed.epoch,
            to,
            dek: sealed.dek.clone(),
            parts,
        };
        let Reply::Rewrap { dek, parts } = self.call(job).await? else {
            return Err(malformed("not the answer to a rewrap"));
        };
        if parts.len() != expected {
            return Err(malformed("the answer to a rewrap is not complete"));
        }
        let mut moved = Sealed {
            epoch: to,
            dek,
            compartments: sealed.compartments.clone(),
        };
        for (there, part) in moved.compartments.iter_mut().zip(parts) {
            there.part = part;
        }
        storable(moved)
    }
}
