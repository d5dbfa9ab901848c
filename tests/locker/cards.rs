//! `/cards` and `/data`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};

use super::asking::{Locker, card, fresh, named, number, refusal};
use super::support::daemon::{AMEX, Daemon, MASTERCARD, VISA};

pub(crate) fn life(locker: &Locker<'_>) {
    let (merchant, customer) = (fresh("merchant"), fresh("customer"));
    let added = locker.add(&merchant, &customer, &card(VISA));
    assert_eq!(added["duplication_check"], Value::Null);
    let reference = added["card_reference"].as_str().unwrap();
    assert!(reference.len() <= 64 && !reference.contains("1111"));
    let found = locker.done("/data/retrieve", &named(&merchant, &customer, reference));
    assert_eq!(
        found,
        json!({"status": "Ok", "payload": {"card": card(VISA), "enc_card_data": null}})
    );
    // the other of the two names of the same API
    assert_eq!(
        locker.done("/cards/retrieve", &named(&merchant, &customer, reference)),
        found
    );
    locker.delete(&merchant, &customer, reference);
    let message = locker.refused("/cards/retrieve", &named(&merchant, &customer, reference), 404, "TE_02");
    assert_eq!(message, "Requested resource not found");
    // nothing of the card is left that would know it again
    let again = locker.add(&merchant, &customer, &card(VISA));
    assert_eq!(again["duplication_check"], Value::Null);
    assert_ne!(again["card_reference"], reference);
}

pub(crate) fn details(locker: &Locker<'_>) {
    let (merchant, customer) = (fresh("merchant"), fresh("customer"));
    let first = locker.add(&merchant, &customer, &card(MASTERCARD));
    let reference = first["card_reference"].as_str().unwrap();
    let second = locker.add(&merchant, &customer, &card(MASTERCARD));
    assert_eq!(second["duplication_check"], "duplicated");
    assert_eq!(second["card_reference"], reference);
    for (member, value) in [
        ("name_on_card", json!("Jane Doe")),
        ("card_exp_month", json!("12")),
        ("card_exp_year", json!("30")),
        ("card_brand", Value::Null),
        ("card_isin", json!("555555")),
        ("nick_name", json!("")),
    ] {
        let mut other = card(MASTERCARD);
        other[member] = value;
        let changed = locker.add(&merchant, &customer, &other);
        assert_eq!(changed["duplication_check"], "meta_data_changed", "{member}");
        assert_eq!(changed["card_reference"], reference);
        let found = locker.done("/cards/retrieve", &named(&merchant, &customer, reference));
        assert_eq!(found["payload"]["card"], card(MASTERCARD), "what is stored stays");
    }
    // as the router goes on: delete, and add under the old reference
    locker.delete(&merchant, &customer, reference);
    let mut other = card(MASTERCARD);
    other["card_exp_year"] = json!("2031");
    let body = json!({
        "merchant_id": merchant, "merchant_customer_id": customer, "requestor_card_reference": reference, "card": other,
    });
    let added = locker.done("/cards/add", &body);
    assert_eq!(
        added["payload"],
        json!({"card_reference": reference, "duplication_check": null, "dedup": null})
    );
    let found = locker.done("/cards/retrieve", &named(&merchant, &customer, reference));
    assert_eq!(found["payload"]["card"], other);

    // nothing but the number is needed, and texts are kept as they are
    for details in [
        json!({"card_number": AMEX}),
        json!({"card_number": AMEX, "name_on_card": "", "card_exp_month": "3", "card_exp_year": "never"}),
        json!({"card_number": AMEX, "name_on_card": null, "nick_name": "\"\\ é 漢", "card_brand": "  "}),
        json!({"card_number": AMEX, "card_cvc": "123", "unknown": {"cvv": "123"}}),
    ] {
        let customer = fresh("customer");
        let added = locker.add(&merchant, &customer, &details);
        let found = locker.done(
            "/cards/retrieve",
            &named(&merchant, &customer, added["card_reference"].as_str().unwrap()),
        );
        let found = &found["payload"]["card"];
        assert_eq!(found.as_object().unwrap().len(), 7, "{found}");
        for (name, value) in found.as_object().unwrap() {
            assert_eq!(*value, details[name], "{name}");
        }
    }
}

pub(crate) fn numbers(locker: &Locker<'_>) {
    let (merchant, customer) = (fresh("merchant"), fresh("customer"));
    let first = locker.add(&merchant, &customer, &card(VISA));
    for spelled in ["4111 1111 1111 1111", " 4111111111111111\t", "4111\u{a0}1111 1111 1111"] {
        let again = locker.add(&merchant, &customer, &card(spelled));
        assert_eq!(again["card_reference"], first["card_reference"], "{spelled}");
        assert_eq!(again["duplication_check"], "duplicated");
    }
    for bad in [
        "4111111111111112",
        "411111111111111a",
        "",
        "4111",
        "4111-1111-1111-1111",
        &"4".repeat(20),
    ] {
        let body = json!({"merchant_id": merchant, "merchant_customer_id": customer, "card": card(bad)});
        let message = locker.refused("/cards/add", &body, 400, "TE_03");
        assert_eq!(message, "Failed while validation: card number invalid");
    }
}

