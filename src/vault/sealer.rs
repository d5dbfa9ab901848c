//! The keys as the verbs need them: seal, open and reseal in place, fingerprints, MACs, signatures.

use std::future::Future;
use std::pin::Pin;

use crate::card::Pan;
use crate::hsm::{Boxed, Epoch, PublicKey};
use crate::id::{RepositoryId, UnixMillis};
use crate::keys::{
    Compartment, EpochState, Error, Fingerprint, Keys, NotMoved, Place, Sealed, SecretBytes, TransportPublic, Uses,
};

/// A future of the keys.
pub(super) type Fut<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;

/// What [`Keys`] does for the verbs. A trait, so that races and faults of the verbs are tested without an HSM.
pub(super) trait Sealer: Send + Sync {
    /// As [`Keys::seal`].
    fn seal<'a>(
        &'a self,
        place: Place,
        pan: Option<&'a Pan>,
        compartments: Vec<(Compartment, SecretBytes)>,
    ) -> Fut<'a, (Option<Fingerprint>, Sealed)>;

    /// As [`Keys::open`].
    fn open<'a>(
        &'a self,
        place: Place,
        sealed: &'a Sealed,
        which: &'a [Compartment],
    ) -> Fut<'a, Vec<Option<SecretBytes>>>;

    /// As [`Keys::open_jwe`].
    fn open_jwe(&self, encrypted_key: Vec<u8>, content: Boxed) -> Fut<'_, Option<SecretBytes>>;

    /// As [`Keys::open_locker`].
    fn open_locker(&self, encrypted_key: Vec<u8>, content: Boxed) -> Fut<'_, Option<SecretBytes>>;

    /// As [`Keys::sign_locker`].
    fn sign_locker(&self, message: SecretBytes) -> Fut<'_, Vec<u8>>;

    /// As [`Keys::sign_platform`].
    fn sign_platform(&self, message: SecretBytes) -> Fut<'_, Vec<u8>>;

    /// As [`Keys::reseal`].
    fn reseal<'a>(
        &'a self,
        place: Place,
        sealed: &'a Sealed,
        compartment: Compartment,
        text: SecretBytes,
    ) -> Fut<'a, Sealed>;

    /// As [`Keys::rewrap`].
    fn rewrap<'a>(&'a self, place: Place, sealed: &'a Sealed) -> Fut<'a, Sealed>;

    /// As [`Keys::advance`].
    fn advance(&self) -> Pin<Box<dyn Future<Output = Result<Epoch, NotMoved>> + Send + '_>>;

    /// As [`Keys::active_epoch`].
    fn active_epoch(&self) -> Epoch;

    /// As [`Keys::not_after`].
    fn not_after(&self) -> Option<UnixMillis>;

    /// As [`Keys::epochs`].
    fn epochs(&self) -> Vec<(Epoch, EpochState)>;

    /// The keys of a keyring, whose epochs come and go; none in tests.
    fn keys(&self) -> Option<&Keys> {
        None
    }

    /// As [`Keys::fingerprint`].
    fn fingerprint<'a>(&'a self, repository: RepositoryId, pan: &'a Pan) -> Fut<'a, Fingerprint>;

    /// As [`Keys::mac`].
    fn mac<'a>(&'a self, domain: &'a str, bytes: SecretBytes) -> Fut<'a, [u8; 32]>;

    /// As [`Keys::sign`].
    fn sign<'a>(&'a self, domain: &'a str, message: &'a [u8]) -> Fut<'a, Vec<u8>>;

    /// As [`Keys::audit_public`].
    fn audit_public(&self) -> &PublicKey;

    /// As [`Keys::transport_public`].
    fn transport_public(&self) -> &TransportPublic;

    /// As [`Keys::uses`].
    fn uses(&self) -> &Uses;
}

impl Sealer for Keys {
    fn seal<'a>(
        &'a self,
        place: Place,
        pan: Option<&'a Pan>,
        compartments: Vec<(Compartment, SecretBytes)>,
    ) -> Fut<'a, (Option<Fingerprint>, Sealed)> {
        Box::pin(self.seal(place, pan, compartments))
    }

    fn open<'a>(
        &'a self,
        place: Place,
        sealed: &'a Sealed,
        which: &'a [Compartment],
    ) -> Fut<'a, Vec<Option<SecretBytes>>> {
        Box::pin(self.open(place, sealed, which))
    }

    fn open_jwe(&self, encrypted_key: Vec<u8>, content: Boxed) -> Fut<'_, Option<SecretBytes>> {
        Box::pin(self.open_jwe(encrypted_key, content))
    }

    fn open_locker(&self, encrypted_key: Vec<u8>, content: Boxed) -> Fut<'_, Option<SecretBytes>> {
        Box::pin(self.open_locker(encrypted_key, content))
    }

    fn sign_locker(&self, message: SecretBytes) -> Fut<'_, Vec<u8>> {
        Box::pin(self.sign_locker(message))
    }

    fn sign_platform(&self, message: SecretBytes) -> Fut<'_, Vec<u8>> {
        Box::pin(self.sign_platform(message))
    }

    fn reseal<'a>(
        &'a self,
        place: Place,
        sealed: &'a Sealed,
        compartment: Compartment,
        text: SecretBytes,
    ) -> Fut<'a, Sealed> {
        Box::pin(self.reseal(place, sealed, compartment, text))
    }

    fn rewrap<'a>(&'a self, place: Place, sealed: &'a Sealed) -> Fut<'a, Sealed> {
        Box::pin(self.rewrap(place, sealed))
    }

    fn advance(&self) -> Pin<Box<dyn Future<Output = Result<Epoch, NotMoved>> + Send + '_>> {
        Box::pin(self.advance())
    }

    fn active_epoch(&self) -> Epoch {
        self.active_epoch()
    }

    fn not_after(&self) -> Option<UnixMillis> {
        self.not_after()
    }

    fn epochs(&self) -> Vec<(Epoch, EpochState)> {
        self.epochs()
    }

    fn keys(&self) -> Option<&Keys> {
        Some(self)
    }

    fn fingerprint<'a>(&'a self, repository: RepositoryId, pan: &'a Pan) -> Fut<'a, Fingerprint> {
        Box::pin(self.fingerprint(repository, pan))
    }

    fn mac<'a>(&'a self, domain: &'a str, bytes: SecretBytes) -> Fut<'a, [u8; 32]> {
        Box::pin(self.mac(domain, bytes))
    }

    fn sign<'a>(&'a self, domain: &'a str, message: &'a [u8]) -> Fut<'a, Vec<u8>> {
        Box::pin(self.sign(domain, message))
    }

    fn audit_public(&self) -> &PublicKey {
        self.audit_public()
    }

    fn transport_public(&self) -> &TransportPublic {
        self.transport_public()
    }

    fn uses(&self) -> &Uses {
        self.uses()
    }
}
