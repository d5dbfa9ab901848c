//! A keyring that was written after a backup: the audit key was rotated since, so the trail behind the backup has heads of a
//! key that the backup's own keyring does not know.

use std::path::Path;

use super::{Backup, Error};
use crate::keys::Keyring;

/// It, proved to be the one that the backup's keyring became: by the handovers in it, from the key that signed the backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaterKeyring {
    keyring: Keyring,
    text: Vec<u8>,
}

impl LaterKeyring {
    /// Reads a file, for this backup.
    ///
    /// # Errors
    /// It is no keyring, or not a later one of the backup's vault.
    pub fn load(path: &Path, backup: &Backup) -> Result<Self, Error> {
        let place = path.display();
        let unchanged = |why: String| Error::InTheWay(format!("{why}; nothing was changed"));
        let keyring = Keyring::load(path).map_err(|error| unchanged(error.to_string()))?;
        let text = std::fs::read(path).map_err(super::files::failed("cannot read", path))?;
        if Keyring::parse(&text).as_ref() != Ok(&keyring) {
            return Err(unchanged(format!("{place} was changed meanwhile")));
        }
        let earlier = backup.proved_keyring()?;
        keyring.follows(&earlier).map_err(|why| {
            unchanged(format!(
                "{place} is not a later keyring of the vault in the backup: {why}"
            ))
        })?;
        Ok(Self { keyring, text })
    }

    /// The keyring.
    pub fn keyring(&self) -> &Keyring {
        &self.keyring
    }

    /// Its file's bytes.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// How many times the audit key was rotated since the backup.
    ///
    /// # Errors
    /// The backup's keyring is not as it was signed.
    pub fn rotations(&self, backup: &Backup) -> Result<usize, Error> {
        let before = backup.proved_keyring()?.handovers().len();
        Ok(self.keyring.handovers().len().saturating_sub(before))
    }
}
