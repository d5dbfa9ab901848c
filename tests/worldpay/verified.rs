//! Cards that are verified before they are stored.

use serde_json::{Value, json};

use super::bodies::{
    ADDRESS, EXPIRY, HOLDER, REFERENCE, TYPE, VISA, YEAR, card_number, each, fresh, full, with, without,
};
use super::gateway::{Account, Reply};
use super::support::daemon::Daemon;

const KINDS: [&str; 2] = ["cardOnFile", "oneTime"];
const CODE: &str = "/paymentInstrument/cvc";
const MEDIA: &str = "application/vnd.worldpay.verified-tokens-v3.hal+json";

fn card(number: &str) -> Value {
    let body = with(full(number), TYPE, json!("card/plain"));
    let body = with(body, CODE, json!("123"));
    let body = with(body, "/verificationCurrency", json!("GBP"));
    with(
        body,
        "/narrative",
        json!({"line1": "The Mind Palace Ltd", "line2": "Memory265-13-08-1876"}),
    )
}

/// The token in an answer, as an answer of its own.
fn token(reply: &Reply) -> Reply {
    let body = reply.at("/_embedded/token").clone();
    Reply {
        text: body.to_string(),
        body,
        ..reply.clone()
    }
}

#[track_caller]
fn is(reply: &Reply, status: u16, outcome: &str) {
    reply.is(status);
    assert_eq!(reply.header("Content-Type"), Some(MEDIA));
    assert_eq!(reply.at("/_embedded/verification/outcome"), outcome, "{}", reply.text);
    assert!(reply.at("/_embedded/verification/_links").is_object());
    let checked = reply.at("/_embedded/verification/checkedAt").as_str().unwrap();
    let checked: jiff::Timestamp = checked.parse().unwrap();
    assert!((jiff::Timestamp::now().as_second() - checked.as_second()).abs() < 60);
    let verification = reply.at("/_embedded/verification");
    assert_eq!(
        verification.get("code").is_some(),
        outcome == "not verified",
        "{}",
        reply.text
    );
    assert_eq!(
        verification.get("description").is_some(),
        outcome == "not verified",
        "{}",
        reply.text
    );
    for member in ["cvc\":\"", "cvv", "securityCode"] {
        assert!(!reply.text.contains(member), "{}", reply.text);
    }
    assert_eq!(reply.at("/_embedded/token/paymentInstrument/type"), "card/masked");
}

pub(crate) fn outcomes(daemon: &Daemon) {
    let account = Account::dev(daemon);
    for kind in KINDS {
        let body = card(&card_number());
        let first = account.verified(kind, &body);
        is(&first, 201, "verified");
        let made = token(&first);
        // a token like any other, with its code nowhere
        let kept = account.get(&made.href());
        kept.is(200);
        assert_eq!(kept.body, made.body);
        assert_eq!(kept.at("/description"), "Test Token Description");
        let again = account.verified(kind, &body);
        is(&again, 200, "verified");
        assert_eq!(token(&again).body, made.body);
        let changed = with(with(body.clone(), HOLDER, json!("Mycroft")), YEAR, json!(2036));
        let conflict = account.verified(kind, &changed);
        is(&conflict, 409, "verified");
        let conflict = token(&conflict);
        assert_eq!(
            conflict.at("/conflicts/paymentInstrument"),
            &json!({"cardHolderName": "Mycroft", "cardExpiryDate": {"month": 5, "year": 2036}})
        );
        account
            .call("PUT", &conflict.link("tokens:conflicts"), &Value::Null)
            .done();
        is(&account.verified(kind, &changed), 200, "verified");
        // both ways lead to the same token
        let plain = without(without(with(changed, TYPE, json!("card/front")), CODE), "/narrative");
        let plain = account.create(&plain);
        plain.is(200);
        assert_eq!(plain.href(), made.href());
        // without a code, and without an address
        let bare = without(without(card(&card_number()), CODE), ADDRESS);
        let bare = account.verified(kind, &without(bare, "/narrative"));
        is(&bare, 201, "verified");
        account.delete(&token(&bare).href()).done();
    }
}

/// A card that is declined is stored all the same, and it is said that nobody vouches for it.
pub(crate) fn declined(daemon: &Daemon) {
    let account = Account::dev(daemon);
    for kind in KINDS {
        let body = with(card(&card_number()), EXPIRY, json!({"month": 5, "year": 2039}));
        let first = account.verified(kind, &body);
        is(&first, 206, "not verified");
        let made = token(&first);
        assert_eq!(account.get(&made.href()).body, made.body);
        let again = account.verified(kind, &body);
        is(&again, 206, "not verified");
        assert_eq!(token(&again).body, made.body);
        let changed = account.verified(kind, &with(body.clone(), HOLDER, json!("Mycroft")));
        is(&changed, 206, "not verified");
        let conflict = token(&changed);
        assert_eq!(conflict.href(), made.href());
        assert_eq!(
            conflict.at("/conflicts/paymentInstrument"),
            &json!({"cardHolderName": "Mycroft"})
        );
        account.get(&conflict.link("tokens:conflicts")).is(200);
        // a code that does not match
        let wrong = with(card(&card_number()), CODE, json!("102"));
        is(&account.verified(kind, &wrong), 206, "not verified");
        is(
            &account.verified(kind, &with(wrong, CODE, json!("100"))),
            200,
            "verified",
        );
    }
}

