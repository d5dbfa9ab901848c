//! How requests and answers are signed, in both generations of the interface.
//!
//! Version 3: `x-paykka-*` headers over five lines, method, path, timestamp, nonce, body; an empty line counts as one space.
//! Version 1.2: the header `signature` over merchant, the body's own timestamp, and the body. Both are RSASSA-PKCS1-v1_5 with
//! SHA-256 in Base64, percent-encoded. Sources: docs.paykka.com, api-certification and api-certification-v1; what they
//! leave open is said in README.

use axum::http::HeaderMap;
use data_encoding::{BASE64, BASE64_NOPAD};
use zeroize::Zeroizing;

use super::refusal::Refusal;
use crate::api::form;
use crate::id::{NoRandom, UnixMillis, fill_random};

/// A request's age at most, and how far it may be ahead, milliseconds. Vendor: five minutes.
pub(super) const WINDOW_MS: u64 = 5 * 60 * 1_000;

/// Which generation a request speaks; its answer speaks the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Generation {
    V3,
    V1,
}

/// A request's signature, and what it is over but the body.
pub(super) struct Claim {
    pub(super) generation: Generation,
    /// The merchant that is claimed.
    pub(super) merchant: String,
    pub(super) timestamp: String,
    /// What makes it one request: its nonce; in version 1.2, which has none, its signature.
    pub(super) nonce: String,
    pub(super) signature: Vec<u8>,
}

/// Reads a request's headers; of version 1.2 merchant and timestamp are the body's.
///
/// # Errors
/// What is missing or of no form, by the vendor's codes.
pub(super) fn claim(
    headers: &HeaderMap,
    merchant: Option<String>,
    timestamp: Option<String>,
) -> Result<Claim, Refusal> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    if let Some(signature) = text("signature") {
        let missing = |name: &str| Refusal::unauthorized("206002", format!("{name} is missing"));
        if !text("type").unwrap_or("RSA256").eq_ignore_ascii_case("RSA256") {
            return Err(Refusal::unauthorized("206003", "type must be RSA256"));
        }
        let good = decoded(signature).ok_or_else(|| Refusal::unauthorized("206003", "the signature is not Base64"))?;
        return Ok(Claim {
            generation: Generation::V1,
            merchant: merchant.ok_or_else(|| missing("merchant_id"))?,
            timestamp: timestamp.ok_or_else(|| missing("timestamp"))?,
            nonce: BASE64_NOPAD.encode(good.get(..30).unwrap_or(&good)),
            signature: good,
        });
    }
    let needed = |name: &'static str| {
        let value = text(name).filter(|value| !value.is_empty());
        value.ok_or_else(|| Refusal::unauthorized("2000", format!("{name} is missing")))
    };
    let merchant = needed("x-paykka-appid")?.to_owned();
    let timestamp = needed("x-paykka-timestamp")?.to_owned();
    let nonce = needed("x-paykka-nonce")?;
    if !(10..=100).contains(&nonce.len()) {
        return Err(Refusal::unauthorized(
            "2000",
            "x-paykka-nonce must have 10 to 100 characters",
        ));
    }
    if needed("x-paykka-sign-alg")? != "SHA256_WITH_RSA" {
        return Err(Refusal::unauthorized(
            "2000",
            "x-paykka-sign-alg must be SHA256_WITH_RSA",
        ));
    }
    let signature = decoded(needed("x-paykka-sign")?);
    Ok(Claim {
        generation: Generation::V3,
        merchant,
        timestamp,
        nonce: nonce.to_owned(),
        signature: signature.ok_or_else(|| Refusal::unauthorized("2000", "x-paykka-sign is not Base64"))?,
    })
}

impl Claim {
    /// What was signed.
    pub(super) fn message(&self, method: &str, path: &str, body: &[u8]) -> Zeroizing<Vec<u8>> {
        match self.generation {
            Generation::V3 => lines(method, path, &self.timestamp, &self.nonce, body),
            Generation::V1 => old_lines(&self.merchant, &self.timestamp, body),
        }
    }

    /// Whether it is of about now.
    ///
    /// # Errors
    /// It is not, or no time.
    pub(super) fn check_time(&self, now: UnixMillis) -> Result<(), Refusal> {
        let code = match self.generation {
            Generation::V3 => "2001",
            Generation::V1 => "206004",
        };
        let at: u64 = self
            .timestamp
            .parse()
            .map_err(|_| Refusal::unauthorized(code, "the timestamp is no number of milliseconds"))?;
        match at.abs_diff(now.0) <= WINDOW_MS {
            true => Ok(()),
            false => Err(Refusal::unauthorized(
                code,
                "the timestamp is more than five minutes off",
            )),
        }
    }
}

