//! Keys by their role: what a record's ciphertext is bound to, how it is encoded, and which HSM job makes and opens it.

use crate::card::Pan;
use crate::hsm::{Client, Epoch, Error, PublicKey, SealedPart, WrappedKey};
use crate::id::{RecordId, RepositoryId};

pub use crate::hsm::SecretBytes;

/// Which part of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Compartment {
    /// The PAN.
    Pan,
    /// Holder, addresses, dialect extras.
    Profile,
}

/// Where a ciphertext belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The owner.
    pub repository: RepositoryId,
    /// The record.
    pub record: RecordId,
}

/// A sealed compartment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedCompartment {
    /// Which.
    pub compartment: Compartment,
    /// How often it was sealed; part of its AAD.
    pub revision: u32,
    /// IV and ciphertext.
    pub part: SealedPart,
}

/// A record's sealed part: the wrapped DEK and what it seals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// Which KEK wraps the DEK.
    pub epoch: Epoch,
    /// The DEK.
    pub dek: WrappedKey,
    /// At most one of each kind.
    pub compartments: Vec<SealedCompartment>,
}

/// Keyed MAC of a repository and a PAN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub [u8; 32]);

/// The vault's keys, by role.
#[derive(Clone)]
pub struct Keys {
    _client: Client,
}

impl Sealed {
    /// The stored form: format version, algorithm id, epoch, wrapped DEK, compartments.
    pub fn encode(&self) -> Vec<u8> {
        unimplemented!()
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// [`Error::Tampered`] for anything that [`Sealed::encode`] of this or an older version did not write.
    pub fn decode(_bytes: &[u8]) -> Result<Self, Error> {
        unimplemented!()
    }
}

impl Keys {
    /// Fingerprint (when `pan` is given) and seal in one HSM job.
    ///
    /// # Errors
    /// The HSM's.
    pub async fn seal(
        &self,
        _place: Place,
        _pan: Option<&Pan>,
        _compartments: Vec<(Compartment, SecretBytes)>,
    ) -> Result<(Option<Fingerprint>, Sealed), Error> {
        unimplemented!()
    }

    /// Opens the compartments asked for, in that order; one that the record does not have is `None`.
    ///
    /// # Errors
    /// [`Error::Tampered`], or the HSM's.
    pub async fn open(
        &self,
        _place: Place,
        _sealed: &Sealed,
        _which: &[Compartment],
    ) -> Result<Vec<Option<SecretBytes>>, Error> {
        unimplemented!()
    }

    /// Seals one compartment anew (next compartment revision, fresh IV) under the record's own DEK; the others stay as
    /// they are and are not opened.
    ///
    /// # Errors
    /// The HSM's.
    pub async fn reseal(
        &self,
        _place: Place,
        _sealed: &Sealed,
        _compartment: Compartment,
        _text: SecretBytes,
    ) -> Result<Sealed, Error> {
        unimplemented!()
    }

    /// The fingerprint of a PAN in a repository.
    ///
    /// # Errors
    /// The HSM's.
    pub async fn fingerprint(&self, _repository: RepositoryId, _pan: &Pan) -> Result<Fingerprint, Error> {
        unimplemented!()
    }

    /// A keyed MAC of anything else, separated from fingerprints and other uses by `domain` (for example a request
    /// body behind an idempotency key).
    ///
    /// # Errors
    /// The HSM's.
    pub async fn mac(&self, _domain: &str, _bytes: SecretBytes) -> Result<[u8; 32], Error> {
        unimplemented!()
    }

    /// Signs `domain` and `message` with the audit key.
    ///
    /// # Errors
    /// The HSM's.
    pub async fn sign(&self, _domain: &str, _message: &[u8]) -> Result<Vec<u8>, Error> {
        unimplemented!()
    }

    /// The audit key's public half.
    pub fn audit_public(&self) -> &PublicKey {
        unimplemented!()
    }

    /// New DEKs are wrapped under this epoch.
    pub fn active_epoch(&self) -> Epoch {
        unimplemented!()
    }
}
