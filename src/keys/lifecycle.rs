//! The life of KEK epochs (NIST SP 800-57 part 1, 7): states, the steps between them, and what may be done in each.
//!
//! What may not be done cannot be said: a job that seals is made of an [`ActiveEpoch`], one that opens of an
//! [`OpeningEpoch`], and only the state gives these out.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::hsm::{Boxed, Epoch, Generation, Job, Plain, SecretBytes, WrappedKey};
use crate::id::UnixMillis;

mod refused;
#[cfg(test)]
mod tests;

pub use self::refused::Refused;

/// The states of a KEK epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum EpochState {
    /// Made, and never used.
    PreActive,
    /// Seals and opens.
    Active,
    /// Opens what was sealed under it, and seals nothing any more.
    Deactivated,
    /// Others may know it, or may use it: as [`EpochState::Deactivated`], and to be left and destroyed soon.
    Compromised,
    /// Opens nothing any more; its objects are being removed from the HSM.
    Destroying,
    /// Gone from the HSM: what was sealed under it opens nowhere any more.
    Destroyed,
    /// In a HSM that the vault has left: opens nothing here.
    Left,
}

impl EpochState {
    /// The state of `epoch` while `active` seals, as long as nothing befell it.
    pub fn of(epoch: Epoch, active: Epoch) -> Self {
        Self::among(epoch.0, active.0)
    }

    /// Whether what is still under it will never be opened: its KEK is gone, or in an HSM that was left with all that opened.
    pub fn is_gone(self) -> bool {
        match self {
            Self::Destroying | Self::Destroyed | Self::Left => true,
            Self::PreActive | Self::Active | Self::Deactivated | Self::Compromised => false,
        }
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

/// What befell an epoch, and when.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EpochMark {
    /// It is compromised since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compromised: Option<UnixMillis>,
    /// Why, in an operator's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Its destruction began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destroying: Option<UnixMillis>,
    /// It is destroyed since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destroyed: Option<UnixMillis>,
    /// The vault has left the HSM that it is in since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<UnixMillis>,
}

/// The epoch that seals. There is one only while its state, its cryptoperiod and its number of uses allow it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ActiveEpoch(Epoch);

/// An epoch that opens.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct OpeningEpoch(Epoch);

/// All epochs, and what befell them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lifecycle {
    active: Epoch,
    since: UnixMillis,
    epochs: BTreeMap<Epoch, EpochMark>,
}

impl Lifecycle {
    /// Of these epochs, `active` among them, which is it since `since`.
    pub(super) fn new(active: Epoch, since: UnixMillis, epochs: BTreeMap<Epoch, EpochMark>) -> Self {
        Self { active, since, epochs }
    }

    /// The one in use: it is active, unless it is compromised and no other is prepared.
    pub fn in_use(&self) -> Epoch {
        self.active
    }

    /// Since when that is the one in use.
    pub fn since(&self) -> UnixMillis {
        self.since
    }

    /// What befell each epoch, ascending.
    pub fn marks(&self) -> &BTreeMap<Epoch, EpochMark> {
        &self.epochs
    }

    /// The state of an epoch; `None`: there is no such epoch.
    pub fn state(&self, epoch: Epoch) -> Option<EpochState> {
        let mark = self.epochs.get(&epoch)?;
        Some(match mark {
            EpochMark { destroyed: Some(_), .. } => EpochState::Destroyed,
            EpochMark {
                destroying: Some(_), ..
            } => EpochState::Destroying,
            EpochMark { left: Some(_), .. } => EpochState::Left,
            EpochMark {
                compromised: Some(_), ..
            } => EpochState::Compromised,
            EpochMark { .. } => EpochState::of(epoch, self.active),
        })
    }

    /// All epochs with their states, ascending.
    pub fn states(&self) -> Vec<(Epoch, EpochState)> {
        let epochs = self.epochs.keys();
        epochs.filter_map(|epoch| Some((*epoch, self.state(*epoch)?))).collect()
    }

    /// The epoch that seals, if there is one. Its cryptoperiod and uses are the caller's to look at.
    pub(super) fn active(&self) -> Option<ActiveEpoch> {
        (self.state(self.active) == Some(EpochState::Active)).then_some(ActiveEpoch(self.active))
    }

    /// That epoch, to open with.
    ///
    /// # Errors
    /// Why not.
    pub(super) fn opens(&self, epoch: Epoch) -> Result<OpeningEpoch, Refused> {
        match self.state(epoch).ok_or(Refused::Unknown(epoch))? {
            EpochState::PreActive | EpochState::Active | EpochState::Deactivated | EpochState::Compromised => {
                Ok(OpeningEpoch(epoch))
            }
            EpochState::Destroying => Err(Refused::Destroying(epoch)),
            EpochState::Destroyed => Err(Refused::Destroyed(epoch, self.destroyed_at(epoch))),
            EpochState::Left => Err(self.left(epoch)),
        }
    }

    fn left(&self, epoch: Epoch) -> Refused {
        let at = self.epochs.get(&epoch).and_then(|mark| mark.left);
        Refused::Left(epoch, at.unwrap_or(UnixMillis(0)))
    }

    fn destroyed_at(&self, epoch: Epoch) -> UnixMillis {
        let mark = self.epochs.get(&epoch);
        mark.and_then(|mark| mark.destroyed).unwrap_or(UnixMillis(0))
    }

