//! Amounts and currencies.

mod currency;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

pub use self::currency::Currency;

/// An amount in the currency's major unit, exact to a thousandth: what has more decimals than the currency is refused
/// where both are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Amount {
    /// Thousandths of the major unit.
    pub thousandths: u64,
}

impl Amount {
    /// Nothing.
    pub const ZERO: Self = Self { thousandths: 0 };

    /// Reads a decimal number of 1 to 14 characters: digits, and at most one `.` with digits on both sides. No sign, no
    /// exponent. Zeros at the end count for nothing.
    ///
    /// # Errors
    /// [`BadAmount`].
    pub fn parse(text: &str) -> Result<Self, BadAmount> {
        if !(1..=MAX_CHARACTERS).contains(&text.len()) {
            return Err(BadAmount::Length);
        }
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        if !digits(whole) || !digits(fraction) {
            return Err(BadAmount::Form);
        }
        let fraction = fraction.trim_end_matches('0');
        if fraction.len() > 3 {
            return Err(BadAmount::Decimals(3));
        }
        // 14 digits and three more are far below 2^64
        let thousandths = format!("{whole}{fraction:0<3}")
            .parse()
            .map_err(|_| BadAmount::Length)?;
        Ok(Self { thousandths })
    }

    /// As [`Amount::parse`], and no finer than the currency's smallest unit.
    ///
    /// # Errors
    /// [`BadAmount`].
    pub fn parse_in(text: &str, currency: Currency) -> Result<Self, BadAmount> {
        Self::parse(text)?.checked_in(currency)
    }

    /// The amount, if the currency has so fine a unit.
    ///
    /// # Errors
    /// [`BadAmount::Decimals`].
    pub fn checked_in(self, currency: Currency) -> Result<Self, BadAmount> {
        let decimals = currency.decimals();
        match self.thousandths.is_multiple_of(unit(decimals)) {
            true => Ok(self),
            false => Err(BadAmount::Decimals(decimals)),
        }
    }

    /// So many of the currency's smallest unit (minor units of ISO 4217); none where there are more than 12 digits.
    pub fn of_minor(minor: u64, currency: Currency) -> Option<Self> {
        let thousandths = minor.checked_mul(unit(currency.decimals()))?;
        (minor < MINOR_MAX).then_some(Self { thousandths })
    }

    /// In the currency's smallest unit; what is finer is cut.
    pub fn minor(self, currency: Currency) -> u64 {
        self.thousandths / unit(currency.decimals())
    }

    /// Whether it is nothing.
    pub fn is_zero(self) -> bool {
        self.thousandths == 0
    }

    /// The sum; none where it is too large to be held.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        let thousandths = self.thousandths.checked_add(other.thousandths)?;
        Some(Self { thousandths })
    }

    /// The difference; none where `other` is more.
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        let thousandths = self.thousandths.checked_sub(other.thousandths)?;
        Some(Self { thousandths })
    }

    /// As people and JSON write it, with the currency's decimals: `10.00`, `10`, `10.000`. What is finer than the currency
    /// shows all that it has.
    pub fn decimal(self, currency: Currency) -> String {
        let decimals = match self.checked_in(currency) {
            Ok(_) => currency.decimals(),
            Err(_) => 3,
        };
        let whole = self.thousandths / 1_000;
        if decimals == 0 {
            return whole.to_string();
        }
        let fraction = self.thousandths % 1_000 / unit(decimals);
        format!("{whole}.{fraction:0width$}", width = usize::from(decimals))
    }

    /// A JSON number with the currency's decimals, digit for digit as [`Amount::decimal`] writes it: no float comes in
    /// between.
    ///
    /// # Errors
    /// None that can be thought of: the text is a JSON number.
    pub fn json(self, currency: Currency) -> serde_json::Result<Box<RawValue>> {
        RawValue::from_string(self.decimal(currency))
    }
}

/// Why a text is not an amount. Says nothing of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadAmount {
    /// Not 1 to 14 characters.
    #[error("does not have 1 to 14 characters")]
    Length,
    /// Not a plain decimal number.
    #[error("is not a decimal number without sign and exponent")]
    Form,
    /// Finer than the currency.
    #[error("has more than {0} decimals")]
    Decimals(u8),
}

/// Contract of the Mastercard gateway: 1 to 14 characters.
const MAX_CHARACTERS: usize = 14;

