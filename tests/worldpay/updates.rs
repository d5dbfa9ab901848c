//! Changes of one thing at a time, deletion, and the methods that a link does not have.

use serde_json::{Value, json};

use super::bodies::{
    ADDRESS, ATTRIBUTES, EXPIRY, HOLDER, REFERENCE, VISA, address, bare, card_number, each, full, with,
};
use super::gateway::{Account, Reply};
use super::support::daemon::Daemon;

pub(crate) fn by_link(daemon: &Daemon) {
    let account = Account::dev(daemon);
    let short =
        json!({"address1": "1 Test Street", "postalCode": "TE12 34ST", "city": "Testville", "countryCode": "TS"});
    for version in [1, 2, 3] {
        let own = account.version(version);
        let made = account.made(&full(&card_number()));
        let mut expected = account.get(&made.href()).body;
        for (rel, pointer, value) in [
            ("tokens:description", "/description", json!("new description")),
            ("tokens:cardHolderName", HOLDER, json!("new name & <co>")),
            ("tokens:cardExpiryDate", EXPIRY, json!({"month": 1, "year": 2050})),
            (
                "tokens:billingAddress",
                ADDRESS,
                with(address(), "/city", json!("Leeds")),
            ),
            // the whole address, with nothing of the one before
            ("tokens:billingAddress", ADDRESS, short.clone()),
            (
                "tokens:schemeTransactionReference",
                REFERENCE,
                json!("000000000000020005060720116005060"),
            ),
            ("tokens:schemeTransactionReference", REFERENCE, json!("other 1")),
        ] {
            own.put(&made.link(rel), &value).done();
            expected = with(expected, pointer, value);
            assert_eq!(account.get(&made.href()).body, expected, "{rel}");
        }
    }
    // where there was nothing
    let made = account.made(&bare(&card_number()));
    account.put(&made.link("tokens:billingAddress"), &address()).done();
    assert_eq!(account.get(&made.href()).at(ADDRESS), &address());
    // the longest
    for (rel, pointer, value) in [
        ("tokens:description", "/description", "é".repeat(255)),
        ("tokens:cardHolderName", HOLDER, "é".repeat(255)),
        ("tokens:schemeTransactionReference", REFERENCE, "x".repeat(56)),
    ] {
        account.put(&made.link(rel), &json!(value)).done();
        assert_eq!(account.get(&made.href()).at(pointer), &json!(value));
    }
}

type Refused = (&'static str, Value, &'static [(&'static str, &'static str)]);

pub(crate) fn bad_values(daemon: &Daemon) {
    let account = Account::dev(daemon);
    let made = account.made(&full(&card_number()));
    let (description, holder) = ("tokens:description", "tokens:cardHolderName");
    let (expiry, street) = ("tokens:cardExpiryDate", "tokens:billingAddress");
    let reference = "tokens:schemeTransactionReference";
    let long = |length: usize| json!("x".repeat(length));
    let cases: Vec<Refused> = vec![
        (description, json!(""), &[("stringIsTooShort", "$")]),
        (description, long(256), &[("stringIsTooLong", "$")]),
        (description, json!("a & b"), &[("stringFailedRegexCheck", "$")]),
        (description, json!("a < b"), &[("stringFailedRegexCheck", "$")]),
        (description, json!(7), &[("fieldMustBeString", "$")]),
        (
            description,
            json!({"description": "new"}),
            &[("fieldMustBeString", "$")],
        ),
        (
            description,
            json!(format!("card {VISA}")),
            &[("fieldHasInvalidValue", "$")],
        ),
        (holder, json!(""), &[("stringIsTooShort", "$")]),
        (holder, long(256), &[("stringIsTooLong", "$")]),
        (holder, json!(["new"]), &[("fieldMustBeString", "$")]),
        (holder, json!("4444 3333 2222 1111"), &[("fieldHasInvalidValue", "$")]),
        (reference, json!(""), &[("stringIsTooShort", "$")]),
        (reference, long(57), &[("stringIsTooLong", "$")]),
        (reference, json!("a-b"), &[("stringFailedRegexCheck", "$")]),
        (reference, json!(true), &[("fieldMustBeString", "$")]),
        (
            expiry,
            json!({"month": 13, "year": 2050}),
            &[("fieldHasInvalidValue", "$.month")],
        ),
        (
            expiry,
            json!({"month": 0, "year": 10_000}),
            &[("fieldHasInvalidValue", "$.month"), ("fieldHasInvalidValue", "$.year")],
        ),
        (
            expiry,
            json!({"month": "1", "year": 2050}),
            &[("fieldMustBeInteger", "$.month")],
        ),
        (expiry, json!({"month": 1}), &[("fieldIsMissing", "$.year")]),
        (
            expiry,
            json!({"month": null, "year": 2050}),
            &[("fieldIsNull", "$.month")],
        ),
        (
            expiry,
            json!({}),
            &[("fieldIsMissing", "$.month"), ("fieldIsMissing", "$.year")],
        ),
        (expiry, json!("01/50"), &[("fieldMustBeObject", "$")]),
        (
            expiry,
            json!({"month": 1, "year": 2020}),
            &[("fieldHasInvalidValue", "$")],
        ),
        (
            street,
            json!({"address1": "1 Test Street", "city": "Testville"}),
            &[("fieldIsMissing", "$.postalCode"), ("fieldIsMissing", "$.countryCode")],
        ),
        (street, json!("1 Test Street"), &[("fieldMustBeObject", "$")]),
        (
            street,
            with(address(), "/countryCode", json!("gb")),
            &[("stringFailedRegexCheck", "$.countryCode")],
        ),
        (
            street,
            with(address(), "/address2", json!("4444-3333-2222-1111")),
            &[("billingAddressMightContainCardNumber", "$.address2")],
        ),
    ];
    each(
        cases,
        |case| format!("{} {}", case.0, case.1),
        |(rel, value, faults)| {
            let refused = account.put(&made.link(rel), &value);
            refused.faulty(faults);
            assert!(!refused.text.contains(VISA), "{}", refused.text);
            assert_eq!(account.get(&made.href()).body, made.body);
        },
    );
    let past = account.put(&made.link(expiry), &json!({"month": 1, "year": 2020}));
    assert_eq!(
        past.at("/validationErrors/0/message"),
        "Card expiry date must not be in the past"
    );
    let media = account.media();
    for rel in ATTRIBUTES {
        let sent = |body: &str| account.with("PUT", &made.link(rel), &[("Content-Type", &media)], body);
        sent("").refused(400, "bodyIsEmpty");
        sent("new description").refused(400, "bodyIsNotJson");
        sent("null").faulty(&[("fieldIsNull", "$")]);
    }
}

