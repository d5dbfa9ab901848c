//! The keyring as the life of its KEK epochs.

use super::{Keyring, KeyringFault};
use crate::hsm::{Epoch, Handover, KekRef, Keyset};
use crate::id::UnixMillis;
use crate::keys::generations::Overlap;
use crate::keys::lifecycle::{Lifecycle, Refused};

impl Keyring {
    /// Its epochs, and what befell them.
    pub fn lifecycle(&self) -> Lifecycle {
        let keks = self.all_keks();
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
        let keyset = &mut keyring.keyset;
        for keks in [&mut keyset.keks, &mut keyset.former.keks] {
            let (shredded, there): (Vec<_>, Vec<_>) = keks.drain(..).partition(gone);
            *keks = there;
            keyset.shredded.extend(shredded);
        }
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
        self.all_keks().find(|kek| kek.epoch == epoch)
    }

    fn all_keks(&self) -> impl Iterator<Item = &KekRef> {
        let keyset = &self.keyset;
        keyset.keks.iter().chain(&keyset.shredded).chain(&keyset.former.keks)
    }

    /// The same vault in another HSM: `keyset` is what that one has, made of this keyring's, and the audit key that was in use has
    /// named the one that signs there.
    ///
    /// # Errors
    /// [`KeyringFault::Senseless`].
    pub(in crate::keys) fn moved(&self, keyset: Keyset, handover: Handover) -> Result<Self, KeyringFault> {
        let at = handover.at;
        let first = keyset.keks.first().ok_or(KeyringFault::Senseless("it has no KEK"))?;
        let mut next = Self {
            active_epoch: first.epoch,
            active_since: Some(at),
            ..self.clone()
        };
        for kek in &self.keyset.keks {
            next.marks.entry(kek.epoch).or_default().left = Some(at);
        }
        let steps = &mut next.generations;
        steps.audits.push(handover);
        for overlap in &mut steps.transports {
            overlap.until = overlap.until.min(at);
        }
        steps.transports.push(Overlap { at, until: at });
        next.keyset = keyset;
        next.checked()
    }

    /// Marks belong to epochs that there are, and say of just those of [`crate::hsm::Keyset::shredded`] that they go.
    pub(super) fn check_marks(&self) -> Result<(), KeyringFault> {
        let of = |keks: &[KekRef], epoch: &Epoch| keks.iter().any(|kek| kek.epoch == *epoch);
        let keyset = &self.keyset;
        let wrong = self.marks.iter().any(|(epoch, mark)| {
            let goes = mark.destroying.is_some();
            let ended_only = mark.destroyed.is_some() && !goes;
            let left = mark.left.is_some() && !goes;
            let there = of(&keyset.keks, epoch);
            ended_only
                || of(&keyset.shredded, epoch) != goes
                || of(&keyset.former.keks, epoch) != left
                || there == (goes || left)
        });
        let mut elsewhere = keyset.shredded.iter().chain(&keyset.former.keks);
        let unmarked = elsewhere.any(|kek| !self.marks.contains_key(&kek.epoch));
        if wrong || unmarked {
            return Err(KeyringFault::Senseless("its marks of KEK epochs do not fit its KEKs"));
        }
        Ok(())
    }
}
