//! Signatures of keys in the HSM, checked in software: anyone who has the public half can do it, offline.

use std::fmt;

use data_encoding::BASE64URL_NOPAD;
use ring::digest::{SHA256, digest};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use serde::{Deserialize, Serialize};

use super::PublicKey;

/// Puts each field after its length (8 bytes, big-endian), so that two different lists of fields never give the same
/// bytes. Everything that is signed, MACed or bound as AAD goes through here.
pub fn framed(fields: &[&[u8]]) -> Vec<u8> {
    // the room is taken at once: a secret field is not left behind in a buffer that was too small
    let mut out = Vec::with_capacity(fields.iter().map(|field| field.len().saturating_add(8)).sum());
    for field in fields {
        out.extend_from_slice(&u64::try_from(field.len()).unwrap_or(u64::MAX).to_be_bytes());
        out.extend_from_slice(field);
    }
    out
}

/// What the audit key really signs for `message` in `domain`: both [`framed`]. A signature made for one use is of no
/// use for another.
pub fn signed_form(domain: &str, message: &[u8]) -> Vec<u8> {
    framed(&[domain.as_bytes(), message])
}

/// The name of a public key: SHA-256 of its SubjectPublicKeyInfo in DER (RFC 5280 4.1.2.7), so that
/// `openssl pkey -pubin -outform DER | openssl dgst -sha256` finds the same bytes. Written `SHA256:` and base64url
/// without padding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyFingerprint(pub [u8; 32]);

/// Why a public key or a signature cannot be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureFault {
    /// The key's members are not base64url of the right length.
    #[error("the public key is malformed")]
    MalformedKey,
    /// An RSA key: none signs in this format.
    #[error("a key of this kind does not sign")]
    NotASigningKey,
    /// The signature does not belong to this message and key.
    #[error("the signature is wrong")]
    WrongSignature,
    /// Not `SHA256:` and 43 characters of base64url.
    #[error("a key fingerprint is SHA256: and 43 characters of base64url")]
    MalformedFingerprint,
}

impl PublicKey {
    /// Checks `signature` over just these bytes: Ed25519 (RFC 8032), or ECDSA P-256 with SHA-256 as r then s; both 64 bytes.
    ///
    /// # Errors
    /// What is wrong.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), SignatureFault> {
        let checked = match self {
            Self::Ed25519 { x } => UnparsedPublicKey::new(&ED25519, sized(x, 32)?).verify(message, signature),
            Self::P256 { point } => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, sized(point, 65)?).verify(message, signature)
            }
            Self::Rsa { .. } => return Err(SignatureFault::NotASigningKey),
        };
        checked.map_err(|_| SignatureFault::WrongSignature)
    }

    /// Checks `signature` over just these bytes by an RSA key of 2048 bits or more: RSASSA-PKCS1-v1_5 with SHA-256, the RS256
    /// of RFC 7518.
    ///
    /// # Errors
    /// What is wrong.
    pub fn verify_rs256(&self, message: &[u8], signature: &[u8]) -> Result<(), SignatureFault> {
        let Self::Rsa { n, e } = self else {
            return Err(SignatureFault::NotASigningKey);
        };
        let (n, e) = (decoded(n)?, decoded(e)?);
        RsaPublicKeyComponents { n: &n, e: &e }
            .verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
            .map_err(|_| SignatureFault::WrongSignature)
    }

    /// Checks a signature that was made over [`signed_form`] of `domain` and `message`.
    ///
    /// # Errors
    /// What is wrong.
    pub fn verify_in(&self, domain: &str, message: &[u8], signature: &[u8]) -> Result<(), SignatureFault> {
        self.verify(&signed_form(domain, message), signature)
    }

    /// The key's name.
    ///
    /// # Errors
    /// [`SignatureFault::MalformedKey`].
    pub fn fingerprint(&self) -> Result<KeyFingerprint, SignatureFault> {
        let mut name = [0; 32];
        name.copy_from_slice(digest(&SHA256, &self.spki()?).as_ref());
        Ok(KeyFingerprint(name))
    }

    /// The key as SubjectPublicKeyInfo in DER: what other programs read.
    ///
    /// # Errors
    /// [`SignatureFault::MalformedKey`].
    pub fn spki(&self) -> Result<Vec<u8>, SignatureFault> {
        // id-Ed25519, RFC 8410
        const ED25519: &[u8] = &[0x06, 0x03, 0x2b, 0x65, 0x70];
        // id-ecPublicKey with prime256v1, RFC 5480
        const P256: &[u8] = &[
            0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01,
            0x07,
        ];
        // rsaEncryption with NULL, RFC 3279
        const RSA: &[u8] = &[
            0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00,
        ];
        let (algorithm, key) = match self {
            Self::Ed25519 { x } => (ED25519, sized(x, 32)?),
            Self::P256 { point } => (P256, sized(point, 65)?),
            Self::Rsa { n, e } => {
                let pair = [integer(&decoded(n)?)?, integer(&decoded(e)?)?].concat();
                (RSA, der(0x30, &pair))
            }
        };
        // a BIT STRING starts with the number of unused bits
        let bits = der(0x03, &[&[0], key.as_slice()].concat());
        Ok(der(0x30, &[der(0x30, algorithm), bits].concat()))
    }
}

