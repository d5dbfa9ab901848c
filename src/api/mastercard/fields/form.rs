//! Fields from name-value pairs.

use axum::http::StatusCode;
use zeroize::Zeroizing;

use super::Fields;
use crate::api::form;
use crate::api::mastercard::refusal::Refusal;

pub(super) fn read(text: &[u8], fields: &mut Fields) -> Result<(), Refusal> {
    for (name, value) in form::pairs(text) {
        // one client begins with `&`, and names fields that it has no value for
        if value.is_empty() {
            continue;
        }
        fields.add(&decoded(name)?, decoded(value)?)?;
    }
    Ok(())
}

fn decoded(encoded: &[u8]) -> Result<Zeroizing<String>, Refusal> {
    form::decoded(encoded).ok_or_else(|| {
        Refusal::request(
            StatusCode::BAD_REQUEST,
            "The fields are not encoded as a form in UTF-8: names and values, percent-encoded, joined by = and &.",
        )
    })
}
