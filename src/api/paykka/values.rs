//! Single values as the contract writes them. Pure.

use jiff::Timestamp;

use super::refusal::Refusal;
use super::wire::Scalar;
use crate::id::UnixMillis;
use crate::payment::money::{Amount, Currency};

/// A currency by its code.
pub(super) fn currency(code: &str) -> Result<Currency, Refusal> {
    Currency::parse(code).ok_or_else(|| Refusal::rule("1007", "the currency is not supported"))
}

/// An amount in the currency's smallest unit.
pub(super) fn amount(name: &str, given: &Scalar, currency: Currency) -> Result<Amount, Refusal> {
    let digits = (1..=12).contains(&given.0.len()) && given.0.bytes().all(|byte| byte.is_ascii_digit());
    let minor = given.0.parse().ok().filter(|_| digits);
    let amount = minor.and_then(|minor| Amount::of_minor(minor, currency));
    amount.ok_or_else(|| {
        Refusal::invalid(format!(
            "{name} must be a whole number of minor units, at most 12 digits"
        ))
    })
}

/// A text that is not empty.
pub(super) fn given(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

pub(super) fn number_of<T: std::str::FromStr>(name: &str, text: Option<Scalar>) -> Result<Option<T>, Refusal> {
    let number = text.filter(|text| !text.0.is_empty()).map(|text| text.0.parse());
    number
        .transpose()
        .map_err(|_| Refusal::invalid(format!("{name} must be a number")))
}

/// Years of two digits are of this century.
pub(super) fn year(year: Option<u16>) -> Option<u16> {
    year.map(|year| if year < 100 { 2_000 + year } else { year })
}

/// A time with an offset, with or without a colon in it.
pub(super) fn time(text: &str) -> Option<UnixMillis> {
    let stamp: Timestamp = match text.parse() {
        Ok(stamp) => stamp,
        Err(_) => Timestamp::strptime("%Y-%m-%dT%H:%M:%S%z", text).ok()?,
    };
    u64::try_from(stamp.as_millisecond()).ok().map(UnixMillis)
}

pub(super) fn is_web(url: &str) -> bool {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    url.len() <= 1_024
        && rest.is_some_and(|rest| {
            !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_graphic() && !b"\"<>\\".contains(&b))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_offsets_in_both_spellings() {
        let at = time("2026-11-28T18:00:00+08:00").unwrap();
        assert_eq!(time("2026-11-28T18:00:00+0800"), Some(at));
        assert_eq!(time("2026-11-28T10:00:00Z"), Some(at));
        assert_eq!(time("2026-11-28T18:00:00"), None);
        assert_eq!(time("tomorrow"), None);
    }

    #[test]
    fn amounts_are_whole_minor_units() {
        let of = |text: &str, code: &str| amount("amount", &Scalar(text.to_owned()), currency(code).unwrap()).ok();
        assert_eq!(of("800", "HKD"), Some(Amount { thousandths: 8_000 }));
        assert_eq!(of("800", "JPY"), Some(Amount { thousandths: 800_000 }));
        for bad in ["", "-1", "1.5", "1e3", "1234567890123", " 1"] {
            assert_eq!(of(bad, "HKD"), None, "{bad}");
        }
        assert!(currency("XXX").is_err());
    }

    #[test]
    fn addresses_for_payers_are_plain() {
        assert!(is_web("https://shop.example/thanks?order=1"));
        for bad in [
            "javascript:alert(1)",
            "https://",
            "https://shop/\"><script>",
            "//shop",
            "https://a b",
        ] {
            assert!(!is_web(bad), "{bad}");
        }
    }
}
