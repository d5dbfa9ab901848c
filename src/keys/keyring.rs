//! The keyring file: which keys in the token are the vault's, as `init` made them, signed by the audit key.
//!
//! ```json
//! {"format":1,
//! "keyring":{"vault":…,"created":…,"active_epoch":…,"keyset":…},
//! "signature":"base64url"}
//! ```
//! The signature covers [`signed_form`] of `panvault keyring v1` and the bytes of the member `keyring` as they stand
//! there. The file has one form only: a single other byte is refused.

pub(super) mod file;
mod life;
mod succession;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::generations::Generations;
use super::lifecycle::EpochMark;
use crate::hsm::{Epoch, KeyFingerprint, Keyset, PublicKey, SignatureFault, signed_form};
use crate::id::{UnixMillis, VaultId};

const FORMAT: u64 = 1;
const DOMAIN: &str = "panvault keyring v1";

/// The largest file that is read, in bytes.
const FILE_MAX: u64 = 1 << 20;

/// The vault's keys as `init` made them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keyring {
    vault: VaultId,
    created: UnixMillis,
    active_epoch: Epoch,
    /// Since when that epoch seals; none of the first one, which does since `created`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    active_since: Option<UnixMillis>,
    /// What befell epochs, of those that something befell.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    marks: BTreeMap<Epoch, EpochMark>,
    keyset: Keyset,
    /// Which of the keys whose role is rotated are in use.
    #[serde(default, skip_serializing_if = "Generations::is_empty")]
    pub(super) generations: Generations,
}

/// A keyring that waits for its signature.
#[derive(Debug)]
pub struct Draft {
    body: String,
    audit_public: PublicKey,
}

/// A signed keyring, ready to be written.
#[derive(Debug)]
pub struct SignedKeyring(Vec<u8>);

/// What is wrong with a keyring, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("keyring {}: {fault}", .path.display())]
pub struct KeyringError {
    /// The file.
    pub path: PathBuf,
    /// What.
    pub fault: KeyringFault,
}

