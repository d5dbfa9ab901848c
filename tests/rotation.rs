//! KEK rotation on a real token: under load, and killed at any moment. `PANVAULT_LONG=1` takes more of both.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test program: a panic fails the test"
)]

mod support;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use support::daemon::{Daemon, VISA};
use support::http;
use support::long;
use support::skip::skipped;

/// Makes tokens, a thousand in a request.
fn tokens(daemon: &Daemon, count: usize) -> Vec<String> {
    let mut made = Vec::with_capacity(count);
    while made.len() < count {
        let card = json!({"card": {"number": VISA, "expiry": {"month": 12, "year": 2030}}});
        let items = vec![card; (count - made.len()).min(1_000)];
        let answer = daemon.call("POST", "/v1/tokens/batch", &json!({ "items": items }));
        assert_eq!(answer.status, 200, "{}", answer.text());
        for item in answer.json()["items"].as_array().unwrap() {
            made.push(item["result"]["token"].as_str().unwrap().to_owned());
        }
    }
    made
}

/// All of them open, and to the card that they were made of.
fn all_open(daemon: &Daemon, tokens: &[String]) {
    for some in tokens.chunks(500) {
        let items: Vec<Value> = some.iter().map(|token| json!({ "token": token })).collect();
        let answer = daemon.call("POST", "/v1/tokens/reveal-batch", &json!({ "items": items }));
        assert_eq!(answer.status, 200, "{}", answer.text());
        for item in answer.json()["items"].as_array().unwrap() {
            assert_eq!(item["result"]["card"]["number"], VISA, "{item}");
        }
    }
}

fn status(daemon: &Daemon) -> Value {
    serde_json::from_str(&daemon.run(&["key", "status", "--json"], 0)).unwrap()
}

/// Tokens by epoch, from the first.
fn by_epoch(daemon: &Daemon) -> Vec<u64> {
    let status = status(daemon);
    let epochs = status["epochs"].as_array().unwrap();
    epochs.iter().map(|epoch| epoch["tokens"].as_u64().unwrap()).collect()
}

/// A person of the Hyperswitch dialect is a sealed record, too.
fn customer(daemon: &Daemon) -> String {
    let dev = daemon.dev_json();
    let key = format!("api-key={}", dev["hyperswitch"]["api_key"].as_str().unwrap());
    let profile = dev["hyperswitch"]["profile_id"].as_str().unwrap().to_owned();
    let headers = [
        ("Authorization", key.as_str()),
        ("X-Profile-Id", profile.as_str()),
        ("Content-Type", "application/json"),
    ];
    let body = json!({"name": "Ada", "email": "ada@example.com"}).to_string();
    let answer = http::request(&daemon.api(), "POST", "/v2/customers", &headers, body.as_bytes()).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    let id = answer.json()["id"].as_str().unwrap().to_owned();
    let found = http::request(&daemon.api(), "GET", &format!("/v2/customers/{id}"), &headers, b"").unwrap();
    assert_eq!(found.json()["email"], "ada@example.com", "{}", found.text());
    id
}

