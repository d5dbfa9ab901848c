//! Card numbers.

use zeroize::Zeroizing;

use super::luhn::luhn_holds;

/// A card number: 12 to 19 digits that pass Luhn. Wiped when dropped, never printed.
pub struct Pan(Zeroizing<String>);

impl Pan {
    /// Parses a card number; spaces and hyphens are dropped. Leaves no copy of the digits but the one it returns.
    ///
    /// # Errors
    /// [`BadPan`].
    pub fn parse(text: &str) -> Result<Self, BadPan> {
        let mut count = 0usize;
        for byte in text.bytes() {
            match byte {
                b'0'..=b'9' => count += 1,
                b' ' | b'-' => {}
                _ => return Err(BadPan::Character),
            }
        }
        if !(12..=19).contains(&count) {
            return Err(BadPan::Length);
        }
        if !luhn_holds(text) {
            return Err(BadPan::Luhn);
        }
        // room for all of them at once: a string that grows leaves its old bytes behind
        let mut digits = Zeroizing::new(String::with_capacity(count));
        digits.extend(text.chars().filter(char::is_ascii_digit));
        Ok(Self(digits))
    }

    /// The digits.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// Why a text is not a card number. Says nothing of the digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadPan {
    /// Something that is not a digit, space or hyphen.
    #[error("has a character that is not a digit")]
    Character,
    /// Not 12 to 19 digits.
    #[error("does not have 12 to 19 digits")]
    Length,
    /// The check digit is wrong.
    #[error("fails the Luhn check")]
    Luhn,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::card::check_digit;

    #[test]
    fn spaces_and_hyphens_are_dropped() {
        for text in ["4111111111111111", " 4111 1111-1111 1111 ", "4-1-1-1-1111 11111111"] {
            let pan = Pan::parse(text).unwrap();
            assert_eq!(pan.expose(), "4111111111111111", "{text}");
            assert_eq!(pan.0.capacity(), 16, "no room that was moved into");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, error) in [
            ("", BadPan::Length),
            ("- -", BadPan::Length),
            ("41111111116", BadPan::Length),
            ("41111111111111111116", BadPan::Length),
            ("4111111111111112", BadPan::Luhn),
            ("4111.1111.1111.1111", BadPan::Character),
            ("4111\n111111111111", BadPan::Character),
            ("４１１１１１１１１１１１１１１１", BadPan::Character),
        ] {
            assert_eq!(Pan::parse(text).err(), Some(error), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn parsing_keeps_the_digits(body in "[0-9]{11,18}", gaps in prop::collection::vec("[ -]{0,2}", 20)) {
            let digits = format!("{body}{}", check_digit(&body).unwrap());
            let spaced: String = digits.chars().zip(&gaps).map(|(c, gap)| format!("{gap}{c}")).collect();
            let pan = Pan::parse(&spaced).unwrap();
            prop_assert_eq!(pan.expose(), digits);
        }

        #[test]
        fn what_parses_is_a_card_number(text in "\\PC{0,24}|[0-9 -]{10,26}") {
            if let Ok(pan) = Pan::parse(&text) {
                prop_assert!((12..=19).contains(&pan.expose().len()));
                prop_assert!(crate::card::luhn_ok(pan.expose()));
            }
        }
    }
}
