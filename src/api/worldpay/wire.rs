//! What the dialect answers, named and in the order of the contract.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;

use super::links::Links;

/// A token.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Token<'a> {
    pub(super) token_payment_instrument: Tokenized,
    pub(super) token_id: &'a str,
    pub(super) description: Cow<'a, str>,
    pub(super) token_expiry_date_time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) namespace: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) scheme_transaction_reference: Option<Cow<'a, str>>,
    pub(super) payment_instrument: Instrument<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) conflicts: Option<Conflicts<'a>>,
    #[serde(rename = "_links")]
    pub(super) links: Links,
}

#[derive(Serialize)]
pub(super) struct Tokenized {
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    pub(super) href: String,
}

/// The card, masked or not.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Instrument<'a> {
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    pub(super) card_number: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) card_holder_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) card_expiry_date: Option<Month>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) billing_address: Option<&'a RawValue>,
    #[serde(flatten)]
    pub(super) derived: Option<Derived<'a>>,
}

/// What the first digits say; not in version 1.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Derived<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) bin: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) brand: Option<String>,
    pub(super) funding_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) country_code: Option<String>,
}

#[derive(Serialize)]
pub(super) struct Month {
    pub(super) month: u8,
    pub(super) year: u16,
}

/// What was given and is not what is stored.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Conflicts<'a> {
    pub(super) payment_instrument: ConflictingInstrument<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) scheme_transaction_reference: Option<Cow<'a, str>>,
    pub(super) conflicts_expiry_date_time: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ConflictingInstrument<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) card_holder_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) card_expiry_date: Option<Month>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) billing_address: Option<&'a RawValue>,
}

/// The tokens that a query found.
#[derive(Serialize)]
pub(super) struct Found<'a> {
    #[serde(rename = "_embedded")]
    pub(super) embedded: FoundTokens<'a>,
    #[serde(rename = "_links")]
    pub(super) links: Links,
}

#[derive(Serialize)]
pub(super) struct FoundTokens<'a> {
    pub(super) tokens: Vec<Token<'a>>,
}

/// A resource that has links only.
#[derive(Serialize)]
pub(super) struct Tree {
    #[serde(rename = "_links")]
    pub(super) links: Links,
}

/// What the dialect keeps in the rest of a token's profile.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Extra<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) billing_address: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) description: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) namespace: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) scheme_transaction_reference: Option<Cow<'a, str>>,
}
