//! Who may ask.

use std::time::Duration;

use serde_json::{Value, json};

use super::shop::{MASTERCARD, Shop, VISA, card, method, refused};
use super::support::daemon::{Daemon, signal};

pub(crate) fn keys_and_profiles(shop: &Shop<'_>) {
    let customer = shop.customer();
    let path = format!("/v2/customers/{customer}");
    let ask = |headers: &[(&str, &str)]| shop.with("GET", &path, headers, b"");
    let profile = ("X-Profile-Id", shop.profile.as_str());
    let forms = [
        ("api-key", shop.key.clone()),
        ("Authorization", format!("api-key={}", shop.key)),
        ("Authorization", format!("x=1, api-key={}", shop.key)),
        ("authorization", shop.key.clone()),
    ];
    for (name, value) in &forms {
        assert_eq!(ask(&[profile, (name, value)]).status, 200, "{name}");
    }
    let key = ("api-key", shop.key.as_str());
    refused(&ask(&[profile]), 400, "IR_04");
    for bad in [
        "",
        "x",
        "pv_a_b",
        &shop.key.replace("pv_", "pw_"),
        &format!("{}x", shop.key),
    ] {
        refused(&ask(&[profile, ("api-key", bad)]), 401, "IR_01");
        refused(
            &ask(&[profile, ("Authorization", &format!("api-key={bad}"))]),
            401,
            "IR_01",
        );
    }
    refused(&ask(&[profile, ("Authorization", "Basic x")]), 401, "IR_01");
    let said = refused(&ask(&[key]), 422, "IR_06");
    assert!(said["message"].as_str().unwrap().contains("X-Profile-Id"), "{said}");
    refused(&ask(&[key, ("X-Profile-Id", "a b")]), 422, "IR_06");
    refused(&ask(&[key, ("X-Profile-Id", "")]), 422, "IR_06");
    refused(&ask(&[key, ("X-Profile-Id", "unheard")]), 404, "HE_02");
    // a key of another dialect
    refused(&ask(&[profile, ("api-key", &shop.daemon.key)]), 401, "IR_01");
    // another merchant sees nothing of it
    let other = Shop::added(shop.daemon, "TEST_stranger", &["--test"]);
    other.refused("GET", &path, &Value::Null, 404, "HE_02");
    other.refused("DELETE", &path, &Value::Null, 404, "HE_02");
    other.refused(
        "POST",
        "/payment-methods",
        &method(&customer, &card(VISA, "03", "2030")),
        404,
        "HE_02",
    );
    // nor does one that shares the repository
    let made = shop.add(&method(&customer, &card(VISA, "03", "2030")));
    let neighbour = Shop {
        profile: shop.profile.clone(),
        ..Shop::added(
            shop.daemon,
            "TEST_neighbour",
            &["--test", "--repository", &shop.profile],
        )
    };
    let path = format!("/payment-methods/{}", made["id"].as_str().unwrap());
    let update = format!("{path}/update-saved-payment-method");
    neighbour.refused("GET", &path, &Value::Null, 404, "HE_02");
    neighbour.refused(
        "GET",
        &format!("{path}?fetch_raw_detail=true"),
        &Value::Null,
        404,
        "HE_02",
    );
    neighbour.refused("PUT", &update, &json!({}), 404, "HE_02");
    neighbour.refused("DELETE", &path, &Value::Null, 404, "HE_02");
    assert_eq!(shop.get(&path)["id"], made["id"]);
    shop.daemon.run(&["merchant", "suspend", "TEST_stranger"], 0);
    other.refused("GET", "/customers/x", &Value::Null, 403, "IR_22");
}

type Request<'a> = (&'a str, String, &'a Value);

