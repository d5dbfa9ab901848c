//! The keys as the verbs need them: seal, open and reseal in place, fingerprints, MACs, signatures.

use std::future::Future;
use std::pin::Pin;

use crate::card::Pan;
use crate::hsm::{Boxed, Epoch, Generation, Handover, PublicKey, Rotated};
use crate::id::{RepositoryId, UnixMillis};
use crate::keys::{
    Compartment, EpochState, Error, Fingerprint, KeyState, Keys, NotMoved, Place, Sealed, SecretBytes, TransportPublic,
    Uses,
};

/// A future of the keys.
pub(super) type Fut<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;

/// The step to the next key of a role.
pub(super) type Step<'a> = Pin<Box<dyn Future<Output = Result<Generation, NotMoved>> + Send + 'a>>;

/// What [`Keys`] does for the verbs. A trait, so that races and faults of the verbs are tested without an HSM.
pub(super) trait Sealer: Send + Sync {
    /// As [`Keys::seal`].
    fn seal<'a>(
        &'a self,
        place: Place,
        pan: Option<(Generation, &'a Pan)>,
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
    fn open_jwe(&self, generation: Generation, encrypted_key: Vec<u8>, content: Boxed) -> Fut<'_, Option<SecretBytes>>;

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

    /// Whether what is sealed under the epoch opens nowhere any more, for good.
    fn is_destroyed(&self, epoch: Epoch) -> bool {
        self.epochs()
            .iter()
            .any(|(one, state)| *one == epoch && state.is_gone())
    }

    /// The keys of a keyring, whose epochs come and go; none in tests.
    fn keys(&self) -> Option<&Keys> {
        None
    }

    /// As [`Keys::fingerprint`].
    fn fingerprint<'a>(
        &'a self,
        generation: Generation,
        repository: RepositoryId,
        pan: &'a Pan,
    ) -> Fut<'a, Fingerprint>;

    /// As [`Keys::refingerprint`].
    fn refingerprint<'a>(&'a self, generation: Generation, place: Place, sealed: &'a Sealed) -> Fut<'a, Fingerprint>;

    /// As [`Keys::mac`].
    fn mac<'a>(&'a self, domain: &'a str, bytes: SecretBytes) -> Fut<'a, [u8; 32]>;

    /// As [`Keys::mac_under`].
    fn mac_under<'a>(&'a self, generation: Generation, domain: &'a str, bytes: &'a SecretBytes) -> Fut<'a, [u8; 32]>;

    /// As [`Keys::sign`].
    fn sign<'a>(&'a self, domain: &'a str, message: &'a [u8], by: &'a PublicKey) -> Fut<'a, Vec<u8>>;

    /// As [`Keys::audit_public`].
    fn audit_public(&self) -> &PublicKey;

    /// As [`Keys::transport_publics`].
    fn transport_publics(&self) -> Vec<(Generation, TransportPublic)>;

    /// As [`Keys::generation`].
    fn generation(&self, role: Rotated) -> Generation;

    /// As [`Keys::states`].
    fn states(&self, role: Rotated) -> Vec<KeyState>;

    /// As [`Keys::handovers`].
    fn handovers(&self) -> Vec<Handover>;

    /// As [`Keys::next_fingerprint`].
    fn next_fingerprint(&self) -> Step<'_>;

    /// As [`Keys::next_transport`].
    fn next_transport(&self) -> Step<'_>;

    /// As [`Keys::next_audit`].
    fn next_audit(&self) -> Step<'_>;

    /// As [`Keys::uses`].
    fn uses(&self) -> &Uses;
}

impl Sealer for Keys {
    fn seal<'a>(
        &'a self,
        place: Place,
        pan: Option<(Generation, &'a Pan)>,
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

    fn open_jwe(&self, generation: Generation, encrypted_key: Vec<u8>, content: Boxed) -> Fut<'_, Option<SecretBytes>> {
        Box::pin(self.open_jwe(generation, encrypted_key, content))
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

    fn fingerprint<'a>(
        &'a self,
        generation: Generation,
        repository: RepositoryId,
        pan: &'a Pan,
    ) -> Fut<'a, Fingerprint> {
        Box::pin(self.fingerprint(generation, repository, pan))
    }

    fn refingerprint<'a>(&'a self, generation: Generation, place: Place, sealed: &'a Sealed) -> Fut<'a, Fingerprint> {
        Box::pin(self.refingerprint(generation, place, sealed))
    }

    fn mac<'a>(&'a self, domain: &'a str, bytes: SecretBytes) -> Fut<'a, [u8; 32]> {
        Box::pin(self.mac(domain, bytes))
    }

    fn mac_under<'a>(&'a self, generation: Generation, domain: &'a str, bytes: &'a SecretBytes) -> Fut<'a, [u8; 32]> {
        Box::pin(self.mac_under(generation, domain, bytes))
    }

    fn sign<'a>(&'a self, domain: &'a str, message: &'a [u8], by: &'a PublicKey) -> Fut<'a, Vec<u8>> {
        Box::pin(self.sign(domain, message, by))
    }

    fn audit_public(&self) -> &PublicKey {
        self.audit_public()
    }

    fn transport_publics(&self) -> Vec<(Generation, TransportPublic)> {
        self.transport_publics()
    }

    fn generation(&self, role: Rotated) -> Generation {
        self.generation(role)
    }

    fn states(&self, role: Rotated) -> Vec<KeyState> {
        self.states(role)
    }

    fn handovers(&self) -> Vec<Handover> {
        self.handovers()
    }

    fn next_fingerprint(&self) -> Step<'_> {
        Box::pin(self.next_fingerprint())
    }

    fn next_transport(&self) -> Step<'_> {
        Box::pin(self.next_transport())
    }

    fn next_audit(&self) -> Step<'_> {
        Box::pin(self.next_audit())
    }

    fn uses(&self) -> &Uses {
        self.uses()
    }
}
