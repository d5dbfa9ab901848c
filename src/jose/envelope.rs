//! A JWE as the five parts of the compact form under names, and a JWS as its three: the forms of Hyperswitch's locker.
//!
//! Of requests the key is encrypted with RSA-OAEP-256 and the content with A256GCM, and what is in it is signed with RS256;
//! no choice for the sender. Keys that headers name are passed over: who sends is known by other means.

use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::header::Header;
use super::jwe::{Compact, decode, encrypted, sized};
use super::rsa::{OaepHash, RsaPublicKey};
use crate::id::NoRandom;

/// A JWE in five members.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Envelope {
    header: String,
    iv: String,
    encrypted_payload: String,
    tag: String,
    encrypted_key: String,
}

/// A JWS in three members.
#[derive(Deserialize)]
struct Signed {
    header: String,
    payload: String,
    signature: String,
}

/// A JWS taken apart; nothing of it is checked.
pub struct Claimed {
    /// What was signed.
    pub message: Zeroizing<Vec<u8>>,
    /// The signature.
    pub signature: Vec<u8>,
    /// What it is about, to be believed once the signature holds.
    pub payload: Zeroizing<Vec<u8>>,
}

/// What is to be signed.
pub struct Unsigned {
    message: Zeroizing<Vec<u8>>,
}

/// Why a text is no JWE or JWS for us. Nothing of it is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeFault {
    /// A member is no base64url without padding, or has a length that it cannot have.
    #[error("a member is not base64url of the length that it has")]
    Form,
    /// A header that is no JSON object with each member once, or that asks for extensions.
    #[error("a header is no JSON object with each member once, or asks for extensions")]
    Header,
    /// Other algorithms.
    #[error("the algorithms must be RSA-OAEP-256 with A256GCM, and RS256")]
    Algorithm,
}

/// A member that every JWE has, unless it is written with escapes.
const KEY: &[u8] = b"encryptedKey";

impl Envelope {
    /// Reads a request's body; `None`: it is no JWE.
    pub fn read(body: &[u8]) -> Option<Self> {
        // a look that spares most plain bodies the reading
        let names_it = body.windows(KEY.len()).any(|part| part == KEY) || body.contains(&b'\\');
        names_it.then(|| serde_json::from_slice(body).ok()).flatten()
    }

    /// Takes it apart.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn open(&self) -> Result<Compact, EnvelopeFault> {
        let header = header(&self.header)?;
        if header.alg.as_deref() != Some("RSA-OAEP-256") || header.enc.as_deref() != Some("A256GCM") {
            return Err(EnvelopeFault::Algorithm);
        }
        let part = |text: &str| decode(text).map_err(|_| EnvelopeFault::Form);
        let encrypted_key = part(&self.encrypted_key)?;
        if encrypted_key.is_empty() {
            return Err(EnvelopeFault::Form);
        }
        Ok(Compact {
            kid: None,
            encrypted_key,
            iv: sized(&self.iv).map_err(|_| EnvelopeFault::Form)?,
            ciphertext: part(&self.encrypted_payload)?,
            tag: sized(&self.tag).map_err(|_| EnvelopeFault::Form)?,
            aad: self.header.as_bytes().to_vec(),
        })
    }

    /// Encrypts `text` to `key`: the body of an answer. `None`: the key cannot take a content key.
    ///
    /// # Errors
    /// No random bytes.
    pub fn seal(key: &RsaPublicKey, hash: OaepHash, text: Zeroizing<Vec<u8>>) -> Result<Option<Vec<u8>>, NoRandom> {
        let alg = match hash {
            OaepHash::Sha1 => "RSA-OAEP",
            OaepHash::Sha256 => "RSA-OAEP-256",
        };
        let header = BASE64URL_NOPAD.encode(format!(r#"{{"alg":"{alg}","enc":"A256GCM"}}"#).as_bytes());
        let Some([encrypted_key, iv, encrypted_payload, tag]) = encrypted(key, hash, &header, text)? else {
            return Ok(None);
        };
        let sealed = Sealed {
            header,
            iv,
            encrypted_payload,
            tag,
            encrypted_key,
        };
        Ok(serde_json::to_vec(&sealed).ok())
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Sealed {
    header: String,
    iv: String,
    encrypted_payload: String,
    tag: String,
    encrypted_key: String,
}

impl Claimed {
    /// Takes a JWS in three members apart.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn read(text: &[u8]) -> Result<Self, EnvelopeFault> {
        let signed: Signed = serde_json::from_slice(text).map_err(|_| EnvelopeFault::Form)?;
        let payload = Zeroizing::new(signed.payload);
        if header(&signed.header)?.alg.as_deref() != Some("RS256") {
            return Err(EnvelopeFault::Algorithm);
        }
        Ok(Self {
            message: message(&signed.header, payload.as_bytes()),
            signature: decode(&signed.signature).map_err(|_| EnvelopeFault::Form)?,
            payload: Zeroizing::new(decode(&payload).map_err(|_| EnvelopeFault::Form)?),
        })
    }
}

impl Unsigned {
    /// Of this payload.
    pub fn new(payload: &[u8]) -> Self {
        let mut encoded = Zeroizing::new(vec![0; BASE64URL_NOPAD.encode_len(payload.len())]);
        BASE64URL_NOPAD.encode_mut(payload, &mut encoded);
        Self {
            message: message(RS256, &encoded),
        }
    }

    /// What is to be signed.
    pub fn message(&self) -> &[u8] {
        &self.message
    }

    /// The JWS in three members.
    pub fn signed(self, signature: &[u8]) -> Zeroizing<Vec<u8>> {
        let payload = self.message.get(RS256.len() + 1..).unwrap_or_default();
        let signature = BASE64URL_NOPAD.encode(signature);
        let parts: [&[u8]; 7] = [
            br#"{"header":""#,
            RS256.as_bytes(),
            br#"","payload":""#,
            payload,
            br#"","signature":""#,
            signature.as_bytes(),
            br#""}"#,
        ];
        let mut text = Zeroizing::new(Vec::with_capacity(parts.iter().map(|part| part.len()).sum()));
        parts.iter().for_each(|part| text.extend_from_slice(part));
        text
    }
}

/// `{"alg":"RS256"}`
const RS256: &str = "eyJhbGciOiJSUzI1NiJ9";

fn message(header: &str, payload: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut message = Zeroizing::new(Vec::with_capacity(header.len() + 1 + payload.len()));
    message.extend_from_slice(header.as_bytes());
    message.push(b'.');
    message.extend_from_slice(payload);
    message
}

fn header(text: &str) -> Result<Header, EnvelopeFault> {
    let bytes = decode(text).map_err(|_| EnvelopeFault::Form)?;
    let header: Header = serde_json::from_slice(&bytes).map_err(|_| EnvelopeFault::Header)?;
    match header.extended {
        true => Err(EnvelopeFault::Header),
        false => Ok(header),
    }
}

#[cfg(test)]
mod tests;
