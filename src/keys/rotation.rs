//! KEK epochs: which one seals, the step to the next one, and records put under it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::Mutex;

use super::lifecycle::{ActiveEpoch, EpochState, Lifecycle, OpeningEpoch, Refused};
use super::ops::{Counted, Ops};
use super::{Error, Keyring, KeyringError, KeyringFault, Keys, Place, Sealed, malformed, storable};
use crate::hsm::{self, Boxed, Epoch, KekMode, Keyset, Plain, Reply, Rotated, SealedPart, WrappedKey};
use crate::id::UnixMillis;

/// Why the vault stays with its epoch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotMoved {
    /// The state of the epoch does not allow it, or no epoch is prepared.
    #[error(transparent)]
    Refused(#[from] Refused),
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
    life: RwLock<Lifecycle>,
    /// CKA_ID of each epoch's KEK, hex, those that are destroyed too.
    ids: BTreeMap<Epoch, String>,
    /// An unwrapped DEK cannot be wrapped again: records are sealed anew.
    seals_anew: bool,
    /// How long an epoch seals.
    period: Option<Duration>,
    pub(super) ops: Ops,
    /// What holds the epochs' states beyond this process; none in tests of the floors above.
    pub(super) file: Mutex<Option<(PathBuf, Keyring)>>,
}

/// How long and how much a KEK epoch seals (its cryptoperiod; NIST SP 800-57 part 1, 5.3). It opens for ever.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KekLimits {
    /// So long.
    pub period: Option<Duration>,
    /// So many DEKs.
    pub max_ops: Option<u64>,
}

impl Epochs {
    pub(super) fn new(keyset: &Keyset, active: Epoch) -> Self {
        let epochs = keyset.keks.iter().map(|kek| (kek.epoch, super::EpochMark::default()));
        let all = keyset.keks.iter().chain(&keyset.shredded);
        Self {
            life: RwLock::new(Lifecycle::new(active, UnixMillis(0), epochs.collect())),
            ids: all.map(|kek| (kek.epoch, kek.id.clone())).collect(),
            seals_anew: keyset.mode == KekMode::NoTrusted,
            period: None,
            ops: Ops::uncounted(),
            file: Mutex::new(None),
        }
    }
}

impl Keys {
    /// These keys, of the keyring at `path`: their epochs can change their states, and one seals no longer and no more than
    /// `limits` say.
    pub fn of_keyring(mut self, path: &Path, keyring: Keyring, limits: KekLimits) -> Self {
        self.generations.set(&keyring);
        self.epochs = Arc::new(Epochs {
            life: RwLock::new(keyring.lifecycle()),
            period: limits.period,
            ops: Ops::of(keyring.active_epoch(), limits.max_ops),
            file: Mutex::new(Some((path.to_owned(), keyring.clone()))),
            ..Epochs::new(keyring.keyset(), keyring.active_epoch())
        });
        self.epochs.ops.expect_untold(self.client.untold_wraps());
        let epochs = Arc::downgrade(&self.epochs);
        self.client.count_wraps(move |epoch, more| {
            if let Some(epochs) = epochs.upgrade() {
                epochs.ops.add(epoch, more);
            }
        });
        self
    }

