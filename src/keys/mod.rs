//! Keys by their role: what a record's ciphertext is bound to, how it is encoded, and which HSM job makes and opens it.

pub mod adopt;
mod fingerprint;
mod generations;
pub mod init;
mod input;
mod keyring;
mod lifecycle;
mod ops;
pub mod relocation;
mod rotation;
mod seal;
mod serving;
mod shred;
mod transport;
mod uses;

use std::sync::Arc;

use self::input::fingerprint_input;
use self::rotation::Epochs;
use self::serving::State;
use crate::card::Pan;
use crate::hsm::{self, Boxed, Client, Epoch, Generation, Job, Keyset, Plain, PublicKey, Reply};
use crate::id::{RecordId, RepositoryId, UnixMillis};

pub use crate::hsm::SecretBytes;
pub use generations::KeyState;
pub use keyring::{Draft, Keyring, KeyringError, KeyringFault, SignedKeyring};
pub use lifecycle::{EpochMark, EpochState, Lifecycle, Refused};
pub use ops::{CANARY as KEK_CHECK_WRAPS, OpsToStore};
pub use rotation::{KekLimits, NotMoved};
pub use seal::{MAX_TEXT, Sealed, SealedCompartment};
pub use transport::TransportPublic;
#[cfg(test)]
pub(crate) use uses::tests::some as some_uses;
pub use uses::{Told, Uses};

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

/// Keyed MAC of a repository and a PAN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub [u8; 32]);

/// Why a key was not used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The HSM did not do it. Never [`hsm::Error::Tampered`]: that is [`Error::Tampered`] here.
    #[error(transparent)]
    Hsm(hsm::Error),
    /// The sealed bytes were written by a newer version of this program.
    #[error("the sealed data was written by a newer version")]
    NewerFormat,
    /// The KEK was destroyed, or is being: what is sealed under it is gone for good, and that is no alarm.
    #[error("the KEK of epoch {} was destroyed on {on}: what was sealed under it opens no more", .epoch.0)]
    Destroyed {
        /// Which.
        epoch: Epoch,
        /// When.
        on: UnixMillis,
    },
    /// The KEK is in a HSM that the vault has left, where what is sealed under it did not open either, or it would have come along.
    /// No alarm: it was told then.
    #[error("the KEK of epoch {} is in a HSM that this vault left on {on}", .epoch.0)]
    Left {
        /// Which.
        epoch: Epoch,
        /// When.
        on: UnixMillis,
    },
    /// The sealed bytes, their DEK or their place were changed: an alarm.
    #[error("the sealed data does not open: it was changed or belongs elsewhere")]
    Tampered,
}

impl From<hsm::Error> for Error {
    fn from(error: hsm::Error) -> Self {
        match error {
            hsm::Error::Tampered => Self::Tampered,
            other => Self::Hsm(other),
        }
    }
}

/// The vault's keys, by role. Clones share the workers.
#[derive(Clone)]
pub struct Keys {
    client: Client,
    first_audit: Arc<PublicKey>,
    generations: Arc<State>,
    locker_public: Option<Arc<PublicKey>>,
    platform_public: Option<Arc<PublicKey>>,
    uses: Arc<Uses>,
    epochs: Arc<Epochs>,
}

impl Keys {
    /// The keys of `keyset`, new DEKs under `active_epoch`.
    ///
    /// # Errors
    /// [`hsm::Error::Malformed`]: the keyset has no such epoch, or its transport key is no RSA key.
    pub fn new(client: Client, keyset: &Keyset, active_epoch: Epoch) -> Result<Self, Error> {
        if keyset.keks.iter().all(|kek| kek.epoch != active_epoch) {
            return Err(malformed("the active KEK epoch is not in the keyset"));
        }
        Ok(Self {
            client,
            first_audit: Arc::new(keyset.audit_public.clone()),
            generations: Arc::new(State::new(keyset)?),
            locker_public: keyset.locker.as_ref().map(|pair| Arc::new(pair.public.clone())),
            platform_public: keyset.platform.as_ref().map(|pair| Arc::new(pair.public.clone())),
            uses: Arc::default(),
            epochs: Arc::new(Epochs::new(keyset, active_epoch)),
        })
    }

    /// Fingerprint (when `pan` is given, under that fingerprint key) and seal in one HSM job. Compartment revisions start
    /// at 1.
    ///
    /// # Errors
    /// [`hsm::Error::Malformed`] for no compartment, the same one twice, or a text over [`MAX_TEXT`]; else the HSM's.
    pub async fn seal(
        &self,
        place: Place,
        pan: Option<(Generation, &Pan)>,
        compartments: Vec<(Compartment, SecretBytes)>,
    ) -> Result<(Option<Fingerprint>, Sealed), Error> {
        let kinds: Vec<Compartment> = compartments.iter().map(|(kind, _)| *kind).collect();
        let parts = compartments
            .into_iter()
            .map(|(kind, text)| Plain {
                aad: place.aad(kind, 1),
                text,
            })
            .collect();
        let (active, counted) = self.sealing().await?;
        let epoch = active.epoch();
        let mac = pan.map(|(generation, pan)| (generation, fingerprint_input(place.repository, pan)));
        let job = active.seal(mac, parts);
        let Reply::Seal { dek, mac, parts } = self.call_counted(job, counted).await? else {
            return Err(malformed("not the answer to a seal"));
        };
        if parts.len() != kinds.len() || mac.is_some() != pan.is_some() {
            return Err(malformed("the answer to a seal is not complete"));
        }
        let compartments = kinds
            .into_iter()
            .zip(parts)
            .map(|(compartment, part)| SealedCompartment {
                compartment,
                revision: 1,
                part,
            })
            .collect();
        let sealed = Sealed {
            epoch,
            dek,
            compartments,
        };
        Ok((mac.map(Fingerprint), storable(sealed)?))
    }

