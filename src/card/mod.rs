//! Cards: numbers, expiry, brands, masking. Pure; no I/O but reading a BIN table file.

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

/// A card number: 12 to 19 digits that pass Luhn. Wiped when dropped, never printed.
pub struct Pan(SecretString);

/// Month and year of expiry; a card is good through the last day of that month.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Expiry {
    /// Four digits, 2000 to 2099.
    pub year: u16,
    /// 1 to 12.
    pub month: u8,
}

/// What the digits at the start say, as far as known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BinInfo {
    /// Lower case, e.g. `visa`; `None` where no range matches.
    pub brand: Option<String>,
    /// `credit`, `debit`, `prepaid`, or unknown.
    pub funding: Option<String>,
    /// Issuer's country, ISO 3166-1 alpha-2, or unknown.
    pub country: Option<String>,
    /// Issuer's name, or unknown.
    pub issuer: Option<String>,
    /// How many leading digits may be shown: 6 or 8.
    pub bin_len: usize,
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

impl Pan {
    /// Parses a card number; spaces and hyphens are dropped.
    ///
    /// # Errors
    /// [`BadPan`].
    pub fn parse(_text: &str) -> Result<Self, BadPan> {
        unimplemented!()
    }

    /// The digits.
    pub fn expose(&self) -> &str {
        use secrecy::ExposeSecret;
        self.0.expose_secret()
    }
}