/// Minor units are fewer than this: 12 digits, as most interfaces have it.
const MINOR_MAX: u64 = 1_000_000_000_000;

/// Thousandths in the smallest unit of a currency with so many decimals.
fn unit(decimals: u8) -> u64 {
    match decimals {
        0 => 1_000,
        1 => 100,
        2 => 10,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn currency(code: &str) -> Currency {
        Currency::parse(code).unwrap()
    }

    #[test]
    fn texts_are_read_or_refused_by_name() {
        for (text, thousandths) in [
            ("0", 0),
            ("0.00", 0),
            ("1", 1_000),
            ("1.5", 1_500),
            ("001.50", 1_500),
            ("1.234", 1_234),
            ("1.2340000", 1_234),
            ("99999999999999", 99_999_999_999_999_000),
        ] {
            assert_eq!(Amount::parse(text), Ok(Amount { thousandths }), "{text}");
        }
        for (text, error) in [
            ("", BadAmount::Length),
            ("100000000000000", BadAmount::Length),
            ("-1", BadAmount::Form),
            ("+1", BadAmount::Form),
            ("1e3", BadAmount::Form),
            (".5", BadAmount::Form),
            ("5.", BadAmount::Form),
            (".", BadAmount::Form),
            ("1.2.3", BadAmount::Form),
            ("1,50", BadAmount::Form),
            (" 1", BadAmount::Form),
            ("١", BadAmount::Form),
            ("NaN", BadAmount::Form),
            ("1.2345", BadAmount::Decimals(3)),
        ] {
            assert_eq!(Amount::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn decimals_beyond_the_currency_are_refused() {
        for (text, code, error) in [
            ("1.5", "JPY", Some(0)),
            ("1.00", "JPY", None),
            ("1.005", "EUR", Some(2)),
            ("1.05", "EUR", None),
            ("1.005", "KWD", None),
        ] {
            let refused = Amount::parse_in(text, currency(code)).err();
            assert_eq!(refused, error.map(BadAmount::Decimals), "{text} {code}");
        }
    }

    #[test]
    fn amounts_are_written_with_the_decimals_of_their_currency() {
        let amount = Amount { thousandths: 10_000 };
        for (code, text) in [("JPY", "10"), ("EUR", "10.00"), ("KWD", "10.000")] {
            assert_eq!(amount.decimal(currency(code)), text);
            assert_eq!(amount.json(currency(code)).unwrap().get(), text);
        }
        assert_eq!(Amount { thousandths: 50 }.decimal(currency("EUR")), "0.05");
        assert_eq!(
            Amount { thousandths: 5 }.decimal(currency("EUR")),
            "0.005",
            "nothing is cut"
        );
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(whole in 0u64..1_000_000_000, fraction in 0u64..1_000, code in "JPY|EUR|KWD") {
            let currency = currency(&code);
            let unit = unit(currency.decimals());
            let amount = Amount { thousandths: whole * 1_000 + fraction / unit * unit };
            prop_assert_eq!(Amount::parse_in(&amount.decimal(currency), currency), Ok(amount));
            let json = amount.json(currency).unwrap();
            prop_assert!(serde_json::from_str::<serde_json::Number>(json.get()).is_ok());
        }

        #[test]
        fn what_is_read_is_the_number_that_stands_there(text in "\\PC{0,20}|[0-9.]{0,16}") {
            if let Ok(amount) = Amount::parse(&text) {
                // 14 digits are exact in a float but for its last bits
                let float: f64 = text.parse().unwrap();
                let read: f64 = amount.decimal(currency("KWD")).parse().unwrap();
                prop_assert!((float - read).abs() < 0.0001, "{} {}", float, read);
            }
        }

        #[test]
        fn sums_are_right_or_none(a in any::<u64>(), b in any::<u64>()) {
            let (one, other) = (Amount { thousandths: a }, Amount { thousandths: b });
            let sum = u128::from(a) + u128::from(b);
            prop_assert_eq!(one.checked_add(other).map(|sum| u128::from(sum.thousandths)), u64::try_from(sum).ok().map(u128::from));
            prop_assert_eq!(one.checked_sub(other).is_some(), a >= b);
            if let Some(sum) = one.checked_add(other) {
                prop_assert_eq!(sum.checked_sub(other), Some(one));
            }
        }
    }
}
