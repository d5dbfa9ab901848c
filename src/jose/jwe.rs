//! A JWE in the compact form (RFC 7516 section 7.1), taken apart. One algorithm for the key and one for the content, no
//! choice for the sender: RSA-OAEP-256 and A256GCM (RFC 7518 sections 4.3 and 5.3).

use data_encoding::BASE64URL_NOPAD;

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use zeroize::Zeroizing;

use super::header::Header;
use super::rsa::{OaepHash, RsaPublicKey};
use crate::id::{NoRandom, fill_random};

/// The parts of a JWE that only its key can judge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compact {
    /// The content key, encrypted to the recipient.
    pub encrypted_key: Vec<u8>,
    /// The content's IV.
    pub iv: [u8; 12],
    /// The content.
    pub ciphertext: Vec<u8>,
    /// The content's tag.
    pub tag: [u8; 16],
    /// What the content is bound to: the protected header as it was sent.
    pub aad: Vec<u8>,
    /// The key that it is for, where the header names one.
    pub kid: Option<String>,
}

/// Why a text is no JWE for us. Nothing of the text is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JweFault {
    /// More than [`Compact::MAX`] bytes.
    #[error("is longer than {} bytes", Compact::MAX)]
    TooLong,
    /// Not five parts of base64url without padding, or a part has a length that it cannot have.
    #[error("is no compact JWE: five parts of base64url are needed")]
    Form,
    /// The first part is no JSON object, or has a member twice.
    #[error("has a JWE header that is no JSON object with each member once")]
    Header,
    /// Other algorithms.
    #[error("needs the JWE algorithms RSA-OAEP-256 and A256GCM")]
    Algorithm,
    /// The header has `crit` or `zip`.
    #[error("has a JWE header with crit or zip, which are not taken")]
    Extended,
    /// `kid` names another key.
    #[error("is encrypted to another key")]
    OtherKey,
}

impl Compact {
    /// The longest text in bytes.
    pub const MAX: usize = 8 << 10;

    /// Takes `text` apart; `kids` are the names of the keys that it may be for, where it names one.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn parse(text: &str, kids: &[&str]) -> Result<Self, JweFault> {
        if text.len() > Self::MAX {
            return Err(JweFault::TooLong);
        }
        let mut parts = text.split('.');
        let mut next = || parts.next().ok_or(JweFault::Form);
        let (header, key, iv, ciphertext, tag) = (next()?, next()?, next()?, next()?, next()?);
        if parts.next().is_some() {
            return Err(JweFault::Form);
        }
        let kid = check(&decode(header)?, kids)?;
        let encrypted_key = decode(key)?;
        if encrypted_key.is_empty() {
            return Err(JweFault::Form);
        }
        Ok(Self {
            encrypted_key,
            iv: sized(iv)?,
            ciphertext: decode(ciphertext)?,
            tag: sized(tag)?,
            aad: header.as_bytes().to_vec(),
            kid,
        })
    }
}

impl Compact {
    /// Encrypts `text` to `key` with RSA-OAEP-256 and A256GCM, which `header`, one JSON object, must say: the compact form.
    /// `None`: the key cannot take a content key.
    ///
    /// # Errors
    /// No random bytes.
    pub fn seal(key: &RsaPublicKey, header: &str, text: Zeroizing<Vec<u8>>) -> Result<Option<String>, NoRandom> {
        let header = BASE64URL_NOPAD.encode(header.as_bytes());
        let parts = encrypted(key, OaepHash::Sha256, &header, text)?;
        Ok(parts.map(|parts| [&[header][..], &parts].concat().join(".")))
    }
}

/// Encrypts `text` to `key`, with A256GCM under a content key of its own: encrypted key, IV, ciphertext and tag, base64url.
/// `header` is the protected header, base64url. `None`: the key cannot take a content key.
///
/// # Errors
/// No random bytes.
pub(super) fn encrypted(
    key: &RsaPublicKey,
    hash: OaepHash,
    header: &str,
    mut text: Zeroizing<Vec<u8>>,
) -> Result<Option<[String; 4]>, NoRandom> {
    // one content key for one text, so that no IV is used twice with it
    let (mut content_key, mut iv) = (Zeroizing::new([0; 32]), [0; 12]);
    fill_random(content_key.as_mut_slice())?;
    fill_random(&mut iv)?;
    let Some(encrypted_key) = key.encrypt(hash, content_key.as_slice())? else {
        return Ok(None);
    };
    let Ok(unbound) = UnboundKey::new(&AES_256_GCM, content_key.as_slice()) else {
        return Ok(None);
    };
    let nonce = Nonce::assume_unique_for_key(iv);
    let aad = Aad::from(header.as_bytes());
    let Ok(tag) = LessSafeKey::new(unbound).seal_in_place_separate_tag(nonce, aad, &mut text) else {
        return Ok(None);
    };
    Ok(Some(
        [&encrypted_key[..], &iv, &text, tag.as_ref()].map(|part| BASE64URL_NOPAD.encode(part)),
    ))
}