#[test]
fn a_rotation_under_load_loses_nothing_and_fails_no_request() {
    let daemon = Daemon::start_with("keys.rewraps_per_second = 0");
    let made = tokens(&daemon, if long() { 100_000 } else { 1_500 });
    customer(&daemon);
    let (stop, served) = (AtomicBool::new(false), AtomicUsize::new(0));
    let fresh = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..64)
            .map(|number| {
                let (daemon, made, stop, served) = (&daemon, &made, &stop, &served);
                scope.spawn(move || {
                    let mut fresh = Vec::new();
                    for turn in number.. {
                        if stop.load(Ordering::Relaxed) {
                            break;
                        }
                        match turn % 2 {
                            0 => fresh.push(daemon.tokenize(VISA)["token"].as_str().unwrap().to_owned()),
                            _ => assert_eq!(daemon.reveal(&made[turn * 31 % made.len()]).status, 200),
                        }
                        served.fetch_add(1, Ordering::Relaxed);
                    }
                    fresh
                })
            })
            .collect();
        let said = daemon.run(&["key", "rotate", "--wait"], 0);
        assert!(
            said.contains("KEK epoch 2 seals from now on") && said.contains("finished"),
            "{said}"
        );
        stop.store(true, Ordering::Relaxed);
        callers
            .into_iter()
            .flat_map(|caller| caller.join().unwrap())
            .collect::<Vec<_>>()
    });
    assert!(served.load(Ordering::Relaxed) > 64 && !fresh.is_empty());
    let counts = by_epoch(&daemon);
    assert_eq!(
        (counts[0], counts[1]),
        (0, u64::try_from(made.len() + fresh.len()).unwrap())
    );
    assert_eq!(status(&daemon)["epochs"][0]["documents"], 0);
    assert!(status(&daemon)["epochs"][1]["documents"].as_u64().unwrap() >= 1);
    all_open(&daemon, &made);
    all_open(&daemon, &fresh);
    assert_eq!(daemon.metric("panvault_kek_epoch"), 2.0);
    assert_eq!(daemon.metric("panvault_rewrap_running"), 0.0);
    daemon.run(&["check", "store"], 0);
    daemon.run(&["audit", "verify"], 0);
    let trail = daemon.run(&["audit", "tail", "--lines", "1000000"], 0);
    for told in ["\"asked\"", "\"ok\"", "\"finished\""] {
        assert!(
            trail
                .lines()
                .any(|line| line.contains("\"kek-rotate\"") && line.contains(told)),
            "{told}: {trail}"
        );
    }
}

#[test]
fn a_rotation_that_is_killed_goes_on() {
    let mut daemon = Daemon::start_with("keys.rewraps_per_second = 400");
    let made = tokens(&daemon, 400);
    let rounds = if long() { 50 } else { 5 };
    let mut epoch = 1;
    for round in 0..rounds {
        if status(&daemon)["rotation"]["finished"] != false {
            if status(&daemon)["prepared"] == 0 {
                break;
            }
            daemon.run(&["key", "rotate"], 0);
            epoch += 1;
        }
        // anywhere in the second that it takes
        std::thread::sleep(Duration::from_millis(37 * (round * 7 % 23)));
        daemon.kill();
        daemon.up();
        let now = status(&daemon);
        assert_eq!(now["epochs"][epoch - 1]["state"], "active", "{now}");
    }
    daemon.wait(Duration::from_secs(30), "the rotation's end", || {
        status(&daemon)["rotation"]["finished"] == true
    });
    let counts = by_epoch(&daemon);
    assert_eq!(counts[epoch - 1], 400, "{counts:?}");
    all_open(&daemon, &made);
    daemon.run(&["check", "store"], 0);
    daemon.run(&["audit", "verify"], 0);
}

#[test]
fn epochs_run_out_and_the_officer_is_asked_for() {
    let daemon = Daemon::start();
    let token = daemon.tokenize(VISA)["token"].as_str().unwrap().to_owned();
    let prepared = status(&daemon)["prepared"].as_u64().unwrap();
    assert!(prepared >= 1);
    for _ in 0..prepared {
        daemon.run(&["key", "rotate", "--wait"], 0);
    }
    let refused = daemon.try_run(&["key", "rotate"]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("init --epochs"), "{said}");
    let shown = daemon.run(&["key", "status"], 0);
    assert!(
        shown.contains("deactivated") && shown.contains("security officer"),
        "{shown}"
    );
    assert_eq!(by_epoch(&daemon).last(), Some(&1));
    assert_eq!(daemon.reveal(&token).json()["card"]["number"], VISA);
}