/// What is wrong with a keyring.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyringFault {
    /// `init` was not run, or the file was lost.
    #[error("it is not there: run `panvault init`, or restore it from a backup")]
    Missing,
    /// It cannot be read.
    #[error("it cannot be read: {0}")]
    Unreadable(String),
    /// It cannot be written; what was there before is still there.
    #[error("it cannot be written: {0}")]
    NotWritten(String),
    /// Its mode lets others than its owner write it.
    #[error("others than its owner may write it (mode {0:o}): take that right away")]
    WritableByOthers(u32),
    /// Not a keyring, or a damaged one.
    #[error("it is damaged ({0}): restore it from a backup")]
    Damaged(String),
    /// A newer version wrote it.
    #[error("it was written by a newer version (format {0}, this program knows {FORMAT})")]
    Newer(u64),
    /// It was changed, or the audit key that it names did not sign it.
    #[error("{0}: it was changed after the audit key signed it")]
    Signature(SignatureFault),
    /// It has the form of a keyring but cannot be one.
    #[error("it makes no sense: {0}")]
    Senseless(&'static str),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File<'a> {
    format: u64,
    #[serde(borrow)]
    keyring: &'a RawValue,
    signature: String,
}

impl Keyring {
    /// The file's name in the state directory.
    pub const FILE: &str = "keyring.json";

    /// A keyring of these keys; new DEKs go under `active_epoch`.
    ///
    /// # Errors
    /// [`KeyringFault::Senseless`].
    pub fn new(vault: VaultId, created: UnixMillis, active_epoch: Epoch, keyset: Keyset) -> Result<Self, KeyringFault> {
        let keyring = Self {
            vault,
            created,
            active_epoch,
            active_since: None,
            marks: BTreeMap::new(),
            keyset,
            generations: Generations::default(),
        };
        keyring.checked()
    }

    /// Reads the file and believes nothing of it but what its signature covers.
    ///
    /// The signature is checked with the audit key that the keyring itself names. Whether that is the key in the token
    /// is the workers' to check; whether it is the one that `init` printed, the operator's.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn load(path: &Path) -> Result<Self, KeyringError> {
        file::read(path, FILE_MAX)
            .and_then(|bytes| Self::parse(&bytes))
            .map_err(|fault| KeyringError {
                path: path.to_owned(),
                fault,
            })
    }

    /// Reads the bytes of the file, as [`Keyring::load`] does.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn parse(bytes: &[u8]) -> Result<Self, KeyringFault> {
        #[derive(Deserialize)]
        struct Format {
            format: u64,
        }
        let damaged = |error: serde_json::Error| {
            let (line, column) = (error.line(), error.column());
            KeyringFault::Damaged(format!("unexpected at line {line} column {column}"))
        };
        let Format { format } = serde_json::from_slice(bytes).map_err(damaged)?;
        if format > FORMAT {
            return Err(KeyringFault::Newer(format));
        }
        let file: File<'_> = serde_json::from_slice(bytes).map_err(damaged)?;
        let body = file.keyring.get();
        let keyring: Self = serde_json::from_str(body).map_err(damaged)?;
        let signature = BASE64URL_NOPAD
            .decode(file.signature.as_bytes())
            .map_err(|_| KeyringFault::Damaged("its signature is not base64url".to_owned()))?;
        keyring
            .audit_public()
            .verify_in(DOMAIN, body.as_bytes(), &signature)
            .map_err(KeyringFault::Signature)?;
        // members that were passed over, here or further in, would be missing in what this program writes
        if keyring.body()? != body || file.format != FORMAT || contents(body, &signature) != bytes {
            return Err(KeyringFault::Damaged("it has more in it than a keyring has".to_owned()));
        }
        keyring.checked()
    }

    /// Finds out whether a keyring could be written at `path`, and leaves nothing there.
    ///
    /// # Errors
    /// [`KeyringFault::NotWritten`].
    pub(super) fn prepare(path: &Path) -> Result<(), KeyringError> {
        file::prepare(path).map_err(|error| KeyringError {
            path: path.to_owned(),
            fault: KeyringFault::NotWritten(error.to_string()),
        })
    }

    /// The same vault with more keys.
    ///
    /// # Errors
    /// [`KeyringFault::Senseless`].
    pub fn with_keyset(&self, keyset: Keyset) -> Result<Self, KeyringFault> {
        Self { keyset, ..self.clone() }.checked()
    }

    /// What is to be signed before it can be written.
    ///
    /// # Errors
    /// [`KeyringFault::Senseless`]: it cannot be put in words, a defect.
    pub fn draft(&self) -> Result<Draft, KeyringFault> {
        Ok(Draft {
            body: self.body()?,
            audit_public: self.audit_public().clone(),
        })
    }

    /// Which vault.
    pub fn vault(&self) -> &VaultId {
        &self.vault
    }

    /// When `init` was run first.
    pub fn created(&self) -> UnixMillis {
        self.created
    }

    /// New DEKs are wrapped under this epoch.
    pub fn active_epoch(&self) -> Epoch {
        self.active_epoch
    }

    /// Since when it is: what its cryptoperiod is counted from.
    pub fn active_since(&self) -> UnixMillis {
        self.active_since.unwrap_or(self.created)
    }

    /// The keys, for workers and [`super::Keys`].
    pub fn keyset(&self) -> &Keyset {
        &self.keyset
    }

    /// The fingerprint of the audit key that signs: the anchor of every offline verification.
    ///
    /// # Errors
    /// [`SignatureFault::MalformedKey`]; a keyring that was loaded has none.
    pub fn audit_fingerprint(&self) -> Result<KeyFingerprint, SignatureFault> {
        self.audit_public().fingerprint()
    }

    fn body(&self) -> Result<String, KeyringFault> {
        serde_json::to_string_pretty(self).map_err(|_| KeyringFault::Senseless("it cannot be written as JSON"))
    }

    /// The same, if it makes sense.
    pub(super) fn checked(self) -> Result<Self, KeyringFault> {
        self.check_marks()?;
        let keks = &self.keyset.keks;
        let ascending = keks.iter().zip(keks.iter().skip(1)).all(|(a, b)| a.epoch < b.epoch);
        let all = || keks.iter().chain(&self.keyset.shredded).chain(&self.keyset.former.keks);
        let epochs: BTreeSet<Epoch> = all().map(|kek| kek.epoch).collect();
        let mut ids: Vec<&str> = all().map(|kek| kek.id.as_str()).collect();
        ids.sort_unstable();
        ids.dedup();
        let wrong = [
            (keks.is_empty(), "it has no KEK"),
            (!ascending, "its KEK epochs do not ascend"),
            (keks.iter().any(|kek| kek.epoch.0 == 0), "KEK epochs count from 1"),
            (ids.len() != all().count(), "two KEK epochs are one key"),
            (epochs.len() != all().count(), "two KEKs have one epoch"),
            (
                keks.iter().all(|kek| kek.epoch != self.active_epoch),
                "it has no KEK of the active epoch",
            ),
        ];
        let wrong = wrong.into_iter().find(|(is_so, _)| *is_so).map(|(_, what)| what);
        match wrong.or_else(|| self.senseless_generations()) {
            Some(what) => Err(KeyringFault::Senseless(what)),
            None => Ok(self),
        }
    }
}

impl Draft {
    /// The bytes for the audit key to sign, domain and all.
    pub fn message(&self) -> Vec<u8> {
        signed_form(DOMAIN, self.body.as_bytes())
    }

    /// Takes the signature, if it is the audit key's.
    ///
    /// # Errors
    /// [`KeyringFault::Signature`].
    pub fn signed(self, signature: &[u8]) -> Result<SignedKeyring, KeyringFault> {
        self.audit_public
            .verify(&self.message(), signature)
            .map_err(KeyringFault::Signature)?;
        Ok(SignedKeyring(contents(&self.body, signature)))
    }
}

impl SignedKeyring {
    /// Puts it in the place of what is there, in one step and durably. Mode 0640: nothing in it is secret, and whoever
    /// verifies offline reads it.
    ///
    /// # Errors
    /// [`KeyringFault::NotWritten`]; what was there before is still there.
    pub fn write(&self, path: &Path) -> Result<(), KeyringError> {
        file::replace(path, &self.0).map_err(|error| KeyringError {
            path: path.to_owned(),
            fault: KeyringFault::NotWritten(error.to_string()),
        })
    }

    /// The file's text, for people to save where it could not be written.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.0).into_owned()
    }
}

/// The whole file.
fn contents(body: &str, signature: &[u8]) -> Vec<u8> {
    let signature = BASE64URL_NOPAD.encode(signature);
    format!("{{\"format\":{FORMAT},\n\"keyring\":{body},\n\"signature\":\"{signature}\"}}\n").into_bytes()
}

#[cfg(test)]
mod tests;
