//! The rules by which a repository makes, checks and replaces tokens in the dialects that have such rules.

use serde::{Deserialize, Serialize};

/// A repository's rules. Names as the Mastercard gateway's boarding uses them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenRules {
    /// How many tokens a card may have.
    pub management: Management,
    /// Where token ids come from.
    pub generation: Generation,
    /// How a card is checked before it is stored, where the request does not say.
    pub verification: Verification,
}

/// How many tokens a card may have in its repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Management {
    /// Any number: each token is unique, the card need not be.
    UniqueToken,
    /// One.
    UniqueAccountIdentifier,
}

/// Where token ids come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Generation {
    /// 16 random digits that begin with 9 and pass Luhn.
    RandomWithLuhn,
    /// The card's first 6 and last 4 digits around random ones; fails Luhn.
    #[serde(rename = "PRESERVE_6_4")]
    Preserve64,
    /// The merchant names them.
    MerchantProvided,
    /// The acquirer names them.
    AcquirerTokenization,
}

/// How a card is checked before it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Verification {
    /// The account updater is asked for newer details.
    AccountUpdater,
    /// The acquirer is asked.
    Acquirer,
    /// Format, length, Luhn and expiry.
    Basic,
    /// Not at all.
    None,
}
