//! `WP-CorrelationId`, by which vendor and client find a request again: a UUID on every answer, the client's own if it gave
//! one that does not spell a card number. The same name stands in the log and in the audit trail.

use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;

use crate::card::{BinTable, contains_live_pan};
use crate::id::fill_random;

const CORRELATION: HeaderName = HeaderName::from_static("wp-correlationid");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Takes or makes the name, and has the request go by it.
pub(super) fn begin(request: &mut Request) -> Option<HeaderValue> {
    let given = request
        .headers()
        .get(CORRELATION)
        .filter(|value| may_be_given_back(value))
        .cloned();
    let name = given.or_else(random);
    if let Some(name) = &name {
        request.headers_mut().insert(REQUEST_ID, name.clone());
    }
    name
}

/// Puts the name on the answer.
pub(super) fn end(name: Option<HeaderValue>, response: &mut Response) {
    if let Some(name) = name {
        response.headers_mut().insert(CORRELATION, name);
    }
}

/// A UUID that does not spell a card number.
fn may_be_given_back(value: &HeaderValue) -> bool {
    let text = value.to_str().unwrap_or_default();
    is_uuid(text) && !contains_live_pan(text, &BinTable::built_in())
}

fn is_uuid(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    let lengths = [8, 4, 4, 4, 12];
    groups.len() == lengths.len()
        && groups
            .iter()
            .zip(lengths)
            .all(|(group, length)| group.len() == length && group.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// A UUID of version 4.
fn random() -> Option<HeaderValue> {
    let mut raw = [0; 16];
    fill_random(&mut raw).ok()?;
    raw[6] = (raw[6] & 0x0f) | 0x40;
    raw[8] = (raw[8] & 0x3f) | 0x80;
    let hex = data_encoding::HEXLOWER.encode(&raw);
    let mut text = String::with_capacity(36);
    for (at, digit) in hex.chars().enumerate() {
        if matches!(at, 8 | 12 | 16 | 20) {
            text.push('-');
        }
        text.push(digit);
    }
    HeaderValue::try_from(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_is_taken_and_one_is_made() {
        let taken = |text: &'static str| may_be_given_back(&HeaderValue::from_static(text));
        assert!(taken("7a4b1c7e-0f1a-4d2b-9c3d-1234567890ab"));
        assert!(!taken("7a4b1c7e-0f1a-4d2b-9c3d-1234567890a"));
        assert!(!taken("7a4b1c7e0f1a4d2b9c3d1234567890ab"));
        assert!(!taken("41111111-1111-1111-0000-000000000000"));
        assert!(!taken(""));
        for _ in 0..100 {
            assert!(is_uuid(random().unwrap().to_str().unwrap()));
        }
    }
}