    /// The next epoch takes over.
    ///
    /// # Errors
    /// [`Refused::NoneLeft`].
    pub fn rotate(&mut self, now: UnixMillis) -> Result<Epoch, Refused> {
        let mut states = self.states().into_iter();
        let next = states.find(|(_, state)| *state == EpochState::PreActive);
        let (next, _) = next.ok_or(Refused::NoneLeft)?;
        (self.active, self.since) = (next, now);
        Ok(next)
    }

    /// The epoch is not to be trusted any more. Where it is the one in use the next one takes over; where none is
    /// prepared nothing seals any more.
    ///
    /// # Errors
    /// [`Refused`]: nothing has changed.
    pub fn compromise(&mut self, epoch: Epoch, reason: Option<String>, now: UnixMillis) -> Result<(), Refused> {
        let state = self.state(epoch).ok_or(Refused::Unknown(epoch))?;
        let left = self.left(epoch);
        let mark = self.epochs.entry(epoch).or_default();
        match state {
            EpochState::Left => return Err(left),
            EpochState::PreActive | EpochState::Active | EpochState::Deactivated => {}
            EpochState::Compromised => return Err(Refused::Compromised(epoch, mark.compromised.unwrap_or(now))),
            EpochState::Destroying => return Err(Refused::Destroying(epoch)),
            EpochState::Destroyed => return Err(Refused::Destroyed(epoch, self.destroyed_at(epoch))),
        }
        mark.compromised = Some(now);
        mark.reason = reason;
        if epoch == self.active {
            // none prepared: `active` gives none out, until there is one
            let _ = self.rotate(now);
        }
        Ok(())
    }

    /// Whether [`Lifecycle::destroy`] would begin.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn may_destroy(&self, epoch: Epoch) -> Result<(), Refused> {
        match self.state(epoch).ok_or(Refused::Unknown(epoch))? {
            _ if epoch == self.active => Err(Refused::InUse(epoch)),
            EpochState::Deactivated => Ok(()),
            // one that was never used is of no use any more
            EpochState::Compromised => Ok(()),
            EpochState::Active => Err(Refused::InUse(epoch)),
            EpochState::Left => Err(self.left(epoch)),
            EpochState::PreActive => Err(Refused::Unused(epoch)),
            EpochState::Destroying => Err(Refused::Destroying(epoch)),
            EpochState::Destroyed => Err(Refused::Destroyed(epoch, self.destroyed_at(epoch))),
        }
    }

    /// Its destruction begins: from now on it opens nothing.
    ///
    /// # Errors
    /// [`Refused`]: nothing has changed.
    pub fn destroy(&mut self, epoch: Epoch, now: UnixMillis) -> Result<(), Refused> {
        self.may_destroy(epoch)?;
        self.epochs.entry(epoch).or_default().destroying = Some(now);
        Ok(())
    }

    /// Its destruction is done.
    ///
    /// # Errors
    /// [`Refused`]: nothing has changed.
    pub fn destroyed(&mut self, epoch: Epoch, now: UnixMillis) -> Result<(), Refused> {
        match self.state(epoch).ok_or(Refused::Unknown(epoch))? {
            EpochState::Destroying => {
                self.epochs.entry(epoch).or_default().destroyed = Some(now);
                Ok(())
            }
            EpochState::Destroyed => Err(Refused::Destroyed(epoch, self.destroyed_at(epoch))),
            EpochState::PreActive
            | EpochState::Active
            | EpochState::Deactivated
            | EpochState::Compromised
            | EpochState::Left => Err(Refused::NotDestroying(epoch)),
        }
    }

    /// It was destroyed, as a certificate says that this vault gave out later than it was as it is here: where it is in use
    /// the next one takes over.
    ///
    /// # Errors
    /// [`Refused`]: nothing has changed.
    pub fn was_destroyed(&mut self, epoch: Epoch, at: UnixMillis) -> Result<(), Refused> {
        let state = self.state(epoch).ok_or(Refused::Unknown(epoch))?;
        if state == EpochState::Destroyed {
            return Ok(());
        }
        if epoch == self.active {
            self.rotate(at)?;
        }
        let mark = self.epochs.entry(epoch).or_default();
        mark.destroying.get_or_insert(at);
        mark.destroyed = Some(at);
        Ok(())
    }
}

impl ActiveEpoch {
    pub(super) fn epoch(&self) -> Epoch {
        self.0
    }

    pub(super) fn seal(self, mac: Option<(Generation, SecretBytes)>, parts: Vec<Plain>) -> Job {
        let epoch = self.0;
        Job::Seal { epoch, mac, parts }
    }

    /// Puts a DEK of `from` under this one.
    pub(super) fn rewrap(self, from: OpeningEpoch, dek: WrappedKey, parts: Vec<Boxed>) -> Job {
        Job::Rewrap {
            from: from.0,
            to: self.0,
            dek,
            parts,
        }
    }
}

impl OpeningEpoch {
    pub(super) fn open(self, dek: WrappedKey, parts: Vec<Boxed>) -> Job {
        let epoch = self.0;
        Job::Open { epoch, dek, parts }
    }

    /// The MAC of what is sealed in a part, after `prefix`, under that fingerprint key.
    pub(super) fn refingerprint(self, dek: WrappedKey, part: Boxed, generation: Generation, prefix: Vec<u8>) -> Job {
        Job::Refingerprint {
            epoch: self.0,
            dek,
            part,
            generation,
            prefix,
        }
    }

    /// A part sealed anew under the DEK that is there: the KEK unwraps it, and wraps nothing.
    pub(super) fn reseal(self, dek: WrappedKey, part: Plain) -> Job {
        let epoch = self.0;
        Job::Reseal { epoch, dek, part }
    }
}