pub(crate) fn encrypted_data(locker: &Locker<'_>) {
    let (merchant, customer) = (fresh("merchant"), fresh("customer"));
    let body = |data: &str, reference: Option<&str>| {
        json!({
            "merchant_id": merchant, "merchant_customer_id": customer, "requestor_card_reference": reference,
            "enc_card_data": data, "card": card(VISA),
        })
    };
    let added = locker.done("/data/add", &body("00ff\"é", None));
    assert_eq!(added["payload"]["duplication_check"], Value::Null);
    let reference = added["payload"]["card_reference"].as_str().unwrap();
    let found = locker.done("/data/retrieve", &named(&merchant, &customer, reference));
    assert_eq!(
        found,
        json!({"status": "Ok", "payload": {"card": null, "enc_card_data": "00ff\"é"}})
    );
    // the same data is there already, whatever it shall be called
    for called in [None, Some("other_reference")] {
        let again = locker.done("/cards/add", &body("00ff\"é", called));
        assert_eq!(again["payload"]["card_reference"], reference);
        assert_eq!(again["payload"]["duplication_check"], "duplicated");
    }
    let named_one = locker.done("/cards/add", &body("other", Some("own_reference")));
    assert_eq!(named_one["payload"]["card_reference"], "own_reference");
    locker.refused("/cards/add", &body("a third", Some("own_reference")), 400, "TE_03");
    let stranger = fresh("customer");
    locker.refused("/data/retrieve", &named(&merchant, &stranger, reference), 404, "TE_02");
    locker.delete(&merchant, &stranger, reference);
    assert_eq!(
        locker.done("/data/retrieve", &named(&merchant, &customer, reference)),
        found
    );
    locker.delete(&merchant, &customer, reference);
    locker.refused("/data/retrieve", &named(&merchant, &customer, reference), 404, "TE_02");
    let again = locker.done("/data/add", &body("00ff\"é", None));
    assert_eq!(
        again["payload"]["duplication_check"],
        Value::Null,
        "its content is free again"
    );
}

pub(crate) fn references(locker: &Locker<'_>) {
    let (merchant, customer) = (fresh("merchant"), fresh("customer"));
    let body = |number: &str, customer: &str, reference: &str| {
        json!({
            "merchant_id": merchant, "merchant_customer_id": customer, "requestor_card_reference": reference,
            "card": card(number),
        })
    };
    let mine = fresh("reference");
    locker.done("/cards/add", &body(VISA, &customer, &mine));
    // there already: the old reference is the answer
    let again = locker.done("/cards/add", &body(VISA, &customer, &fresh("reference")));
    assert_eq!(again["payload"]["card_reference"], mine);
    // another card, or another customer's
    locker.refused("/cards/add", &body(AMEX, &customer, &mine), 400, "TE_03");
    locker.refused("/cards/add", &body(VISA, &fresh("customer"), &mine), 400, "TE_03");
    for bad in ["", "with blank", "a/b", VISA, &"x".repeat(129)] {
        let message = locker.refused("/cards/add", &body(AMEX, &customer, bad), 400, "TE_03");
        assert!(
            message.contains("requestor_card_reference") && !message.contains(VISA),
            "{message}"
        );
    }
}

/// A reference is one thing's, a card's or some data's.
pub(crate) fn one_reference(locker: &Locker<'_>) {
    let (merchant, customer, other) = (fresh("merchant"), fresh("customer"), fresh("customer"));
    let reference = fresh("reference");
    let body = |customer: &str, member: &str, data: Value| {
        let mut body = json!({
            "merchant_id": merchant, "merchant_customer_id": customer, "requestor_card_reference": reference,
        });
        body[member] = data;
        body
    };
    locker.done("/cards/add", &body(&customer, "card", card(VISA)));
    for customer in [&customer, &other] {
        let data = body(customer, "enc_card_data", json!("encrypted"));
        let message = locker.refused("/data/add", &data, 400, "TE_03");
        assert!(message.contains("is taken"), "{message}");
    }
    locker.delete(&merchant, &customer, &reference);
    locker.done("/data/add", &body(&customer, "enc_card_data", json!("encrypted")));
    let message = locker.refused("/cards/add", &body(&customer, "card", card(VISA)), 400, "TE_03");
    assert!(message.contains("is taken"), "{message}");
    let found = locker.done("/data/retrieve", &named(&merchant, &customer, &reference));
    assert_eq!(found["payload"]["enc_card_data"], "encrypted");
}

