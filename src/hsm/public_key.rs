//! The public halves of the vault's key pairs, as the token gives them.

use cryptoki_sys as sys;
use data_encoding::BASE64URL_NOPAD;

use super::PublicKey;
use super::pkcs11::{Handle, RawSession, Signing};

impl PublicKey {
    /// Reads an audit key's public half out of the token.
    pub(super) fn read_signing(session: &RawSession, key: Handle, how: Signing) -> Result<Self, String> {
        let point = session.attribute(key, sys::CKA_EC_POINT).map_err(|e| e.to_string())?;
        match how {
            Signing::Eddsa => {
                let x = unwrap_point(&point, 32).ok_or("the Ed25519 public key has an unknown form")?;
                Ok(Self::Ed25519 {
                    x: BASE64URL_NOPAD.encode(x),
                })
            }
            Signing::Ecdsa => {
                let point = unwrap_point(&point, 65).ok_or("the P-256 public key has an unknown form")?;
                Ok(Self::P256 {
                    point: BASE64URL_NOPAD.encode(point),
                })
            }
            Signing::HmacSha256 => Err("an HMAC key has no public half".to_owned()),
            Signing::Rs256 => Self::read_rsa(session, key),
        }
    }

    /// Reads an RSA key's public half out of the token.
    pub(super) fn read_rsa(session: &RawSession, key: Handle) -> Result<Self, String> {
        let part = |kind| session.attribute(key, kind).map_err(|e| e.to_string());
        Ok(Self::Rsa {
            n: BASE64URL_NOPAD.encode(&part(sys::CKA_MODULUS)?),
            e: BASE64URL_NOPAD.encode(&part(sys::CKA_PUBLIC_EXPONENT)?),
        })
    }
}

/// CKA_EC_POINT holds a DER OCTET STRING by the standard, the bare bytes with some modules.
fn unwrap_point(bytes: &[u8], len: usize) -> Option<&[u8]> {
    if bytes.len() == len {
        return Some(bytes);
    }
    let (header, point) = bytes.split_at_checked(2)?;
    let plain = header.first() == Some(&4) && header.last().copied().map(usize::from) == Some(len);
    (plain && point.len() == len).then_some(point)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_read_bare_and_in_der() {
        assert_eq!(unwrap_point(&[9; 32], 32), Some(&[9; 32][..]));
        let mut der = vec![4, 32];
        der.extend([9; 32]);
        assert_eq!(unwrap_point(&der, 32), Some(&[9; 32][..]));
        der[1] = 31;
        assert_eq!(unwrap_point(&der, 32), None);
        assert_eq!(unwrap_point(&[], 32), None);
    }
}
