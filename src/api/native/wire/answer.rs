//! What the native API answers.

use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::{Expiry, Status, Uses};
use crate::id::UnixMillis;

/// A time in an answer, RFC 3339.
pub(in crate::api::native) struct Stamp(pub(in crate::api::native) UnixMillis);

/// The masked view: never enough to rebuild a card number.
#[derive(Serialize, ToSchema)]
#[schema(as = Token)]
pub(in crate::api::native) struct MaskedView<'a> {
    pub(in crate::api::native) token: &'a str,
    /// The first 6 or 8 digits, as the brand allows.
    pub(in crate::api::native) bin: &'a str,
    pub(in crate::api::native) last4: &'a str,
    #[schema(example = "411111******1111")]
    pub(in crate::api::native) masked: &'a str,
    /// Lower case; `null` where not known, as are `funding` and `country`.
    #[schema(required, example = "visa")]
    pub(in crate::api::native) brand: Option<&'a str>,
    #[schema(required)]
    pub(in crate::api::native) funding: Option<&'a str>,
    /// ISO 3166-1 alpha-2.
    #[schema(required)]
    pub(in crate::api::native) country: Option<&'a str>,
    #[schema(required)]
    pub(in crate::api::native) expiry: Option<Expiry>,
    pub(in crate::api::native) status: Status,
    pub(in crate::api::native) uses: Uses,
    #[schema(required)]
    pub(in crate::api::native) namespace: Option<&'a str>,
    #[schema(required, value_type = Option<Object>)]
    pub(in crate::api::native) metadata: Option<&'a RawValue>,
    #[schema(value_type = String, format = DateTime)]
    pub(in crate::api::native) created_at: Stamp,
    #[schema(value_type = String, format = DateTime)]
    pub(in crate::api::native) updated_at: Stamp,
    /// Last revealed, to the minute.
    #[schema(required, value_type = Option<String>, format = DateTime)]
    pub(in crate::api::native) last_used_at: Option<Stamp>,
    #[schema(required, value_type = Option<String>, format = DateTime)]
    pub(in crate::api::native) expires_at: Option<Stamp>,
    /// How often it was changed, from 1; the `ETag` says the same.
    pub(in crate::api::native) revision: u64,
}

/// A revealed card.
#[derive(Serialize, ToSchema)]
#[schema(as = Revealed)]
pub(in crate::api::native) struct Revealed<'a> {
    pub(in crate::api::native) card: RevealedCard<'a>,
    /// When asked for and there.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>, nullable = false)]
    pub(in crate::api::native) profile: Option<&'a RawValue>,
}

/// The card itself.
#[derive(Serialize, ToSchema)]
#[schema(as = RevealedCard)]
pub(in crate::api::native) struct RevealedCard<'a> {
    pub(in crate::api::native) number: &'a str,
    #[schema(required)]
    pub(in crate::api::native) expiry: Option<Expiry>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(in crate::api::native) holder: Option<&'a str>,
}

/// A page of a search.
#[derive(Serialize, ToSchema)]
#[schema(as = Found)]
pub(in crate::api::native) struct Found<'a> {
    pub(in crate::api::native) tokens: Vec<MaskedView<'a>>,
    /// Where to go on; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(in crate::api::native) next: Option<&'a str>,
}

/// How one item of a batch ended: `result` or `problem`.
#[derive(Serialize, ToSchema)]
pub(in crate::api::native) struct Item<R, P> {
    /// The status that the request alone would have had.
    pub(in crate::api::native) status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(in crate::api::native) result: Option<R>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(in crate::api::native) problem: Option<P>,
}

/// The items in the order of the request.
#[derive(Serialize, ToSchema)]
pub(in crate::api::native) struct Items<R, P> {
    pub(in crate::api::native) items: Vec<Item<R, P>>,
}

impl Serialize for Stamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}
