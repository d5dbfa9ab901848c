//! Credentials: how they look, what is kept of them, how they are compared.
//!
//! An API key is `pv_<id>_<secret>`: the id is public and finds the credential. A password is 32 upper-case hex digits,
//! shown with its merchant. Of either only SHA-256(id, secret) is kept. That is enough because the secret is
//! machine-made from 256 or 128 random bits: there is nothing to guess. A certificate is no secret: its SHA-256 is kept.
//! An operator's credential is made as an API key is and begins with `pvo_`, so that neither is taken for the other.

use std::fmt;

use data_encoding::{BASE32_NOPAD, BASE64URL_NOPAD, HEXUPPER};
use ring::digest;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::certificate::CertificateDigest;
use crate::id::{CredentialId, Malformed, NoRandom, fill_random};

/// A credential just made: the only moment its secret exists here.
pub(crate) struct Fresh {
    pub(crate) id: CredentialId,
    pub(crate) hash: SecretHash,
    /// As it is shown.
    pub(crate) text: SecretString,
}

/// What a caller showed, split but not believed.
pub(crate) struct Presented {
    pub(crate) id: CredentialId,
    pub(crate) hash: SecretHash,
}

/// SHA-256 over the id's length, the id and the secret.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct SecretHash([u8; digest::SHA256_OUTPUT_LEN]);

/// Compares in constant time, and just as long when there is nothing to compare with.
pub(crate) struct Comparison {
    decoy: SecretHash,
    nobody: CredentialId,
}

impl Fresh {
    /// # Errors
    /// No random bytes.
    pub(super) fn api_key() -> Result<Self, NoRandom> {
        Self::key(PREFIX)
    }

    /// An operator's credential.
    ///
    /// # Errors
    /// No random bytes.
    pub(crate) fn operator() -> Result<Self, NoRandom> {
        Self::key(OPERATOR_PREFIX)
    }

    fn key(prefix: &str) -> Result<Self, NoRandom> {
        let id = fresh_id()?;
        let mut secret = Zeroizing::new([0; SECRET_BYTES]);
        fill_random(&mut *secret)?;
        let mut secret = Zeroizing::new(BASE32_NOPAD.encode(&*secret));
        secret.make_ascii_lowercase();
        Ok(Self {
            hash: SecretHash::of(&id, &secret),
            text: SecretString::from(format!("{prefix}{id}_{}", &*secret)),
            id,
        })
    }

    /// # Errors
    /// No random bytes.
    pub(super) fn password() -> Result<Self, NoRandom> {
        let id = fresh_id()?;
        let mut secret = Zeroizing::new([0; PASSWORD_BYTES]);
        fill_random(&mut *secret)?;
        let secret = HEXUPPER.encode(&*secret);
        Ok(Self {
            hash: SecretHash::of(&id, &secret),
            text: SecretString::from(secret),
            id,
        })
    }
}

impl Presented {
    /// Splits a key's text; `None` if it cannot be one.
    pub(super) fn parse(text: &str) -> Option<Self> {
        Self::after(PREFIX, text)
    }

    /// The same of an operator's credential.
    pub(crate) fn parse_operator(text: &str) -> Option<Self> {
        Self::after(OPERATOR_PREFIX, text)
    }

    fn after(prefix: &str, text: &str) -> Option<Self> {
        let (id, secret) = text.strip_prefix(prefix)?.split_once('_')?;
        if secret.len() != SECRET_CHARS || !secret.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return None;
        }
        let id = CredentialId::parse(id).ok()?;
        Some(Self {
            hash: SecretHash::of(&id, secret),
            id,
        })
    }
}

impl SecretHash {
    /// Of a secret under the id of its credential.
    pub(super) fn of(id: &CredentialId, secret: &str) -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(b"panvault credential v1\0");
        // the id has no NUL, so this ends it
        context.update(id.as_str().as_bytes());
        context.update(b"\0");
        context.update(secret.as_bytes());
        let mut hash = [0; digest::SHA256_OUTPUT_LEN];
        hash.copy_from_slice(context.finish().as_ref());
        Self(hash)
    }
}

impl Comparison {
    /// # Errors
    /// No random bytes.
    pub(crate) fn new() -> Result<Self, NoRandom> {
        let mut decoy = [0; digest::SHA256_OUTPUT_LEN];
        fill_random(&mut decoy)?;
        Ok(Self {
            decoy: SecretHash(decoy),
            nobody: fresh_id()?,
        })
    }

    /// An id to hash under where there is no credential.
    pub(super) fn nobody(&self) -> &CredentialId {
        &self.nobody
    }

    /// Whether `presented` is `stored`; a missing one costs the same and is never it.
    pub(crate) fn holds(&self, stored: Option<&SecretHash>, presented: &SecretHash) -> bool {
        let against = stored.unwrap_or(&self.decoy);
        bool::from(against.0.ct_eq(&presented.0)) & stored.is_some()
    }
}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretHash(..)")
    }
}

