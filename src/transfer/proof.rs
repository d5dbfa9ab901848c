//! Reading all of a backup without restoring it: that every byte is as signed, and what of it hangs on a KEK epoch.

use std::collections::{BTreeMap, BTreeSet};

use super::{Backup, Error};
use crate::audit::Head;
use crate::keys::Keyring;
use crate::store::Key;
use crate::vault::epochs::{self, Under};

impl Backup {
    /// The keyring in it.
    ///
    /// # Errors
    /// It is not as it was signed.
    pub fn proved_keyring(&self) -> Result<Keyring, Error> {
        Keyring::parse(&self.keyring()?).map_err(|fault| Error::Damaged(fault.to_string()))
    }

    /// Reads every byte; gives what of it is sealed under the epoch.
    ///
    /// # Errors
    /// [`Error::Damaged`]: something is not as it was signed, or is no vault's.
    pub fn prove(&self, epoch: u32) -> Result<Under, Error> {
        self.proved_keyring()?;
        // a later change of the same key counts; what is under the epoch is little, or the backup is of no use here
        let mut keys: BTreeSet<Key> = BTreeSet::new();
        let mut tokens = 0;
        self.entries(|changes| {
            for change in changes {
                let mut counts = BTreeMap::new();
                if let Some(now) = &change.now {
                    epochs::count(&mut counts, &change.key, &now.value)
                        .map_err(|error| Error::Damaged(error.to_string()))?;
                }
                let is_token = |key: &Key| u64::from(key.0.first() == Some(&crate::vault::RECORD_TABLE));
                if counts.contains_key(&epoch) {
                    if keys.insert(change.key.clone()) {
                        tokens += is_token(&change.key);
                    }
                } else if keys.remove(&change.key) {
                    tokens -= is_token(&change.key);
                }
            }
            Ok(())
        })?;
        let mut head = Head::START;
        self.lines(|line| {
            head.follow(line)
                .map_err(|error| Error::Damaged(format!("its audit chain is broken: {error}")))
        })?;
        if head != self.manifest().mark().head {
            return Err(Error::Damaged(
                "its audit trail does not end where its manifest says".to_owned(),
            ));
        }
        let all = u64::try_from(keys.len()).unwrap_or(u64::MAX);
        Ok(Under {
            tokens,
            documents: all.saturating_sub(tokens),
        })
    }
}