/// Everything but what is taken away.
pub(crate) fn denied(daemon: &Daemon) {
    let shop = Shop::dev(daemon);
    let customer = shop.customer();
    let mut new = method(&customer, &card(VISA, "03", "2030"));
    let made = shop.add(&new);
    let one = format!("/payment-methods/{}", made["id"].as_str().unwrap());
    new["storage_type"] = json!("volatile");
    let passing = format!("/payment-methods/{}", shop.add(&new)["id"].as_str().unwrap());
    let update = format!("{one}/update-saved-payment-method");
    let (nothing, name) = (
        Value::Null,
        json!({"payment_method_data": {"card": {"nick_name": "x"}}}),
    );
    let raw = |path: &str| format!("{path}?fetch_raw_detail=true");
    let own = format!("/customers/{customer}");
    let cases: [(&str, Vec<Request<'_>>); 6] = [
        ("tokenize", vec![("POST", "/payment-methods".to_owned(), &new)]),
        (
            "inspect",
            vec![("GET", own.clone(), &nothing), ("GET", one.clone(), &nothing)],
        ),
        (
            "search",
            vec![
                ("GET", "/customers/list".to_owned(), &nothing),
                ("GET", "/customers/total-payment-methods".to_owned(), &nothing),
            ],
        ),
        ("update", vec![("PUT", update, &name), ("PUT", own.clone(), &name)]),
        (
            "reveal",
            vec![("GET", raw(&one), &nothing), ("GET", raw(&passing), &nothing)],
        ),
        (
            "delete",
            vec![
                ("DELETE", "/payment-methods/unheard".to_owned(), &nothing),
                ("DELETE", one.clone(), &nothing),
                ("DELETE", passing, &nothing),
                ("DELETE", own, &nothing),
            ],
        ),
    ];
    let all = ["delete", "inspect", "pay", "reveal", "search", "tokenize", "update"];
    let policy = std::fs::read_to_string(daemon.dir().join("policy.toml")).unwrap();
    for (op, requests) in cases {
        let granted: Vec<_> = all.iter().filter(|each| **each != op).collect();
        let narrow = policy.replace("operations = [\"*\"]", &format!("operations = {granted:?}"));
        std::fs::write(daemon.dir().join("policy.toml"), narrow).unwrap();
        signal(daemon.pid(), "HUP");
        // done while the policy is not in force yet, the first changes nothing
        let (verb, path, body) = &requests[0];
        daemon.wait(Duration::from_secs(10), op, || {
            shop.call(verb, path, body).status == 403
        });
        for (verb, path, body) in &requests {
            // a body that does not fit is told after the right, where the right is asked first
            let answer = shop.call(verb, path, body);
            assert!(
                matches!(answer.status, 400 | 403),
                "{op}: {verb} {path}: {}",
                answer.text()
            );
            assert!(!answer.text().contains(VISA));
            if !(*verb == "PUT" && path.starts_with("/customers")) {
                refused(&answer, 403, "IR_22");
            }
        }
    }
    // without the right to have cards used, the card is kept all the same and its tokens elsewhere are not made
    let without = policy.replace(
        "operations = [\"*\"]",
        "operations = [\"inspect\", \"tokenize\", \"update\"]",
    );
    std::fs::write(daemon.dir().join("policy.toml"), without).unwrap();
    signal(daemon.pid(), "HUP");
    daemon.wait(Duration::from_secs(10), "less", || {
        shop.call("GET", "/customers/list", &nothing).status == 403
    });
    let mut more = method(&customer, &card(MASTERCARD, "12", "2030"));
    more["network_tokenization"] = json!({"enable": "Enable"});
    more["psp_tokenization"] = json!({"tokenization_type": "single_use", "connector_id": "mca_simulator"});
    let made = shop.add(&more);
    for (told, of) in [
        ("network_tokenization", "network_token"),
        ("psp_tokenization", "connector_tokens"),
    ] {
        assert_eq!(made[told]["status"], "failed", "{told}: {made}");
        assert!(made[of].is_null(), "{made}");
    }
    std::fs::write(daemon.dir().join("policy.toml"), policy).unwrap();
    signal(daemon.pid(), "HUP");
    daemon.wait(Duration::from_secs(10), "everything", || {
        shop.call("GET", "/customers/list", &nothing).status == 200
    });
    daemon.run(&["audit", "verify"], 0);
}
