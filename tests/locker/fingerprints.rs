//! Fingerprints and entities.

use serde_json::{Value, json};

use super::asking::{Locker, card, fresh, named, refusal};
use super::support::daemon::{AMEX, VISA};

const FINGERPRINT: &str = "/api/v2/vault/fingerprint";

fn id(locker: &Locker<'_>, key: &str, data: &str) -> String {
    let found = locker.done(FINGERPRINT, &json!({"key": key, "data": data}));
    assert_eq!(found.as_object().unwrap().len(), 1);
    let id = found["fingerprint_id"].as_str().unwrap().to_owned();
    assert!(
        id.len() == 20 && id.bytes().all(|byte| byte.is_ascii_alphanumeric()),
        "{id}"
    );
    id
}

fn with_id(locker: &Locker<'_>, key: &str, data: &str, wanted: &str) -> super::support::http::Answer {
    let headers = [
        ("x-tenant-id", locker.tenant.as_str()),
        ("Content-Type", "application/json"),
        ("x-fingerprint-id", wanted),
    ];
    locker.raw(
        "POST",
        FINGERPRINT,
        &headers,
        &json!({"key": key, "data": data}).to_string(),
    )
}

pub(crate) fn ids(locker: &Locker<'_>) {
    let (key, data) = (fresh("key"), fresh("any text"));
    let first = id(locker, &key, &data);
    assert_eq!(id(locker, &key, &data), first);
    for path in ["/cards/fingerprint", "/data/fingerprint"] {
        let found = locker.done(path, &json!({"key": key, "data": data}));
        assert_eq!(found["fingerprint_id"], first, "{path}");
    }
    assert_ne!(id(locker, &fresh("key"), &data), first);
    assert_ne!(id(locker, &key, &format!("{data} ")), first);
    assert_ne!(id(locker, &data, &key), first);
    // a name is used for what is new only
    let wanted = "AbcdefGhij0123456789";
    assert_eq!(with_id(locker, &key, &data, wanted).json()["fingerprint_id"], first);
    let other = fresh("any text");
    assert_eq!(with_id(locker, &key, &other, wanted).json()["fingerprint_id"], wanted);
    assert_eq!(id(locker, &key, &other), wanted);
    assert_eq!(
        with_id(locker, &key, &other, "ABCDEFGHIJ0123456789").json()["fingerprint_id"],
        wanted
    );
    for bad in ["", "short", "AbcdefGhij012345678-", "AbcdefGhij01234567890"] {
        refusal(&with_id(locker, &key, &other, bad), 400, "TE_03");
    }
}

pub(crate) fn cards(locker: &Locker<'_>) {
    let key = fresh("cus");
    let data = |number: &str, month: &str, year: &str| {
        json!({"Card": {"card_number": number, "card_exp_month": month, "card_exp_year": year}}).to_string()
    };
    let first = id(locker, &key, &data(VISA, "03", "2030"));
    // one card, however it is written
    for same in [data("4111 1111 1111 1111", "3", "30"), data(VISA, "3", "2030")] {
        assert_eq!(id(locker, &key, &same), first, "{same}");
    }
    // number and expiry, for one key
    assert_ne!(id(locker, &key, &data(VISA, "04", "2030")), first);
    assert_ne!(id(locker, &key, &data(AMEX, "03", "2030")), first);
    assert_ne!(id(locker, &fresh("cus"), &data(VISA, "03", "2030")), first);
    let number = id(locker, &key, &json!({"CardNumber": VISA}).to_string());
    assert_ne!(number, first);
    assert_eq!(
        id(locker, &key, &json!({"CardNumber": "4111 1111 1111 1111"}).to_string()),
        number
    );
    let plain = id(locker, &key, VISA);
    assert_eq!(id(locker, &key, "4111 1111 1111 1111"), plain);
}

/// What is kept of a fingerprint goes with the record of its card.
pub(crate) fn die_with_the_record(locker: &Locker<'_>) {
    let entity = fresh("cus");
    let text =
        |year: &str| json!({"Card": {"card_number": VISA, "card_exp_month": "03", "card_exp_year": year}}).to_string();
    let wanted = "0123456789AbcdefGhij";
    assert_eq!(
        with_id(locker, &entity, &text("2030"), wanted).json()["fingerprint_id"],
        wanted
    );
    let other = "1123456789AbcdefGhij";
    assert_eq!(
        with_id(locker, &entity, &text("2031"), other).json()["fingerprint_id"],
        other
    );
    let record = json!({
        "entity_id": entity, "vault_id": "v",
        "data": {"Card": {"card_number": VISA, "card_exp_month": "3", "card_exp_year": "2030", "nick_name": "x"}},
    });
    locker.done("/api/v2/vault/add", &record);
    locker.done("/api/v2/vault/delete", &record);
    assert_ne!(id(locker, &entity, &text("2030")), wanted);
    assert_eq!(id(locker, &entity, &text("2031")), other);
    // with one that is replaced as well
    let mut record = record;
    record["vault_id"] = json!("w");
    let third = "2123456789AbcdefGhij";
    record["data"]["Card"]["card_exp_year"] = json!("2032");
    assert_eq!(
        with_id(locker, &entity, &text("2032"), third).json()["fingerprint_id"],
        third
    );
    locker.done("/api/v2/vault/add", &record);
    record["data"] = json!("another");
    locker.done("/api/v2/vault/add?mode=upsert", &record);
    assert_ne!(id(locker, &entity, &text("2032")), third);
}

pub(crate) fn entities(locker: &Locker<'_>) {
    let name = fresh("12345_cus");
    let first = locker.done("/entity", &json!({"entity_id": name}));
    assert_eq!(first["entity_id"], name);
    let since = first["created_at"].as_str().unwrap();
    assert!(
        since.len() == "2026-07-22T12:34:56.123456789Z".len() && since.ends_with('Z'),
        "{since}"
    );
    assert_eq!(locker.done("/entity", &json!({"entity_id": name})), first);
    for blank in ["", "  \t"] {
        locker.refused("/entity", &json!({"entity_id": blank}), 400, "TE_03");
    }
    // a merchant that stores a card is one by that
    let merchant = fresh("merchant");
    let added = locker.add(&merchant, "c", &card(VISA));
    let reference = added["card_reference"].as_str().unwrap();
    locker.delete(&merchant, "c", reference);
    locker.delete(&merchant, "c", reference);
    locker.refused("/cards/delete", &named(&fresh("merchant"), "c", "x"), 404, "TE_02");
    assert_ne!(
        locker.done("/entity", &json!({"entity_id": merchant}))["created_at"],
        Value::Null
    );
}
