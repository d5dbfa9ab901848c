//! What becomes of a card that comes again: the decision table.

use serde_json::{Value, json};

use super::bodies::{
    ADDRESS, EXPIRY, HOLDER, MONTH, REFERENCE, YEAR, address, bare, card_number, each, full, with, without,
};
use super::gateway::Account;
use super::support::daemon::Daemon;

/// A card stored by one request and sent again by another.
struct Case {
    name: &'static str,
    stored: Value,
    again: Value,
    status: u16,
    /// What the answer lists of it, but for the time.
    conflicts: Value,
    /// The scheme transaction reference that is stored afterwards, where the second request brings it.
    filled: Option<&'static str>,
}

fn same(name: &'static str, stored: Value, again: Value) -> Case {
    let (status, conflicts, filled) = (200, Value::Null, None);
    Case {
        name,
        stored,
        again,
        status,
        conflicts,
        filled,
    }
}

fn differs(name: &'static str, stored: Value, again: Value, conflicts: Value) -> Case {
    Case {
        status: 409,
        conflicts,
        ..same(name, stored, again)
    }
}

fn of_instrument(members: Value) -> Value {
    json!({"paymentInstrument": members})
}

pub(crate) fn table(daemon: &Daemon) {
    let account = Account::dev(daemon);
    let cases = [matches(), differences(), references()].into_iter().flatten();
    each(
        cases.collect(),
        |case| case.name.to_owned(),
        |case| decided(&account, &case),
    );
}

fn decided(account: &Account<'_>, case: &Case) {
    let first = account.made(&case.stored);
    let href = first.href();
    let second = account.create(&case.again);
    second.is(case.status);
    let stored = match case.filled {
        Some(reference) => with(first.body, REFERENCE, json!(reference)),
        None => first.body,
    };
    // what is stored stays, and is answered
    assert_eq!(account.get(&href).body, stored, "{}", case.name);
    assert_eq!(second.header("Location"), Some(href.as_str()));
    let mut answered = second.body;
    let conflicts = answered.as_object_mut().unwrap().remove("conflicts");
    let link = answered["_links"].as_object_mut().unwrap().remove("tokens:conflicts");
    assert_eq!(answered, stored, "{}", case.name);
    assert_eq!(
        (conflicts.is_some(), link.is_some()),
        (case.status == 409, case.status == 409)
    );
    if let Some(conflicts) = conflicts {
        assert_eq!(
            without(conflicts, "/conflictsExpiryDateTime"),
            case.conflicts,
            "{}",
            case.name
        );
    }
    // the same again is decided in the same way
    let third = account.create(&case.again);
    assert_eq!((third.status, third.href()), (case.status, href), "{}", third.text);
}

/// Requests that are no other than what is stored.
fn matches() -> Vec<Case> {
    let new = || full(&card_number());
    let unchanged = |name, body: Value| same(name, body.clone(), body);
    let changed = |name, pointer: &str, value: Value| {
        let stored = new();
        same(name, stored.clone(), with(stored, pointer, value))
    };
    let left_out = |name, stored: Value, pointer: &str| same(name, stored.clone(), without(stored, pointer));
    let referred = || with(new(), REFERENCE, json!("0000 1111 abcXYZ"));
    let number = card_number();
    let everything = with(full(&number), REFERENCE, json!("MCC0000001"));
    let turned = r#"{"countryCode":"GB","state":"Greater London","city":"London","postalCode":"NW1 6XE",
        "address3":"Westminster","address2":"Marylebone","address1":"221B Baker Street"}"#;
    let unknown = |body: Value| with(body, "/paymentInstrument/colour", json!({"deep": ["x", 1, null]}));
    vec![
        unchanged("the same", new()),
        unchanged("the same without an address", bare(&card_number())),
        unchanged("the same with a reference", referred()),
        unchanged(
            "the same with members that nobody knows",
            unknown(with(new(), "/colour", json!("red"))),
        ),
        unchanged("the same, past its expiry", with(new(), YEAR, json!(2020))),
        left_out("no address", new(), ADDRESS),
        left_out("no description", new(), "/description"),
        left_out("no reference", referred(), REFERENCE),
        same("nothing that may be left out", everything, bare(&number)),
        changed("another description", "/description", json!("Other")),
        changed(
            "another end of the token",
            "/tokenExpiryDateTime",
            json!("2027-06-01T00:00:00Z"),
        ),
        changed("another entity", "/merchant/entity", json!("other")),
        changed(
            "members in another order",
            ADDRESS,
            serde_json::from_str(turned).unwrap(),
        ),
        changed("members that nobody knows", "/paymentInstrument/colour", json!("red")),
    ]
}