/// What is signed in version 3.
pub(super) fn lines(method: &str, path: &str, timestamp: &str, nonce: &str, body: &[u8]) -> Zeroizing<Vec<u8>> {
    let parts = [
        method.as_bytes(),
        path.as_bytes(),
        timestamp.as_bytes(),
        nonce.as_bytes(),
        body,
    ];
    joined(&parts.map(|part| if part.is_empty() { &b" "[..] } else { part }), b"\n")
}

/// What is signed in version 1.2.
pub(super) fn old_lines(merchant: &str, timestamp: &str, body: &[u8]) -> Zeroizing<Vec<u8>> {
    let parts = [
        b"merchantId=",
        merchant.as_bytes(),
        b"&timestamp=",
        timestamp.as_bytes(),
        b"&requestBody=",
        body,
    ];
    joined(&parts, b"")
}

fn joined(parts: &[&[u8]], between: &[u8]) -> Zeroizing<Vec<u8>> {
    // of its full size from the start: a buffer that grows leaves copies behind
    let size = parts.iter().map(|part| part.len() + between.len()).sum();
    let mut all = Zeroizing::new(Vec::with_capacity(size));
    for (place, part) in parts.iter().enumerate() {
        if place > 0 {
            all.extend_from_slice(between);
        }
        all.extend_from_slice(part);
    }
    all
}

/// A signature as it stands in a header.
pub(super) fn encoded(signature: &[u8]) -> String {
    form::encoded(&BASE64.encode(signature))
}

/// Undoes [`encoded`]; a `+` is no space, and Base64 that was not percent-encoded is taken too.
fn decoded(text: &str) -> Option<Vec<u8>> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        plain.push(match first {
            b'%' => {
                let (hex, after) = rest.split_at_checked(2)?;
                rest = after;
                data_encoding::HEXLOWER_PERMISSIVE.decode(hex).ok()?.first().copied()?
            }
            other => *other,
        });
    }
    BASE64.decode(&plain).ok().filter(|signature| !signature.is_empty())
}

/// A nonce of ours: 20 letters and digits.
///
/// # Errors
/// No random bytes.
pub(super) fn nonce() -> Result<String, NoRandom> {
    let mut random = [0; 15];
    fill_random(&mut random)?;
    Ok(data_encoding::BASE32_NOPAD
        .encode(&random)
        .get(..20)
        .unwrap_or_default()
        .to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn five_lines_and_a_space_for_nothing() {
        let signed = lines("POST", "/v3/payment/acq", "1", "abc", b"{}");
        assert_eq!(&signed[..], b"POST\n/v3/payment/acq\n1\nabc\n{}");
        let empty = lines("POST", "/v3", "1", "abc", b"");
        assert_eq!(&empty[..], b"POST\n/v3\n1\nabc\n ");
        assert_eq!(
            &old_lines("m", "1", b"{}")[..],
            b"merchantId=m&timestamp=1&requestBody={}"
        );
    }

    proptest! {
        #[test]
        fn signatures_are_read_encoded_or_not(signature in prop::collection::vec(any::<u8>(), 1..300)) {
            prop_assert_eq!(decoded(&encoded(&signature)), Some(signature.clone()));
            prop_assert_eq!(decoded(&BASE64.encode(&signature)), Some(signature));
        }
    }

    #[test]
    fn what_is_no_signature_is_none() {
        for bad in ["", "%", "%4", "%zz", "a b", "ä", "AAA"] {
            assert_eq!(decoded(bad), None, "{bad}");
        }
        assert_eq!(nonce().unwrap().len(), 20);
    }

    #[test]
    fn time_may_be_five_minutes_off() {
        let at = |timestamp: &str| {
            let claim = Claim {
                generation: Generation::V3,
                merchant: String::new(),
                timestamp: timestamp.to_owned(),
                nonce: String::new(),
                signature: Vec::new(),
            };
            claim.check_time(UnixMillis(1_000_000)).is_ok()
        };
        assert!(at("1000000") && at("700000") && at("1300000"));
        assert!(!at("699999") && !at("1300001") && !at("") && !at("now") && !at("-1"));
    }
}