/// Past its cryptoperiod an epoch seals nothing more, and opens as before; a rotation mends it.
#[test]
fn an_epoch_past_its_cryptoperiod_opens_and_does_not_seal() {
    let Some(later) = support::clock::at("+91d") else {
        return skipped(
            "an_epoch_past_its_cryptoperiod_opens_and_does_not_seal: needs libfaketime (Debian package libfaketime)",
        );
    };
    let mut daemon = Daemon::start_with("keys.kek_days = 90");
    let token = daemon.tokenize(VISA)["token"].as_str().unwrap().to_owned();
    let shown = daemon.run(&["key", "status"], 0);
    assert!(shown.contains("the active epoch seals until"), "{shown}");
    let end = daemon.metric("panvault_kek_not_after_seconds");
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs_f64();
    assert!((end - now - 90.0 * 86_400.0).abs() < 300.0, "{end}");
    daemon.stop();
    daemon.environment = later;
    daemon.up();
    let card = json!({"card": {"number": VISA, "expiry": {"month": 12, "year": 2030}}});
    let refused = daemon.call("POST", "/v1/tokens", &card);
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert!(
        daemon.log().contains("cryptoperiod of the KEK is over"),
        "{}",
        daemon.log()
    );
    let screen = daemon.run(&["status"], 0);
    assert!(screen.contains("epoch 1, OVER since"), "{screen}");
    assert_eq!(daemon.reveal(&token).json()["card"]["number"], VISA);
    daemon.run(&["key", "rotate", "--wait"], 0);
    assert_eq!(daemon.call("POST", "/v1/tokens", &card).status, 201);
    assert_eq!(by_epoch(&daemon)[..2], [0, 2]);
}

/// Every key with what it is, may do and how it is kept, and the state that a rotation leaves it in.
#[test]
fn the_inventory_names_every_key() {
    let daemon = Daemon::start();
    daemon.run(&["key", "rotate", "--wait"], 0);
    let inventory: Value = serde_json::from_str(&daemon.run(&["inventory", "--json"], 0)).unwrap();
    let keys = inventory["keys"].as_array().unwrap();
    let of = |role: &str| keys.iter().filter(|key| key["role"] == role).collect::<Vec<_>>();
    for (role, algorithm, bits, usage) in [
        ("fingerprint", "HMAC", 256, json!(["sign"])),
        ("audit", "Ed25519", 256, json!(["sign"])),
        ("transport", "RSA", 3072, json!(["decrypt"])),
        ("locker", "RSA", 2048, json!(["decrypt", "sign"])),
        ("platform", "RSA", 2048, json!(["sign"])),
    ] {
        let [key] = of(role)[..] else {
            panic!("{role}: {inventory}")
        };
        assert_eq!(
            (&key["algorithm"], &key["bits"]),
            (&json!(algorithm), &json!(bits)),
            "{key}"
        );
        assert_eq!((&key["usage"], &key["state"]), (&usage, &json!("active")), "{key}");
    }
    let states: Vec<&str> = of("kek").iter().map(|key| key["state"].as_str().unwrap()).collect();
    assert_eq!(states[..3], ["deactivated", "active", "pre-active"]);
    for key in keys {
        let kept = key["protection"].as_array().unwrap();
        // the one key that goes along where the vault moves leaves under a key that the officer marks, and no other
        let leaves = key["role"] == "fingerprint";
        for (how, wanted) in [
            ("sensitive", true),
            ("made-in-the-token", true),
            ("never-extractable", !leaves),
            ("EXTRACTABLE", leaves),
            ("under-a-trusted-key-only", leaves),
        ] {
            assert_eq!(kept.contains(&json!(how)), wanted, "{how}: {key}");
        }
        assert_eq!(key["id"].as_str().unwrap().len(), 32, "{key}");
        assert_eq!(kept.contains(&json!("trusted")), key["role"] == "kek", "{key}");
    }
    assert!(
        inventory["token"]["mechanisms"]
            .as_array()
            .unwrap()
            .contains(&json!("CKM_AES_GCM"))
    );
    let shown = daemon.run(&["inventory"], 0);
    assert!(shown.contains("kek 2") && shown.contains("SP 800-38D"), "{shown}");
}
