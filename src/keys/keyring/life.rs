//! The keyring as the life of its KEK epochs.

use super::{Keyring, KeyringFault};
use crate::hsm::{Epoch, KekRef};
use crate::id::UnixMillis;
use crate::keys::lifecycle::{Lifecycle, Refused};

impl Keyring {
    /// Its epochs, and what befell them.
    pub fn lifecycle(&self) -> Lifecycle {
        let keks = self.keyset.keks.iter().chain(&self.keyset.shredded);
        let epochs = keks.map(|kek| {
            let mark = self.marks.get(&kek.epoch).cloned().unwrap_or_default();
            (kek.epoch, mark)
        });
        Lifecycle::new(self.active_epoch, self.active_since(), epochs.collect())
    }

    /// The same vault after steps of its epochs. A KEK whose destruction has begun is no key of the keyset any more.
    ///
    /// # Errors
    /// [`KeyringFault::Senseless`].
    pub fn with_lifecycle(&self, life: &Lifecycle) -> Result<Self, KeyringFault> {
        let mut keyring = self.clone();
        if life.in_use() != self.active_epoch {
            keyring.active_epoch = life.in_use();
            keyring.active_since = Some(life.since());
        }
        keyring.marks = life.marks().clone();
        keyring.marks.retain(|_, mark| *mark != super::EpochMark::default());
        let gone = |kek: &KekRef| {
            life.marks()
                .get(&kek.epoch)
                .is_some_and(|mark| mark.destroying.is_some())
        };
        let (shredded, keks): (Vec<_>, Vec<_>) = keyring.keyset.keks.drain(..).partition(gone);
        keyring.keyset.keks = keks;
        keyring.keyset.shredded.extend(shredded);
        keyring.keyset.shredded.sort_by_key(|kek| kek.epoch);
        keyring.checked()
    }

    /// The same vault, where the KEK of an epoch was destroyed after this keyring was written: a certificate of this vault
    /// says so. One that names another key says nothing of this keyring's, which stays as it is.
    ///
    /// # Errors
    /// [`Refused::NoneLeft`]: no epoch is left that could seal.
    pub fn after_destruction(&self, epoch: Epoch, id: &str, at: UnixMillis) -> Result<Self, Refused> {
        if self.kek(epoch).is_none_or(|kek| kek.id != id) {
            return Ok(self.clone());
        }
        let mut life = self.lifecycle();
        life.was_destroyed(epoch, at)?;
        self.with_lifecycle(&life).map_err(|_| Refused::NoneLeft)
    }

    /// The KEK of an epoch, whatever its state.
    pub fn kek(&self, epoch: Epoch) -> Option<&KekRef> {
        let mut keks = self.keyset.keks.iter().chain(&self.keyset.shredded);
        keks.find(|kek| kek.epoch == epoch)
    }

    /// Marks belong to epochs that there are, and say of just those of [`crate::hsm::Keyset::shredded`] that they go.
    pub(super) fn check_marks(&self) -> Result<(), KeyringFault> {
        let of = |keks: &[KekRef], epoch: &Epoch| keks.iter().any(|kek| kek.epoch == *epoch);
        let keyset = &self.keyset;
        let wrong = self.marks.iter().any(|(epoch, mark)| {
            let goes = mark.destroying.is_some();
            let ended_only = mark.destroyed.is_some() && !goes;
            ended_only || of(&keyset.shredded, epoch) != goes || of(&keyset.keks, epoch) == goes
        });
        let unmarked = keyset.shredded.iter().any(|kek| !self.marks.contains_key(&kek.epoch));
        if wrong || unmarked {
            return Err(KeyringFault::Senseless("its marks of KEK epochs do not fit its KEKs"));
        }
        Ok(())
    }
}