/// The month that a card ends in is not past while it lasts.
pub(crate) fn this_month(daemon: &Daemon) {
    let account = Account::dev(daemon);
    let made = account.made(&bare(&card_number()));
    let now = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC);
    let value = json!({"month": now.month(), "year": now.year()});
    account.put(&made.link("tokens:cardExpiryDate"), &value).done();
}

pub(crate) fn deletion(daemon: &Daemon) {
    let account = Account::dev(daemon);
    for headers in [
        vec![],
        vec![("Accept", "*/*")],
        vec![("Accept", "application/vnd.worldpay.tokens-v1.hal+json")],
        vec![("Content-Type", "application/vnd.worldpay.verified-tokens-v3.hal+json")],
    ] {
        let made = account.made(&full(&card_number()));
        account.with("DELETE", &made.href(), &headers, "").done();
        account
            .with("DELETE", &made.href(), &headers, "")
            .refused(404, "resourceNotFound");
        account.get(&made.href()).refused(404, "resourceNotFound");
    }
}

pub(crate) fn methods(daemon: &Daemon) {
    let account = Account::dev(daemon);
    let made = account.made(&full(&card_number()));
    let other = with(full(&card_number()), HOLDER, json!("Mycroft"));
    account.made(&with(other.clone(), HOLDER, json!("Sherlock")));
    let conflict = account.create(&other).link("tokens:conflicts");
    let refused = |method: &str, place: &str| {
        let kind = if place.starts_with("/verified") {
            "verified-tokens"
        } else {
            "tokens"
        };
        let media = format!("application/vnd.worldpay.{kind}-v3.hal+json");
        let body = if ["GET", "DELETE"].contains(&method) {
            ""
        } else {
            "\"x\""
        };
        let headers = [("Accept", media.as_str()), ("Content-Type", media.as_str())];
        account
            .with(method, place, &headers, body)
            .refused(405, "methodNotAllowed");
    };
    let mut cases = Vec::new();
    for rel in ATTRIBUTES {
        cases.extend(["GET", "DELETE", "POST", "PATCH"].map(|method| (method, made.link(rel))));
    }
    cases.extend(["PUT", "POST", "PATCH"].map(|method| (method, made.href())));
    cases.extend(["DELETE", "POST", "PATCH"].map(|method| (method, conflict.clone())));
    cases.extend(["PUT", "DELETE", "PATCH"].map(|method| (method, "/tokens".to_owned())));
    for place in ["/verifiedTokens/cardOnFile", "/verifiedTokens/oneTime"] {
        cases.extend(["GET", "PUT", "DELETE"].map(|method| (method, place.to_owned())));
    }
    each(
        cases,
        |case| format!("{case:?}"),
        |(method, place)| refused(method, &place),
    );
    // none of them did anything
    assert_eq!(account.get(&made.href()).body, made.body);
    account.get(&conflict).is(200);
}

pub(crate) fn not_there(daemon: &Daemon) {
    let account = Account::dev(daemon);
    let unknown = "/tokens/eyJrIjoxLCJkIjoialRBL0FFelBzcnZpNCtzRGNRemh0NzI0NE1rdUtjMUFJdjYxVnlibWZuUT0ifQ";
    let missing = |reply: Reply| reply.refused(404, "resourceNotFound");
    for place in [
        unknown,
        "/tokens/x",
        &format!("/tokens/{VISA}"),
        "/tokens/9902480679618049603",
    ] {
        for method in ["GET", "DELETE"] {
            let reply = account.call(method, place, &Value::Null);
            assert!(!reply.text.contains(VISA));
            missing(reply);
        }
        missing(account.put(place, &json!("new description")));
    }
    for (method, place) in [
        ("GET", "/tokens/x/y"),
        ("POST", "/tokens/x/y"),
        ("DELETE", "/tokens/x/y/z"),
        ("GET", "/verifiedTokens/nothing"),
        ("POST", "/verifiedTokens/nothing"),
    ] {
        let kind = if place.starts_with("/verified") {
            "verified-tokens"
        } else {
            "tokens"
        };
        let media = format!("application/vnd.worldpay.{kind}-v3.hal+json");
        let body = if method == "POST" { "{}" } else { "" };
        let headers = [("Accept", media.as_str()), ("Content-Type", media.as_str())];
        account
            .with(method, place, &headers, body)
            .refused(404, "endpointNotFound");
    }
}
