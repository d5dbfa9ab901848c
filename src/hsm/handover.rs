//! The audit key's last word: which key signs after it. It stands in the keyring and in the audit trail, so that who pinned
//! the old key learns of the new one from nobody else.

use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};

use super::{KeyFingerprint, PublicKey, SignatureFault, framed};
use crate::id::{UnixMillis, VaultId};

/// One audit key names the next one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Handover {
    /// Whose keys.
    pub vault: VaultId,
    /// When.
    pub at: UnixMillis,
    /// Who signed until then, and signed this.
    pub from: PublicKey,
    /// Who signs from then on.
    pub to: PublicKey,
    /// base64url.
    signature: String,
}

impl Handover {
    /// What the signature is made for.
    pub const DOMAIN: &str = "panvault audit key handover v1";

    /// What is signed, apart from the domain.
    ///
    /// # Errors
    /// [`SignatureFault::MalformedKey`].
    pub fn statement(
        vault: &VaultId,
        at: UnixMillis,
        from: &PublicKey,
        to: &PublicKey,
    ) -> Result<Vec<u8>, SignatureFault> {
        Ok(framed(&[
            vault.as_str().as_bytes(),
            &at.0.to_be_bytes(),
            from.fingerprint()?.to_string().as_bytes(),
            to.fingerprint()?.to_string().as_bytes(),
        ]))
    }

    /// With the signature of `from`.
    pub fn new(vault: VaultId, at: UnixMillis, from: PublicKey, to: PublicKey, signature: &[u8]) -> Self {
        Self {
            vault,
            at,
            from,
            to,
            signature: BASE64URL_NOPAD.encode(signature),
        }
    }

    /// Whether the key that it names signed it; gives the names of both keys.
    ///
    /// # Errors
    /// A key or the signature is wrong.
    pub fn verify(&self) -> Result<(KeyFingerprint, KeyFingerprint), SignatureFault> {
        let statement = Self::statement(&self.vault, self.at, &self.from, &self.to)?;
        let signature = BASE64URL_NOPAD
            .decode(self.signature.as_bytes())
            .map_err(|_| SignatureFault::WrongSignature)?;
        self.from.verify_in(Self::DOMAIN, &statement, &signature)?;
        Ok((self.from.fingerprint()?, self.to.fingerprint()?))
    }
}
