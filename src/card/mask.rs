//! What of a card number may be seen.
//!
//! PCI DSS 3.4.1 lets at most BIN and last four digits be displayed, and PCI SSC FAQ 1091 says what may be kept of a
//! truncated number: of 16 digits with a BIN of 8, at least 4 must go (Discover, JCB, Mastercard, UnionPay, Visa); of
//! 15 digits at least 5 (American Express: first 6, last 4); of fewer, first 6 and any other 4 (Discover's 14). What
//! the FAQ does not name keeps its baseline, first 6 and last 4. Numbers of 12 and 13 digits it does not name either,
//! and the baseline would hide 2 or 3 digits there, of which Luhn gives away one: of these only the last 4 are shown,
//! which is within what 15 U.S.C. 1681c(g)(1) lets a receipt show (the last 5).

use super::pan::Pan;

/// What of a card number may be seen: never enough to rebuild it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Masked {
    /// The first 8 or 6 digits; empty for a number of 12 or 13 digits.
    pub bin: String,
    /// The last 4 digits.
    pub last4: String,
    /// The whole length, every other digit a `*`.
    pub text: String,
}

impl Masked {
    /// Masks `pan`, showing at most `bin_len` digits at the start, and fewer where its length calls for it.
    pub fn new(pan: &Pan, bin_len: usize) -> Self {
        let digits = pan.expose();
        let bin = digits.get(..shown_at_start(digits.len(), bin_len)).unwrap_or_default();
        let last4 = digits
            .len()
            .checked_sub(4)
            .and_then(|at| digits.get(at..))
            .unwrap_or_default();
        let hidden = digits.len().saturating_sub(bin.len() + last4.len());
        let text = format!("{bin}{}{last4}", "*".repeat(hidden));
        Self {
            bin: bin.to_owned(),
            last4: last4.to_owned(),
            text,
        }
    }
}

/// How many leading digits of a number of `length` digits may be shown where its brand allows `bin_len`.
pub(super) fn shown_at_start(length: usize, bin_len: usize) -> usize {
    let most = match length {
        0..=13 => 0,
        16 => 8,
        _ => 6,
    };
    most.min(bin_len)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::card::check_digit;

    fn masked(pan: &str, bin_len: usize) -> Masked {
        Masked::new(&Pan::parse(pan).unwrap(), bin_len)
    }

    #[test]
    fn every_length_has_its_rule() {
        for (length, with_6, with_8) in [
            (12, "********3456", "********3456"),
            (13, "*********3456", "*********3456"),
            (14, "400012****3456", "400012****3456"),
            (15, "400012*****3456", "400012*****3456"),
            (16, "400012******3456", "40001234****3456"),
            (17, "400012*******3456", "400012*******3456"),
            (18, "400012********3456", "400012********3456"),
            (19, "400012*********3456", "400012*********3456"),
        ] {
            // 40001234 and zeros, then the digit that makes 3456 the right end
            let start = &"40001234000000"[..length - 5];
            let pan = (0..10)
                .map(|d| format!("{start}{d}3456"))
                .find(|pan| Pan::parse(pan).is_ok())
                .unwrap();
            assert_eq!(pan.len(), length);
            assert_eq!(masked(&pan, 6).text, with_6);
            assert_eq!(masked(&pan, 8).text, with_8);
        }
    }

    #[test]
    fn the_parts_are_those_of_the_text() {
        let masked = masked("4111111111111111", 8);
        assert_eq!((masked.bin.as_str(), masked.last4.as_str()), ("41111111", "1111"));
        assert_eq!(masked.text, "41111111****1111");
    }

    proptest! {
        #[test]
        fn never_more_than_bin_and_four(body in "[0-9]{11,18}", bin_len in 0usize..30) {
            let pan = format!("{body}{}", check_digit(&body).unwrap());
            let masked = masked(&pan, bin_len);
            let shown = masked.text.bytes().filter(u8::is_ascii_digit).count();
            let hidden = pan.len() - shown;
            prop_assert_eq!(masked.text.len(), pan.len());
            prop_assert!(shown <= bin_len + 4);
            prop_assert!(masked.bin.len() <= 8 && masked.last4.len() == 4);
            let least = match pan.len() { 12 => 8, 13 => 9, 14 => 4, 15 => 5, 16 => 4, _ => 7 };
            prop_assert!(hidden >= least);
            prop_assert!(pan.starts_with(&masked.bin) && pan.ends_with(&masked.last4));
            prop_assert!(!crate::card::contains_pan(&masked.text));
        }
    }
}
