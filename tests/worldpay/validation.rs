//! What is wrong with the body of a create, each fault by name and place.

use serde_json::{Value, json};

use super::bodies::{
    ADDRESS, EXPIRY, HOLDER, MONTH, NUMBER, REFERENCE, TYPE, VISA, YEAR, card_number, each, full, with, without,
};
use super::gateway::Account;
use super::support::daemon::Daemon;

/// All members that a create knows, and their places in JSON's own language of paths.
const MEMBERS: [&str; 20] = [
    "/paymentInstrument",
    TYPE,
    HOLDER,
    NUMBER,
    EXPIRY,
    MONTH,
    YEAR,
    "/merchant",
    "/merchant/entity",
    "/paymentInstrument/billingAddress/address1",
    "/paymentInstrument/billingAddress/postalCode",
    "/paymentInstrument/billingAddress/city",
    "/paymentInstrument/billingAddress/countryCode",
    // from here on they may be left out
    ADDRESS,
    "/paymentInstrument/billingAddress/address2",
    "/paymentInstrument/billingAddress/state",
    "/description",
    "/namespace",
    "/tokenExpiryDateTime",
    REFERENCE,
];
const MANDATORY: usize = 13;

pub(crate) fn place(pointer: &str) -> String {
    format!("${}", pointer.replace('/', "."))
}

/// A request that gives every member.
pub(crate) fn everything() -> Value {
    let body = with(
        full(&card_number()),
        "/namespace",
        json!(super::bodies::fresh("shopper-")),
    );
    let body = with(body, "/tokenExpiryDateTime", json!("2030-01-01T00:00:00Z"));
    with(body, REFERENCE, json!("REF1"))
}

/// A request with this member changed is refused with just this fault.
pub(crate) fn faulty(account: &Account<'_>, cases: Vec<(&str, Value, &str)>) {
    each(
        cases,
        |(pointer, value, _)| format!("{pointer}: {value}"),
        |(pointer, value, fault)| {
            let refused = account.create(&with(everything(), pointer, value));
            refused.faulty(&[(fault, &place(pointer))]);
            assert!(!refused.text.contains(VISA), "{}", refused.text);
        },
    );
}

pub(crate) fn missing_or_null(daemon: &Daemon) {
    let account = Account::dev(daemon);
    account.made(&everything());
    each(
        MEMBERS.to_vec(),
        |pointer| (*pointer).to_owned(),
        |pointer| {
            account
                .create(&with(everything(), pointer, Value::Null))
                .faulty(&[("fieldIsNull", &place(pointer))]);
            let left_out = account.create(&without(everything(), pointer));
            match MEMBERS[..MANDATORY].contains(&pointer) {
                true => left_out.faulty(&[("fieldIsMissing", &place(pointer))]),
                false => left_out.is(201),
            }
        },
    );
    // versions 1 and 2 know no merchant
    for version in [1, 2] {
        account.version(version).made(&without(everything(), "/merchant"));
        account.version(version).made(&everything());
    }
    let empty = account.create(&json!({}));
    empty.faulty(&[
        ("fieldIsMissing", "$.paymentInstrument"),
        ("fieldIsMissing", "$.merchant"),
    ]);
    let members =
        ["type", "cardHolderName", "cardNumber", "cardExpiryDate"].map(|name| format!("$.paymentInstrument.{name}"));
    let expected: Vec<_> = members.iter().map(|path| ("fieldIsMissing", path.as_str())).collect();
    account
        .create(&json!({"paymentInstrument": {}, "merchant": {"entity": "default"}}))
        .faulty(&expected);
}

pub(crate) fn lengths(daemon: &Daemon) {
    let account = Account::dev(daemon);
    let of_address = |name: &str| format!("{ADDRESS}/{name}");
    let names = ["address1", "address2", "address3", "postalCode", "city", "state"].map(of_address);
    let [address1, address2, address3, postal_code, city, state] = names.each_ref().map(String::as_str);
    let limits = [
        ("/description", 255),
        ("/namespace", 64),
        (REFERENCE, 56),
        (HOLDER, 255),
        (address1, 80),
        (address2, 80),
        (address3, 80),
        (postal_code, 15),
        (city, 50),
        (state, 30),
    ];
    let mut longest = everything();
    for (pointer, length) in limits {
        let letter = if pointer == REFERENCE { "x" } else { "é" };
        longest = with(longest, pointer, json!(letter.repeat(length)));
    }
    let kept = account.made(&longest);
    for (pointer, _) in limits {
        assert_eq!(
            Some(kept.at(pointer)),
            longest.pointer(pointer),
            "characters count, not bytes"
        );
    }
    for (pointer, length) in limits {
        faulty(
            &account,
            vec![(pointer, json!("x".repeat(length + 1)), "stringIsTooLong")],
        );
    }
    for pointer in [
        "/description",
        "/namespace",
        REFERENCE,
        HOLDER,
        address1,
        postal_code,
        city,
        state,
    ] {
        faulty(&account, vec![(pointer, json!(""), "stringIsTooShort")]);
    }
    account.made(&with(everything(), address2, json!("")));
    let country = of_address("countryCode");
    faulty(
        &account,
        vec![
            (&country, json!("G"), "stringIsTooShort"),
            (&country, json!("GBR"), "stringIsTooLong"),
            (&country, json!("gb"), "stringFailedRegexCheck"),
            (&country, json!("G1"), "stringFailedRegexCheck"),
        ],
    );
}

pub(crate) fn patterns_and_types(daemon: &Daemon) {
    let account = Account::dev(daemon);
    let mut cases = Vec::new();
    for text in ["a&b", "a<b", "<"] {
        cases.push(("/description", json!(text), "stringFailedRegexCheck"));
    }
    for text in ["_a", "_", "a b", " a", "a&b", "a<b"] {
        cases.push(("/namespace", json!(text), "stringFailedRegexCheck"));
    }
    for text in ["a-b", "é", "a_b", "a\nb"] {
        cases.push((REFERENCE, json!(text), "stringFailedRegexCheck"));
    }
    for pointer in [
        TYPE,
        HOLDER,
        "/description",
        "/namespace",
        REFERENCE,
        "/tokenExpiryDateTime",
        "/merchant/entity",
    ] {
        for value in [json!(7), json!(true), json!([]), json!({})] {
            cases.push((pointer, value, "fieldMustBeString"));
        }
    }
    cases.push((NUMBER, json!(4_444_333_322_221_111_u64), "fieldMustBeString"));
    for pointer in [MONTH, YEAR] {
        for value in [json!("5"), json!(5.5), json!(true), json!([5]), json!({})] {
            cases.push((pointer, value, "fieldMustBeInteger"));
        }
    }
    for pointer in ["/paymentInstrument", EXPIRY, ADDRESS, "/merchant"] {
        for value in [json!("x"), json!(7), json!([]), json!(false)] {
            cases.push((pointer, value, "fieldMustBeObject"));
        }
    }
    faulty(&account, cases);
    account.made(&with(everything(), "/namespace", json!("a_b-c.d/e:é")));
    for body in [json!([]), json!("x"), json!(7), json!(true)] {
        account.create(&body).faulty(&[("fieldMustBeObject", "$")]);
    }
}
