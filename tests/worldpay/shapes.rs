//! The bodies of tokens, member by member.

use serde_json::{Value, json};

use super::bodies::{
    ADDRESS, ATTRIBUTES, HOLDER, MASKED, REFERENCE, VISA, address, bare, card_number, fresh, full, with,
};
use super::gateway::{Account, Reply};
use super::support::daemon::Daemon;

const WHOLE: [&str; 8] = [
    "tokenPaymentInstrument",
    "tokenId",
    "description",
    "tokenExpiryDateTime",
    "namespace",
    "schemeTransactionReference",
    "paymentInstrument",
    "_links",
];
const ADDRESS_NAMES: [&str; 7] = [
    "address1",
    "address2",
    "address3",
    "postalCode",
    "city",
    "state",
    "countryCode",
];

/// Names of an object, less what may or may not be there.
fn sure(reply: &Reply, pointer: &str) -> Vec<String> {
    let optional = ["countryCode", "tokens:networkToken"];
    let mut names = reply.names(pointer);
    if !pointer.ends_with("billingAddress") {
        names.retain(|name| !optional.contains(&name.as_str()));
    }
    names
}

/// The links in their order.
fn linked(reply: &Reply, more: &[&str]) {
    let expected = [&["tokens:token"], &ATTRIBUTES[..], more, &["curies"]].concat();
    assert_eq!(sure(reply, "/_links"), expected);
    let curies = json!([{"href": "http://vault/rels/tokens/{rel}.json", "name": "tokens", "templated": true}]);
    assert_eq!(reply.at("/_links/curies"), &curies);
    assert_eq!(reply.names("/_links/curies/0"), ["href", "name", "templated"]);
}

/// Whether a time is written with seconds and a Z; how far from now it is, in seconds.
fn ahead(time: &Value) -> i64 {
    let text = time.as_str().unwrap();
    assert!(text.len() == 20 && text.ends_with('Z'), "{text}");
    let time: jiff::Timestamp = text.parse().unwrap();
    time.as_second() - jiff::Timestamp::now().as_second()
}

pub(crate) fn created_matched_and_in_conflict(daemon: &Daemon) {
    let account = Account::dev(daemon);
    let name = fresh("shopper-");
    let body = with(with(full(VISA), "/namespace", json!(name)), REFERENCE, json!("REF 1"));
    let made = account.made(&body);
    assert_eq!(made.names(""), WHOLE);
    assert_eq!(made.names("/tokenPaymentInstrument"), ["type", "href"]);
    assert_eq!(
        made.at("/tokenPaymentInstrument"),
        &json!({"type": "card/tokenized", "href": made.href()})
    );
    let id = made.at("/tokenId").as_str().unwrap();
    assert!(
        id.len() == 19 && id.starts_with("99") && id.bytes().all(|b| b.is_ascii_digit()),
        "{id}"
    );
    assert_eq!(made.at("/description"), "Test Token Description");
    assert!(
        (ahead(made.at("/tokenExpiryDateTime")) - 90 * 86_400).abs() < 60,
        "90 days for TEST merchants"
    );
    assert_eq!(made.at("/namespace"), &json!(name));
    assert_eq!(made.at(REFERENCE), "REF 1");
    let of_card = [
        "type",
        "cardNumber",
        "cardHolderName",
        "cardExpiryDate",
        "billingAddress",
    ];
    let derived = ["bin", "brand", "fundingType"];
    assert_eq!(sure(&made, "/paymentInstrument"), [&of_card[..], &derived].concat());
    assert_eq!(made.names("/paymentInstrument/cardExpiryDate"), ["month", "year"]);
    assert_eq!(made.names(ADDRESS), ADDRESS_NAMES);
    for (pointer, value) in [
        ("type", json!("card/masked")),
        ("cardNumber", json!(MASKED)),
        ("cardHolderName", json!("Sherlock Holmes")),
        ("cardExpiryDate", json!({"month": 5, "year": 2035})),
        ("billingAddress", address()),
        ("bin", json!("444433")),
        ("brand", json!("VISA")),
    ] {
        assert_eq!(made.at(&format!("/paymentInstrument/{pointer}")), &value);
    }
    let funding = made.at("/paymentInstrument/fundingType").as_str().unwrap();
    assert!(["debit", "credit", "unknown"].contains(&funding), "{funding}");
    linked(&made, &[]);
    for name in ["merchant", "entity", "cvc"] {
        assert!(!made.text.contains(name), "{}", made.text);
    }

    let matched = account.create(&body);
    matched.is(200);
    assert_eq!(matched.text, made.text, "the same text");
    assert_eq!(account.get(&made.href()).text, made.text, "the same text");

    let changes = json!({"month": 6, "year": 2036});
    let asked = with(
        with(body, "/paymentInstrument/cardExpiryDate", changes.clone()),
        HOLDER,
        json!("Mycroft"),
    );
    let asked = with(
        with(asked, REFERENCE, json!("REF2")),
        "/paymentInstrument/billingAddress/city",
        json!("Leeds"),
    );
    let conflict = account.create(&asked);
    conflict.is(409);
    assert_eq!(conflict.names(""), [&WHOLE[..7], &["conflicts", "_links"]].concat());
    let listed = [
        "paymentInstrument",
        "schemeTransactionReference",
        "conflictsExpiryDateTime",
    ];
    assert_eq!(conflict.names("/conflicts"), listed);
    let differing = ["cardHolderName", "cardExpiryDate", "billingAddress"];
    assert_eq!(conflict.names("/conflicts/paymentInstrument"), differing);
    assert_eq!(conflict.at("/conflicts/paymentInstrument/cardExpiryDate"), &changes);
    assert_eq!(
        conflict.names("/conflicts/paymentInstrument/billingAddress"),
        ADDRESS_NAMES
    );
    assert!(
        (ahead(conflict.at("/conflicts/conflictsExpiryDateTime")) - 1800).abs() < 30,
        "half an hour"
    );
    linked(&conflict, &["tokens:conflicts"]);
    for name in &WHOLE[..7] {
        assert_eq!(conflict.body[name], made.body[name], "{name}");
    }
    for reply in [&made, &matched, &conflict] {
        assert_eq!(reply.header("Location"), Some(made.href().as_str()));
        assert_eq!(
            reply.header("Content-Type"),
            Some("application/vnd.worldpay.tokens-v3.hal+json")
        );
    }
}

