//! The native API's JSON, named as the contract names it.

mod answer;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;
use zeroize::Zeroizing;

pub(super) use self::answer::{Found, Item, Items, MaskedView, Revealed, RevealedCard, Stamp};

/// A text that is wiped: a card number, a name.
pub(super) struct Secret(pub(super) Zeroizing<String>);

/// A JSON value's text, as the caller wrote it; wiped.
pub(super) struct Raw(pub(super) Zeroizing<Box<str>>);

/// A member of a patch: not there, `null`, or a value.
#[derive(Default)]
pub(super) enum Member<T> {
    #[default]
    Absent,
    Null,
    Value(T),
}

/// A card to be stored.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(super) struct Card {
    /// 12 to 19 digits that pass the Luhn check; spaces and hyphens are dropped.
    #[schema(value_type = String, example = "4111111111111111")]
    pub(super) number: Secret,
    pub(super) expiry: Expiry,
    /// The name on the card.
    #[schema(value_type = Option<String>)]
    pub(super) holder: Option<Secret>,
}

/// A month of a year.
#[derive(Clone, Copy, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(super) struct Expiry {
    /// 1 to 12.
    #[schema(minimum = 1, maximum = 12)]
    pub(super) month: u8,
    /// Four digits.
    #[schema(minimum = 2000, maximum = 2099)]
    pub(super) year: u16,
}

/// How the token looks.
#[derive(Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case", expecting = "a string")]
pub(super) enum Format {
    /// `tok_` and 36 letters and digits; tokens made later sort later.
    #[default]
    Opaque,
    /// 16 digits, starts with 9, passes Luhn.
    RandomLuhn,
    /// The card's length, first 6 and last 4 digits; fails Luhn.
    #[serde(rename = "preserve_6_4")]
    Preserve64,
    /// The caller's own, in `token`; refused when it could be a card number.
    Supplied,
}

/// Whether a token that the card has already serves.
#[derive(Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case", expecting = "a string")]
pub(super) enum Reuse {
    /// Always a new token.
    #[default]
    None,
    /// The token that the same card has in the repository, within the namespace if one is given.
    SameCard,
}

/// How often a token may be revealed.
#[derive(Clone, Copy, Default, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case", expecting = "a string")]
pub(super) enum Uses {
    /// At will.
    #[default]
    Multi,
    /// Once.
    Single,
}

/// A token's state.
#[derive(Clone, Copy, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case", expecting = "a string")]
pub(super) enum Status {
    /// In use.
    Active,
    /// Not to be used for now.
    Inactive,
    /// For single use, and used.
    Spent,
}

/// A card and how its token shall be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(super) struct CreateToken {
    pub(super) card: Card,
    #[serde(default)]
    #[schema(default = "opaque")]
    pub(super) format: Format,
    /// The token itself; with format `supplied`, and only then.
    pub(super) token: Option<String>,
    #[serde(default)]
    #[schema(default = "none")]
    pub(super) reuse: Reuse,
    /// A group of tokens, such as a customer's.
    #[schema(max_length = 64)]
    pub(super) namespace: Option<String>,
    /// Sealed with the card: addresses, e-mail, anything personal. Given back by a reveal that asks for it.
    #[schema(value_type = Option<Object>)]
    pub(super) profile: Option<Raw>,
    /// Kept in clear and shown with the masked view; no card numbers and nothing personal.
    #[schema(value_type = Option<Object>)]
    pub(super) metadata: Option<Raw>,
    /// The token is removed after this.
    #[schema(format = DateTime)]
    pub(super) expires_at: Option<String>,
    #[serde(default)]
    #[schema(default = "multi")]
    pub(super) uses: Uses,
}

/// Changes; what is absent stays, `null` clears.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(super) struct PatchToken {
    #[serde(default)]
    #[schema(value_type = Option<Expiry>)]
    pub(super) expiry: Member<Expiry>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub(super) holder: Member<Secret>,
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub(super) profile: Member<Raw>,
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub(super) metadata: Member<Raw>,
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(super) expires_at: Member<String>,
    /// `active` or `inactive`; cannot be cleared.
    #[serde(default)]
    #[schema(value_type = Status, required = false)]
    pub(super) status: Member<Status>,
}

/// What to reveal beside the card.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(super) struct RevealToken {
    #[serde(default)]
    pub(super) with: Vec<With>,
}

/// A sealed part that is given only when asked for.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case", expecting = "a string")]
pub(super) enum With {
    Profile,
}

/// What to look for; all that is given must hold.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(super) struct Search {
    /// A card number; a right of its own.
    #[schema(value_type = Option<String>)]
    pub(super) pan: Option<Secret>,
    #[schema(max_length = 64)]
    pub(super) namespace: Option<String>,
    /// The first 6 or 8 digits.
    pub(super) bin: Option<String>,
    pub(super) last4: Option<String>,
    /// Card expires in this month or later.
    pub(super) expiry_from: Option<Expiry>,
    /// Card expires in this month or earlier.
    pub(super) expiry_to: Option<Expiry>,
    #[schema(format = DateTime)]
    pub(super) updated_since: Option<String>,
    pub(super) status: Option<Status>,
    /// Tokens in one answer, 1 to 1,000; 100 when not given.
    #[schema(minimum = 1, maximum = 1000, default = 100)]
    pub(super) limit: Option<u32>,
    /// `next` of the answer before.
    pub(super) cursor: Option<String>,
}

/// Things to be done one by one. Each is read by itself, so that one that is wrong does not spoil the others.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(super) struct Batch {
    pub(super) items: Vec<Raw>,
}

/// Up to 1,000 cards.
#[derive(ToSchema)]
#[schema(as = CreateBatch)]
#[allow(dead_code, reason = "describes `Batch` in the OpenAPI document")]
pub(super) struct CreateBatch {
    #[schema(min_items = 1, max_items = 1000)]
    items: Vec<CreateToken>,
}

/// Up to 1,000 tokens.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes `Batch` in the OpenAPI document")]
pub(super) struct RevealBatch {
    #[schema(min_items = 1, max_items = 1000)]
    items: Vec<RevealItem>,
}

/// A token of a reveal batch.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(super) struct RevealItem {
    pub(super) token: String,
    #[serde(default)]
    pub(super) with: Vec<With>,
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Zeroizing::new(text)))
    }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Box::<RawValue>::deserialize(deserializer).map(|raw| Self(Zeroizing::new(raw.into())))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Member<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::deserialize(deserializer).map(|value| value.map_or(Self::Null, Self::Value))
    }
}
