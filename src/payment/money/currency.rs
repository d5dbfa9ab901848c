//! Currencies of ISO 4217.
//!
//! Source of codes and minor units: ISO 4217 list one as of amendment 180 (BGN gone since January 2026). Funds codes, metals,
//! accounting units and test codes are left out: no card is charged in them.

use serde::{Deserialize, Serialize};

/// An ISO 4217 currency code.
///
/// What is read back from the store may be a code that has left the list since.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Currency([u8; 3]);

impl Currency {
    /// Takes the code of a currency in use: three capital letters.
    pub fn parse(text: &str) -> Option<Self> {
        let listed = |codes: &[&str]| codes.contains(&text);
        let in_use = listed(&TWO_DECIMALS) || listed(&NO_DECIMALS) || listed(&THREE_DECIMALS);
        in_use.then(|| Self::code(text)).flatten()
    }

    /// The code.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// How many decimals its amounts have: 0, 2 or 3.
    pub fn decimals(self) -> u8 {
        let code = self.as_str();
        if NO_DECIMALS.contains(&code) {
            return 0;
        }
        match THREE_DECIMALS.contains(&code) {
            true => 3,
            false => 2,
        }
    }

    fn code(text: &str) -> Option<Self> {
        let bytes: [u8; 3] = text.as_bytes().try_into().ok()?;
        bytes.iter().all(u8::is_ascii_uppercase).then_some(Self(bytes))
    }
}

impl TryFrom<String> for Currency {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::code(&text).ok_or("is not a currency code")
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> Self {
        currency.as_str().to_owned()
    }
}

const NO_DECIMALS: [&str; 16] = [
    "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF", "XPF",
];

const THREE_DECIMALS: [&str; 7] = ["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"];

const TWO_DECIMALS: [&str; 132] = [
    "AED", "AFN", "ALL", "AMD", "AOA", "ARS", "AUD", "AWG", "AZN", "BAM", "BBD", "BDT", "BMD", "BND", "BOB", "BRL",
    "BSD", "BTN", "BWP", "BYN", "BZD", "CAD", "CDF", "CHF", "CNY", "COP", "CRC", "CUP", "CVE", "CZK", "DKK", "DOP",
    "DZD", "EGP", "ERN", "ETB", "EUR", "FJD", "FKP", "GBP", "GEL", "GHS", "GIP", "GMD", "GTQ", "GYD", "HKD", "HNL",
    "HTG", "HUF", "IDR", "ILS", "INR", "IRR", "JMD", "KES", "KGS", "KHR", "KPW", "KYD", "KZT", "LAK", "LBP", "LKR",
    "LRD", "LSL", "MAD", "MDL", "MGA", "MKD", "MMK", "MNT", "MOP", "MRU", "MUR", "MVR", "MWK", "MXN", "MYR", "MZN",
    "NAD", "NGN", "NIO", "NOK", "NPR", "NZD", "PAB", "PEN", "PGK", "PHP", "PKR", "PLN", "QAR", "RON", "RSD", "RUB",
    "SAR", "SBD", "SCR", "SDG", "SEK", "SGD", "SHP", "SLE", "SOS", "SRD", "SSP", "STN", "SVC", "SYP", "SZL", "THB",
    "TJS", "TMT", "TOP", "TRY", "TTD", "TWD", "TZS", "UAH", "USD", "UYU", "UZS", "VED", "VES", "WST", "XCD", "XCG",
    "YER", "ZAR", "ZMW", "ZWG",
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_decimals_are_those_of_the_list() {
        for (code, decimals) in [
            ("EUR", 2),
            ("USD", 2),
            ("JPY", 0),
            ("KRW", 0),
            ("KWD", 3),
            ("TND", 3),
            ("MGA", 2),
        ] {
            assert_eq!(Currency::parse(code).unwrap().decimals(), decimals, "{code}");
        }
        let all: Vec<&str> = [&NO_DECIMALS[..], &THREE_DECIMALS, &TWO_DECIMALS].concat();
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len(), "one place each");
        assert!(
            all.iter()
                .all(|code| Currency::parse(code).is_some_and(|read| read.as_str() == *code))
        );
    }

    #[test]
    fn what_is_no_currency_in_use_is_refused() {
        for text in [
            "",
            "EU",
            "EURO",
            "eur",
            "EuR",
            "AAA",
            "XXX",
            "XTS",
            "XAU",
            "BGN",
            "HRK",
            "€€€",
            "12A",
            " EUR",
        ] {
            assert!(Currency::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_code_that_left_the_list_is_still_read_back() {
        let read: Currency = serde_json::from_str("\"BGN\"").unwrap();
        assert_eq!((read.as_str(), read.decimals()), ("BGN", 2));
        assert_eq!(serde_json::to_string(&read).unwrap(), "\"BGN\"");
        assert!(serde_json::from_str::<Currency>("\"bgn\"").is_err());
    }
}
