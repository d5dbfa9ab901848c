//! What is refused by its shape, its path or its tenant; health; and what lies on the disk.

use std::path::Path;

use serde_json::{Value, json};

use super::asking::{Locker, card, named, refusal};
use super::support::daemon::{AMEX, Daemon, VISA};

pub(crate) fn shapes(locker: &Locker<'_>) {
    let plain = |answer: super::support::http::Answer, status: u16| {
        assert_eq!(answer.status, status, "{}", answer.text());
        assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
        assert!(!answer.text().contains("4111"), "{}", answer.text());
    };
    for broken in ["", "{", "4111111111111111,", "{\"a\":}", "\u{feff}{}"] {
        plain(locker.text("/cards/add", broken), 400);
    }
    for (path, body) in [
        ("/cards/add", json!({})),
        ("/cards/add", json!([VISA])),
        ("/cards/add", json!({"merchant_id": "m", "merchant_customer_id": "c"})),
        (
            "/cards/add",
            json!({"merchant_id": 4_111_111_111_111_111_u64, "merchant_customer_id": "c", "card": card(VISA)}),
        ),
        (
            "/cards/add",
            json!({"merchant_id": "m", "merchant_customer_id": "c", "card": {"card_number": null}}),
        ),
        (
            "/cards/add",
            json!({"merchant_id": "m", "merchant_customer_id": "c", "card": VISA}),
        ),
        (
            "/cards/add",
            json!({"merchant_id": "m", "merchant_customer_id": "c", "card": card(VISA), "ttl": VISA}),
        ),
        (
            "/data/retrieve",
            json!({"merchant_id": "m", "merchant_customer_id": "c"}),
        ),
        ("/data/delete", json!({"merchant_id": "m", "card_reference": "r"})),
        ("/data/fingerprint", json!({"data": "d"})),
        ("/api/v2/vault/add", json!({"entity_id": "e", "vault_id": "v"})),
        ("/api/v2/vault/retrieve", json!({"entity_id": "e"})),
        ("/api/v2/vault/fingerprint", json!({"data": {}, "key": "k"})),
        ("/entity", json!({"entity": "e"})),
    ] {
        plain(locker.post(path, &body), 422);
    }
    let tenant = ("x-tenant-id", locker.tenant.as_str());
    for kind in ["text/plain", "application/x-www-form-urlencoded"] {
        plain(
            locker.raw("POST", "/cards/add", &[tenant, ("Content-Type", kind)], "{}"),
            415,
        );
    }
    plain(locker.raw("POST", "/cards/add", &[tenant], "{}"), 415);
    let kind = ("Content-Type", "application/json; charset=utf-8");
    plain(locker.raw("POST", "/cards/add", &[tenant, kind], "{}"), 422);
}

pub(crate) fn paths(locker: &Locker<'_>) {
    let tenant = ("x-tenant-id", locker.tenant.as_str());
    for path in [
        "/cards",
        "/cards/list",
        "/data/add/x",
        "/api/v2/vault",
        "/api/v2/vault/x",
        "/entity/1",
        "/health/x",
    ] {
        refusal(&locker.raw("POST", path, &[tenant], ""), 404, "TE_02");
    }
    for path in ["/cards/add", "/entity", "/api/v2/vault/retrieve"] {
        refusal(&locker.raw("GET", path, &[tenant], ""), 405, "TE_03");
    }
    refusal(&locker.raw("POST", "/health", &[tenant], ""), 405, "TE_03");
}

