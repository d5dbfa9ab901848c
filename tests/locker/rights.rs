//! What policy does not grant is not done.

use serde_json::{Value, json};

use super::asking::{Locker, card, named};
use super::support::daemon::{Daemon, VISA};

pub(crate) fn granted() {
    let daemon = Daemon::start();
    let locker = Locker::of(&daemon);
    let added = locker.add("m", "c", &card(VISA));
    let reference = added["card_reference"].as_str().unwrap();
    let record = json!({"entity_id": "e", "vault_id": "v", "data": 1});
    locker.done("/api/v2/vault/add", &record);
    let add = json!({"merchant_id": "m", "merchant_customer_id": "c2", "card": card(VISA)});
    let asked: [(&str, &str, &Value); 9] = [
        ("tokenize", "/cards/add", &add),
        ("tokenize", "/api/v2/vault/add", &record),
        ("tokenize", "/entity", &record),
        ("tokenize", "/cards/fingerprint", &json!({"key": "k", "data": "d"})),
        ("update", "/api/v2/vault/add?mode=upsert", &record),
        ("reveal", "/cards/retrieve", &named("m", "c", reference)),
        ("reveal", "/api/v2/vault/retrieve", &record),
        ("delete", "/cards/delete", &named("m", "c", "none")),
        (
            "delete",
            "/api/v2/vault/delete",
            &json!({"entity_id": "e", "vault_id": "none"}),
        ),
    ];
    let all = ["tokenize", "update", "reveal", "delete"];
    for without in all {
        let rest: Vec<&str> = all.into_iter().filter(|op| *op != without).collect();
        daemon.grant("hyperswitch-locker", &locker.tenant, &rest);
        for (needed, path, body) in &asked {
            let answer = locker.post(path, body);
            let expected = if *needed == without { 403 } else { 200 };
            // an upsert that may not tokenize is none
            let expected = if *path == "/api/v2/vault/add?mode=upsert" && without == "tokenize" {
                403
            } else {
                expected
            };
            assert_eq!(answer.status, expected, "{path} without {without}: {}", answer.text());
            if expected == 403 {
                assert_eq!(answer.json()["code"], "TE_00");
            }
        }
    }
    daemon.grant("hyperswitch-locker", "another", &["*"]);
    for (_, path, body) in &asked {
        locker.refused(path, body, 403, "TE_00");
    }
}
