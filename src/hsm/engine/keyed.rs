//! Keys that a job names by their generation.

use zeroize::Zeroizing;

use super::Engine;
use crate::hsm::job::{Boxed, Epoch, Job, SecretBytes, WrappedKey};
use crate::hsm::pkcs11::{Ckr, Signing};
use crate::hsm::proof::sign;
use crate::hsm::{Generation, framed};

impl Engine {
    /// Whether the key that a job names by its generation is there.
    pub(super) fn has_key(&self, job: &Job) -> bool {
        let keys = &self.shared.keys;
        match job {
            Job::Mac { generation, .. } | Job::Refingerprint { generation, .. } => {
                at(&keys.fingerprints, *generation).is_ok()
            }
            Job::Seal { mac, .. } => mac
                .as_ref()
                .is_none_or(|(generation, _)| at(&keys.fingerprints, *generation).is_ok()),
            Job::Sign { generation, .. } => held(&keys.audits, *generation).is_ok(),
            Job::OpenJwe { generation, .. } => held(&keys.transports, *generation).is_ok(),
            Job::Kek { .. }
            | Job::Open { .. }
            | Job::OpenLocker { .. }
            | Job::Probe
            | Job::Random { .. }
            | Job::Reseal { .. }
            | Job::Rewrap { .. }
            | Job::SignLocker { .. }
            | Job::SignPlatform { .. } => true,
        }
    }

    pub(super) fn mac(&self, generation: Generation, input: &[u8]) -> Result<[u8; 32], Ckr> {
        let key = *at(&self.shared.keys.fingerprints, generation)?;
        let mac = sign(&self.session, key, Signing::HmacSha256, input)?;
        mac.try_into()
            .map_err(|_| Ckr::new("C_Sign", cryptoki_sys::CKR_DATA_LEN_RANGE))
    }

    pub(super) fn refingerprint(
        &mut self,
        epoch: Epoch,
        dek: &WrappedKey,
        part: &Boxed,
        generation: Generation,
        prefix: &[u8],
    ) -> Result<[u8; 32], Ckr> {
        let opened = self.unseal(epoch, dek, std::slice::from_ref(part))?;
        let text = opened.first().map_or(&[][..], SecretBytes::expose);
        let framed = SecretBytes::new(framed(&[text]));
        // of its full length at once: a buffer that grows leaves card numbers behind
        let mut input = Zeroizing::new(Vec::with_capacity(prefix.len() + framed.expose().len()));
        input.extend_from_slice(prefix);
        input.extend_from_slice(framed.expose());
        self.mac(generation, &input)
    }
}

/// The key of that generation; `execute` has refused those that are not there.
pub(super) fn at<T>(keys: &[T], generation: Generation) -> Result<&T, Ckr> {
    let key = generation.index().and_then(|index| keys.get(index));
    key.ok_or(Ckr::new("panvault", cryptoki_sys::CKR_KEY_HANDLE_INVALID))
}

/// Likewise, where it is in this HSM.
pub(super) fn held<T>(keys: &[Option<T>], generation: Generation) -> Result<&T, Ckr> {
    let key = at(keys, generation)?.as_ref();
    key.ok_or(Ckr::new("panvault", cryptoki_sys::CKR_KEY_HANDLE_INVALID))
}
