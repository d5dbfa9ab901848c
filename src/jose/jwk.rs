//! An RSA public key to encrypt to, as others read it: a JWK (RFC 7517, RFC 7518 section 6.3), named by its thumbprint.

use data_encoding::BASE64URL_NOPAD;
use ring::digest::{SHA256, digest};
use serde_json::{Map, Value};

use super::rsa::{BadKey, RsaPublicKey};

/// An RSA public key for RSA-OAEP-256.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Jwk {
    /// Modulus, base64url.
    n: String,
    /// Public exponent, base64url.
    e: String,
    kid: String,
}

impl Jwk {
    /// The key with this modulus and public exponent, big-endian; zeros in front are left out.
    pub fn rsa(n: &[u8], e: &[u8]) -> Self {
        let (n, e) = (base64url(n), base64url(e));
        // RFC 7638 section 3: just the required members, in the order of their names, without spaces
        let canonical = format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#);
        let kid = BASE64URL_NOPAD.encode(digest(&SHA256, canonical.as_bytes()).as_ref());
        Self { n, e, kid }
    }

    /// Its name: the SHA-256 thumbprint of RFC 7638, base64url.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The key as one JSON object.
    pub fn to_json(&self) -> String {
        let Self { n, e, kid } = self;
        // base64url needs no escaping
        format!(r#"{{"kty":"RSA","use":"enc","alg":"RSA-OAEP-256","kid":"{kid}","n":"{n}","e":"{e}"}}"#)
    }
}

/// Reads an RSA public key for RSA-OAEP-256 in a JWK.
///
/// # Errors
/// [`BadKey`]: a private key, one for another use or algorithm, or none.
pub fn rsa_of_jwk(text: &str) -> Result<RsaPublicKey, BadKey> {
    let key: Map<String, Value> = serde_json::from_str(text).map_err(|_| BadKey::None)?;
    if ["d", "p", "q"].iter().any(|name| key.contains_key(*name)) {
        return Err(BadKey::PrivateKey);
    }
    let says = |name: &str| key.get(name).and_then(Value::as_str);
    let is = |name: &str, wanted: &str| !key.contains_key(name) || says(name) == Some(wanted);
    if says("kty") != Some("RSA") || !is("use", "enc") || !is("alg", "RSA-OAEP-256") {
        return Err(BadKey::None);
    }
    let integer = |name: &str| {
        let bytes = BASE64URL_NOPAD.decode(says(name)?.as_bytes()).ok()?;
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        bytes.get(zeros..).map(<[u8]>::to_vec)
    };
    let (n, e) = integer("n").zip(integer("e")).ok_or(BadKey::None)?;
    RsaPublicKey::new(&n, &e)
}

/// A Base64urlUInt (RFC 7518 section 2).
fn base64url(integer: &[u8]) -> String {
    let zeros = integer.iter().take_while(|byte| **byte == 0).count();
    BASE64URL_NOPAD.encode(integer.get(zeros..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 7638 section 3.1.
    #[test]
    fn the_thumbprint_is_that_of_the_standard() {
        let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCi\
                 FV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9\
                 c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1j\
                 F44-csFCur-kEgU8awapJzKnqDKgw";
        let bytes = BASE64URL_NOPAD.decode(n.as_bytes()).unwrap();
        let key = Jwk::rsa(&bytes, &[1, 0, 1]);
        assert_eq!(key.kid(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
        // as some modules give it
        assert_eq!(Jwk::rsa(&[&[0], &bytes[..]].concat(), &[0, 1, 0, 1]), key);
        let json: serde_json::Value = serde_json::from_str(&key.to_json()).unwrap();
        assert_eq!((&json["n"], &json["e"]), (&n.into(), &"AQAB".into()));
        assert_eq!((&json["kty"], &json["use"]), (&"RSA".into(), &"enc".into()));
        assert_eq!(
            (&json["alg"], &json["kid"]),
            (&"RSA-OAEP-256".into(), &key.kid().into())
        );
    }

    #[test]
    fn a_recipients_key_is_read_and_others_are_not() {
        let n = [0x81].iter().chain(&[7; 382]).chain(&[9]).copied().collect::<Vec<u8>>();
        let key = Jwk::rsa(&n, &[1, 0, 1]);
        let read = rsa_of_jwk(&key.to_json()).unwrap();
        assert_eq!((read.jwk(), read.bits()), (key.clone(), 3_072));
        let with = |name: &str, value: &str| {
            let mut json: Map<String, Value> = serde_json::from_str(&key.to_json()).unwrap();
            json.insert(name.to_owned(), value.into());
            rsa_of_jwk(&Value::Object(json).to_string())
        };
        assert_eq!(with("d", "AQAB"), Err(BadKey::PrivateKey));
        assert_eq!(with("n", "AQAB"), Err(BadKey::Size));
        for (name, value) in [("kty", "EC"), ("use", "sig"), ("alg", "RSA1_5"), ("n", "*"), ("e", "")] {
            assert!(with(name, value).is_err(), "{name}");
        }
        for text in ["", "[]", "{}", r#"{"kty":"RSA"}"#] {
            assert_eq!(rsa_of_jwk(text), Err(BadKey::None), "{text}");
        }
    }
}
