//! An RSA public key of others: what they sign is checked with it, and answers are encrypted to them. Only public-key
//! operations happen here.

use std::fmt;
use std::sync::Arc;

use crypto_bigint::modular::{BoxedMontyForm, BoxedMontyParams};
use crypto_bigint::{BoxedUint, Odd};
use data_encoding::{BASE64, BASE64URL_NOPAD};
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use serde::{Deserialize, Serialize};
use zeroize::Zeroize;

use super::{Jwk, der, oaep};
use crate::hsm::{KeyFingerprint, PublicKey};
use crate::id::{NoRandom, fill_random};

/// Bytes of a modulus, at least and at most.
const MODULUS: std::ops::RangeInclusive<usize> = 256..=1024;
/// The widest public exponent in bits; 65537 takes 17.
const EXPONENT_BITS: u32 = 32;
/// The longest PEM text in bytes.
const PEM: usize = 8 << 10;

/// An RSA public key of 2048 to 8192 bits, parsed once. As text it is PEM.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RsaPublicKey(Arc<Inner>);

struct Inner {
    n: Vec<u8>,
    e: Vec<u8>,
    monty: BoxedMontyParams,
    exponent: BoxedUint,
    bits: u32,
}

/// The hash of an OAEP padding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OaepHash {
    /// RSA-OAEP of RFC 7518.
    Sha1,
    /// RSA-OAEP-256.
    Sha256,
}

/// Why a text is no RSA public key for us. Nothing of it is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadKey {
    /// None, or not in PEM.
    #[error("holds no RSA public key in PEM")]
    None,
    /// A private key.
    #[error("holds a private key, which the vault must never see: give the public key alone")]
    PrivateKey,
    /// Shorter or longer than any that is taken.
    #[error("is not of 2048 to 8192 bits with an odd exponent of 3 to 32 bits")]
    Size,
}

impl RsaPublicKey {
    /// Reads `PUBLIC KEY` (SubjectPublicKeyInfo) or `RSA PUBLIC KEY` (PKCS #1); text around it is allowed.
    ///
    /// # Errors
    /// [`BadKey`].
    pub fn of_pem(text: &str) -> Result<Self, BadKey> {
        if text.contains("PRIVATE KEY-----") {
            return Err(BadKey::PrivateKey);
        }
        if text.len() > PEM {
            return Err(BadKey::None);
        }
        let body = |label: &str| {
            let (_, rest) = text.split_once(&format!("-----BEGIN {label}-----"))?;
            let (body, _) = rest.split_once(&format!("-----END {label}-----"))?;
            let base64: Vec<u8> = body.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
            BASE64.decode(&base64).ok()
        };
        let (spki, pkcs1) = (body("PUBLIC KEY"), body("RSA PUBLIC KEY"));
        let parts = match (&spki, &pkcs1) {
            (Some(spki), _) => der::rsa_of_spki(spki),
            (None, Some(pkcs1)) => der::rsa_of_pkcs1(pkcs1),
            (None, None) => None,
        };
        let (n, e) = parts.ok_or(BadKey::None)?;
        Self::new(n, e)
    }

    /// The key with this modulus and public exponent, big-endian without zeros in front.
    ///
    /// # Errors
    /// [`BadKey::Size`].
    pub fn new(n: &[u8], e: &[u8]) -> Result<Self, BadKey> {
        let modulus = BoxedUint::from_be_slice_vartime(n);
        let exponent = BoxedUint::from_be_slice(e, EXPONENT_BITS).map_err(|_| BadKey::Size)?;
        let bits = exponent.bit_width_vartime();
        let odd = |bytes: &[u8]| bytes.last().is_some_and(|last| last & 1 == 1);
        let whole = n.first().is_some_and(|first| *first != 0);
        if !MODULUS.contains(&n.len()) || !whole || !odd(e) || bits < 2 {
            return Err(BadKey::Size);
        }
        let modulus = Option::<Odd<BoxedUint>>::from(Odd::new(modulus)).ok_or(BadKey::Size)?;
        Ok(Self(Arc::new(Inner {
            n: n.to_vec(),
            e: e.to_vec(),
            monty: BoxedMontyParams::new_vartime(modulus),
            exponent,
            bits,
        })))
    }