pub(crate) fn tenants(locker: &Locker<'_>) {
    let kind = ("Content-Type", "application/json");
    for path in [
        "/cards/add",
        "/data/retrieve",
        "/api/v2/vault/add",
        "/entity",
        "/cards/fingerprint",
    ] {
        // before anything is looked at
        let message = refusal(&locker.raw("POST", path, &[kind], "{"), 400, "TE_03");
        assert_eq!(message, "Tenant error: x-tenant-id not found in headers");
        // the last one is a merchant that speaks another dialect
        for nobody in ["nobody", "", "a b", "TEST_native"] {
            let headers = [kind, ("x-tenant-id", nobody)];
            let message = refusal(&locker.raw("POST", path, &headers, "{}"), 400, "TE_03");
            assert_eq!(message, "Tenant error: there is no such tenant");
        }
    }
    // a second tenant sees nothing of the first
    let daemon = locker.daemon;
    daemon.run(&["merchant", "add", "second", "--dialect", "hyperswitch-locker"], 0);
    let other = Locker {
        tenant: "second".to_owned(),
        ..locker.clone()
    };
    let mine = locker.add("m", "c", &card(VISA));
    let reference = mine["card_reference"].as_str().unwrap();
    other.refused("/cards/retrieve", &named("m", "c", reference), 404, "TE_02");
    other.refused("/cards/delete", &named("m", "c", reference), 404, "TE_02");
    let theirs = other.add("m", "c", &card(VISA));
    assert_eq!(theirs["duplication_check"], Value::Null);
    locker.done("/cards/retrieve", &named("m", "c", reference));
    let fingerprint = |locker: &Locker<'_>| {
        let body = json!({"key": "k", "data": VISA});
        locker.done("/cards/fingerprint", &body)["fingerprint_id"].clone()
    };
    assert_ne!(fingerprint(locker), fingerprint(&other));
    // one that shares the repository has persons of its own
    let listed: Value = serde_json::from_str(&daemon.run(&["merchant", "list", "--json"], 0)).unwrap();
    let mut merchants = listed["merchants"].as_array().unwrap().iter();
    let first = merchants.find(|each| each["id"] == locker.tenant).unwrap();
    let of_first = first["repository"].as_str().unwrap();
    let arguments = ["merchant", "add", "third", "--dialect", "hyperswitch-locker"];
    daemon.run(&[&arguments[..], &["--repository", of_first]].concat(), 0);
    let third = Locker {
        tenant: "third".to_owned(),
        ..locker.clone()
    };
    third.refused("/cards/delete", &named("m", "c2", "nothing"), 404, "TE_02");
    third.add("m", "c2", &card(VISA));
    third.delete("m", "c2", "nothing");
    daemon.run(&["merchant", "suspend", "second"], 0);
    other.refused("/cards/retrieve", &named("m", "c", "x"), 403, "TE_00");
}

pub(crate) fn health(locker: &Locker<'_>) {
    let alive = locker.raw("GET", "/health", &[], "");
    assert_eq!(
        (alive.status, alive.json()),
        (200, json!({"message": "Health is good"}))
    );
    refusal(&locker.raw("GET", "/health/diagnostics", &[], ""), 400, "TE_03");
    let tenant = ("x-tenant-id", locker.tenant.as_str());
    let found = locker.raw("GET", "/health/diagnostics", &[tenant], "");
    let database = json!({
        "database_connection": "Working", "database_read": "Working", "database_write": "Working",
        "database_delete": "Working", "database_replica": "Disabled",
    });
    assert_eq!(
        found.json(),
        json!({"key_custodian_locked": false, "database": database, "keymanager_status": "Working", "redis_status": "Disabled"})
    );
}

/// Nothing of what was sent is readable in the files: numbers, names, ids, nor the peer's hash of a number.
pub(crate) fn hidden() {
    let mut daemon = Daemon::start_with("log.filter = \"trace\"");
    {
        let locker = Locker::of(&daemon);
        let added = locker.add("merchant-in-clear", "customer-in-clear", &card(VISA));
        let reference = added["card_reference"].as_str().unwrap();
        locker.done(
            "/cards/retrieve",
            &named("merchant-in-clear", "customer-in-clear", reference),
        );
        let record =
            json!({"entity_id": "entity-in-clear", "vault_id": "vault-in-clear", "data": {"CardNumber": AMEX}});
        locker.done("/api/v2/vault/add", &record);
        locker.done("/api/v2/vault/retrieve", &record);
        locker.done("/entity", &json!({"entity_id": "entity-in-clear"}));
        let data = json!({"CardNumber": AMEX}).to_string();
        locker.done(
            "/api/v2/vault/fingerprint",
            &json!({"key": "key-in-clear", "data": data}),
        );
        locker.text("/cards/add", &format!("{{\"merchant_id\":\"{VISA}"));
    }
    daemon.stop();
    let mut quoted = ring::digest::digest(&ring::digest::SHA512, format!("\"{VISA}\"").as_bytes())
        .as_ref()
        .to_vec();
    quoted.truncate(16);
    let mut sought: Vec<Vec<u8>> = [
        VISA,
        AMEX,
        "John Doe",
        "merchant-in",
        "customer-in",
        "entity-in",
        "vault-in",
        "key-in",
    ]
    .iter()
    .map(|text| text.as_bytes().to_vec())
    .collect();
    sought.push(quoted);
    let mut read = 0;
    files(daemon.dir(), &mut |path, bytes| {
        read += bytes.len();
        for text in &sought {
            let found = bytes.windows(text.len()).any(|window| window == text);
            assert!(!found, "{} holds {}", path.display(), String::from_utf8_lossy(text));
        }
    });
    assert!(read > 10_000);
}

fn files(directory: &Path, each: &mut impl FnMut(&Path, &[u8])) {
    for entry in std::fs::read_dir(directory).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files(&path, each);
        } else if path.is_file() {
            each(&path, &std::fs::read(&path).unwrap());
        }
    }
}
