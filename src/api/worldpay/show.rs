//! Tokens as they are answered.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io;

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::links::Base;
use super::media::Version;
use super::refusal::Refusal;
use super::wire;
use crate::card::{Expiry, Pan};
use crate::id::UnixMillis;
use crate::vault::types::{Conflict, Described, View};

/// The token as this version shows it; with `shown` its card number as it is.
///
/// # Errors
/// It was not made by this dialect: not found.
pub(super) fn token<'a>(
    base: &Base,
    version: Version,
    there: &'a Described,
    shown: Option<&'a Pan>,
    conflict: Option<&'a Conflict>,
) -> Result<wire::Token<'a>, Refusal> {
    let view = &there.view;
    let alias = view.alias.as_ref().ok_or_else(Refusal::not_found)?;
    let extra = extra(there.profile.extra.as_deref().map(String::as_str));
    let (kind, card_number) = match shown {
        Some(pan) => ("card/front", Cow::Borrowed(pan.expose())),
        None => ("card/masked", Cow::Owned(masked(view))),
    };
    Ok(wire::Token {
        token_payment_instrument: wire::Tokenized {
            kind: "card/tokenized",
            href: base.token(&view.token),
        },
        token_id: alias.as_str(),
        description: extra.description.unwrap_or(Cow::Borrowed("Token")),
        token_expiry_date_time: view.expires_at.map(seconds).unwrap_or_default(),
        namespace: extra.namespace,
        scheme_transaction_reference: extra.scheme_transaction_reference,
        payment_instrument: wire::Instrument {
            kind,
            card_number,
            card_holder_name: there.profile.holder.as_ref().map(|name| name.as_str()),
            card_expiry_date: view.expiry.map(month),
            billing_address: extra.billing_address,
            derived: match version {
                Version::V1 => None,
                Version::V2 | Version::V3 => Some(derived(view)),
            },
        },
        conflicts: conflict.map(conflicts).transpose()?,
        links: base.links(version, &view.token, conflict.map(|conflict| conflict.id)),
    })
}

/// The first 4 digits, 8 stars, the last 4, whatever the number's length is.
fn masked(view: &View) -> String {
    format!("{}********{}", view.masked.get(..4).unwrap_or_default(), view.last4)
}

fn conflicts(conflict: &Conflict) -> Result<wire::Conflicts<'_>, Refusal> {
    let extra = extra(conflict.profile.extra.as_deref().map(String::as_str));
    Ok(wire::Conflicts {
        payment_instrument: wire::ConflictingInstrument {
            card_holder_name: conflict.profile.holder.as_ref().map(|name| name.as_str()),
            card_expiry_date: conflict.expiry.map(month),
            billing_address: extra.billing_address,
        },
        scheme_transaction_reference: extra.scheme_transaction_reference,
        conflicts_expiry_date_time: seconds(conflict.expires_at),
    })
}

fn derived(view: &View) -> wire::Derived<'_> {
    wire::Derived {
        bin: view.bin.get(..6),
        brand: view.brand.as_ref().map(|brand| brand.to_uppercase()),
        funding_type: funding(view.funding.as_deref()),
        country_code: view.country.as_ref().map(|country| country.to_uppercase()),
    }
}

/// The vendor knows three kinds.
pub(super) fn funding(funding: Option<&str>) -> &'static str {
    match funding {
        Some("credit") => "credit",
        Some("debit") => "debit",
        _ => "unknown",
    }
}

pub(super) fn month(expiry: Expiry) -> wire::Month {
    wire::Month {
        month: expiry.month(),
        year: expiry.year(),
    }
}

/// `2021-06-24T09:19:35Z`
pub(super) fn seconds(at: UnixMillis) -> String {
    let whole = UnixMillis(at.0 / 1_000 * 1_000).to_string();
    whole.replace(".000Z", "Z")
}

/// What is kept of a token. Another dialect that shares the repository may have written there: what cannot be read is not
/// there.
fn extra(text: Option<&str>) -> wire::Extra<'_> {
    let members: BTreeMap<Cow<'_, str>, &RawValue> = text
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default();
    let string = |name: &str| serde_json::from_str::<String>(members.get(name)?.get()).ok();
    wire::Extra {
        billing_address: members
            .get("billingAddress")
            .copied()
            .filter(|raw| raw.get().starts_with('{')),
        description: string("description").filter(|text| !text.is_empty()).map(Cow::Owned),
        namespace: string("namespace").map(Cow::Owned),
        scheme_transaction_reference: string("schemeTransactionReference").map(Cow::Owned),
    }
}

/// The text of what is kept of a token beside holder and card.
pub(super) fn kept(
    address: Option<&str>,
    description: &str,
    namespace: Option<&str>,
    reference: Option<&str>,
) -> Result<Zeroizing<String>, Refusal> {
    let broken = |_| Refusal::failed("a profile could not be written");
    let billing_address: Option<&RawValue> = address.map(serde_json::from_str).transpose().map_err(broken)?;
    let kept = wire::Extra {
        billing_address,
        description: Some(Cow::Borrowed(description)),
        namespace: namespace.map(Cow::Borrowed),
        scheme_transaction_reference: reference.map(Cow::Borrowed),
    };
    let text = written(&kept)?;
    String::from_utf8(text.to_vec())
        .map(Zeroizing::new)
        .map_err(|_| Refusal::failed("JSON that is not UTF-8"))
}

/// A body's bytes. The memory is of its full size from the start and is wiped when it was sent: a body may show a card.
pub(super) fn body(answer: &impl Serialize) -> Result<Bytes, Refusal> {
    Ok(Bytes::from_owner(written(answer)?))
}

fn written(value: &impl Serialize) -> Result<Zeroizing<Vec<u8>>, Refusal> {
    let broken = |_| Refusal::failed("an answer could not be written");
    let mut size = Size(0);
    serde_json::to_writer(&mut size, value).map_err(broken)?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(size.0));
    serde_json::to_writer(&mut *bytes, value).map_err(broken)?;
    Ok(bytes)
}

/// Counts what is written.
struct Size(usize);

impl io::Write for Size {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_seconds_and_no_parts_of_them() {
        assert_eq!(seconds(UnixMillis(1_624_526_375_987)), "2021-06-24T09:19:35Z");
    }

    #[test]
    fn what_is_kept_reads_back_and_takes_no_room_for_what_is_not() {
        let text = kept(Some(r#"{"city":"X"}"#), "d \"q\"", None, Some("r")).unwrap();
        assert_eq!(
            text.as_str(),
            r#"{"billingAddress":{"city":"X"},"description":"d \"q\"","schemeTransactionReference":"r"}"#
        );
        let read = extra(Some(&text));
        assert_eq!(read.description.as_deref(), Some("d \"q\""));
        assert!(read.namespace.is_none());
    }
}
