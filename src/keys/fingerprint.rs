//! What the fingerprint keys MAC.

use super::input::{fingerprint_input, fingerprint_prefix, mac_input};
use super::{Compartment, Error, Fingerprint, Keys, Place, Sealed, SecretBytes, malformed};
use crate::card::Pan;
use crate::hsm::{Boxed, Generation, Job, Reply};
use crate::id::RepositoryId;

impl Keys {
    /// The fingerprint of a PAN in a repository, under that fingerprint key.
    ///
    /// # Errors
    /// The HSM's.
    pub async fn fingerprint(
        &self,
        generation: Generation,
        repository: RepositoryId,
        pan: &Pan,
    ) -> Result<Fingerprint, Error> {
        let input = fingerprint_input(repository, pan);
        self.hmac(generation, input).await.map(Fingerprint)
    }

    /// The fingerprint of the PAN that is sealed there, under that fingerprint key. The PAN does not leave the worker.
    ///
    /// # Errors
    /// [`Error::Tampered`], also where there is no PAN; or the HSM's.
    pub async fn refingerprint(
        &self,
        generation: Generation,
        place: Place,
        sealed: &Sealed,
    ) -> Result<Fingerprint, Error> {
        let there = sealed.compartment(Compartment::Pan).ok_or(Error::Tampered)?;
        let part = Boxed {
            aad: place.aad(Compartment::Pan, there.revision),
            sealed: there.part.clone(),
        };
        let prefix = fingerprint_prefix(place.repository);
        let from = self.opening(sealed.epoch)?;
        let job = from.refingerprint(sealed.dek.clone(), part, generation, prefix);
        match self.call(job).await? {
            Reply::Mac(mac) => Ok(Fingerprint(mac)),
            _ => Err(malformed("not the answer to a refingerprint")),
        }
    }

    /// A keyed MAC of anything else, separated from fingerprints and other uses by `domain` (for example a request
    /// body behind an idempotency key). Names and other MACs whose input is stored nowhere stay under the first key.
    ///
    /// # Errors
    /// The HSM's.
    pub async fn mac(&self, domain: &str, bytes: SecretBytes) -> Result<[u8; 32], Error> {
        self.mac_under(Generation::FIRST, domain, &bytes).await
    }

    /// As [`Keys::mac`], under that fingerprint key.
    ///
    /// # Errors
    /// The HSM's.
    pub async fn mac_under(
        &self,
        generation: Generation,
        domain: &str,
        bytes: &SecretBytes,
    ) -> Result<[u8; 32], Error> {
        self.hmac(generation, mac_input(domain, bytes)).await
    }

    async fn hmac(&self, generation: Generation, input: SecretBytes) -> Result<[u8; 32], Error> {
        match self.call(Job::Mac { generation, input }).await? {
            Reply::Mac(mac) => Ok(mac),
            _ => Err(malformed("not the answer to a MAC")),
        }
    }
}