impl From<CertificateDigest> for SecretHash {
    fn from(digest: CertificateDigest) -> Self {
        Self(digest.0)
    }
}

/// Of a certificate's credential only.
impl From<SecretHash> for CertificateDigest {
    fn from(hash: SecretHash) -> Self {
        Self(hash.0)
    }
}

impl From<SecretHash> for String {
    fn from(hash: SecretHash) -> Self {
        BASE64URL_NOPAD.encode(&hash.0)
    }
}

impl TryFrom<String> for SecretHash {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let raw = BASE64URL_NOPAD
            .decode(text.as_bytes())
            .map_err(|_| "a hash is base64url")?;
        raw.try_into().map(Self).map_err(|_| "a hash has 32 bytes")
    }
}

/// # Errors
/// No random bytes.
pub(super) fn fresh_id() -> Result<CredentialId, NoRandom> {
    let mut id = [0; ID_BYTES];
    fill_random(&mut id)?;
    CredentialId::parse(&BASE32_NOPAD.encode(&id).to_ascii_lowercase()).map_err(|_: Malformed| NoRandom)
}

const PREFIX: &str = "pv_";
const OPERATOR_PREFIX: &str = "pvo_";
/// 16 characters in base32.
const ID_BYTES: usize = 10;
const SECRET_BYTES: usize = 32;
/// The Mastercard gateway's form of a password.
const PASSWORD_BYTES: usize = 16;
/// 32 bytes in base32 without padding.
const SECRET_CHARS: usize = 52;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn a_fresh_key_is_found_again_by_its_text_alone() {
        let comparison = Comparison::new().unwrap();
        let fresh = Fresh::api_key().unwrap();
        let text = fresh.text.expose_secret();
        let presented = Presented::parse(text).unwrap();
        assert_eq!(presented.id, fresh.id);
        assert!(comparison.holds(Some(&fresh.hash), &presented.hash));
        assert!(!comparison.holds(None, &presented.hash));
        assert!(!comparison.holds(Some(&Fresh::api_key().unwrap().hash), &presented.hash));
        assert_ne!(text, Fresh::api_key().unwrap().text.expose_secret());
    }

    #[test]
    fn a_password_is_32_upper_case_hex_digits() {
        let comparison = Comparison::new().unwrap();
        let fresh = Fresh::password().unwrap();
        let text = fresh.text.expose_secret();
        assert_eq!(text.len(), 32);
        assert!(text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'A'..=b'F')));
        assert!(comparison.holds(Some(&fresh.hash), &SecretHash::of(&fresh.id, text)));
        assert!(!comparison.holds(Some(&fresh.hash), &SecretHash::of(&fresh.id, &text.to_lowercase())));
        assert!(!comparison.holds(Some(&fresh.hash), &SecretHash::of(comparison.nobody(), text)));
        assert_ne!(text, Fresh::password().unwrap().text.expose_secret());
    }

    #[test]
    fn every_changed_character_is_another_key() {
        let comparison = Comparison::new().unwrap();
        let fresh = Fresh::api_key().unwrap();
        let text = fresh.text.expose_secret();
        for at in 0..text.len() {
            let mut changed = text.as_bytes().to_vec();
            changed[at] = if changed[at] == b'a' { b'b' } else { b'a' };
            let changed = String::from_utf8(changed).unwrap();
            let accepted = Presented::parse(&changed)
                .is_some_and(|shown| shown.id == fresh.id && comparison.holds(Some(&fresh.hash), &shown.hash));
            assert!(!accepted, "character {at}");
        }
    }

    #[test]
    fn the_secret_is_bound_to_its_id() {
        let secret = "a".repeat(SECRET_CHARS);
        let hash = |id| SecretHash::of(&CredentialId::parse(id).unwrap(), &secret).0;
        assert_ne!(hash("a"), hash("b"));
    }

    #[test]
    fn what_is_stored_reads_back_and_prints_nothing() {
        let fresh = Fresh::api_key().unwrap();
        let json = serde_json::to_string(&fresh.hash).unwrap();
        let back: SecretHash = serde_json::from_str(&json).unwrap();
        assert_eq!(back.0, fresh.hash.0);
        assert_eq!(format!("{:?}", fresh.hash), "SecretHash(..)");
        assert!(serde_json::from_str::<SecretHash>("\"AAAA\"").is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_answered(text in "(pv_)?[a-z0-9]{0,34}_?\\PC{0,60}") {
            if let Some(presented) = Presented::parse(&text) {
                let start = format!("{PREFIX}{}_", presented.id);
                prop_assert!(text.starts_with(&start));
            }
        }
    }
}
