//! `/api/v2/vault`.

use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use super::asking::{Locker, fresh};
use super::support::daemon::VISA;

const ADD: &str = "/api/v2/vault/add";
const UPSERT: &str = "/api/v2/vault/add?mode=upsert";
const RETRIEVE: &str = "/api/v2/vault/retrieve";
const DELETE: &str = "/api/v2/vault/delete";

fn data() -> Value {
    json!({"Card": {"card_number": VISA, "card_exp_month": "03", "card_exp_year": "2030", "card_holder_name": "John Doe",
           "card_cvc": null, "nick_name": null}})
}

fn record(entity: &str, vault: &str, data: &Value) -> Value {
    json!({"entity_id": entity, "vault_id": vault, "data": data, "ttl": 220_752_000})
}

fn named(entity: &str, vault: &str) -> Value {
    json!({"entity_id": entity, "vault_id": vault})
}

pub(crate) fn life(locker: &Locker<'_>) {
    let (entity, vault) = (fresh("12345_cus"), fresh("0197a"));
    let name = named(&entity, &vault);
    locker.refused(RETRIEVE, &name, 404, "TE_02");
    assert_eq!(locker.done(ADD, &record(&entity, &vault, &data())), name);
    assert_eq!(locker.done(RETRIEVE, &name), json!({"data": data()}));
    for other in [
        named(&fresh("12345_cus"), &vault),
        named(&entity, &fresh("0197a")),
        named(&vault, &entity),
    ] {
        locker.refused(RETRIEVE, &other, 404, "TE_02");
        // also when absent
        assert_eq!(locker.done(DELETE, &other), other);
    }
    assert_eq!(locker.done(RETRIEVE, &name), json!({"data": data()}));
    assert_eq!(locker.done(DELETE, &name), name);
    locker.refused(RETRIEVE, &name, 404, "TE_02");
    assert_eq!(locker.done(DELETE, &name), name);
    // the place is free again at once
    let other = json!({"CardNumber": VISA});
    locker.done(ADD, &record(&entity, &vault, &other));
    assert_eq!(locker.done(RETRIEVE, &name)["data"], other);
    // ids of any kind
    for (entity, vault) in [("", ""), ("é 漢\u{0}", "4111111111111111"), ("a/b", "\"")] {
        locker.done(ADD, &record(entity, vault, &json!(1)));
        assert_eq!(locker.done(RETRIEVE, &named(entity, vault)), json!({"data": 1}));
    }
    for name in [named(&"e".repeat(256), "v"), named("e", &"v".repeat(256))] {
        locker.refused(RETRIEVE, &name, 400, "TE_03");
    }
}

pub(crate) fn modes(locker: &Locker<'_>) {
    let (entity, vault) = (fresh("cus"), fresh("vault"));
    let name = named(&entity, &vault);
    let put = |path: &str, data: Value| assert_eq!(locker.done(path, &record(&entity, &vault, &data)), name);
    let is = |data: Value| assert_eq!(locker.done(RETRIEVE, &name), json!({"data": data}));
    put(UPSERT, json!(1));
    is(json!(1));
    put(ADD, json!(2));
    is(json!(1));
    put("/api/v2/vault/add?mode=insert", json!(3));
    is(json!(1));
    put(UPSERT, json!(4));
    is(json!(4));
    let answer = locker.post("/api/v2/vault/add?mode=replace", &record(&entity, &vault, &json!(5)));
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
    is(json!(4));
}

pub(crate) fn at_once(locker: &Locker<'_>) {
    let (entity, inserted, upserted) = (fresh("cus"), fresh("vault"), fresh("vault"));
    std::thread::scope(|scope| {
        for client in 0..8 {
            let (entity, inserted, upserted) = (&entity, &inserted, &upserted);
            scope.spawn(move || {
                for n in 0..10 {
                    locker.done(ADD, &record(entity, &format!("{inserted}_{n}"), &json!(client)));
                    locker.done(UPSERT, &record(entity, &format!("{upserted}_{n}"), &json!(client)));
                }
            });
        }
    });
    for n in 0..10 {
        for vault in [&inserted, &upserted] {
            let found = locker.done(RETRIEVE, &named(&entity, &format!("{vault}_{n}")));
            assert!((0..8).contains(&found["data"].as_i64().unwrap()));
        }
    }
}

