//! Which of two keyrings of a vault is the later one.

use super::Keyring;
use crate::hsm::{KekRef, PublicKey, Rotated};

impl Keyring {
    /// Whether this is a keyring of the same vault, as it was written at the same time as `earlier` or after it. That the keys
    /// which signed since are the vault's is proved by the handovers in it: each key named the next, from the one that signed
    /// `earlier` on.
    ///
    /// # Errors
    /// Why it is not.
    pub fn follows(&self, earlier: &Self) -> Result<(), &'static str> {
        if self.vault != earlier.vault || self.created != earlier.created {
            return Err("it is another vault's");
        }
        let left = |kek: &KekRef| self.keyset.former.keks.iter().any(|former| former.epoch == kek.epoch);
        if earlier.keyset.keks.iter().any(left) {
            return Err(
                "the vault has moved to another HSM since, and what is in the backup opens in the one before only: \
                        restore with the keyring in the backup, and move again",
            );
        }
        if !self.handovers().starts_with(earlier.handovers()) || self.audits_in_use() < earlier.audits_in_use() {
            return Err("no handovers in it lead from the audit key that signed the backup to the one that signed it");
        }
        let mut audits = self.keyset.audits().map(|(_, public)| public);
        let mut signed = earlier.keyset.audits().map(|(_, public)| public);
        let same = |known: &PublicKey| audits.next() == Some(known);
        if !signed.by_ref().take(earlier.audits_in_use()).all(same) {
            return Err("its audit keys are others than the backup's");
        }
        let steps = [
            self.generations
                .fingerprints
                .starts_with(&earlier.generations.fingerprints),
            self.generations.transports.starts_with(&earlier.generations.transports),
            self.active_epoch >= earlier.active_epoch,
        ];
        if steps.contains(&false) {
            return Err("it is older than the backup's");
        }
        let keks = earlier.keyset.keks.iter().chain(&earlier.keyset.shredded);
        let mut lost = keks.filter(|kek| self.kek(kek.epoch).is_none_or(|now| now.id != kek.id));
        let destroyed = |keyring: &Self, epoch| keyring.keyset.shredded.iter().any(|kek| kek.epoch == epoch);
        let back = |kek: &KekRef| !destroyed(self, kek.epoch);
        if lost.next().is_some() || earlier.keyset.shredded.iter().any(back) {
            return Err("it is older than the backup's, by its KEK epochs");
        }
        Ok(())
    }

    fn audits_in_use(&self) -> usize {
        usize::try_from(self.active(Rotated::Audit).0).unwrap_or(usize::MAX)
    }
}