    /// Checks an RS256 signature (RFC 7518 section 3.3).
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let Inner { n, e, .. } = &*self.0;
        RsaPublicKeyComponents { n, e }
            .verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
            .is_ok()
    }

    /// Encrypts a short text with RSA-OAEP (RFC 8017 section 7.1), no label. `None`: it is too long for the key.
    ///
    /// # Errors
    /// No random bytes.
    pub fn encrypt(&self, hash: OaepHash, text: &[u8]) -> Result<Option<Vec<u8>>, NoRandom> {
        let mut seed = zeroize::Zeroizing::new([0; oaep::LONGEST]);
        fill_random(seed.as_mut_slice())?;
        Ok(self.encrypt_with(hash, seed.as_slice(), text))
    }

    /// The key's name, as other keys of the vault are named.
    pub fn fingerprint(&self) -> Option<KeyFingerprint> {
        self.public().fingerprint().ok()
    }

    /// Bits of the modulus.
    pub fn bits(&self) -> u32 {
        let first = self.0.n.first().map_or(0, |byte| byte.leading_zeros());
        u32::try_from(8 * self.0.n.len())
            .unwrap_or(u32::MAX)
            .saturating_sub(first)
    }

    /// As others read it.
    pub fn jwk(&self) -> Jwk {
        Jwk::rsa(&self.0.n, &self.0.e)
    }

    /// As `PUBLIC KEY`.
    pub fn to_pem(&self) -> String {
        pem(&self.public())
    }

    fn encrypt_with(&self, hash: OaepHash, seed: &[u8], text: &[u8]) -> Option<Vec<u8>> {
        let Inner {
            n,
            monty,
            exponent,
            bits,
            ..
        } = &*self.0;
        let block = oaep::padded(hash, n.len(), seed, text)?;
        // less than the modulus: it begins with a zero, which the modulus does not
        let message = BoxedUint::from_be_slice(&block, monty.bits_precision()).ok()?;
        let mut message = BoxedMontyForm::new(message, monty);
        let mut power = message.clone();
        // by the bits of the exponent, which everybody knows: 65537 takes 17 steps
        for bit in (0..bits - 1).rev() {
            power = power.square();
            if exponent.bit_vartime(bit) {
                power = power.mul(&message);
            }
        }
        // anybody could take the padding off
        message.zeroize();
        let bytes = power.retrieve().to_be_bytes();
        bytes.get(bytes.len().checked_sub(n.len())?..).map(<[u8]>::to_vec)
    }

    fn public(&self) -> PublicKey {
        PublicKey::Rsa {
            n: BASE64URL_NOPAD.encode(&self.0.n),
            e: BASE64URL_NOPAD.encode(&self.0.e),
        }
    }
}

/// A public key as `PUBLIC KEY` in PEM (RFC 7468); nothing of one that is malformed.
pub fn pem(key: &PublicKey) -> String {
    let body = BASE64.encode(&key.spki().unwrap_or_default());
    let mut text = String::from("-----BEGIN PUBLIC KEY-----\n");
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, more) = rest.split_at_checked(64).unwrap_or((rest, ""));
        text.push_str(line);
        text.push('\n');
        rest = more;
    }
    text + "-----END PUBLIC KEY-----\n"
}

impl PartialEq for RsaPublicKey {
    fn eq(&self, other: &Self) -> bool {
        (&self.0.n, &self.0.e) == (&other.0.n, &other.0.e)
    }
}

impl fmt::Debug for RsaPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RsaPublicKey({} bits)", 8 * self.0.n.len())
    }
}

impl From<RsaPublicKey> for String {
    fn from(key: RsaPublicKey) -> Self {
        key.to_pem()
    }
}

impl TryFrom<String> for RsaPublicKey {
    type Error = BadKey;

    fn try_from(text: String) -> Result<Self, BadKey> {
        Self::of_pem(&text)
    }
}

#[cfg(test)]
pub(super) mod tests;
