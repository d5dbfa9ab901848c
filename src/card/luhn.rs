//! The Luhn check of ISO/IEC 7812-1, annex B.

/// Whether `digits` is all ASCII digits, not empty, and its last digit is the right check digit.
pub fn luhn_ok(digits: &str) -> bool {
    !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) && luhn_holds(digits)
}

/// The digit to put behind `body` so that the whole passes Luhn; `None` where `body` is empty or not all digits.
pub fn check_digit(body: &str) -> Option<char> {
    if body.is_empty() || !body.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    // behind a check digit of 0 every other digit already stands where it will
    let sum = sum(body.bytes().rev(), true) % 10;
    char::from_digit((10 - sum) % 10, 10)
}

/// Luhn over the digits of `text`; other bytes (separators) are passed over, and nothing is copied.
pub(super) fn luhn_holds(text: &str) -> bool {
    sum(text.bytes().rev(), false).is_multiple_of(10)
}

/// Adds up the digits from the right, every second one doubled, starting with the first one if `double_first`.
fn sum(from_right: impl Iterator<Item = u8>, double_first: bool) -> u32 {
    let mut double = double_first;
    let mut sum = 0;
    for digit in from_right.filter_map(|b| char::from(b).to_digit(10)) {
        sum += match (double, digit) {
            (false, d) => d,
            (true, d @ 0..=4) => 2 * d,
            (true, d) => 2 * d - 9,
        };
        double = !double;
    }
    sum
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn published_test_cards_pass() {
        for pan in [
            "4111111111111111",
            "5555555555554444",
            "378282246310005",
            "4242424242424242",
            "30569309025904",
            "6011111111111117",
            "3530111333300000",
        ] {
            assert!(luhn_ok(pan), "{pan}");
        }
    }

    #[test]
    fn what_is_not_digits_fails() {
        for text in ["", " ", "4111 1111 1111 1111", "4111111111111112", "٤١١١", "-"] {
            assert!(!luhn_ok(text), "{text:?}");
        }
        assert_eq!(check_digit(""), None);
        assert_eq!(check_digit("41a"), None);
        assert_eq!(check_digit("411111111111111"), Some('1'));
        assert_eq!(check_digit("37828224631000"), Some('5'));
    }

    proptest! {
        #[test]
        fn exactly_one_check_digit_is_right(body in "[0-9]{1,30}") {
            let right = check_digit(&body).unwrap();
            for digit in '0'..='9' {
                prop_assert_eq!(luhn_ok(&format!("{body}{digit}")), digit == right);
            }
        }

        #[test]
        fn a_wrong_digit_anywhere_is_found(body in "[0-9]{1,18}", at in any::<prop::sample::Index>(), by in 1u8..10) {
            let mut digits = body.clone().into_bytes();
            digits.push(u8::try_from(check_digit(&body).unwrap()).unwrap());
            let at = at.index(digits.len());
            digits[at] = b'0' + (digits[at] - b'0' + by) % 10;
            prop_assert!(!luhn_ok(std::str::from_utf8(&digits).unwrap()));
        }

        #[test]
        fn any_text_is_answered(text in "\\PC{0,40}") {
            prop_assert!(!luhn_ok(&text) || text.bytes().all(|b| b.is_ascii_digit()));
        }
    }
}
