//! Rotation of the fingerprint key on a real token: under load, and killed at any moment. `PANVAULT_LONG=1` takes more of both.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test program: a panic fails the test"
)]

mod support;

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use support::daemon::{AMEX, Daemon, MASTERCARD, VISA};
use support::{http, long};

/// More test cards, made to pass Luhn.
fn numbers(count: u32) -> Vec<String> {
    let luhn = |digits: &str| {
        let sum: u32 = digits
            .bytes()
            .rev()
            .enumerate()
            .map(|(at, byte)| match u32::from(byte - b'0') {
                digit if at % 2 == 1 => digit,
                digit => digit * 2 / 10 + digit * 2 % 10,
            })
            .sum();
        format!("{digits}{}", (10 - sum % 10) % 10)
    };
    (0..count)
        .map(|number| luhn(&format!("4111110000{number:05}")))
        .collect()
}

/// Makes a key to go on to, with the daemon stopped.
fn prepare(daemon: &mut Daemon, settings: &str) {
    daemon.stop();
    daemon.configure(settings);
    let said = String::from_utf8_lossy(&daemon.try_run(&["init", "--next", "fingerprint"]).stderr).into_owned();
    assert!(said.contains("made fingerprint 2"), "{said}");
    // one is enough
    let said = String::from_utf8_lossy(&daemon.try_run(&["init", "--next", "fingerprint"]).stderr).into_owned();
    assert!(said.contains("no key was missing"), "{said}");
    daemon.up();
}

fn store(daemon: &Daemon, number: &str, reuse: &str) -> Value {
    let card = json!({"number": number, "expiry": {"month": 12, "year": 2030}});
    let answer = daemon.call("POST", "/v1/tokens", &json!({"card": card, "reuse": reuse}));
    assert!([200, 201].contains(&answer.status), "{}", answer.text());
    answer.json()
}

fn token(view: &Value) -> String {
    view["token"].as_str().unwrap().to_owned()
}

/// All tokens of a card, a few in a page.
fn found(daemon: &Daemon, number: &str) -> BTreeSet<String> {
    let (mut all, mut cursor) = (BTreeSet::new(), Value::Null);
    loop {
        let mut query = json!({"pan": number, "limit": 7});
        if !cursor.is_null() {
            query["cursor"] = cursor;
        }
        let answer = daemon.call("POST", "/v1/tokens/search", &query);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let page = answer.json();
        all.extend(page["tokens"].as_array().unwrap().iter().map(token));
        cursor = page["next"].clone();
        if cursor.is_null() {
            return all;
        }
    }
}

fn status(daemon: &Daemon) -> Value {
    serde_json::from_str(&daemon.run(&["key", "status", "--json"], 0)).unwrap()
}

fn tokens_by_key(daemon: &Daemon) -> Vec<u64> {
    let status = status(daemon);
    let keys = status["fingerprint"]["keys"].as_array().unwrap();
    keys.iter().map(|key| key["tokens"].as_u64().unwrap()).collect()
}

