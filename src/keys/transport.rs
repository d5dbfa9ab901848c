//! The key that others encrypt to.

use data_encoding::BASE64URL_NOPAD;

use super::{Error, malformed};
use crate::hsm::PublicKey;

/// The transport key's public half: what others encrypt to the vault with. Big-endian.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransportPublic {
    /// Modulus.
    pub n: Vec<u8>,
    /// Public exponent.
    pub e: Vec<u8>,
}

impl TransportPublic {
    pub(super) fn of(key: &PublicKey) -> Result<Self, Error> {
        let PublicKey::Rsa { n, e } = key else {
            return Err(malformed("the transport key is no RSA key"));
        };
        let decoded = |text: &str| {
            let bytes = BASE64URL_NOPAD.decode(text.as_bytes());
            bytes.map_err(|_| malformed("the transport key is not base64url"))
        };
        Ok(Self {
            n: decoded(n)?,
            e: decoded(e)?,
        })
    }
}
