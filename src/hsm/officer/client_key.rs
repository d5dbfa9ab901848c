//! A key pair for a client of the vault's, for trying things out: made by the token because nothing else here makes RSA keys,
//! taken out of it, and not kept there.

use cryptoki_sys as sys;
use zeroize::Zeroizing;

use super::{Officer, OfficerError};
use crate::hsm::PublicKey;
use crate::hsm::pkcs11::Handle;
use crate::hsm::pkcs11::template::client_pair;

/// Both halves.
pub struct ClientKey {
    /// The private half: PKCS #8 in DER (RFC 5208).
    pub private: Zeroizing<Vec<u8>>,
    /// The public half.
    pub public: PublicKey,
}

impl Officer<'_> {
    /// Makes a pair in this session alone and reads it out.
    ///
    /// # Errors
    /// [`OfficerError::Unavailable`]: the token makes or shows no such key.
    pub fn client_key(&self) -> Result<ClientKey, OfficerError> {
        let (mechanism, public, private) = client_pair();
        let (public, private) = self.session.generate_pair(mechanism, &public, &private)?;
        let read = self.read_pair(public, private);
        self.session.destroy(private)?;
        self.session.destroy(public)?;
        read
    }

    fn read_pair(&self, public: Handle, private: Handle) -> Result<ClientKey, OfficerError> {
        // version 0, then the numbers of RSAPrivateKey (RFC 8017 appendix A.1.2) in its order
        let mut numbers = Zeroizing::new(integer(&[0]));
        for kind in [
            sys::CKA_MODULUS,
            sys::CKA_PUBLIC_EXPONENT,
            sys::CKA_PRIVATE_EXPONENT,
            sys::CKA_PRIME_1,
            sys::CKA_PRIME_2,
            sys::CKA_EXPONENT_1,
            sys::CKA_EXPONENT_2,
            sys::CKA_COEFFICIENT,
        ] {
            let number = Zeroizing::new(integer(&self.session.attribute(private, kind)?));
            numbers = Zeroizing::new([numbers.as_slice(), &number].concat());
        }
        let key = Zeroizing::new(der(0x30, &numbers));
        let octets = Zeroizing::new(der(0x04, &key));
        // rsaEncryption with NULL, RFC 3279
        let algorithm = der(
            0x30,
            &[
                0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00,
            ],
        );
        let body = Zeroizing::new([&integer(&[0])[..], &algorithm, &octets].concat());
        Ok(ClientKey {
            private: Zeroizing::new(der(0x30, &body)),
            public: PublicKey::read_rsa(&self.session, public).map_err(OfficerError::Unavailable)?,
        })
    }
}

/// An INTEGER that is not negative.
fn integer(bytes: &[u8]) -> Vec<u8> {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    let number = bytes.get(zeros..).unwrap_or_default();
    match number.first() {
        Some(1..=0x7f) => der(0x02, number),
        _ => {
            let positive = Zeroizing::new([&[0], number].concat());
            der(0x02, &positive)
        }
    }
}

fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    match (u8::try_from(content.len()), u16::try_from(content.len())) {
        (Ok(length @ 0..=0x7f), _) => out.push(length),
        (Ok(length), _) => out.extend([0x81, length]),
        // nothing here is longer than 64 KiB
        (Err(_), length) => {
            out.push(0x82);
            out.extend(length.unwrap_or(u16::MAX).to_be_bytes());
        }
    }
    out.extend_from_slice(content);
    out
}