#[test]
fn a_rotation_of_the_fingerprint_key_under_load_loses_nothing_and_makes_no_twin() {
    let mut daemon = Daemon::start();
    prepare(&mut daemon, "keys.rewraps_per_second = 200");
    let cards = numbers(if long() { 4_000 } else { 120 });
    // half of them are there, and one card has many tokens
    let known = Mutex::new(std::collections::BTreeMap::new());
    for number in cards.iter().step_by(2) {
        known
            .lock()
            .unwrap()
            .insert(number.clone(), token(&store(&daemon, number, "same_card")));
    }
    let amex: BTreeSet<String> = (0..40).map(|_| token(&store(&daemon, AMEX, "none"))).collect();
    let doomed: Vec<String> = (0..60).map(|_| token(&store(&daemon, MASTERCARD, "none"))).collect();

    let (stop, served, next) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for caller in 0..12_usize {
            let (daemon, cards, known, stop, served, next) = (&daemon, &cards, &known, &stop, &served, &next);
            let (amex, doomed) = (&amex, &doomed);
            scope.spawn(move || {
                for turn in 0_usize.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    match (caller + turn) % 4 {
                        // each card comes from many callers at once, and has one token for all of them
                        0 | 1 => {
                            let number = &cards[(turn / 2) % cards.len()];
                            let made = token(&store(daemon, number, "same_card"));
                            let mut known = known.lock().unwrap();
                            let first = known.entry(number.clone()).or_insert_with(|| made.clone());
                            assert_eq!(*first, made, "{number} has two tokens");
                        }
                        2 => assert!(found(daemon, AMEX).is_superset(amex)),
                        _ => {
                            if let Some(token) = doomed.get(next.fetch_add(1, Ordering::Relaxed)) {
                                let path = format!("/v1/tokens/{token}");
                                assert_eq!(daemon.call("DELETE", &path, &Value::Null).status, 200);
                            }
                        }
                    }
                    served.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        std::thread::sleep(Duration::from_millis(200));
        let said = daemon.run(&["key", "rotate", "--role", "fingerprint", "--wait"], 0);
        assert!(
            said.contains("fingerprint key 2") && said.contains("finished"),
            "{said}"
        );
        stop.store(true, Ordering::Relaxed);
    });
    assert!(served.load(Ordering::Relaxed) > 50);
    for token in doomed.iter().skip(next.load(Ordering::Relaxed)) {
        daemon.call("DELETE", &format!("/v1/tokens/{token}"), &Value::Null);
    }
    let known = known.into_inner().unwrap();
    assert_eq!(found(&daemon, AMEX), amex);
    assert!(found(&daemon, MASTERCARD).is_empty());
    for (number, token) in &known {
        assert_eq!(found(&daemon, number), BTreeSet::from([token.clone()]));
        let again = store(&daemon, number, "same_card");
        assert_eq!(again["token"], *token);
    }
    let all = u64::try_from(known.len() + amex.len()).unwrap();
    assert_eq!(tokens_by_key(&daemon), [0, all]);
    assert_eq!(daemon.metric("panvault_fingerprint_key"), 2.0);
    assert_eq!(daemon.metric("panvault_refingerprint_running"), 0.0);
    assert!(daemon.metric("panvault_refingerprinted_total") >= 60.0);
    daemon.run(&["verify"], 0);
    daemon.run(&["check", "store"], 0);
    daemon.run(&["audit", "verify"], 0);
    let trail = daemon.run(&["audit", "tail", "--lines", "1000000"], 0);
    for told in ["asked", "ok", "finished"] {
        let is = |line: &&str| line.contains("\"fingerprint-rotate\"") && line.contains(told);
        assert!(trail.lines().any(|line| is(&line)), "{told}");
    }
    let shown = daemon.run(&["key", "status"], 0);
    assert!(
        shown.contains("fingerprint key 1: deactivated, 0 tokens")
            && shown.contains("fingerprint key 2: active")
            && shown.contains("rotation to fingerprint key 2: finished"),
        "{shown}"
    );
    let inventory: Value = serde_json::from_str(&daemon.run(&["inventory", "--json"], 0)).unwrap();
    let keys = inventory["keys"].as_array().unwrap().iter();
    let states: Vec<&Value> = keys
        .filter(|key| key["role"] == "fingerprint")
        .map(|key| &key["state"])
        .collect();
    assert_eq!(states, ["deactivated", "active"]);
    let refused = daemon.try_run(&["key", "rotate", "--role", "fingerprint"]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(
        !refused.status.success() && said.contains("init --next fingerprint"),
        "{said}"
    );
}

#[test]
fn a_rotation_of_the_fingerprint_key_that_is_killed_goes_on() {
    let mut daemon = Daemon::start();
    let person = person(&daemon);
    prepare(&mut daemon, "keys.rewraps_per_second = 100");
    let cards = numbers(200);
    let made: Vec<String> = cards
        .iter()
        .map(|number| token(&store(&daemon, number, "same_card")))
        .collect();
    daemon.run(&["key", "rotate", "--role", "fingerprint"], 0);
    let rounds = if long() { 40 } else { 5 };
    for round in 0..rounds {
        std::thread::sleep(Duration::from_millis(37 * (round * 7 % 23)));
        daemon.kill();
        daemon.up();
        let at = usize::try_from(round).unwrap() * 41 % cards.len();
        assert_eq!(
            token(&store(&daemon, &cards[at], "same_card")),
            made[at],
            "round {round}"
        );
        assert_eq!(
            found(&daemon, &cards[at]),
            BTreeSet::from([made[at].clone()]),
            "round {round}"
        );
    }
    daemon.wait(Duration::from_secs(60), "the rotation's end", || {
        status(&daemon)["fingerprint"]["rotation"]["finished"] == true
    });
    assert_eq!(tokens_by_key(&daemon)[0], 0);
    for (number, token) in cards.iter().zip(&made) {
        assert_eq!(found(&daemon, number), BTreeSet::from([token.clone()]));
    }
    // what was named under the first key still is
    assert_eq!(seen(&daemon, &person), "ada@example.com");
    daemon.run(&["verify"], 0);
    daemon.run(&["check", "store"], 0);
    daemon.run(&["audit", "verify"], 0);
}

/// The keyring says it before the store does: where it was cut off in between, the start goes on.
#[test]
fn a_step_that_only_the_keyring_knows_is_taken_at_the_start() {
    let mut daemon = Daemon::start();
    prepare(&mut daemon, "keys.rewraps_per_second = 0");
    let one = token(&store(&daemon, VISA, "same_card"));
    let (keyring, kept) = (daemon.dir().join("state/keyring.json"), daemon.dir().join("kept"));
    daemon.stop();
    // the store as it was before the step
    copy(&daemon.dir().join("state/store"), &kept);
    daemon.up();
    daemon.run(&["key", "rotate", "--role", "fingerprint", "--wait"], 0);
    daemon.stop();
    assert!(std::fs::read_to_string(&keyring).unwrap().contains("fingerprints"));
    std::fs::remove_dir_all(daemon.dir().join("state/store")).unwrap();
    copy(&kept, &daemon.dir().join("state/store"));
    daemon.up();
    assert_eq!(token(&store(&daemon, VISA, "same_card")), one);
    daemon.wait(Duration::from_secs(30), "the rotation's end", || {
        tokens_by_key(&daemon) == [0, 1]
    });
    assert_eq!(found(&daemon, VISA), BTreeSet::from([one]));
    daemon.run(&["verify"], 0);
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    let done = std::process::Command::new("cp")
        .arg("-a")
        .arg(from)
        .arg(to)
        .status()
        .unwrap();
    assert!(done.success());
}

fn headers(daemon: &Daemon) -> Vec<(String, String)> {
    let dev = daemon.dev_json();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    vec![
        (
            "Authorization".to_owned(),
            format!("api-key={}", text(&dev["hyperswitch"]["api_key"])),
        ),
        ("X-Profile-Id".to_owned(), text(&dev["hyperswitch"]["profile_id"])),
        ("Content-Type".to_owned(), "application/json".to_owned()),
    ]
}

fn hyperswitch(daemon: &Daemon, method: &str, path: &str, body: &str) -> Value {
    let headers = headers(daemon);
    let headers: Vec<(&str, &str)> = headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let answer = http::request(&daemon.api(), method, path, &headers, body.as_bytes()).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

/// A person, whom the store knows by a keyed name only.
fn person(daemon: &Daemon) -> String {
    let body = json!({"name": "Ada", "email": "ada@example.com", "merchant_reference_id": "ada"}).to_string();
    let made = hyperswitch(daemon, "POST", "/v2/customers", &body);
    made["id"].as_str().unwrap().to_owned()
}

fn seen(daemon: &Daemon, id: &str) -> String {
    let found = hyperswitch(daemon, "GET", &format!("/v2/customers/{id}"), "");
    found["email"].as_str().unwrap().to_owned()
}
