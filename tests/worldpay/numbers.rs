//! Card numbers, dates and whole bodies that cannot be taken.

use serde_json::json;

use super::bodies::{ADDRESS, EXPIRY, HOLDER, MONTH, NUMBER, TYPE, VISA, YEAR, address, bare, full, with};
use super::gateway::Account;
use super::support::daemon::Daemon;
use super::validation::{everything, faulty, place};

pub(crate) fn numbers_and_dates(daemon: &Daemon) {
    let account = Account::dev(daemon);
    let mut cases = vec![
        (NUMBER, json!(""), "stringIsTooShort"),
        (NUMBER, json!("444433332"), "stringIsTooShort"),
        (NUMBER, json!("44443333222211110000"), "stringIsTooLong"),
        (NUMBER, json!("4444 3333 2222 1111"), "stringFailedRegexCheck"),
        (NUMBER, json!("4444-3333-2222-1111"), "stringFailedRegexCheck"),
        (NUMBER, json!("444433332222111x"), "stringFailedRegexCheck"),
        (NUMBER, json!("٤٤٤٤٣٣٣٣٢٢٢٢١١١١"), "stringFailedRegexCheck"),
        (NUMBER, json!("4444333322221112"), "panFailedLuhnCheck"),
        // these pass Luhn, but no card has so few digits
        (NUMBER, json!("4444333324"), "fieldHasInvalidValue"),
        (NUMBER, json!("44443333222"), "fieldHasInvalidValue"),
    ];
    for month in [0, 13, -1, 100] {
        cases.push((MONTH, json!(month), "fieldHasInvalidValue"));
    }
    for year in [0, 10_000, -5] {
        cases.push((YEAR, json!(year), "fieldHasInvalidValue"));
    }
    for kind in [
        "card/plain",
        "card/checkout",
        "card/tokenized",
        "card/networkToken",
        "paypal",
        "CARD/FRONT",
        "",
    ] {
        cases.push((TYPE, json!(kind), "fieldHasInvalidValue"));
    }
    let end = "/tokenExpiryDateTime";
    for text in [
        "tomorrow",
        "2030-13-01T00:00:00Z",
        "2030-02-30T00:00:00Z",
        "1893456000",
        "",
        "2030",
    ] {
        cases.push((end, json!(text), "dateHasInvalidFormat"));
    }
    for text in ["2020-01-01T00:00:00Z", "1999-12-31T23:59:59+01:00"] {
        cases.push((end, json!(text), "fieldHasInvalidValue"));
    }
    faulty(&account, cases);
    // a past expiry of the card is stored as it is: the vendor's own samples have one by now
    let past = account.made(&with(everything(), EXPIRY, json!({"month": 1, "year": 2025})));
    assert_eq!(past.at(EXPIRY), &json!({"month": 1, "year": 2025}));
    account
        .create(&bare("7777777777777771"))
        .refused(422, "unrecognizedCardBrand");
}

/// A card number where none belongs is refused, and is in no answer.
pub(crate) fn numbers_out_of_place(daemon: &Daemon) {
    let account = Account::dev(daemon);
    let spellings = [
        VISA,
        "4444 3333 2222 1111",
        "4444-3333-2222-1111",
        "Flat 4444333322221111, left",
        "340000000001007",
    ];
    let mut cases = Vec::new();
    for text in spellings {
        for name in ["address1", "address2", "address3"] {
            cases.push((
                format!("{ADDRESS}/{name}"),
                text.to_owned(),
                "billingAddressMightContainCardNumber",
            ));
        }
        for pointer in [HOLDER, "/description"] {
            cases.push((pointer.to_owned(), text.to_owned(), "fieldHasInvalidValue"));
        }
    }
    for text in [VISA, "n4444333322221111", "4444-3333-2222-1111"] {
        cases.push(("/namespace".to_owned(), text.to_owned(), "fieldHasInvalidValue"));
    }
    for (pointer, text, fault) in &cases {
        let refused = account.create(&with(everything(), pointer, json!(text)));
        refused.faulty(&[(fault, &place(pointer))]);
        let digits: String = refused.text.chars().filter(|c| !matches!(c, ' ' | '-')).collect();
        assert!(
            !digits.contains(VISA) && !digits.contains("340000000001007"),
            "{}",
            refused.text
        );
    }
    // digits that are no card's
    let street = with(address(), "/address1", json!("4444333322221112 Long Street"));
    let made = account.made(&with(
        everything(),
        ADDRESS,
        with(street, "/address2", json!("020 7946 0958 12")),
    ));
    assert_eq!(
        made.at("/paymentInstrument/billingAddress/address2"),
        "020 7946 0958 12"
    );
}

pub(crate) fn all_at_once(daemon: &Daemon) {
    let account = Account::dev(daemon);
    // the vendor's own sample
    let body = with(full(VISA), "/description", json!(""));
    let body = with(body, MONTH, json!(13));
    let body = with(body, "/paymentInstrument/billingAddress/address2", json!(VISA));
    account.create(&body).faulty(&[
        ("stringIsTooShort", "$.description"),
        ("fieldHasInvalidValue", "$.paymentInstrument.cardExpiryDate.month"),
        (
            "billingAddressMightContainCardNumber",
            "$.paymentInstrument.billingAddress.address2",
        ),
    ]);
    let wrong = json!({
        "description": "<",
        "namespace": "_x",
        "tokenExpiryDateTime": "soon",
        "schemeTransactionReference": "",
        "merchant": {},
        "paymentInstrument": {
            "type": "card/front",
            "cardHolderName": null,
            "cardNumber": "4444333322221112",
            "cardExpiryDate": {"month": "5"},
            "billingAddress": {"address1": "", "postalCode": 7, "countryCode": "gb"},
        },
    });
    account.create(&wrong).faulty(&[
        ("stringFailedRegexCheck", "$.description"),
        ("stringFailedRegexCheck", "$.namespace"),
        ("dateHasInvalidFormat", "$.tokenExpiryDateTime"),
        ("stringIsTooShort", "$.schemeTransactionReference"),
        ("fieldIsMissing", "$.merchant.entity"),
        ("fieldIsNull", "$.paymentInstrument.cardHolderName"),
        ("panFailedLuhnCheck", "$.paymentInstrument.cardNumber"),
        ("fieldMustBeInteger", "$.paymentInstrument.cardExpiryDate.month"),
        ("fieldIsMissing", "$.paymentInstrument.cardExpiryDate.year"),
        ("stringIsTooShort", "$.paymentInstrument.billingAddress.address1"),
        ("fieldMustBeString", "$.paymentInstrument.billingAddress.postalCode"),
        ("fieldIsMissing", "$.paymentInstrument.billingAddress.city"),
        (
            "stringFailedRegexCheck",
            "$.paymentInstrument.billingAddress.countryCode",
        ),
    ]);
}