/// Requests that say something else than what is stored: only that is listed, as the request has it.
fn differences() -> Vec<Case> {
    let new = || full(&card_number());
    let pair = |pointer: &str, value: Value| {
        let stored = new();
        (stored.clone(), with(stored, pointer, value))
    };
    let case =
        |name, (stored, again): (Value, Value), conflicts| differs(name, stored, again, of_instrument(conflicts));
    let holder = |name, value: &str| case(name, pair(HOLDER, json!(value)), json!({"cardHolderName": value}));
    let expiry = |month, year| json!({"cardExpiryDate": {"month": month, "year": year}});
    let moved = |changed: Value| json!({"billingAddress": changed});
    let other_city = with(address(), "/city", json!("Leeds"));
    let shorter = without(address(), "/address2");
    let short = with(bare(&card_number()), ADDRESS, shorter.clone());
    let long = with(short.clone(), ADDRESS, address());
    let none = bare(&card_number());
    let given = with(none.clone(), ADDRESS, address());
    let everything = new();
    let nothing_alike = with(
        with(
            with(everything.clone(), HOLDER, json!("Mycroft")),
            EXPIRY,
            json!({"month": 6, "year": 2036}),
        ),
        ADDRESS,
        other_city.clone(),
    );
    let composed = with(new(), HOLDER, json!("Ren\u{e9}e"));
    let decomposed = with(composed.clone(), HOLDER, json!("Rene\u{301}e"));
    vec![
        holder("another name", "Mycroft Holmes"),
        holder("a name in capitals", "SHERLOCK HOLMES"),
        holder("a name and a space", "Sherlock Holmes "),
        case(
            "a name in another normal form",
            (composed, decomposed),
            json!({"cardHolderName": "Rene\u{301}e"}),
        ),
        case("another month", pair(MONTH, json!(6)), expiry(6, 2035)),
        case("another year", pair(YEAR, json!(2036)), expiry(5, 2036)),
        case(
            "another month and year",
            pair(EXPIRY, json!({"month": 1, "year": 2040})),
            expiry(1, 2040),
        ),
        case(
            "a past expiry",
            pair(EXPIRY, json!({"month": 1, "year": 2020})),
            expiry(1, 2020),
        ),
        case(
            "another city",
            pair(ADDRESS, other_city.clone()),
            moved(other_city.clone()),
        ),
        case("an address of less", pair(ADDRESS, shorter.clone()), moved(shorter)),
        case("an address of more", (short, long), moved(address())),
        case("an address where there was none", (none, given), moved(address())),
        case(
            "everything else",
            (everything, nothing_alike),
            json!({
                "cardHolderName": "Mycroft",
                "cardExpiryDate": {"month": 6, "year": 2036},
                "billingAddress": other_city,
            }),
        ),
    ]
}

/// Scheme transaction references, which fill a gap.
fn references() -> Vec<Case> {
    let refer = |body: Value, to: &str| with(body, REFERENCE, json!(to));
    let new = || full(&card_number());
    let (one, two, three) = (new(), new(), new());
    let (four, five) = (refer(new(), "REF1"), refer(new(), "REF1"));
    let filled = |case: Case| Case {
        filled: Some("REF1"),
        ..case
    };
    vec![
        filled(same(
            "a reference where there was none",
            one.clone(),
            refer(one, "REF1"),
        )),
        filled(differs(
            "a reference where there was none, and another name",
            two.clone(),
            refer(with(two, HOLDER, json!("Mycroft")), "REF1"),
            of_instrument(json!({"cardHolderName": "Mycroft"})),
        )),
        filled(differs(
            "a reference where there was none, and another month",
            three.clone(),
            refer(with(three, MONTH, json!(6)), "REF1"),
            of_instrument(json!({"cardExpiryDate": {"month": 6, "year": 2035}})),
        )),
        differs(
            "another reference",
            four.clone(),
            refer(four, "REF2"),
            json!({"paymentInstrument": {}, "schemeTransactionReference": "REF2"}),
        ),
        differs(
            "another reference and another name",
            five.clone(),
            refer(with(five, HOLDER, json!("Mycroft")), "REF2"),
            json!({"paymentInstrument": {"cardHolderName": "Mycroft"}, "schemeTransactionReference": "REF2"}),
        ),
    ]
}
