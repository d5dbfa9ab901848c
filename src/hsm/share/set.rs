//! What the instance keeps of its sets of shares: enough to know each share, nothing that gives the PIN.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{SetId, Share};
use crate::id::UnixMillis;

/// Sets remembered that others took the place of.
const REMEMBERED: usize = 64;

/// A set of shares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShareSet {
    /// Which.
    pub set: SetId,
    /// How many shares give the PIN.
    pub threshold: u8,
    /// How many there are.
    pub of: u8,
    /// When it was made.
    pub made_at: UnixMillis,
    /// Each share's fingerprint, hex, the first share's first.
    pub(super) shares: Vec<String>,
    /// SHA-256 over what was shared out, of which 16 bytes are random; hex.
    pub(super) commitment: String,
}

/// A set whose place another one took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Replaced {
    /// Which.
    pub set: SetId,
    /// When another one took its place.
    pub replaced_at: UnixMillis,
}

/// The file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetFile {
    version: u32,
    /// The set that unseals.
    pub current: ShareSet,
    /// Those before it, the oldest first.
    pub replaced: Vec<Replaced>,
}

/// Why a share is not one of the set that unseals.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// Of a set that another one took the place of.
    #[error(
        "the share is stale: its set {share} was replaced on {replaced_at} by set {current}; give your share of that set, and \
         destroy this one"
    )]
    Stale {
        /// The share's set.
        share: SetId,
        /// When it was replaced.
        replaced_at: UnixMillis,
        /// The set that unseals.
        current: SetId,
    },
    /// Of a set that this vault never had.
    #[error(
        "the share is of another set of shares: {share} was never this vault's, whose set is {current}; look for the share of \
         that set"
    )]
    OtherCeremony {
        /// The share's set.
        share: SetId,
        /// The set that unseals.
        current: SetId,
    },
    /// It says that it is one of the set, and is not as that was made.
    #[error(
        "the share says that it is number {0} of this vault's set, and is not the one that was made: take the custodian's second \
         copy; if that is refused too, make new shares (`panvault shares renew`)"
    )]
    Changed(u8),
}

impl SetFile {
    /// A set takes the place of the one before it, if there was one.
    pub fn next(before: Option<Self>, current: ShareSet) -> Self {
        let mut replaced = Vec::new();
        if let Some(before) = before {
            replaced = before.replaced;
            replaced.push(Replaced {
                set: before.current.set,
                replaced_at: current.made_at,
            });
            let excess = replaced.len().saturating_sub(REMEMBERED);
            replaced.drain(..excess);
        }
        Self {
            version: 1,
            current,
            replaced,
        }
    }

    /// Where it is.
    pub fn path(state_dir: &Path) -> PathBuf {
        state_dir.join("shares.json")
    }

    /// Reads it; `None` where no shares were made.
    ///
    /// # Errors
    /// For people.
    pub fn load(state_dir: &Path) -> Result<Option<Self>, String> {
        let path = Self::path(state_dir);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(format!("{}: {error}", path.display())),
        };
        let damaged = |why: &str| {
            format!(
                "{} is damaged ({why}): custodians make new shares from theirs with `panvault shares renew`",
                path.display()
            )
        };
        let file: Self = serde_json::from_slice(&text).map_err(|error| damaged(&error.to_string()))?;
        let ShareSet {
            threshold, of, shares, ..
        } = &file.current;
        if file.version != 1 || *threshold < 2 || threshold > of || shares.len() != usize::from(*of) {
            return Err(damaged("its numbers cannot be"));
        }
        Ok(Some(file))
    }

    /// Writes it durably, as a whole or not at all.
    ///
    /// # Errors
    /// For people.
    pub fn write(&self, state_dir: &Path) -> Result<(), String> {
        let path = Self::path(state_dir);
        let fresh = path.with_extension("new");
        let written = serde_json::to_vec_pretty(self)
            .map_err(std::io::Error::other)
            .and_then(|text| {
                let mut file = fs::OpenOptions::new()
                    .write(true)
                    .create(true)
                    .truncate(true)
                    .mode(0o600)
                    .open(&fresh)?;
                file.write_all(&text)?;
                file.sync_all()?;
                fs::rename(&fresh, &path)?;
                fs::File::open(state_dir)?.sync_all()
            });
        written.map_err(|error| format!("{}: {error}", path.display()))
    }

    /// Whether the share is one of the set that unseals, as that was made.
    ///
    /// # Errors
    /// [`Unfit`].
    pub fn judge(&self, share: &Share) -> Result<(), Unfit> {
        let current = &self.current;
        if share.set != current.set {
            let replaced = self.replaced.iter().rfind(|replaced| replaced.set == share.set);
            return Err(match replaced {
                Some(replaced) => Unfit::Stale {
                    share: share.set,
                    replaced_at: replaced.replaced_at,
                    current: current.set,
                },
                None => Unfit::OtherCeremony {
                    share: share.set,
                    current: current.set,
                },
            });
        }
        let made = current.shares.get(usize::from(share.index).saturating_sub(1));
        match made {
            Some(made) if *made == data_encoding::HEXLOWER.encode(&share.fingerprint()) => Ok(()),
            _ => Err(Unfit::Changed(share.index)),
        }
    }
}
