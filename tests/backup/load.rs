//! A backup that is taken while the daemon works.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::place::{audit_key, backup, files, lose_state, restore, said};
use crate::support::daemon::{Daemon, MASTERCARD, VISA, card};

/// Tokens and the cards behind them.
type Tokens = BTreeMap<String, &'static str>;

fn create(daemon: &Daemon, count: usize) -> Tokens {
    let mut tokens = Tokens::new();
    while tokens.len() < count {
        let items: Vec<Value> = (0..100).map(|_| json!({"card": card(VISA)})).collect();
        let answer = daemon.call("POST", "/v1/tokens/batch", &json!({ "items": items }));
        assert_eq!(answer.status, 200, "{}", answer.text());
        for item in answer.json()["items"].as_array().unwrap() {
            tokens.insert(item["result"]["token"].as_str().unwrap().to_owned(), VISA);
        }
    }
    tokens
}

#[test]
fn a_backup_under_load_is_whole_and_opens() {
    let mut daemon = Daemon::start();
    let kept = create(&daemon, 1500);
    let before: Vec<String> = (0..30)
        .map(|_| daemon.tokenize(VISA)["token"].as_str().unwrap().to_owned())
        .collect();
    let (gone, going) = before.split_at(10);
    for token in gone {
        assert_eq!(
            daemon
                .call("DELETE", &format!("/v1/tokens/{token}"), &Value::Null)
                .status,
            200
        );
    }
    let made = Mutex::new(Tokens::new());
    let (stop, deleted) = (AtomicBool::new(false), AtomicUsize::new(0));
    let places: Vec<_> = (1..=3).map(|n| daemon.dir().join(format!("backup-{n}"))).collect();
    let figures: Vec<Value> = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let answer = daemon.call("POST", "/v1/tokens", &json!({"card": card(MASTERCARD)}));
                assert_eq!(answer.status, 201, "{}", answer.text());
                let token = answer.json()["token"].as_str().unwrap().to_owned();
                made.lock().unwrap().insert(token, MASTERCARD);
            }
        });
        scope.spawn(|| {
            for token in going {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                daemon.call("DELETE", &format!("/v1/tokens/{token}"), &Value::Null);
                deleted.fetch_add(1, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        let figures = places.iter().map(|place| backup(&daemon, place)).collect();
        stop.store(true, Ordering::Relaxed);
        figures
    });
    let made = made.into_inner().unwrap();
    assert!(made.len() > 5, "tokens were made meanwhile: {}", made.len());
    assert!(
        daemon
            .run(&["audit", "tail"], 0)
            .contains("\"action\":\"backup\",\"outcome\":\"signed\"")
    );
    nothing_in_clear(&places[2]);
    daemon.stop();
    let key = audit_key(&daemon);

    for (n, place) in places.iter().enumerate() {
        lose_state(&daemon, &format!("lost-{n}"));
        let output = restore(&daemon, place, &["--key", &key, "--accept-returning"]);
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(text.contains("authentic: signed"), "{text}");
        daemon.run(&["check", "store"], 0);
        // the head that the backup was signed with is a place in the restored chain
        let head = figures[n]["audit_head"].as_str().unwrap();
        daemon.run(&["audit", "verify", "--expect", head], 0);
    }
    daemon.up();
    let there = |token: &String| {
        let status = daemon.reveal(token).status;
        assert!(
            matches!(status, 200 | 404),
            "{token} is neither whole nor absent: {status}"
        );
        status == 200
    };
    for (token, number) in kept.iter().step_by(15) {
        assert_eq!(daemon.reveal(token).json()["card"]["number"], *number);
    }
    for token in gone {
        assert!(!there(token));
    }
    let whole = made.keys().filter(|token| there(token)).count();
    let stands: usize = going.iter().filter(|token| there(token)).count();
    let records = usize::try_from(figures[2]["records"].as_u64().unwrap()).unwrap();
    assert_eq!(records, kept.len() + whole + stands);
    assert!(stands + deleted.load(Ordering::Relaxed) >= going.len());
    daemon.tokenize(VISA);
}

/// Cards are in a backup as in the store, and only the owner may read it.
fn nothing_in_clear(place: &Path) {
    for (path, bytes) in files(place) {
        for number in [VISA, MASTERCARD, "JANE DOE"] {
            let found = bytes.windows(number.len()).any(|window| window == number.as_bytes());
            assert!(!found, "{number} in {}", path.display());
        }
        let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", path.display());
    }
}

#[test]
fn a_backup_of_a_stopped_daemon_is_as_good() {
    let mut daemon = Daemon::start();
    let token = daemon.tokenize(VISA)["token"].as_str().unwrap().to_owned();
    daemon.stop();
    let place = daemon.dir().join("backup");
    let figures = backup(&daemon, &place);
    assert_eq!(figures["records"], 1);
    assert_eq!(figures["key"], audit_key(&daemon));
    lose_state(&daemon, "lost");
    let output = restore(&daemon, &place, &["--accept-returning"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("consistent, not authenticated"), "{text}");
    daemon.up();
    assert_eq!(daemon.reveal(&token).json()["card"]["number"], VISA);
}