    /// Opens the compartments asked for, in that order; one that the record does not have is `None`.
    ///
    /// # Errors
    /// [`Error::Tampered`], or the HSM's.
    pub async fn open(
        &self,
        place: Place,
        sealed: &Sealed,
        which: &[Compartment],
    ) -> Result<Vec<Option<SecretBytes>>, Error> {
        let found: Vec<Option<&SealedCompartment>> = which.iter().map(|kind| sealed.compartment(*kind)).collect();
        let parts: Vec<Boxed> = found
            .iter()
            .flatten()
            .map(|there| Boxed {
                aad: place.aad(there.compartment, there.revision),
                sealed: there.part.clone(),
            })
            .collect();
        if parts.is_empty() {
            return Ok(found.iter().map(|_| None).collect());
        }
        let wanted = parts.len();
        let job = self.opening(sealed.epoch)?.open(sealed.dek.clone(), parts);
        let Reply::Open(texts) = self.call(job).await? else {
            return Err(malformed("not the answer to an open"));
        };
        if texts.len() != wanted {
            return Err(malformed("the answer to an open is not complete"));
        }
        let mut texts = texts.into_iter();
        Ok(found.iter().map(|there| there.and_then(|_| texts.next())).collect())
    }

    /// Opens what was encrypted to that transport key with RSA-OAEP-256 and A256GCM: the encrypted content key, and the
    /// content with what it is bound to. `None`: it does not open; it was made by others, so that is no alarm.
    ///
    /// # Errors
    /// [`hsm::Error::Malformed`] for lengths that no JWE has, or where the token cannot open any; else the HSM's.
    pub async fn open_jwe(
        &self,
        generation: Generation,
        encrypted_key: Vec<u8>,
        content: Boxed,
    ) -> Result<Option<SecretBytes>, Error> {
        let job = Job::OpenJwe {
            generation,
            encrypted_key,
            content,
        };
        match self.call(job).await? {
            Reply::OpenJwe(text) => Ok(text),
            _ => Err(malformed("not the answer to an open of a JWE")),
        }
    }

    /// As [`Keys::open_jwe`], of what was encrypted to the locker key.
    ///
    /// # Errors
    /// As [`Keys::open_jwe`]; [`hsm::Error::Malformed`] also where there is no such key.
    pub async fn open_locker(&self, encrypted_key: Vec<u8>, content: Boxed) -> Result<Option<SecretBytes>, Error> {
        let job = Job::OpenLocker { encrypted_key, content };
        match self.call(job).await? {
            Reply::OpenJwe(text) => Ok(text),
            _ => Err(malformed("not the answer to an open of a JWE")),
        }
    }

    /// The locker key's RS256 signature of just these bytes.
    ///
    /// # Errors
    /// The HSM's; [`hsm::Error::Malformed`] where there is no such key.
    pub async fn sign_locker(&self, message: SecretBytes) -> Result<Vec<u8>, Error> {
        match self.call(Job::SignLocker { message }).await? {
            Reply::Sign(signature) => Ok(signature),
            _ => Err(malformed("not the answer to a sign")),
        }
    }

    /// The platform key's RS256 signature of just these bytes.
    ///
    /// # Errors
    /// The HSM's; [`hsm::Error::Malformed`] where there is no such key.
    pub async fn sign_platform(&self, message: SecretBytes) -> Result<Vec<u8>, Error> {
        match self.call(Job::SignPlatform { message }).await? {
            Reply::Sign(signature) => Ok(signature),
            _ => Err(malformed("not the answer to a sign")),
        }
    }

    /// Seals one compartment anew (next compartment revision, fresh IV) under the record's own DEK; the others stay as
    /// they are and are not opened. A compartment that the record does not have yet is added.
    ///
    /// # Errors
    /// [`Error::Tampered`] when the DEK does not unwrap, [`hsm::Error::Malformed`] for a text over [`MAX_TEXT`] or when
    /// the revisions are used up, or the HSM's.
    pub async fn reseal(
        &self,
        place: Place,
        sealed: &Sealed,
        compartment: Compartment,
        text: SecretBytes,
    ) -> Result<Sealed, Error> {
        let before = sealed.compartment(compartment).map_or(0, |there| there.revision);
        let Some(revision) = before.checked_add(1) else {
            return Err(malformed("the compartment's revisions are used up"));
        };
        let part = Plain {
            aad: place.aad(compartment, revision),
            text,
        };
        let job = self.opening(sealed.epoch)?.reseal(sealed.dek.clone(), part);
        let Reply::Reseal(part) = self.call(job).await? else {
            return Err(malformed("not the answer to a reseal"));
        };
        let mut resealed = sealed.clone();
        resealed.put(compartment, revision, part);
        storable(resealed)
    }

    /// The locker key's public half, where there is one.
    pub fn locker_public(&self) -> Option<&PublicKey> {
        self.locker_public.as_deref()
    }

    /// The platform key's public half, where there is one.
    pub fn platform_public(&self) -> Option<&PublicKey> {
        self.platform_public.as_deref()
    }
}

/// Nothing is handed out for storing that could not be read again.
fn storable(sealed: Sealed) -> Result<Sealed, Error> {
    if sealed.is_sound() {
        Ok(sealed)
    } else {
        Err(malformed("what was sealed does not fit the stored form"))
    }
}

fn malformed(what: &str) -> Error {
    Error::Hsm(hsm::Error::Malformed(what.to_owned()))
}
