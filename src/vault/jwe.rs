//! What callers encrypt to the vault.

use super::Vault;
use super::types::Error;
use crate::keys::SecretBytes;

impl Vault {
    /// Opens a compact JWE (RSA-OAEP-256, A256GCM) that was encrypted to the transport key. The key's decryption happens in
    /// the HSM.
    ///
    /// # Errors
    /// [`CallerError::Field`](super::types::CallerError::Field) with `field` where it does not open or is of another kind;
    /// the HSM's.
    pub async fn open_jwe(&self, field: &'static str, compact: &str) -> Result<SecretBytes, Error> {
        let _ = (field, compact);
        unimplemented!()
    }

    /// The transport key's public half, a JWK (RFC 7517) with its RFC 7638 thumbprint as `kid`; JSON text.
    pub fn transport_jwk(&self) -> String {
        unimplemented!()
    }
}