pub(crate) fn nothing_that_was_not_given(daemon: &Daemon) {
    let account = Account::dev(daemon);
    let made = account.made(&bare(&card_number()));
    let expected: Vec<_> = WHOLE
        .into_iter()
        .filter(|name| !["namespace", "schemeTransactionReference"].contains(name))
        .collect();
    assert_eq!(made.names(""), expected);
    assert!(made.body.pointer(ADDRESS).is_none());
    let today = jiff::Timestamp::now().strftime("%Y-%m-%d").to_string();
    assert_eq!(made.at("/description"), &json!(format!("Token of {today}")));
    // an address without what may be left out
    let short =
        json!({"address1": "1 Test Street", "postalCode": "TE12 34ST", "city": "Testville", "countryCode": "TS"});
    let made = account.made(&with(bare(&card_number()), ADDRESS, short.clone()));
    assert_eq!(made.at(ADDRESS), &short);
}

pub(crate) fn ends_of_tokens(daemon: &Daemon) {
    let account = Account::dev(daemon);
    let until = |text: &str| with(bare(&card_number()), "/tokenExpiryDateTime", json!(text));
    for (given, kept) in [
        ("2030-01-01T00:00:00Z", "2030-01-01T00:00:00Z"),
        ("2030-01-01T02:00:00+02:00", "2030-01-01T00:00:00Z"),
        ("2030-01-01T00:00:00.000Z", "2030-01-01T00:00:00Z"),
    ] {
        assert_eq!(account.made(&until(given)).at("/tokenExpiryDateTime"), kept);
    }
    let years = |count: i64| {
        let then = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(count * 8766);
        then.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    };
    account.made(&until(&years(9)));
    account
        .create(&until(&years(11)))
        .refused(400, "tokenExpiryDateExceededMaximum");
    let live = Account::added(daemon, &fresh("wplive"), false);
    let days = ahead(live.made(&bare(&card_number())).at("/tokenExpiryDateTime")) / 86_400;
    assert!(
        (1459..=1461).contains(&days),
        "four years of a live merchant: {days} days"
    );
}

pub(crate) fn versions(daemon: &Daemon) {
    let account = Account::dev(daemon);
    for version in [1, 2, 3] {
        let own = account.version(version);
        let mut body = full(&card_number());
        if version < 3 {
            body.as_object_mut().unwrap().remove("merchant");
        }
        let made = own.made(&body);
        for reader in [1, 2, 3] {
            let reader = account.version(reader);
            let shown = reader.get(&made.href());
            shown.is(200);
            assert_eq!(shown.header("Content-Type"), Some(reader.media().as_str()));
            assert_eq!(shown.href(), made.href());
            assert_eq!(shown.at("/tokenId"), made.at("/tokenId"));
            for name in ["bin", "brand", "fundingType"] {
                let there = shown.at("/paymentInstrument").get(name).is_some();
                assert_eq!(
                    there,
                    reader.version > 1,
                    "{name} in v{}: {}",
                    reader.version,
                    shown.text
                );
            }
            if reader.version == 1 {
                assert!(shown.at("/paymentInstrument").get("countryCode").is_none());
            }
        }
        let changed = own.create(&with(body, HOLDER, json!("Mycroft")));
        changed.is(409);
        assert_eq!(changed.header("Content-Type"), Some(own.media().as_str()));
        assert_eq!(
            changed.at("/conflicts/paymentInstrument"),
            &json!({"cardHolderName": "Mycroft"})
        );
        linked(&changed, &["tokens:conflicts"]);
        assert_eq!(changed.at("/paymentInstrument").get("bin").is_some(), version > 1);
        let refused = own.create(&json!({}));
        refused.is(400);
        assert_eq!(refused.header("Content-Type"), Some(own.media().as_str()));
    }
}
