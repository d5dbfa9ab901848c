//! The retention of a repository, on the running daemon at later times.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test program: a panic fails the test"
)]

mod support;

use std::time::Duration;

use data_encoding::BASE64;
use serde_json::{Value, json};
use support::daemon::{Daemon, MASTERCARD, VISA, card};
use support::http;
use support::skip::skipped;

fn events(daemon: &Daemon, action: &str) -> Vec<Value> {
    let tail = daemon.run(&["audit", "tail", "--lines", "100000"], 0);
    let line = |line: &str| serde_json::from_str::<Value>(line).unwrap()["event"].clone();
    tail.lines()
        .map(line)
        .filter(|event| event["action"] == action)
        .collect()
}

fn token(daemon: &Daemon, more: &Value) -> String {
    let mut body = json!({"card": card(VISA)});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let made = daemon.call("POST", "/v1/tokens", &body);
    assert_eq!(made.status, 201, "{}", made.text());
    made.json()["token"].as_str().unwrap().to_owned()
}

fn later(daemon: &mut Daemon, time: &str) -> bool {
    let Some(environment) = support::clock::at(time) else {
        skipped("libfaketime is not installed");
        return false;
    };
    daemon.stop();
    daemon.environment = environment;
    daemon.up();
    true
}

#[test]
fn no_token_outlives_its_repositorys_retention() {
    let mut daemon = Daemon::start_with("worldpay.life_days = 60");
    let years = |n: i64| jiff::Timestamp::now() + jiff::SignedDuration::from_hours(n * 366 * 24);
    let forever: Vec<String> = (0..20).map(|_| token(&daemon, &json!({}))).collect();
    let late = token(&daemon, &json!({"expires_at": years(9).to_string()}));
    let soon = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(5 * 24);
    let early = token(&daemon, &json!({"expires_at": soon.to_string()}));

    // an account whose tokens live on by being used
    daemon.run(&["merchant", "add", "live", "--dialect", "worldpay"], 0);
    daemon.run(&["repository", "set", "live", "--retention-days", "70"], 0);
    let credential = |more: &[&str]| {
        let add = [
            "credential",
            "add",
            "--merchant",
            "live",
            "--dialect",
            "worldpay",
            "--json",
        ];
        let made: Value = serde_json::from_str(&daemon.run(&[&add[..], more].concat(), 0)).unwrap();
        let login = format!("{}:{}", made["id"].as_str().unwrap(), made["secret"].as_str().unwrap());
        format!("Basic {}", BASE64.encode(login.as_bytes()))
    };
    let (plain, shown) = (credential(&[]), credential(&["--kind", "detokenize-password"]));
    let media = "application/vnd.worldpay.tokens-v3.hal+json";
    let ask = |daemon: &Daemon, method: &str, path: &str, login: &str, accept: &str, body: &str| {
        let headers = [("Authorization", login), ("Content-Type", media), ("Accept", accept)];
        http::request(&daemon.api(), method, path, &headers, body.as_bytes()).unwrap()
    };
    let body = json!({"paymentInstrument": {"type": "card/front", "cardNumber": MASTERCARD, "cardHolderName": "Ada",
                      "cardExpiryDate": {"month": 5, "year": 2035}}, "merchant": {"entity": "default"}});
    let made = ask(&daemon, "POST", "/tokens", &plain, media, &body.to_string());
    assert_eq!(made.status, 201, "{}", made.text());
    let link = made.json()["_links"]["tokens:token"]["href"]
        .as_str()
        .unwrap()
        .to_owned();
    let renewed = link.strip_prefix("http://vault").unwrap();

    // set later it holds for what is there; the end that counts is shown
    let told = daemon.run(
        &["repository", "set", "TEST_native", "--retention-days", "30", "--json"],
        0,
    );
    assert!(told.contains("\"retention_days\": 30"), "{told}");
    let list = daemon.run(&["repository", "list"], 0);
    let row = list.lines().find(|line| line.starts_with("TEST_native ")).unwrap();
    assert!(
        list.lines().next().unwrap().contains("retention_days") && row.contains(" 30 "),
        "{list}"
    );
    let view = |daemon: &Daemon, token: &str| daemon.call("GET", &format!("/v1/tokens/{token}"), &Value::Null);
    for token in [&forever[0], &late] {
        let shown = view(&daemon, token).json();
        let at = |name: &str| shown[name].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
        assert_eq!(
            at("expires_at").duration_since(at("created_at")).as_hours(),
            30 * 24,
            "{shown}"
        );
    }
    let own: jiff::Timestamp = view(&daemon, &early).json()["expires_at"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!(own.duration_since(soon).abs() < jiff::SignedDuration::from_secs(1));
    let audited = events(&daemon, "repository-retention");
    assert_eq!(audited[1]["detail"], "30 days", "{audited:?}");

    if !later(&mut daemon, "+29d") {
        return;
    }
    assert_eq!(view(&daemon, &early).status, 404);
    assert_eq!(
        (view(&daemon, &late).status, view(&daemon, &forever[3]).status),
        (200, 200)
    );
    let younger = token(&daemon, &json!({}));
    // the same, but for a token that is there already, and then without a limit again
    daemon.run(&["repository", "set", "TEST_native", "--retention-days", "29"], 0);
    daemon.run(&["repository", "set", "TEST_native", "--retention-days", "30"], 0);
    let expired = events(&daemon, "expire").len();

    assert!(later(&mut daemon, "+31d"));
    for token in forever.iter().chain([&late]) {
        assert_ne!(view(&daemon, token).status, 200, "{token}");
    }
    assert_eq!(view(&daemon, &younger).status, 200);
    daemon.wait(Duration::from_secs(10), "the sweep", || {
        daemon.metric("panvault_tokens") == 2.0
    });
    let swept = events(&daemon, "expire");
    assert_eq!(swept.len(), expired + 21, "one for each");
    assert!(
        swept.iter().skip(expired).all(|event| event["outcome"] == "ok"
            && event["repository"] == "TEST_native"
            && event["token"].is_string())
    );

    // a use in the second half of its life renews it, no further than the rule
    assert!(later(&mut daemon, "+50d"));
    let unmasked = format!("{media}; masked=false");
    let card = ask(&daemon, "GET", renewed, &shown, &unmasked, "");
    assert_eq!(card.status, 200, "{}", card.text());
    let there = ask(&daemon, "GET", renewed, &plain, media, "");
    let ends: jiff::Timestamp = there.json()["tokenExpiryDateTime"].as_str().unwrap().parse().unwrap();
    let days = ends.duration_since(jiff::Timestamp::now()).as_hours() / 24;
    assert!((69..=70).contains(&days), "{days}: {}", there.text());
    assert!(later(&mut daemon, "+69d"));
    assert_eq!(
        ask(&daemon, "GET", renewed, &plain, media, "").status,
        200,
        "after its first life of 60 days"
    );
    assert!(later(&mut daemon, "+71d"));
    assert_eq!(ask(&daemon, "GET", renewed, &plain, media, "").status, 404);
    daemon.wait(Duration::from_secs(10), "the sweep", || {
        daemon.metric("panvault_tokens") == 0.0
    });
    daemon.run(&["audit", "verify"], 0);
    daemon.stop();
    daemon.environment.clear();
    daemon.run(&["check", "store"], 0);
}

#[test]
fn a_retention_that_cannot_be_is_refused() {
    let daemon = Daemon::start();
    daemon.run(
        &[
            "repository",
            "add",
            "EU",
            "--management",
            "UNIQUE_TOKEN",
            "--generation",
            "PRESERVE_6_4",
            "--verification",
            "BASIC",
            "--retention-days",
            "400",
        ],
        0,
    );
    let list: Value = serde_json::from_str(&daemon.run(&["repository", "list", "--json"], 0)).unwrap();
    let days = |name: &str| {
        let rows = list["repositories"].as_array().unwrap();
        rows.iter().find(|row| row["name"] == name).unwrap()["retention_days"].clone()
    };
    assert_eq!(
        (days("EU"), days("TESTEU"), days("TEST_native")),
        (json!(400), json!(400), Value::Null)
    );
    for (arguments, told) in [
        (&["set", "EU", "--retention-days", "36526"][..], "is not 1 to 36525"),
        (&["add", "US", "--retention-days", "36526"], "is not 1 to 36525"),
        (&["set", "TESTEU", "--retention-days", "3"], "follows its retention"),
        (&["set", "nobody", "--retention-days", "3"], "no such repository"),
        (
            &["set", "EU", "--retention-days", "3", "--verification", "NONE"],
            "one at a time",
        ),
        (&["set", "EU", "--retention-days", "-3"], "unexpected argument"),
        (&["set", "EU", "--retention-days", "3.5"], "invalid digit"),
    ] {
        let output = daemon.try_run(&[&["repository"], arguments].concat());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(told), "{arguments:?}: {said}");
    }
    for body in [r#"{"days":0}"#, r#"{"days":"3"}"#, r#"{"days":3,"more":1}"#, "", "null"] {
        let answer = http::request(
            &daemon.admin(),
            "PUT",
            "/admin/repositories/EU/retention",
            &[],
            body.as_bytes(),
        )
        .unwrap();
        assert_eq!(answer.status, 422, "{body}: {}", answer.text());
    }
    let after: Value = serde_json::from_str(&daemon.run(&["repository", "list", "--json"], 0)).unwrap();
    assert_eq!(after, list, "nothing was changed");
    daemon.run(&["repository", "set", "EU", "--retention-days", "0"], 0);
}
