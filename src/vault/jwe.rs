//! What callers encrypt to the vault.

use super::Vault;
use super::types::{Actor, CallerError, Error, Operation};
use crate::hsm::{Boxed, Generation, SealedPart};
use crate::jose::{Compact, Jwk};
use crate::keys::SecretBytes;

impl Vault {
    /// Opens a compact JWE (RSA-OAEP-256, A256GCM) that was encrypted to the transport key. The key's decryption happens in
    /// the HSM, and only for who may do `op`, which it is opened for. It counts as one record of `op`, whatever comes of
    /// it; one that does not open is in the audit trail some seconds later, together with others like it.
    ///
    /// # Errors
    /// Not granted, capped; [`CallerError::Field`] with `field` where it does not open or is of another kind; the HSM's.
    pub async fn open_jwe(
        &self,
        actor: &Actor,
        op: Operation,
        field: &'static str,
        compact: &str,
    ) -> Result<SecretBytes, Error> {
        let result = self.open_permitted(actor, op, field, compact).await;
        // what opens is counted with the operation it is opened for
        match result {
            Ok(text) => Ok(text),
            Err(error) => self.conclude(actor, op, None, "ok", Err(error)).await,
        }
    }

    async fn open_permitted(
        &self,
        actor: &Actor,
        op: Operation,
        field: &'static str,
        compact: &str,
    ) -> Result<SecretBytes, Error> {
        self.access.permit(actor, op, 1)?;
        let refused = |reason: String| CallerError::Field { field, reason };
        let keys = self.transports();
        let kids: Vec<&str> = keys.iter().map(|(_, jwk)| jwk.kid()).collect();
        let jwe = Compact::parse(compact, &kids).map_err(|fault| refused(fault.to_string()))?;
        // one without a name may be for any of them
        let named = jwe.kid.clone();
        let candidates = keys
            .iter()
            .filter(|(_, jwk)| named.as_ref().is_none_or(|kid| kid == jwk.kid()));
        let (encrypted_key, content) = (jwe.encrypted_key.clone(), boxed(jwe));
        for (generation, _) in candidates {
            let text = self
                .sealer
                .open_jwe(*generation, encrypted_key.clone(), content.clone());
            if let Some(text) = text.await? {
                return Ok(text);
            }
        }
        self.access.count(actor, op, "not-opened");
        Err(refused("is a JWE that does not open with the vault's key".to_owned()).into())
    }

    /// Opens a JWE (RSA-OAEP-256, A256GCM) that was encrypted to the locker key; the key's decryption happens in the HSM. It
    /// holds a request and no card at rest, so it counts against no cap. `None`: it does not open.
    ///
    /// # Errors
    /// The HSM's.
    pub async fn open_to_locker(&self, jwe: Compact) -> Result<Option<SecretBytes>, Error> {
        let encrypted_key = jwe.encrypted_key.clone();
        Ok(self.sealer.open_locker(encrypted_key, boxed(jwe)).await?)
    }

    /// The locker key's RS256 signature.
    ///
    /// # Errors
    /// The HSM's.
    pub async fn sign_as_locker(&self, message: SecretBytes) -> Result<Vec<u8>, Error> {
        Ok(self.sealer.sign_locker(message).await?)
    }

    /// The platform key's RS256 signature.
    ///
    /// # Errors
    /// The HSM's.
    pub async fn sign_as_platform(&self, message: SecretBytes) -> Result<Vec<u8>, Error> {
        Ok(self.sealer.sign_platform(message).await?)
    }

    /// The public halves of the transport keys that open, the one to encrypt to first: JWKs (RFC 7517), each with its
    /// RFC 7638 thumbprint as `kid`; JSON texts.
    pub fn transport_jwks(&self) -> Vec<String> {
        self.transports().iter().map(|(_, jwk)| jwk.to_json()).collect()
    }

    fn transports(&self) -> Vec<(Generation, Jwk)> {
        let keys = self.sealer.transport_publics().into_iter();
        keys.map(|(generation, public)| (generation, Jwk::rsa(&public.n, &public.e)))
            .collect()
    }
}

/// The content, as the HSM takes it.
fn boxed(jwe: Compact) -> Boxed {
    Boxed {
        aad: jwe.aad,
        sealed: SealedPart {
            iv: jwe.iv.to_vec(),
            text: [jwe.ciphertext.as_slice(), &jwe.tag].concat(),
        },
    }
}