pub(crate) fn persons(locker: &Locker<'_>) {
    let (merchant, customer) = (fresh("merchant"), fresh("customer"));
    let mine = locker.add(&merchant, &customer, &card(VISA));
    let reference = mine["card_reference"].as_str().unwrap();
    // one customer of one merchant is another than any other
    let others = [
        (merchant.clone(), fresh("customer")),
        (fresh("merchant"), customer.clone()),
        (customer.clone(), merchant.clone()),
        (format!("{merchant}{customer}"), String::new()),
    ];
    for (merchant, customer) in &others {
        let theirs = locker.add(merchant, customer, &card(VISA));
        assert_eq!(theirs["duplication_check"], Value::Null);
        assert_ne!(theirs["card_reference"], reference);
        locker.refused("/cards/retrieve", &named(merchant, customer, reference), 404, "TE_02");
        locker.delete(merchant, customer, reference);
    }
    locker.done("/cards/retrieve", &named(&merchant, &customer, reference));
    locker.delete(&merchant, &customer, "no_such_reference");
    locker.delete(&merchant, &customer, "no reference at all");
    locker.refused(
        "/cards/delete",
        &named(&fresh("merchant"), &customer, "x"),
        404,
        "TE_02",
    );
    locker.refused(
        "/cards/retrieve",
        &named(&fresh("merchant"), &customer, "x"),
        404,
        "TE_02",
    );
    let long = "m".repeat(256);
    locker.refused("/cards/retrieve", &named(&long, &customer, "x"), 400, "TE_03");
}

/// The peer answers three of four such requests with an error.
pub(crate) fn at_once(locker: &Locker<'_>) {
    let (merchant, customer) = (fresh("merchant"), fresh("customer"));
    const CLIENTS: usize = 8;
    let numbers: Vec<String> = (0..40).map(|n| number(7_000 + n)).collect();
    let answers: Vec<(String, String, Value)> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                scope.spawn(|| {
                    let add = |number: &String| {
                        let added = locker.add(&merchant, &customer, &card(number));
                        let reference = added["card_reference"].as_str().unwrap().to_owned();
                        (number.clone(), reference, added["duplication_check"].clone())
                    };
                    numbers.iter().map(add).collect::<Vec<_>>()
                })
            })
            .collect();
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    });
    assert_eq!(answers.len(), 320);
    let mut references: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut firsts = 0;
    for (number, reference, duplication) in &answers {
        references.entry(number).or_default().insert(reference);
        match duplication {
            Value::Null => firsts += 1,
            other => assert_eq!(other, "duplicated"),
        }
    }
    assert_eq!(firsts, 40, "one makes it, the others find it");
    for (number, references) in references {
        assert_eq!(references.len(), 1, "{references:?}");
        let reference = references.first().unwrap();
        let found = locker.done("/cards/retrieve", &named(&merchant, &customer, reference));
        assert_eq!(found["payload"]["card"]["card_number"], number);
    }
}

pub(crate) fn ttl(locker: &Locker<'_>) {
    let (merchant, customer) = (fresh("merchant"), fresh("customer"));
    let body = |ttl: Value, member: &str, data: Value| {
        let mut body = json!({"merchant_id": merchant, "merchant_customer_id": customer, "ttl": ttl});
        body[member] = data;
        body
    };
    for bad in [0, -1] {
        let message = locker.refused("/cards/add", &body(json!(bad), "card", card(AMEX)), 400, "TE_03");
        assert_eq!(message, "TTL is invalid");
    }
    let lives = [("card", card(VISA)), ("enc_card_data", json!("short-lived"))];
    let kept = locker.done("/cards/add", &body(json!(220_752_000), "card", card(MASTERCARD)));
    let references = lives.clone().map(|(member, data)| {
        let added = locker.done("/cards/add", &body(json!(2), member, data));
        added["payload"]["card_reference"].as_str().unwrap().to_owned()
    });
    let stored = locker.daemon.metric("panvault_tokens");
    for reference in &references {
        locker.done("/cards/retrieve", &named(&merchant, &customer, reference));
    }
    let swept = || locker.daemon.metric("panvault_tokens") < stored;
    locker.daemon.wait(Duration::from_secs(20), "the sweep", swept);
    for (reference, (member, data)) in references.iter().zip(lives) {
        locker.refused("/cards/retrieve", &named(&merchant, &customer, reference), 404, "TE_02");
        let again = locker.done("/cards/add", &body(Value::Null, member, data));
        assert_eq!(again["payload"]["duplication_check"], Value::Null);
    }
    let reference = kept["payload"]["card_reference"].as_str().unwrap();
    locker.done("/cards/retrieve", &named(&merchant, &customer, reference));
}

pub(crate) fn survive() {
    let mut daemon = Daemon::start();
    let (reference, record) = {
        let locker = Locker::of(&daemon);
        let added = locker.add("m", "c", &card(VISA));
        let record = json!({"entity_id": "e", "vault_id": "v", "data": {"Card": {"card_number": VISA}}});
        locker.done("/api/v2/vault/add", &record);
        (added["card_reference"].as_str().unwrap().to_owned(), record)
    };
    daemon.kill();
    daemon.up();
    let locker = Locker::of(&daemon);
    let found = locker.done("/cards/retrieve", &named("m", "c", &reference));
    assert_eq!(found["payload"]["card"], card(VISA));
    assert_eq!(locker.add("m", "c", &card(VISA))["duplication_check"], "duplicated");
    let found = locker.done("/api/v2/vault/retrieve", &record);
    assert_eq!(found["data"], record["data"]);
    daemon.run(&["audit", "verify"], 0);
    let answer = locker.post("/cards/delete", &named("nobody", "c", &reference));
    refusal(&answer, 404, "TE_02");
}
