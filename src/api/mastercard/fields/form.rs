//! Fields from name-value pairs.

use axum::http::StatusCode;
use zeroize::Zeroizing;

use super::Fields;
use crate::api::mastercard::refusal::Refusal;

pub(super) fn read(text: &[u8], fields: &mut Fields) -> Result<(), Refusal> {
    for pair in text.split(|byte| *byte == b'&') {
        let mut sides = pair.splitn(2, |byte| *byte == b'=');
        let (name, value) = (sides.next().unwrap_or_default(), sides.next().unwrap_or_default());
        // one client begins with `&`, and names fields that it has no value for
        if value.is_empty() {
            continue;
        }
        fields.add(&decoded(name)?, decoded(value)?)?;
    }
    Ok(())
}

/// Undoes percent and plus encoding.
fn decoded(encoded: &[u8]) -> Result<Zeroizing<String>, Refusal> {
    // of its full size from the start: a buffer that grows leaves copies behind
    let mut bytes = Zeroizing::new(Vec::with_capacity(encoded.len()));
    let mut rest = encoded;
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        bytes.push(match first {
            b'+' => b' ',
            b'%' => {
                let (hex, after) = rest.split_at_checked(2).ok_or_else(broken)?;
                rest = after;
                data_encoding::HEXLOWER_PERMISSIVE
                    .decode(hex)
                    .ok()
                    .and_then(|byte| byte.first().copied())
                    .ok_or_else(broken)?
            }
            other => *other,
        });
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| broken())?;
    Ok(Zeroizing::new(text.to_owned()))
}

fn broken() -> Refusal {
    Refusal::request(
        StatusCode::BAD_REQUEST,
        "The fields are not encoded as a form in UTF-8: names and values, percent-encoded, joined by = and &.",
    )
}
