//! The destruction of a KEK: what was sealed under it, wherever copies of that lie, opens no more. Refused while anything of the
//! store needs it, and until there is a backup that needs it no more: older ones die with it.
//!
//! In order: the store says that nothing comes under the epoch any more, and then nothing may be under it; the store says what is
//! to be done and on what grounds, with the audit record; the keyring says that it goes, and
//! nothing uses it from then on; the workers are replaced; the objects in the HSM are destroyed; the certificate is signed and
//! stored, with the audit record; the keyring says that it is gone. Killed anywhere before the keyring's first word nothing was
//! done; anywhere behind it, the next start finishes it, or the command given again.

mod begin;
mod certificate;
mod finish;

use std::sync::Mutex;

use serde::{Deserialize, Serialize};

pub(super) use self::begin::not_ended;
pub use self::certificate::{LIMITS, Shredded};
use super::epochs::Under;
use super::tables;
use super::types::{Error, IntegrityError, Peer};
use crate::audit::Head;
use crate::hsm::KekObject;
use crate::id::UnixMillis;
use crate::keys::NotMoved;
use crate::store::{Part, Store, Write};

/// The format of [`Destruction`] in the store.
const VERSION: u8 = 1;

/// A backup, verified by who gives it: its manifest is signed by the vault's audit key, and each byte of it is as signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// SHA-256 of its manifest, hex.
    pub sha256: String,
    /// When it was made.
    pub made_at: UnixMillis,
    /// Its revision of the store.
    pub revision: u64,
    /// Its records.
    pub records: u64,
    /// The end of the audit trail in it.
    pub head: Head,
    /// What it has under the epoch.
    pub under: Under,
}

/// Why an epoch is not destroyed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum DestroyError {
    /// The state of the epoch, the keyring's or the HSM's.
    #[error(transparent)]
    Keys(#[from] NotMoved),
    /// Records need it.
    #[error(
        "{} tokens and {} other records are under KEK epoch {epoch}: `panvault key rotate --wait` puts what opens under the one \
         in use; what does not open is named by `panvault verify --full`, and has to be deleted first. Nothing was changed",
        under.tokens, under.documents
    )]
    Used {
        /// Which.
        epoch: u32,
        /// How many.
        under: Under,
    },
    /// Records are being put under another epoch.
    #[error("a rotation is under way: wait for its end, `panvault key status` tells it. Nothing was changed")]
    UnderWay,
    /// There is no backup without it.
    #[error("{0}; make one now, `panvault backup DIR`, and name it with --backup DIR. Nothing was changed")]
    Backup(String),
    /// The token keeps objects.
    #[error(
        "the token does not let its user destroy {0}: the security officer destroys it by the vendor's tool, and the command given \
         again finishes what has begun. What was sealed under the epoch opens no more already"
    )]
    Kept(String),
    /// The store's, or the HSM's, at work on it.
    #[error("{0}")]
    Vault(#[from] Error),
}

/// What verbs and the background share.
#[derive(Default)]
pub(super) struct Destructions {
    /// One at a time.
    turn: tokio::sync::Mutex<()>,
    /// Certificates of a later history of this vault, which the store does not have yet.
    learnt: Mutex<Vec<(Shredded, String)>>,
}

/// What is on record of a destruction: one version byte, then JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Destruction {
    epoch: u32,
    /// CKA_ID, hex.
    id: String,
    /// Who asked for it; none where a certificate says that it was.
    asked_by: Option<Peer>,
    begun_at: UnixMillis,
    /// On the grounds of which backup.
    backup: Option<Backup>,
    /// What there was of it when it began.
    objects: Vec<KekObject>,
    /// The certificate, once all is done.
    certificate: Option<String>,
}

/// A backup as it is on record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Backup {
    sha256: String,
    made_at: UnixMillis,
    revision: u64,
    records: u64,
    head: String,
}

impl Destruction {
    fn write(&self) -> Result<Write, Error> {
        let mut value = vec![VERSION];
        serde_json::to_writer(&mut value, self).map_err(|_| IntegrityError::Damaged)?;
        Ok(Write::Put(tables::kek_end(self.epoch), value))
    }

    /// One that somebody asked for, for tests of what it does to others.
    #[cfg(test)]
    pub(super) fn of(epoch: u32) -> Self {
        Self {
            epoch,
            id: String::new(),
            asked_by: None,
            begun_at: UnixMillis::now(),
            backup: None,
            objects: Vec::new(),
            certificate: None,
        }
    }

    async fn read(store: &dyn Store, epoch: u32) -> Result<Option<Self>, Error> {
        let held = store.get(Part::default(), &tables::kek_end(epoch)).await?;
        let Some(held) = held else { return Ok(None) };
        match held.value.split_first() {
            Some((&VERSION, body)) => {
                let read = serde_json::from_slice(body).map_err(|_| IntegrityError::Damaged)?;
                Ok(Some(read))
            }
            Some((newer, _)) if *newer > VERSION => Err(IntegrityError::NewerFormat.into()),
            _ => Err(IntegrityError::Damaged.into()),
        }
    }
}
