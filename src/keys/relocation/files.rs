//! How far a move to another HSM is, in files beside the keyring: a journal, and later the keyring of the new HSM.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::hsm::officer::{Arrival, Tag};
use crate::hsm::{KekMode, Keyset};
use crate::id::{UnixMillis, VaultId};
use crate::keys::adopt::TokenName;
use crate::keys::keyring::file::{read, replace, sync_dir};
use crate::keys::keyring::{Keyring, KeyringError, KeyringFault};

/// The largest journal that is read, in bytes.
const JOURNAL_MAX: u64 = 1 << 20;

/// That a move was begun: from where, to where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Journal {
    pub(super) vault: VaultId,
    /// The token that is left.
    pub from: TokenName,
    /// The one that takes its place.
    pub to: TokenName,
    pub(super) tag: Tag,
    /// When.
    pub begun_at: UnixMillis,
    /// The operators who agreed, where it is under dual control: `alice and bob`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved_by: Option<String>,
    pub(super) mode: KekMode,
    pub(super) epochs: u32,
    /// What the new HSM made, where the vendor's officer of the old one is waited for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) arrival: Option<Arrival>,
}

impl Journal {
    /// How the new HSM's KEKs are made by a move that waits for a vendor's officer; `None`: one that was cut begins anew.
    pub fn goes_on(&self, keyset: &Keyset) -> Option<KekMode> {
        self.waits(keyset).then_some(self.mode)
    }

    /// Whether a vendor's officer marks keys on either side: what was made stays until that is done.
    pub(super) fn waits(&self, keyset: &Keyset) -> bool {
        self.mode == KekMode::OfficerSets || keyset.mode == KekMode::OfficerSets
    }
}

/// How far a move is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stage {
    /// Keys were made in the new token, or are about to be; nothing else was done.
    Begun(Box<Journal>),
    /// The keyring of the new HSM is there, and records move.
    HalfWay(Box<Keyring>),
    /// All is done, but for the journal's removal.
    Done,
}

/// The files of a move, beside a keyring.
#[derive(Debug, Clone)]
pub struct Files {
    keyring: PathBuf,
}

impl Files {
    /// Of the keyring at `path`.
    pub fn of(path: &Path) -> Self {
        Self {
            keyring: path.to_owned(),
        }
    }

    /// The keyring of the new HSM, until it takes the other one's place.
    pub fn next(&self) -> PathBuf {
        self.keyring.with_extension("next.json")
    }

    fn journal(&self) -> PathBuf {
        self.keyring.with_file_name("move.json")
    }

    pub(super) fn note(&self, journal: &Journal) -> Result<(), KeyringError> {
        let text = serde_json::to_vec_pretty(journal).map_err(|error| self.not_written(&error.into()))?;
        replace(&self.journal(), &text).map_err(|error| self.not_written(&error))
    }

    /// The journal of a move that is not done, or whose journal was not removed yet; `None`: there is none.
    ///
    /// # Errors
    /// It cannot be read, or is none.
    pub fn begun(&self) -> Result<Option<Journal>, KeyringError> {
        let path = self.journal();
        match read(&path, JOURNAL_MAX) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| KeyringFault::Damaged(error.to_string())),
            Err(KeyringFault::Missing) => return Ok(None),
            Err(fault) => Err(fault),
        }
        .map(Some)
        .map_err(|fault| KeyringError { path, fault })
    }

    /// How far a move is; `None`: there is none.
    ///
    /// # Errors
    /// A file of it cannot be read, or is no such file.
    pub fn stage(&self) -> Result<Option<Stage>, KeyringError> {
        let path = self.next();
        match Keyring::load(&path) {
            Ok(next) => return Ok(Some(Stage::HalfWay(Box::new(next)))),
            Err(error) if error.fault == KeyringFault::Missing => {}
            Err(error) => return Err(error),
        }
        let Some(journal) = self.begun()? else {
            return Ok(None);
        };
        let now = Keyring::load(&self.keyring)?;
        if *now.vault() != journal.vault {
            let fault = KeyringFault::Senseless("it tells of another vault's move: move it away");
            let path = self.journal();
            return Err(KeyringError { path, fault });
        }
        Ok(Some(match now.keyset().token_serial == journal.to.serial {
            true => Stage::Done,
            false => Stage::Begun(Box::new(journal)),
        }))
    }

    /// The keyring of the new HSM becomes the vault's; the one before stays beside it under another name, which is given.
    ///
    /// # Errors
    /// [`KeyringFault::NotWritten`]; the move is as far as before.
    pub fn take_place(&self, next: &Keyring) -> Result<PathBuf, KeyringError> {
        let since = next.active_since();
        let kept = self.keyring.with_extension(format!("left-{}.json", since.0));
        let before = read(&self.keyring, JOURNAL_MAX).map_err(|fault| KeyringError {
            path: self.keyring.clone(),
            fault,
        })?;
        let done = replace(&kept, &before)
            .and_then(|()| fs::rename(self.next(), &self.keyring))
            .and_then(|()| sync_dir(&self.keyring));
        done.map_err(|error| self.not_written(&error))?;
        self.forget()?;
        Ok(kept)
    }

    /// Removes the journal.
    ///
    /// # Errors
    /// [`KeyringFault::NotWritten`].
    pub fn forget(&self) -> Result<(), KeyringError> {
        let removed = match fs::remove_file(self.journal()) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            other => other,
        };
        removed
            .and_then(|()| sync_dir(&self.keyring))
            .map_err(|error| self.not_written(&error))
    }

    pub(super) fn not_written(&self, error: &std::io::Error) -> KeyringError {
        KeyringError {
            path: self.keyring.clone(),
            fault: KeyringFault::NotWritten(error.to_string()),
        }
    }
}
