//! Keeps out what must never be stored: security codes, track and PIN data in free-form JSON, and card numbers in
//! fields that are kept in clear.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use super::types::{CallerError, Error};
use crate::card::{BinTable, contains_live_pan};

mod names;

/// Why a text with a sensitive member is refused.
const SENSITIVE_HELD: &str = "holds security code, track or PIN data, which is never stored";

/// The longest metadata, bytes.
pub(super) const METADATA_MAX: usize = 4 * 1024;
/// The longest profile, holder and rest together, bytes.
pub(super) const PROFILE_MAX: usize = 8 * 1024;
/// The longest holder, bytes: 255 characters of any script.
const HOLDER_MAX: usize = 1_020;

/// Names of sensitive authentication data, in lower case and without `_`, `-` and other marks, in their order.
const SENSITIVE: &[&str] = &[
    "cardcvc",
    "cardcvv",
    "cardsecuritycode",
    "cardverificationcode",
    "cardverificationvalue",
    "cav",
    "cav2",
    "cid",
    "csc",
    "cvc",
    "cvc2",
    "cvccode",
    "cvd",
    "cve",
    "cvn",
    "cvn2",
    "cvv",
    "cvv2",
    "cvvcode",
    "dcvv",
    "encryptedpin",
    "encryptedpindata",
    "fulltrack",
    "icvv",
    "magneticstripe",
    "magstripe",
    "pin",
    "pinblock",
    "pindata",
    "securitycode",
    "track",
    "track1",
    "track1data",
    "track2",
    "track2data",
    "track2equivalentdata",
    "track3",
    "track3data",
    "trackdata",
    "verificationvalue",
];
/// As long as the longest of them.
const LONGEST: usize = 21;

/// Refuses `text` unless it is one JSON object of at most `max` bytes without sensitive members. With `in_clear`, the
/// table of the cards in use, it may hold no card number either.
pub(super) fn object(field: &'static str, text: &str, max: usize, in_clear: Option<&BinTable>) -> Result<(), Error> {
    if text.len() > max {
        return Err(refused(field, &format!("is longer than {max} bytes")));
    }
    let mut reader = serde_json::Deserializer::from_str(text);
    let scan = Scan { in_clear, top: true };
    scan.deserialize(&mut reader)
        .and_then(|_| reader.end())
        .map_err(|fault| match fault.classify() {
            // the only messages of this category are ours, below; others may repeat the text
            serde_json::error::Category::Data => {
                let whole = fault.to_string();
                let message = whole.split(" at line ").next().unwrap_or_default();
                refused(field, message)
            }
            _ => refused(field, "is not JSON"),
        })
}

/// Refuses `text`, one JSON value of any kind that was read as such, where it is longer than `max` bytes or has a sensitive
/// member at any depth. Only names are looked at, and nothing is nested too deep or counted too high for it.
pub(super) fn value(field: &'static str, text: &str, max: usize) -> Result<(), Error> {
    if text.len() > max {
        return Err(refused(field, &format!("is longer than {max} bytes")));
    }
    match names::has_member(text, is_sensitive) {
        true => Err(refused(field, SENSITIVE_HELD)),
        false => Ok(()),
    }
}

/// Refuses a holder's name that is empty, too long, or no name at all.
pub(super) fn holder(text: &str, bins: &BinTable) -> Result<(), Error> {
    const FIELD: &str = "card.holder";
    if text.trim().is_empty() {
        return Err(refused(FIELD, "is empty"));
    }
    if text.len() > HOLDER_MAX {
        return Err(refused(FIELD, &format!("is longer than {HOLDER_MAX} bytes")));
    }
    if text.chars().any(char::is_control) {
        return Err(refused(FIELD, "has a control character"));
    }
    no_card(FIELD, text, bins)
}

/// Refuses a text in clear that holds what looks like a card number.
pub(super) fn no_card(field: &'static str, text: &str, bins: &BinTable) -> Result<(), Error> {
    if contains_live_pan(text, bins) {
        return Err(refused(field, "holds what looks like a card number"));
    }
    Ok(())
}

/// A refusal of a field's value.
pub(super) fn refused(field: &'static str, reason: &str) -> Error {
    Error::Caller(CallerError::Field {
        field,
        reason: reason.to_owned(),
    })
}

/// Whether `name` is one of [`SENSITIVE`], or a path with one on its way: `card.securityCode`, `card[0].cvv`.
fn is_sensitive(name: &str) -> bool {
    const PATH: [char; 3] = ['.', '[', ']'];
    is_listed(name) || (name.contains(PATH) && name.split(PATH).any(is_listed))
}

fn is_listed(name: &str) -> bool {
    let mut plain = [0; LONGEST];
    let mut length = 0;
    for byte in name.bytes().filter(u8::is_ascii_alphanumeric) {
        let Some(place) = plain.get_mut(length) else {
            return false;
        };
        *place = byte.to_ascii_lowercase();
        length += 1;
    }
    let plain = plain.get(..length).unwrap_or_default();
    SENSITIVE
        .binary_search_by(|listed| listed.as_bytes().cmp(plain))
        .is_ok()
}

/// Reads one JSON value, every member of it also where names repeat, and says whether it was `null`.
#[derive(Clone, Copy)]
struct Scan<'a> {
    in_clear: Option<&'a BinTable>,
    top: bool,
}

impl Scan<'_> {
    fn text<E: serde::de::Error>(self, text: &str) -> Result<bool, E> {
        self.scalar()?;
        self.no_card(text)?;
        Ok(false)
    }

    fn scalar<E: serde::de::Error>(self) -> Result<(), E> {
        if self.top {
            return Err(E::custom("is not a JSON object"));
        }
        Ok(())
    }

    fn no_card<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        if self.in_clear.is_some_and(|bins| contains_live_pan(text, bins)) {
            return Err(E::custom("holds what looks like a card number"));
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Scan<'_> {
    type Value = bool;
    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<bool, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Scan<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<bool, E> {
        self.scalar().map(|()| true)
    }

    fn visit_bool<E: serde::de::Error>(self, _: bool) -> Result<bool, E> {
        self.scalar().map(|()| false)
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<bool, E> {
        self.text(&number.to_string())
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<bool, E> {
        self.text(&number.unsigned_abs().to_string())
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<bool, E> {
        // `4.111111111111111e15` is a card number too
        self.text(&format!("{number:.0}"))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<bool, E> {
        self.text(text)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<bool, A::Error> {
        self.scalar()?;
        while items.next_element_seed(self)?.is_some() {}
        Ok(false)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<bool, A::Error> {
        let inner = Self { top: false, ..self };
        while let Some(name) = members.next_key::<String>()? {
            self.no_card(&name)?;
            let null = members.next_value_seed(inner)?;
            if !null && is_sensitive(&name) {
                return Err(A::Error::custom(SENSITIVE_HELD));
            }
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests;
