//! Client certificates: known by the SHA-256 of their DER form. Who holds the key was proved to the TLS front.

use data_encoding::{BASE64, HEXLOWER, HEXLOWER_PERMISSIVE};
use ring::digest::{SHA256, SHA256_OUTPUT_LEN, digest};
use serde::{Deserialize, Serialize};

/// SHA-256 of a certificate's DER form; hex as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CertificateDigest(pub(super) [u8; SHA256_OUTPUT_LEN]);

/// Why a text is not a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadCertificate {
    /// None, or not in PEM.
    #[error("holds no certificate in PEM")]
    None,
    /// More than one.
    #[error("holds more than one certificate: give the client's own alone")]
    Several,
    /// A private key.
    #[error("holds a private key, which the vault must never see: give the certificate alone")]
    PrivateKey,
}

impl CertificateDigest {
    /// Of the one certificate in a text in PEM (RFC 7468); text around it is allowed.
    ///
    /// # Errors
    /// [`BadCertificate`].
    pub fn of_pem(text: &str) -> Result<Self, BadCertificate> {
        if text.contains("PRIVATE KEY-----") {
            return Err(BadCertificate::PrivateKey);
        }
        let (_, rest) = text.split_once(BEGIN).ok_or(BadCertificate::None)?;
        let (body, after) = rest.split_once(END).ok_or(BadCertificate::None)?;
        if after.contains(BEGIN) {
            return Err(BadCertificate::Several);
        }
        let base64: Vec<u8> = body.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
        let der = BASE64.decode(&base64).map_err(|_| BadCertificate::None)?;
        if der.first() != Some(&SEQUENCE) {
            return Err(BadCertificate::None);
        }
        let mut hash = [0; SHA256_OUTPUT_LEN];
        hash.copy_from_slice(digest(&SHA256, &der).as_ref());
        Ok(Self(hash))
    }

    /// Of the certificate that a TLS front forwards: PEM, percent-encoded as nginx's `$ssl_client_escaped_cert`, at most
    /// 16 KiB.
    pub(super) fn of_forwarded(header: &str) -> Option<Self> {
        if header.len() > MAX_FORWARDED {
            return None;
        }
        Self::of_pem(&percent_decoded(header)?).ok()
    }
}

impl From<CertificateDigest> for String {
    fn from(digest: CertificateDigest) -> Self {
        HEXLOWER.encode(&digest.0)
    }
}

impl TryFrom<String> for CertificateDigest {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let raw = HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok();
        raw.and_then(|raw| raw.try_into().ok())
            .map(Self)
            .ok_or("a certificate is named by its SHA-256: 64 hex digits")
    }
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (hex, rest) = part.split_at_checked(2)?;
        bytes.extend(HEXLOWER_PERMISSIVE.decode(hex.as_bytes()).ok()?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";
/// What every certificate's DER form begins with.
const SEQUENCE: u8 = 0x30;
const MAX_FORWARDED: usize = 16 * 1_024;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Not a certificate anyone would take, but one by its form: the front has looked at what is in it.
    const PEM: &str = "-----BEGIN CERTIFICATE-----\nMAMC\nAQU=\n-----END CERTIFICATE-----\n";
    /// printf '\x30\x03\x02\x01\x05' | sha256sum
    const SHA256_OF_IT: &str = "417c7763c4e320a6b747b3cb0c6d22f93741b29a32b48594b8eb4c144fe6d729";

    #[test]
    fn the_der_form_is_what_counts() {
        let digest = CertificateDigest::of_pem(PEM).unwrap();
        assert_eq!(String::from(digest), SHA256_OF_IT);
        let windows = format!("Subject: a shop\r\n{}", PEM.replace('\n', "\r\n"));
        assert_eq!(CertificateDigest::of_pem(&windows), Ok(digest));
        assert_eq!(CertificateDigest::try_from(SHA256_OF_IT.to_uppercase()), Ok(digest));
        assert!(CertificateDigest::try_from("00".to_owned()).is_err());
    }

    #[test]
    fn a_forwarded_one_is_the_same() {
        let escaped = "-----BEGIN%20CERTIFICATE-----%0AMAMC%0AAQU%3D%0A-----END%20CERTIFICATE-----%0a";
        assert_eq!(
            CertificateDigest::of_forwarded(escaped),
            CertificateDigest::of_pem(PEM).ok()
        );
        for torn in ["", "%", "%2", "%zz", "%+1", &escaped[..40], &"A".repeat(20_000)] {
            assert_eq!(CertificateDigest::of_forwarded(torn), None, "{torn:?}");
        }
    }

    #[test]
    fn what_is_not_one_certificate_is_refused() {
        let key = format!("{PEM}-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n");
        for (text, fault) in [
            ("", BadCertificate::None),
            ("MAMCAQU=", BadCertificate::None),
            (&PEM[..40], BadCertificate::None),
            (&PEM.replace("MAMC", "MA!C"), BadCertificate::None),
            (&PEM.replace("MAMC", "AAMC"), BadCertificate::None),
            (&PEM.repeat(2), BadCertificate::Several),
            (&key, BadCertificate::PrivateKey),
        ] {
            assert_eq!(CertificateDigest::of_pem(text), Err(fault), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_header_is_answered(text in "(-----BEGIN%20CERTIFICATE-----)?[A-Za-z0-9%+/=é]{0,80}") {
            let _ = CertificateDigest::of_forwarded(&text);
        }
    }
}
