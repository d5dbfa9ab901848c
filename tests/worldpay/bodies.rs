//! What requests consist of.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

/// The vendor's test card; no other scenario's [`card_number`] makes it.
pub(crate) const VISA: &str = "4444333322221111";
pub(crate) const MASKED: &str = "4444********1111";

pub(crate) const HOLDER: &str = "/paymentInstrument/cardHolderName";
pub(crate) const NUMBER: &str = "/paymentInstrument/cardNumber";
pub(crate) const EXPIRY: &str = "/paymentInstrument/cardExpiryDate";
pub(crate) const MONTH: &str = "/paymentInstrument/cardExpiryDate/month";
pub(crate) const YEAR: &str = "/paymentInstrument/cardExpiryDate/year";
pub(crate) const ADDRESS: &str = "/paymentInstrument/billingAddress";
pub(crate) const TYPE: &str = "/paymentInstrument/type";
pub(crate) const REFERENCE: &str = "/schemeTransactionReference";

/// The links of a token that change one thing of it.
pub(crate) const ATTRIBUTES: [&str; 5] = [
    "tokens:description",
    "tokens:cardHolderName",
    "tokens:cardExpiryDate",
    "tokens:billingAddress",
    "tokens:schemeTransactionReference",
];

/// A Visa number that no other scenario has.
pub(crate) fn card_number() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(1);
    numbered("400052", 16, COUNT.fetch_add(1, Ordering::Relaxed))
}

/// The number of a card of this length, with its check digit.
pub(crate) fn numbered(prefix: &str, length: usize, count: u64) -> String {
    let body = format!("{prefix}{count:0width$}", width = length - 1 - prefix.len());
    let sum: u32 = body
        .bytes()
        .rev()
        .enumerate()
        .map(|(at, digit)| match (u32::from(digit - b'0'), at % 2) {
            (digit, 0) => digit * 2 / 10 + digit * 2 % 10,
            (digit, _) => digit,
        })
        .sum();
    format!("{body}{}", (10 - sum % 10) % 10)
}

/// A name that no other scenario has.
pub(crate) fn fresh(prefix: &str) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    format!("{prefix}{}", COUNT.fetch_add(1, Ordering::Relaxed))
}

/// A request with what it must have.
pub(crate) fn bare(number: &str) -> Value {
    json!({
        "paymentInstrument": {
            "type": "card/front",
            "cardHolderName": "Sherlock Holmes",
            "cardNumber": number,
            "cardExpiryDate": {"month": 5, "year": 2035},
        },
        "merchant": {"entity": "default"},
    })
}

/// The same with a description and an address.
pub(crate) fn full(number: &str) -> Value {
    let described = with(bare(number), "/description", json!("Test Token Description"));
    with(described, ADDRESS, address())
}

pub(crate) fn address() -> Value {
    json!({
        "address1": "221B Baker Street",
        "address2": "Marylebone",
        "address3": "Westminster",
        "postalCode": "NW1 6XE",
        "city": "London",
        "state": "Greater London",
        "countryCode": "GB",
    })
}

/// `body` with the member at this pointer set.
pub(crate) fn with(mut body: Value, pointer: &str, value: Value) -> Value {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    body.pointer_mut(parent).unwrap()[name] = value;
    body
}

/// `body` without the member at this pointer.
pub(crate) fn without(mut body: Value, pointer: &str) -> Value {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let members = body.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    members.remove(name).unwrap();
    body
}

/// Does all of these and tells at the end which failed.
#[track_caller]
pub(crate) fn each<T>(cases: Vec<T>, name: impl Fn(&T) -> String, check: impl Fn(T)) {
    let named = cases.into_iter().map(|case| (name(&case), case));
    crate::support::scenarios::each(named, check);
}