    /// The states of the epochs, and what befell them.
    pub fn lifecycle(&self) -> Lifecycle {
        self.epochs.life.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The end of the active epoch's cryptoperiod, where there is one.
    pub fn not_after(&self) -> Option<UnixMillis> {
        let period = self.epochs.period?;
        let since = self.epochs.life.read().unwrap_or_else(PoisonError::into_inner).since();
        Some(since.plus(u64::try_from(period.as_millis()).unwrap_or(u64::MAX)))
    }

    /// The epoch that seals, for one seal.
    ///
    /// # Errors
    /// [`hsm::Error::Down`]: its cryptoperiod is over, it has sealed as much as it may, or it is compromised. Nothing is
    /// sealed until it is rotated.
    pub(super) async fn sealing(&self) -> Result<(ActiveEpoch, Counted<'_>), Error> {
        loop {
            let active = self.active().map_err(|why| Error::Hsm(hsm::Error::Down(why)))?;
            if let Some(counted) = self.epochs.ops.take(active.epoch()).await? {
                return Ok((active, counted));
            }
            // it was deactivated while this waited
            tokio::task::yield_now().await;
        }
    }

    /// Why nothing is sealed until the KEK is rotated, where that is so.
    pub fn sealing_stopped(&self) -> Option<String> {
        self.active().err().or_else(|| self.epochs.ops.used_up())
    }

    fn active(&self) -> Result<ActiveEpoch, String> {
        let (in_use, active, is_prepared) = {
            let life = self.epochs.life.read().unwrap_or_else(PoisonError::into_inner);
            let prepared = life.states().iter().any(|(_, state)| *state == EpochState::PreActive);
            (life.in_use(), life.active(), prepared)
        };
        let active = active.ok_or_else(|| match is_prepared {
            true => format!("KEK epoch {} is compromised: `panvault key rotate`", in_use.0),
            false => format!(
                "KEK epoch {} is compromised and no other is prepared: `panvault init --epochs`",
                in_use.0
            ),
        })?;
        match self.not_after().filter(|end| *end < UnixMillis::now()) {
            None => Ok(active),
            Some(end) => Err(format!(
                "the cryptoperiod of KEK epoch {} is over since {end}: `panvault key rotate`",
                in_use.0
            )),
        }
    }

    /// An epoch, to open what is sealed under it.
    ///
    /// # Errors
    /// [`Error::Destroyed`], [`Error::Left`]; [`hsm::Error::Malformed`]: there never was such an epoch.
    pub(super) fn opening(&self, epoch: Epoch) -> Result<OpeningEpoch, Error> {
        let life = self.epochs.life.read().unwrap_or_else(PoisonError::into_inner);
        life.opens(epoch).map_err(|refused| match refused {
            Refused::Destroying(_) | Refused::Destroyed(..) => {
                let mark = life.marks().get(&epoch);
                let on = mark.and_then(|mark| mark.destroyed.or(mark.destroying));
                Error::Destroyed {
                    epoch,
                    on: on.unwrap_or(UnixMillis(0)),
                }
            }
            Refused::Left(epoch, on) => Error::Left { epoch, on },
            other => malformed(&other.to_string()),
        })
    }

    /// The epoch in use: new DEKs are wrapped under it, if any are.
    pub fn active_epoch(&self) -> Epoch {
        self.epochs.life.read().unwrap_or_else(PoisonError::into_inner).in_use()
    }

    /// CKA_ID of an epoch's KEK, hex, whatever its state; `None`: there never was such an epoch.
    pub fn kek_name(&self, epoch: Epoch) -> Option<&str> {
        self.epochs.ids.get(&epoch).map(String::as_str)
    }

    /// All epochs, ascending.
    pub fn epochs(&self) -> Vec<(Epoch, EpochState)> {
        self.epochs.life.read().unwrap_or_else(PoisonError::into_inner).states()
    }

    /// Moves on to the next epoch: the keyring says so, durably and signed by the audit key, before the first DEK is
    /// wrapped under it. No epoch is gone back to.
    ///
    /// # Errors
    /// [`NotMoved`]: the epoch is as before.
    pub async fn advance(&self) -> Result<Epoch, NotMoved> {
        self.step(|life| life.rotate(UnixMillis::now())).await
    }

    /// Makes a step of the epochs, in the keyring first. Where it is refused nothing has changed.
    pub(super) async fn step<T>(
        &self,
        change: impl FnOnce(&mut Lifecycle) -> Result<T, Refused> + Send,
    ) -> Result<T, NotMoved> {
        let mut file = self.epochs.file.lock().await;
        let (path, keyring) = file.as_mut().ok_or(Refused::NoneLeft)?;
        let mut life = keyring.lifecycle();
        let done = change(&mut life)?;
        let moved = self.write(path, keyring, &life).await?;
        *keyring = moved;
        let in_use = life.in_use();
        *self.epochs.life.write().unwrap_or_else(PoisonError::into_inner) = life;
        self.epochs.ops.restart(in_use);
        Ok(done)
    }

    /// The keyring as it is.
    pub(super) async fn keyring(&self) -> Result<Keyring, NotMoved> {
        let file = self.epochs.file.lock().await;
        let (_, keyring) = file.as_ref().ok_or(Refused::NoneLeft)?;
        Ok(keyring.clone())
    }

    async fn write(&self, path: &Path, keyring: &Keyring, life: &Lifecycle) -> Result<Keyring, NotMoved> {
        let unwritable = |fault: KeyringFault| {
            NotMoved::Keyring(KeyringError {
                path: path.to_owned(),
                fault,
            })
        };
        let moved = keyring.with_lifecycle(life).map_err(unwritable)?;
        self.write_keyring(path, &moved).await?;
        Ok(moved)
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
        if sealed.epoch == self.active_epoch() {
            return Ok(sealed.clone());
        }
        let from = self.opening(sealed.epoch)?;
        let (to, counted) = self.sealing().await?;
        let epoch = to.epoch();
        if sealed.epoch == epoch {
            counted.settle();
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
        let job = to.rewrap(from, sealed.dek.clone(), parts);
        let Reply::Rewrap { dek, parts } = self.call_counted(job, counted).await? else {
            return Err(malformed("not the answer to a rewrap"));
        };
        if parts.len() != expected {
            return Err(malformed("the answer to a rewrap is not complete"));
        }
        moved(sealed, epoch, dek, parts)
    }

    /// The record, opened by `from`, which are the vault's keys in another HSM, and sealed by these under their active epoch; as it
    /// is, where it is there already. Its compartments keep their revisions.
    ///
    /// # Errors
    /// [`Error::Tampered`], [`Error::Destroyed`], [`Error::Left`] where it does not open there; or either HSM's.
    pub async fn take_over(&self, from: &Self, place: Place, sealed: &Sealed) -> Result<Sealed, Error> {
        if sealed.epoch == self.active_epoch() {
            return Ok(sealed.clone());
        }
        let kinds = sealed.compartments.iter();
        let places: Vec<_> = kinds
            .map(|there| place.aad(there.compartment, there.revision))
            .collect();
        let boxed = sealed.compartments.iter().zip(&places).map(|(there, aad)| Boxed {
            aad: aad.clone(),
            sealed: there.part.clone(),
        });
        let job = from.opening(sealed.epoch)?.open(sealed.dek.clone(), boxed.collect());
        let Reply::Open(texts) = from.call(job).await? else {
            return Err(malformed("not the answer to an open"));
        };
        let plain = places.into_iter().zip(texts).map(|(aad, text)| Plain { aad, text });
        let (to, counted) = self.sealing().await?;
        let epoch = to.epoch();
        let job = to.seal(None, plain.collect());
        let Reply::Seal { dek, parts, .. } = self.call_counted(job, counted).await? else {
            return Err(malformed("not the answer to a seal"));
        };
        if parts.len() != sealed.compartments.len() {
            return Err(malformed("the answer to a seal is not complete"));
        }
        moved(sealed, epoch, dek, parts)
    }
}

/// The record under another epoch; `parts` are its compartments sealed anew, none where their data key is as before.
fn moved(sealed: &Sealed, epoch: Epoch, dek: WrappedKey, parts: Vec<SealedPart>) -> Result<Sealed, Error> {
    let mut moved = Sealed {
        epoch,
        dek,
        compartments: sealed.compartments.clone(),
    };
    for (there, part) in moved.compartments.iter_mut().zip(parts) {
        there.part = part;
    }
    storable(moved)
}