/// The name of the key, where there is one.
fn check(header: &[u8], kids: &[&str]) -> Result<Option<String>, JweFault> {
    let header: Header = serde_json::from_slice(header).map_err(|_| JweFault::Header)?;
    if header.extended {
        return Err(JweFault::Extended);
    }
    if header.alg.as_deref() != Some("RSA-OAEP-256") || header.enc.as_deref() != Some("A256GCM") {
        return Err(JweFault::Algorithm);
    }
    let kid = header.kid;
    if kid.as_ref().is_some_and(|named| !kids.contains(&named.as_str())) {
        return Err(JweFault::OtherKey);
    }
    Ok(kid)
}

/// Strict: no padding, no other alphabet, no bits left over.
pub(super) fn decode(part: &str) -> Result<Vec<u8>, JweFault> {
    BASE64URL_NOPAD.decode(part.as_bytes()).map_err(|_| JweFault::Form)
}

pub(super) fn sized<const N: usize>(part: &str) -> Result<[u8; N], JweFault> {
    decode(part)?.try_into().map_err(|_| JweFault::Form)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOOD: &str = r#"{"alg":"RSA-OAEP-256","enc":"A256GCM"}"#;

    fn made(header: &str, lengths: [usize; 4]) -> String {
        let mut text = BASE64URL_NOPAD.encode(header.as_bytes());
        for length in lengths {
            text.push('.');
            text.push_str(&BASE64URL_NOPAD.encode(&vec![7; length]));
        }
        text
    }

    fn parsed(header: &str) -> Result<Compact, JweFault> {
        Compact::parse(&made(header, [256, 12, 5, 16]), &["ours"])
    }

    #[test]
    fn the_parts_are_those_that_were_sent() {
        let jwe = parsed(GOOD).unwrap();
        assert_eq!((jwe.encrypted_key, jwe.iv), (vec![7; 256], [7; 12]));
        assert_eq!((jwe.ciphertext, jwe.tag), (vec![7; 5], [7; 16]));
        assert_eq!(jwe.aad, BASE64URL_NOPAD.encode(GOOD.as_bytes()).into_bytes());
        // an empty content is a content
        assert!(Compact::parse(&made(GOOD, [256, 12, 0, 16]), &["ours"]).is_ok());
    }

    #[test]
    fn headers_are_taken_strictly() {
        for good in [
            r#"{"alg":"RSA-OAEP-256","enc":"A256GCM","kid":"ours"}"#,
            r#" { "enc" : "A256GCM", "typ":"JOSE", "cty":"text/plain", "x":[{"a":1,"a":2}], "alg":"RSA-OAEP-256" } "#,
        ] {
            assert!(parsed(good).is_ok(), "{good}");
        }
        let bad = [
            (
                r#"{"alg":"RSA-OAEP-256","enc":"A256GCM","kid":"theirs"}"#,
                JweFault::OtherKey,
            ),
            (r#"{"alg":"RSA-OAEP-256","enc":"A256GCM","kid":""}"#, JweFault::OtherKey),
            (
                r#"{"alg":"RSA-OAEP-256","enc":"A256GCM","zip":"DEF"}"#,
                JweFault::Extended,
            ),
            (
                r#"{"alg":"RSA-OAEP-256","enc":"A256GCM","crit":["exp"]}"#,
                JweFault::Extended,
            ),
            (
                r#"{"alg":"RSA-OAEP-256","enc":"A256GCM","crit":null}"#,
                JweFault::Extended,
            ),
            (r#"{"alg":"RSA-OAEP","enc":"A256GCM"}"#, JweFault::Algorithm),
            (r#"{"alg":"RSA1_5","enc":"A256GCM"}"#, JweFault::Algorithm),
            (r#"{"alg":"dir","enc":"A256GCM"}"#, JweFault::Algorithm),
            (r#"{"alg":"rsa-oaep-256","enc":"A256GCM"}"#, JweFault::Algorithm),
            (r#"{"alg":"RSA-OAEP-256","enc":"A128GCM"}"#, JweFault::Algorithm),
            (r#"{"alg":"RSA-OAEP-256","enc":"A256CBC-HS512"}"#, JweFault::Algorithm),
            (r#"{"alg":"RSA-OAEP-256"}"#, JweFault::Algorithm),
            ("{}", JweFault::Algorithm),
            (
                r#"{"alg":"RSA-OAEP-256","enc":"A256GCM","enc":"A256GCM"}"#,
                JweFault::Header,
            ),
            (
                r#"{"alg":"none","alg":"RSA-OAEP-256","enc":"A256GCM"}"#,
                JweFault::Header,
            ),
            (
                r#"{"alg":"RSA-OAEP-256","enc":"A256GCM","x":1,"\u0078":2}"#,
                JweFault::Header,
            ),
            (r#"{"alg":["RSA-OAEP-256"],"enc":"A256GCM"}"#, JweFault::Header),
            (r#"{"alg":"RSA-OAEP-256","enc":"A256GCM","kid":null}"#, JweFault::Header),
            (r#"["RSA-OAEP-256","A256GCM"]"#, JweFault::Header),
            (r#"{"alg":"RSA-OAEP-256","enc":"A256GCM"} x"#, JweFault::Header),
            ("", JweFault::Header),
        ];
        for (header, fault) in bad {
            assert_eq!(parsed(header), Err(fault), "{header}");
        }
    }

    #[test]
    fn the_form_is_taken_strictly() {
        let good = made(GOOD, [256, 12, 4, 16]);
        let form = |text: &str| assert_eq!(Compact::parse(text, &["ours"]), Err(JweFault::Form), "{text}");
        for lengths in [
            [0, 12, 4, 16],
            [256, 11, 4, 16],
            [256, 16, 4, 16],
            [256, 12, 4, 15],
            [256, 12, 4, 17],
        ] {
            form(&made(GOOD, lengths));
        }
        let parts: Vec<&str> = good.split('.').collect();
        form(&parts[..4].join("."));
        form(&format!("{good}."));
        form(&format!("{good}.AAAA"));
        form("");
        form(&format!(" {good}"));
        form(&format!("{good}\n"));
        // padding, the other alphabet, bits left over
        let ciphertext = BASE64URL_NOPAD.encode(&[7; 4]);
        for other in ["BwcHBw==", "Bwc+Bw", "BwcHB1", "BwcHBwB"] {
            form(&good.replacen(&format!(".{ciphertext}."), &format!(".{other}."), 1));
        }
        let long = made(GOOD, [256, 12, 6_000, 16]);
        assert!(long.len() > Compact::MAX);
        assert_eq!(Compact::parse(&long, &["ours"]), Err(JweFault::TooLong));
        // the JSON form is another one
        form(r#"{"protected":"","ciphertext":""}"#);
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(text in "\\PC{0,200}|[A-Za-z0-9_.-]{0,200}", header in "\\PC{0,80}") {
            let _ = Compact::parse(&text, &["ours"]);
            let _ = parsed(&header);
        }

        #[test]
        fn there_is_one_text_for_one_jwe(at in 0_usize..100, by in "[A-Za-z0-9_.=+/ -]") {
            let good = made(GOOD, [32, 12, 4, 16]);
            let mut other = good.clone();
            let at = at.min(good.len() - 1);
            other.replace_range(at..=at, &by);
            if let Ok(jwe) = Compact::parse(&other, &["ours"]) {
                prop_assert!(other == good || Ok(jwe) != Compact::parse(&good, &["ours"]));
            }
        }
    }

    #[test]
    fn what_is_encrypted_to_others_is_a_compact_jwe() {
        let n = [0x81].iter().chain(&[7; 382]).chain(&[9]).copied().collect::<Vec<u8>>();
        let key = RsaPublicKey::new(&n, &[1, 0, 1]).unwrap();
        let seal = || {
            Compact::seal(&key, GOOD, Zeroizing::new(b"text".to_vec()))
                .unwrap()
                .unwrap()
        };
        let (one, other) = (seal(), seal());
        let parsed = Compact::parse(&one, &[]).unwrap();
        assert_eq!((parsed.encrypted_key.len(), parsed.ciphertext.len()), (384, 4));
        assert_ne!(parsed.ciphertext, b"text");
        assert!(
            one.split('.')
                .skip(1)
                .zip(other.split('.').skip(1))
                .all(|(one, other)| one != other)
        );
    }
}