pub(crate) fn ttl(locker: &Locker<'_>) {
    let (entity, vault) = (fresh("cus"), fresh("vault"));
    let body = |ttl: Value, data: i32| json!({"entity_id": entity, "vault_id": vault, "data": data, "ttl": ttl});
    assert_eq!(locker.refused(ADD, &body(json!(0), 1), 400, "TE_03"), "TTL is invalid");
    assert_eq!(locker.refused(ADD, &body(json!(-5), 1), 400, "TE_03"), "TTL is invalid");
    locker.done(ADD, &body(json!(1), 2));
    let name = named(&entity, &vault);
    assert_eq!(locker.done(RETRIEVE, &name)["data"], 2);
    let gone = || locker.post(RETRIEVE, &name).status == 404;
    locker.daemon.wait(Duration::from_secs(10), "the end of a record", gone);
    locker.done(ADD, &body(json!(i64::MAX), 3));
    assert_eq!(locker.done(RETRIEVE, &name)["data"], 3);
    locker.done(UPSERT, &body(Value::Null, 4));
    assert_eq!(locker.done(RETRIEVE, &name)["data"], 4);
}

pub(crate) fn refused(locker: &Locker<'_>) {
    let entity = fresh("cus");
    for held in [
        json!({"Card": {"card_number": VISA, "card_cvc": "123"}}),
        json!({"Card": {"card_number": VISA, "cvv": 123}}),
        json!([[{"track2": {"x": 1}}]]),
        json!({"a": {"pin_block": ""}}),
        json!({"card.securityCode": "1"}),
    ] {
        let message = locker.refused(ADD, &record(&entity, "v", &held), 400, "TE_03");
        assert!(
            message.contains("never stored") && !message.contains("123"),
            "{message}"
        );
        locker.refused(RETRIEVE, &named(&entity, "v"), 404, "TE_02");
    }
    let escaped = format!(r#"{{"entity_id":"{entity}","vault_id":"v","data":{{"c\u0076c":"123"}}}}"#);
    assert_eq!(locker.text(ADD, &escaped).status, 400);
}

pub(crate) fn sizes(locker: &Locker<'_>) {
    let entity = fresh("cus");
    let large = "x".repeat(900 << 10);
    locker.done(ADD, &record(&entity, "large", &json!(large)));
    assert_eq!(locker.done(RETRIEVE, &named(&entity, "large"))["data"], large);
    locker.refused(
        ADD,
        &record(&entity, "larger", &json!("x".repeat(1000 << 10))),
        400,
        "TE_03",
    );
    locker.refused(
        ADD,
        &record(&entity, "largest", &json!("x".repeat(1 << 20))),
        413,
        "TE_03",
    );
}

/// Any JSON text: numbers beyond any type, names twice, blanks.
fn json_text() -> impl Strategy<Value = String> {
    let number = prop_oneof![
        any::<i64>().prop_map(|n| n.to_string()),
        "-?(0|[1-9][0-9]{0,40})(\\.[0-9]{1,40})?([eE][+-]?[0-9]{1,4})?",
    ];
    let string = "\\PC{0,12}|[\\x00-\\x1f\"\\\\é😀]{0,6}".prop_map(|text| Value::from(text).to_string());
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just(r#""\ud83d\ude00\/""#.to_owned()),
        number,
        string.clone()
    ];
    leaf.prop_recursive(6, 40, 5, move |inner| {
        let member = (string.clone(), "[ \t\n\r]{0,2}", inner.clone())
            .prop_map(|(name, blank, value)| format!("{name}{blank}:{blank}{value}"));
        prop_oneof![
            proptest::collection::vec(inner, 0..5).prop_map(|items| format!("[{}]", items.join(", "))),
            proptest::collection::vec(member, 0..5).prop_map(|members| format!("{{{}}}", members.join(",\n"))),
        ]
    })
}

pub(crate) fn values_come_back(locker: &Locker<'_>) {
    let entity = fresh("cus");
    let comes_back = |text: &str| {
        let vault = fresh("vault");
        let body = format!(r#"{{"entity_id":"{entity}","vault_id":"{vault}","data":{text}}}"#);
        let added = locker.text(ADD, &body);
        assert_eq!(added.status, 200, "{text}: {}", added.text());
        let found = locker.post(RETRIEVE, &named(&entity, &vault));
        assert_eq!(found.text(), format!(r#"{{"data":{text}}}"#));
    };
    for text in [
        "1e999",
        "-0",
        "0.10",
        "123456789012345678901234567890",
        r#"{"a":1,"a":2}"#,
        "{ \"b\" : [ ] }",
        r#""\u0000""#,
        &format!("{}{}", "[".repeat(2_000), "]".repeat(2_000)),
    ] {
        comes_back(text);
    }
    let mut runner = TestRunner::new(Config {
        cases: 200,
        failure_persistence: None,
        ..Config::default()
    });
    runner
        .run(&json_text(), |text| {
            comes_back(&text);
            Ok(())
        })
        .unwrap();
}
