//! A token: how it is asked for, what is shown of it, what is revealed.

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::Verification;
use crate::card::{Expiry, Pan};
use crate::id::{IdempotencyKey, MerchantId, Namespace, Revision, Token, UnixMillis};
use crate::keys::SecretBytes;

/// How a token looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Format {
    /// `tok_` and 36 letters and digits: the time it was made, then 128 random bits.
    Opaque,
    /// The card's length, first 6 and last 4, fails Luhn.
    Preserve64,
    /// 16 digits, starts with 9, passes Luhn.
    RandomLuhn,
    /// The caller's own; refused when it could be a card number.
    Supplied(Token),
}

/// How often a token may be revealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Uses {
    /// At will.
    Multi,
    /// Once.
    Single,
}

/// A record's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// In use.
    Active,
    /// Not to be used; set and cleared by update.
    Inactive,
    /// A single-use token that was revealed: its card is gone.
    Spent,
}

/// What to do when the card is already there within the scope. The record keeps the scope in clear: what names a person
/// goes into it as a MAC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reuse {
    /// Always a new token.
    Never,
    /// One token per scope; a second tokenize gives the first one's token.
    Return {
        /// What, beside repository and PAN, makes it the same (a namespace, a customer and an expiry, …).
        scope: Vec<u8>,
    },
    /// One token per scope; a second tokenize is refused with the token that is there.
    Refuse {
        /// As for `Return`.
        scope: Vec<u8>,
    },
}

/// The sealed personal part of a record.
#[derive(Default)]
pub struct Profile {
    /// Cardholder's name.
    pub holder: Option<Zeroizing<String>>,
    /// Anything else: one JSON object's text.
    pub extra: Option<Zeroizing<String>>,
}

/// A request that may be repeated.
pub struct Idempotency {
    /// The caller's key.
    pub key: IdempotencyKey,
    /// Everything that makes it the same request; only its MAC is kept.
    pub request: SecretBytes,
}

/// On what terms a token is made; the default has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Terms {
    /// It gets a second name, unique in the repository too: 19 digits that begin with 99 and fail Luhn.
    pub alias: bool,
    /// Its namespace holds at most so many tokens of this kind, 1 to 255.
    pub namespace_limit: Option<u8>,
    /// A use in the second half of its life gives it so much life again, in milliseconds.
    pub renewed_by: Option<u64>,
}

/// A card to be tokenized.
pub struct NewToken {
    /// The number.
    pub pan: Pan,
    /// Its expiry.
    pub expiry: Option<Expiry>,
    /// The sealed rest.
    pub profile: Profile,
    /// How the token shall look.
    pub format: Format,
    /// Whether a token that is there serves.
    pub reuse: Reuse,
    /// The group it belongs to.
    pub namespace: Option<Namespace>,
    /// A JSON object's text, in clear: readable with the masked view. Refused when it holds CVV-like members or card
    /// numbers.
    pub metadata: Option<String>,
    /// Removed after this.
    pub expires_at: Option<UnixMillis>,
    /// Once or at will.
    pub uses: Uses,
    /// May be repeated under this key.
    pub idempotency: Option<Idempotency>,
    /// How the card was checked.
    pub verification: Option<Verification>,
    /// On what terms.
    pub terms: Terms,
}

/// The masked view: never enough to rebuild a PAN.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    /// The token.
    pub token: Token,
    /// The first 6 or 8 digits, as the brand allows; empty for a number of 12 or 13 digits.
    pub bin: String,
    /// The last 4.
    pub last4: String,
    /// The number with the middle hidden.
    pub masked: String,
    /// Brand, where known.
    pub brand: Option<String>,
    /// Funding, where known.
    pub funding: Option<String>,
    /// Issuer's country, where known.
    pub country: Option<String>,
    /// Expiry.
    pub expiry: Option<Expiry>,
    /// State.
    pub status: Status,
    /// Once or at will.
    pub uses: Uses,
    /// Group.
    pub namespace: Option<Namespace>,
    /// One JSON object's text.
    pub metadata: Option<String>,
    /// Made.
    pub created_at: UnixMillis,
    /// Changed.
    pub updated_at: UnixMillis,
    /// Who changed it; none: the account updater.
    pub updated_by: Option<MerchantId>,
    /// How the card was checked.
    pub verification: Option<Verification>,
    /// The token that takes over from this one.
    pub replacement: Option<Token>,
    /// Its second name.
    pub alias: Option<Token>,
    /// Last revealed; a crash forgets the last minute of it.
    pub last_used_at: Option<UnixMillis>,
    /// Removed after this.
    pub expires_at: Option<UnixMillis>,
    /// How often it was changed, from 1.
    pub revision: Revision,
}

/// How a tokenize ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Tokenized {
    /// A new token.
    Created(View),
    /// The token that was there.
    Reused(View),
}

/// How storing a person's card ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Stored {
    /// A new token.
    Created(View),
    /// The person's token for the card, which says the same.
    Same(View),
    /// The person's token for the card. Holder or rest are others than those given, and stay.
    Different(View),
}

/// How a put ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Put {
    /// A new token.
    Created(View),
    /// The card behind the token that was there is another now.
    Updated(View),
}

/// A revealed card.
pub struct Revealed {
    /// The number.
    pub pan: Pan,
    /// Its expiry.
    pub expiry: Option<Expiry>,
    /// Holder always; the rest when asked for.
    pub profile: Profile,
}

/// A token with its sealed personal part.
pub struct Described {
    /// The masked view.
    pub view: View,
    /// Holder and the rest.
    pub profile: Profile,
}

/// A revealed card with all that is known of it.
pub struct RevealedRecord {
    /// The number.
    pub pan: Pan,
    /// What else there is.
    pub record: Described,
}

/// A deletion receipt: JSON text, signed by the audit key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeletionReceipt(pub String);
