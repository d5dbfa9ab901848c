//! What is refused of network tokens.

use serde_json::{Value, json};

use super::bodies::{
    EXPIRY, HOLDER, MONTH, NUMBER, TYPE, VISA, YEAR, bare, card_number, each, fresh, full, with, without,
};
use super::gateway::Account;
use super::network::{CRYPTOGRAMS, PLACE};
use super::support::daemon::Daemon;

pub(crate) fn faults(daemon: &Daemon) {
    let account = Account::dev(daemon);
    let body = || bare(&card_number());
    let cases = vec![
        (
            without(body(), HOLDER),
            "fieldIsMissing",
            "$.paymentInstrument.cardHolderName",
        ),
        (
            without(body(), NUMBER),
            "fieldIsMissing",
            "$.paymentInstrument.cardNumber",
        ),
        (
            without(body(), EXPIRY),
            "fieldIsMissing",
            "$.paymentInstrument.cardExpiryDate",
        ),
        (
            without(body(), YEAR),
            "fieldIsMissing",
            "$.paymentInstrument.cardExpiryDate.year",
        ),
        (
            without(body(), MONTH),
            "fieldIsMissing",
            "$.paymentInstrument.cardExpiryDate.month",
        ),
        (without(body(), TYPE), "fieldIsMissing", "$.paymentInstrument.type"),
        (
            without(body(), "/paymentInstrument"),
            "fieldIsMissing",
            "$.paymentInstrument",
        ),
        (without(body(), "/merchant"), "fieldIsMissing", "$.merchant"),
        (
            with(body(), NUMBER, json!("4444333322221112")),
            "panFailedLuhnCheck",
            "$.paymentInstrument.cardNumber",
        ),
        (
            with(body(), YEAR, json!(2020)),
            "fieldHasInvalidValue",
            "$.paymentInstrument.cardExpiryDate",
        ),
        (
            json!({"paymentInstrument": {"type": "card/tokenized"}, "merchant": {"entity": "default"}}),
            "fieldIsMissing",
            "$.paymentInstrument.href",
        ),
    ];
    each(
        cases,
        |case| format!("{} {}", case.1, case.2),
        |(body, fault, place)| {
            let refused = account.call("POST", PLACE, &body);
            refused.faulty(&[(fault, place)]);
            assert!(!refused.text.contains("4444333322221112"), "{}", refused.text);
        },
    );
    let unknown = account.call("POST", PLACE, &with(body(), TYPE, json!("card/plain")));
    unknown.refused(400, "bodyDoesNotMatchSchema");
    assert_eq!(unknown.at("/validationErrors/0/errorName"), "fieldHasInvalidValue");
    let place = unknown.at("/validationErrors/0/jsonPath").as_str().unwrap();
    assert!(place.starts_with("$.paymentInstrument"), "{place}");
    let media = account.media();
    let headers = [("Accept", media.as_str()), ("Content-Type", media.as_str())];
    for place in [PLACE, CRYPTOGRAMS] {
        account.with("POST", place, &headers, "").refused(400, "bodyIsEmpty");
        account.with("POST", place, &headers, "{").refused(400, "bodyIsNotJson");
    }
    account
        .call("POST", CRYPTOGRAMS, &json!({}))
        .faulty(&[("fieldIsMissing", "$.tokenNumber")]);
    // a number that nobody was given, what is no number, and a reference that is none
    for number in [VISA, "4111111111111111"] {
        let refused = account.delete(&format!("{PLACE}/{number}"));
        refused.refused(404, "networkProviderError");
        assert!(!refused.text.contains(number), "{}", refused.text);
        let refused = account.call("POST", CRYPTOGRAMS, &json!({"tokenNumber": number}));
        assert!((400..500).contains(&refused.status), "{}", refused.text);
        assert!(!refused.text.contains(number), "{}", refused.text);
    }
    for number in ["x", "1", "411111111111111x"] {
        let refused = account.delete(&format!("{PLACE}/{number}"));
        refused.is(400);
        assert_eq!(refused.at("/errorName"), "fieldHasInvalidValue");
        assert_eq!(refused.at("/message"), "Token number is not valid");
    }
    for reference in ["aa224320-425c-40b6-9781-2cb7df76b0c8", "x", VISA] {
        let refused = account.get(&format!("{PLACE}/{reference}"));
        refused.refused(404, "resourceNotFound");
    }
    account
        .with(
            "DELETE",
            &format!("{PLACE}/{VISA}"),
            &[("Accept", "application/json")],
            "",
        )
        .refused(406, "headerHasInvalidValue");
}

pub(crate) fn live(daemon: &Daemon) {
    let account = Account::added(daemon, &fresh("wplive"), false);
    let stored = account.made(&full(&card_number()));
    let instrument = json!({"type": "card/tokenized", "href": stored.href()});
    for (method, place, body) in [
        ("POST", PLACE, bare(&card_number())),
        (
            "POST",
            PLACE,
            json!({"paymentInstrument": instrument, "merchant": {"entity": "default"}}),
        ),
        ("POST", CRYPTOGRAMS, json!({"tokenNumber": VISA})),
        ("DELETE", "/tokens/network/4111111111111111", Value::Null),
    ] {
        account.call(method, place, &body).refused(403, "nptConfigurationError");
    }
}
