//! Ids of ours: two letters and random digits, as the dialect's clients have seen them.

use data_encoding::HEXLOWER;
use ring::digest::{SHA256, digest};

use super::Error;
use crate::card::contains_pan;
use crate::id::fill_random;

/// What an id is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Agreement,
    Order,
    Refund,
    Session,
    Token,
}

impl Kind {
    /// The letters in front, and how many digits follow.
    fn form(self) -> (&'static str, usize) {
        match self {
            Self::Agreement => ("RA", 16),
            Self::Order => ("GW", 17),
            Self::Refund => ("RG", 17),
            Self::Session => ("CS", 18),
            Self::Token => ("TK", 17),
        }
    }

    /// Whether `text` looks like one.
    pub(super) fn is_of(self, text: &str) -> bool {
        let (letters, digits) = self.form();
        text.strip_prefix(letters)
            .is_some_and(|rest| rest.len() == digits && rest.bytes().all(|byte| byte.is_ascii_digit()))
    }
}

/// A new id. None passes Luhn, of whatever range: the audit trail masks those, and an auditor looks for them.
///
/// # Errors
/// No random bytes.
pub(super) fn fresh(kind: Kind) -> Result<String, Error> {
    let (letters, count) = kind.form();
    loop {
        let mut id = String::from(letters);
        while id.len() < letters.len() + count {
            let mut random = [0; 24];
            fill_random(&mut random)?;
            // bytes below 250 give every digit as often
            let digits = random
                .iter()
                .filter(|byte| **byte < 250)
                .map(|byte| char::from(b'0' + byte % 10));
            id.extend(digits.take(letters.len() + count - id.len()));
        }
        if !contains_pan(&id) {
            return Ok(id);
        }
    }
}

/// An id as it stands in the audit trail, which masks what has 12 digits in a row: in groups of six, with dots.
pub(super) fn grouped(id: &str) -> String {
    let mut text = String::with_capacity(id.len() + 4);
    let mut digits = 0;
    for c in id.chars() {
        digits = if c.is_ascii_digit() { digits + 1 } else { 0 };
        if digits == 7 {
            text.push('.');
            digits = 1;
        }
        text.push(c);
    }
    text
}

/// The name of a document for an id of the merchant's, which may have any characters.
pub(super) fn hashed(what: &str, id: &str) -> String {
    format!("{what}/{}", HEXLOWER.encode(digest(&SHA256, id.as_bytes()).as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_grouped_for_the_audit_trail() {
        assert_eq!(grouped("GW20231435132143229/000001"), "GW202314.351321.43229/000001");
        assert_eq!(grouped("RA1234567812345678"), "RA123456.781234.5678");
        assert_eq!(grouped("none"), "none");
    }

    #[test]
    fn no_id_is_masked_in_the_audit_trail() {
        for kind in [Kind::Agreement, Kind::Order, Kind::Refund, Kind::Session, Kind::Token] {
            // one in ten digit strings passes Luhn
            for _ in 0..200 {
                let id = fresh(kind).unwrap();
                assert!(kind.is_of(&id) && !contains_pan(&id), "{id}");
            }
        }
    }

    #[test]
    fn ids_are_known_by_their_form() {
        assert!(Kind::Token.is_of("TK20231435132143229"));
        for other in [
            "TK2023143513214322",
            "RA20231435132143229",
            "TK2023143513214322x",
            "TK",
            "",
        ] {
            assert!(!Kind::Token.is_of(other), "{other}");
        }
    }
}