impl KeyFingerprint {
    /// Reads the written form.
    ///
    /// # Errors
    /// [`SignatureFault::MalformedFingerprint`].
    pub fn parse(text: &str) -> Result<Self, SignatureFault> {
        text.strip_prefix("SHA256:")
            .and_then(|name| BASE64URL_NOPAD.decode(name.as_bytes()).ok())
            .and_then(|name| name.try_into().ok())
            .map(Self)
            .ok_or(SignatureFault::MalformedFingerprint)
    }
}

impl fmt::Display for KeyFingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SHA256:{}", BASE64URL_NOPAD.encode(&self.0))
    }
}

impl TryFrom<String> for KeyFingerprint {
    type Error = SignatureFault;
    fn try_from(text: String) -> Result<Self, SignatureFault> {
        Self::parse(&text)
    }
}

impl From<KeyFingerprint> for String {
    fn from(name: KeyFingerprint) -> Self {
        name.to_string()
    }
}

fn decoded(text: &str) -> Result<Vec<u8>, SignatureFault> {
    BASE64URL_NOPAD
        .decode(text.as_bytes())
        .map_err(|_| SignatureFault::MalformedKey)
}

fn sized(text: &str, len: usize) -> Result<Vec<u8>, SignatureFault> {
    let bytes = decoded(text)?;
    if bytes.len() == len {
        Ok(bytes)
    } else {
        Err(SignatureFault::MalformedKey)
    }
}

/// A positive INTEGER: no leading zeros, but one where the top bit would make it negative.
fn integer(bytes: &[u8]) -> Result<Vec<u8>, SignatureFault> {
    let first = bytes.iter().position(|b| *b != 0).ok_or(SignatureFault::MalformedKey)?;
    let digits = bytes.get(first..).unwrap_or_default();
    let sign: &[u8] = if digits.first().is_some_and(|b| *b >= 0x80) {
        &[0]
    } else {
        &[]
    };
    Ok(der(0x02, &[sign, digits].concat()))
}

fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    match u8::try_from(content.len()) {
        Ok(short) if short < 0x80 => out.push(short),
        _ => {
            let length = content.len().to_be_bytes();
            let digits = length.iter().skip_while(|b| **b == 0);
            out.push(0x80 | u8::try_from(digits.clone().count()).unwrap_or(0x7f));
            out.extend(digits);
        }
    }
    out.extend_from_slice(content);
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use ring::rand::SystemRandom;
    use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};

    use super::*;

    fn ed25519() -> (Ed25519KeyPair, PublicKey) {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
        let x = BASE64URL_NOPAD.encode(pair.public_key().as_ref());
        (pair, PublicKey::Ed25519 { x })
    }

    #[test]
    fn verifies_ed25519_of_rfc_8032() {
        // RFC 8032 7.1, test 2
        let key = PublicKey::Ed25519 {
            x: BASE64URL_NOPAD.encode(&hex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")),
        };
        let signature = hex(
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        );
        assert_eq!(key.verify(&[0x72], &signature), Ok(()));
        assert_eq!(key.verify(&[0x73], &signature), Err(SignatureFault::WrongSignature));
        assert_eq!(
            key.verify(&[0x72], &signature[..63]),
            Err(SignatureFault::WrongSignature)
        );
    }

    #[test]
    fn verifies_p256_as_r_then_s() {
        let rng = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &rng).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &rng).unwrap();
        let key = PublicKey::P256 {
            point: BASE64URL_NOPAD.encode(pair.public_key().as_ref()),
        };
        let signature = pair.sign(&rng, b"message").unwrap();
        assert_eq!(key.verify(b"message", signature.as_ref()), Ok(()));
        assert_eq!(
            key.verify(b"massage", signature.as_ref()),
            Err(SignatureFault::WrongSignature)
        );
    }

    #[test]
    fn a_signature_of_one_domain_is_wrong_in_another() {
        let (pair, key) = ed25519();
        let signature = pair.sign(&signed_form("a", b"bc"));
        assert_eq!(key.verify_in("a", b"bc", signature.as_ref()), Ok(()));
        assert_eq!(
            key.verify_in("ab", b"c", signature.as_ref()),
            Err(SignatureFault::WrongSignature)
        );
    }

    #[test]
    fn malformed_keys_are_told_from_wrong_signatures() {
        let short = PublicKey::Ed25519 { x: "AAAA".to_owned() };
        assert_eq!(short.verify(b"", &[0; 64]), Err(SignatureFault::MalformedKey));
        assert_eq!(short.fingerprint(), Err(SignatureFault::MalformedKey));
        let rsa = PublicKey::Rsa {
            n: "AQAB".to_owned(),
            e: "AQAB".to_owned(),
        };
        assert_eq!(rsa.verify(b"", &[0; 64]), Err(SignatureFault::NotASigningKey));
        let zero = PublicKey::Rsa {
            n: "AAAA".to_owned(),
            e: "AQAB".to_owned(),
        };
        assert_eq!(zero.spki(), Err(SignatureFault::MalformedKey));
    }

    #[test]
    fn fingerprints_are_read_as_they_are_written() {
        let name = ed25519().1.fingerprint().unwrap();
        assert_eq!(KeyFingerprint::parse(&name.to_string()), Ok(name));
        for bad in [
            "",
            "SHA256:",
            "SHA256:AAAA",
            &name.to_string()[7..],
            &format!("{name}A"),
        ] {
            assert_eq!(
                KeyFingerprint::parse(bad),
                Err(SignatureFault::MalformedFingerprint),
                "{bad}"
            );
        }
    }

    #[test]
    fn spki_is_what_rfc_8410_prints() {
        // RFC 8410 10.1
        let key = PublicKey::Ed25519 {
            x: BASE64URL_NOPAD.encode(&hex("19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1")),
        };
        let printed = "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=";
        assert_eq!(data_encoding::BASE64.encode(&key.spki().unwrap()), printed);
    }

    #[test]
    fn spki_of_rsa_carries_long_lengths_and_signs() {
        let key = PublicKey::Rsa {
            n: BASE64URL_NOPAD.encode(&[&[0, 0x80][..], &[1; 255]].concat()),
            e: "AQAB".to_owned(),
        };
        let der = key.spki().unwrap();
        let head = hex("30820122300d06092a864886f70d01010105000382010f003082010a028201010080");
        assert_eq!(&der[..head.len()], head);
        assert_eq!(&der[der.len() - 5..], hex("0203010001"));
        assert_eq!(der.len(), 0x122 + 4);
    }

    fn hex(text: &str) -> Vec<u8> {
        data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap()
    }

    proptest! {
        #[test]
        fn different_fields_give_different_frames(
            a in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..12), 0..5),
            b in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..12), 0..5),
        ) {
            let frame = |fields: &[Vec<u8>]| framed(&fields.iter().map(Vec::as_slice).collect::<Vec<_>>());
            prop_assert_eq!(a == b, frame(&a) == frame(&b));
        }
    }
}