pub(crate) fn faults(daemon: &Daemon) {
    let account = Account::dev(daemon);
    let cases = vec![
        (CODE, json!("12"), "stringIsTooShort"),
        (CODE, json!("12345"), "stringIsTooLong"),
        (CODE, json!("12a"), "stringFailedRegexCheck"),
        (CODE, json!(123), "fieldMustBeString"),
        (TYPE, json!("card/front"), "fieldHasInvalidValue"),
        (TYPE, json!("card/checkout"), "fieldHasInvalidValue"),
        ("/verificationCurrency", json!("gbp"), "stringFailedRegexCheck"),
        ("/verificationCurrency", json!("GB"), "stringIsTooShort"),
        ("/verificationCurrency", json!("GBPX"), "stringIsTooLong"),
        ("/verificationCurrency", json!(7), "fieldMustBeString"),
        ("/narrative", json!("x"), "fieldMustBeObject"),
        ("/narrative/line1", json!(""), "stringIsTooShort"),
        ("/narrative/line1", json!("x".repeat(25)), "stringIsTooLong"),
        ("/narrative/line2", json!("x".repeat(25)), "stringIsTooLong"),
        ("/description", json!("a<b"), "stringFailedRegexCheck"),
        ("/namespace", json!("_a"), "stringFailedRegexCheck"),
        (
            "/paymentInstrument/cardNumber",
            json!("4444333322221112"),
            "panFailedLuhnCheck",
        ),
        (HOLDER, json!(VISA), "fieldHasInvalidValue"),
        (
            "/paymentInstrument/billingAddress/address1",
            json!(VISA),
            "billingAddressMightContainCardNumber",
        ),
    ];
    each(
        cases,
        |(pointer, value, _)| format!("{pointer}: {value}"),
        |(pointer, value, fault)| {
            let refused = account.verified("cardOnFile", &with(card(&card_number()), pointer, value));
            refused.faulty(&[(fault, &format!("${}", pointer.replace('/', ".")))]);
            assert_eq!(refused.header("Content-Type"), Some(MEDIA));
            assert!(!refused.text.contains(VISA), "{}", refused.text);
        },
    );
    for pointer in [
        "/verificationCurrency",
        "/merchant",
        "/merchant/entity",
        "/paymentInstrument",
        HOLDER,
        "/narrative/line1",
    ] {
        let place = format!("${}", pointer.replace('/', "."));
        for kind in KINDS {
            let refused = account.verified(kind, &without(card(&card_number()), pointer));
            refused.faulty(&[("fieldIsMissing", &place)]);
        }
    }
    let several = with(
        with(card(&card_number()), CODE, json!("1")),
        "/verificationCurrency",
        json!("gbp"),
    );
    account.verified("oneTime", &several).faulty(&[
        ("stringIsTooShort", "$.paymentInstrument.cvc"),
        ("stringFailedRegexCheck", "$.verificationCurrency"),
    ]);
    let session = json!({
        "type": "card/checkout",
        "sessionHref": "https://try.access.worldpay.com/verifiedTokens/sessions/x",
        "cardHolderName": "Sherlock Holmes",
    });
    let refused = account.verified("cardOnFile", &with(card(&card_number()), "/paymentInstrument", session));
    refused.refused(400, "bodyDoesNotMatchSchema");
    let faults = refused.at("/validationErrors").as_array().unwrap();
    let of_type = |fault: &&Value| fault["jsonPath"] == "$.paymentInstrument.type";
    assert_eq!(
        faults.iter().find(of_type).unwrap()["errorName"],
        "fieldHasInvalidValue"
    );
    let place = "/verifiedTokens/cardOnFile";
    let body = card(&card_number()).to_string();
    let typed = [("Accept", MEDIA), ("Content-Type", MEDIA)];
    account.with("POST", place, &typed, "").refused(400, "bodyIsEmpty");
    account.with("POST", place, &typed, "{").refused(400, "bodyIsNotJson");
    account
        .with(
            "POST",
            place,
            &[("Accept", MEDIA), ("Content-Type", "application/json")],
            &body,
        )
        .refused(415, "unsupportedContentType");
    account
        .with(
            "POST",
            place,
            &[("Accept", "application/json"), ("Content-Type", MEDIA)],
            &body,
        )
        .refused(406, "headerHasInvalidValue");
    account.with("POST", place, &[("Content-Type", MEDIA)], &body).is(201);
}

pub(crate) fn limits(daemon: &Daemon) {
    let account = Account::dev(daemon);
    let name = fresh("full-");
    let within = |number: &str| with(card(number), "/namespace", json!(name));
    let first = card_number();
    let one = account.verified("cardOnFile", &within(&first));
    is(&one, 201, "verified");
    for _ in 0..15 {
        account.made(&with(full(&card_number()), "/namespace", json!(name)));
    }
    account
        .verified("oneTime", &within(&card_number()))
        .refused(403, "tooManyTokensForNamespace");
    is(&account.verified("oneTime", &within(&first)), 200, "verified");
}

/// A merchant that does business has no acquirer yet, and gets no simulated answer.
pub(crate) fn live(daemon: &Daemon) {
    let account = Account::added(daemon, &fresh("wplive"), false);
    let name = fresh("shopper-");
    let body = with(card(&card_number()), "/namespace", json!(name));
    for kind in KINDS {
        account.verified(kind, &body).refused(403, "accessDenied");
    }
    let listed = account.get(&format!("/tokens?namespace={name}"));
    assert_eq!(listed.at("/_embedded/tokens"), &json!([]));
    let plain = with(without(body, CODE), TYPE, json!("card/front"));
    account.made(&plain);
}

/// What verification says of the reference is kept with the token, where it says something.
pub(crate) fn references(daemon: &Daemon) {
    let account = Account::dev(daemon);
    let reply = account.verified("cardOnFile", &card(&card_number()));
    let said = reply
        .at("/_embedded/verification")
        .get("schemeTransactionReference")
        .cloned();
    assert_eq!(reply.at("/_embedded/token").pointer(REFERENCE).cloned(), said);
}
