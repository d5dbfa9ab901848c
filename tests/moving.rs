//! `key move`: a vault in a HSM with other keys, with all that it had; killed at any moment; refused where it must be.
//! `PANVAULT_LONG=1` kills it more often.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test program: a panic fails the test"
)]

#[path = "moving/dead.rs"]
mod dead;
#[path = "moving/killed.rs"]
mod killed;
#[path = "moving/officers.rs"]
mod officers;
#[path = "moving/place.rs"]
mod place;
#[path = "moving/possessions.rs"]
mod possessions;
#[path = "moving/refused.rs"]
mod refused;
mod support;

use std::fs;

use serde_json::{Value, json};

use place::{Place, inventory, said, status};
use possessions::Possessions;
use support::daemon::{Daemon, MASTERCARD, VISA};

/// Everything that hangs on keys, before and after, without the old token.
#[test]
fn a_vault_moves_to_a_hsm_with_other_keys() {
    let mut daemon = Daemon::start();
    daemon.run(&["key", "rotate", "--wait"], 0);
    let first = daemon.dir().join("first");
    let first = first.to_str().unwrap();
    daemon.run(&["backup", first], 0);
    daemon.run(&["key", "destroy", "--epoch", "1", "--backup", first], 0);
    let mut had = Possessions::made(&daemon);
    let doomed = daemon.tokenize(MASTERCARD)["token"].as_str().unwrap().to_owned();
    let gone = daemon.call("DELETE", &format!("/v1/tokens/{doomed}"), &Value::Null);
    let place = Place::beside(&mut daemon, "from-before");
    let (old_pin, old_serial) = (place.audit_key(&daemon), place.serial_in_use(&daemon));
    let old_transport = daemon.run(&["key", "show", "transport"], 0);

    let told: Value = serde_json::from_str(&said(&place.moves(&daemon, &["--json"]), 0)).unwrap();
    assert_eq!((&told["finished"], &told["epoch"]), (&json!(true), &json!(9)), "{told}");
    assert_eq!(told["records"]["faults"], 0);
    let new_pin = told["audit_key"].as_str().unwrap().to_owned();
    assert_ne!(new_pin, old_pin);
    let kept = fs::read_to_string(told["keyring_before"].as_str().unwrap()).unwrap();
    assert!(kept.contains(&old_serial), "the keyring before is kept");
    assert!(!daemon.dir().join("state/move.json").exists());
    let again = said(&place.moves(&daemon, &[]), 0);
    assert!(again.contains("already"), "{again}");

    // the old configuration leads nowhere any more
    let refused = daemon.try_run(&["verify"]);
    assert_eq!(refused.status.code(), Some(77), "{refused:?}");
    place.delete_token(&daemon, &old_serial);
    place.take_into_use(&daemon);
    daemon.up();
    had.are_there(&daemon);

    let status = status(&daemon);
    let of = |n: usize| {
        (
            status["epochs"][n]["state"].clone(),
            status["epochs"][n]["tokens"].clone(),
        )
    };
    assert_eq!(of(0), (json!("destroyed"), json!(0)), "{status}");
    for former in 1..8 {
        assert_eq!(of(former), (json!("left"), json!(0)), "{status}");
    }
    assert_eq!(of(8).0, "active");
    assert_eq!(
        (&status["rotation"]["to"], &status["rotation"]["finished"]),
        (&json!(9), &json!(true))
    );
    assert!(status["epochs"][8]["ops"].as_u64().unwrap() >= told["records"]["moved"].as_u64().unwrap());
    assert_eq!(status["audit"][0]["state"], "left");
    assert_eq!(status["transport"][0]["state"], "left");
    let shown = daemon.run(&["key", "status"], 0);
    assert!(
        shown.contains("audit key 1: left") && shown.contains("audit key 2: active"),
        "{shown}"
    );
    assert_ne!(daemon.run(&["key", "show", "transport"], 0), old_transport);
    let inventory = inventory(&daemon);
    let keys = inventory["keys"].as_array().unwrap();
    assert!(
        keys.iter()
            .all(|key| key["epoch"].as_u64().is_none_or(|epoch| epoch > 8)),
        "{inventory}"
    );
    assert_eq!(inventory["kek_epochs"][1]["state"], "left", "{inventory}");
    let shown = daemon.run(&["inventory"], 0);
    assert!(shown.contains("kek 2        in a HSM that was left"), "{shown}");

    // what is verified offline, with what was written down at `init`
    daemon.run(&["verify", "--full"], 0);
    daemon.run(&["check", "store"], 0);
    daemon.run(&["check", "hsm"], 0);
    let out = daemon.dir().join("trail");
    daemon.run(&["audit", "export", out.to_str().unwrap()], 0);
    for pin in [&old_pin, &new_pin] {
        place.alone(
            &["audit", "verify", "--segments", out.to_str().unwrap(), "--key", pin],
            0,
        );
    }
    daemon.run(&["audit", "verify"], 0);
    let receipt = daemon.dir().join("receipt.json");
    fs::write(&receipt, gone.text()).unwrap();
    place.alone(&["receipt", "verify", receipt.to_str().unwrap(), "--key", &old_pin], 0);
    daemon.run(&["receipt", "verify", receipt.to_str().unwrap()], 0);
    let later = daemon.tokenize(MASTERCARD)["token"].as_str().unwrap().to_owned();
    let gone = daemon.call("DELETE", &format!("/v1/tokens/{later}"), &Value::Null);
    assert_eq!(gone.json()["kek_epoch"], 9, "{}", gone.text());
    fs::write(&receipt, gone.text()).unwrap();
    place.alone(&["receipt", "verify", receipt.to_str().unwrap(), "--key", &new_pin], 0);
    let trail = daemon.run(&["audit", "tail", "--lines", "100000"], 0);
    let has = |outcome: &str| {
        let is = |line: &&str| line.contains("\"key-move\"") && line.contains(outcome);
        trail.lines().any(|line| is(&line))
    };
    assert!(
        has("\"begun\"") && has("\"ok\"") && trail.contains("audit-handover"),
        "{trail}"
    );

    // life goes on: rotations, destruction, backup, restoration
    daemon.run(&["key", "rotate", "--wait"], 0);
    had.are_there(&daemon);
    let backup = daemon.dir().join("after");
    let backup = backup.to_str().unwrap();
    daemon.run(&["backup", backup], 0);
    let left = daemon.try_run(&["key", "destroy", "--epoch", "2", "--backup", backup]);
    assert!(said(&left, 1).contains("in a HSM that this vault left"), "{left:?}");
    daemon.run(&["key", "destroy", "--epoch", "9", "--backup", backup], 0);
    had.are_there(&daemon);
    let last = daemon.dir().join("last");
    let last = last.to_str().unwrap();
    daemon.run(&["backup", last], 0);
    daemon.stop();
    fs::rename(daemon.dir().join("state"), daemon.dir().join("lost")).unwrap();
    daemon.run(&["restore", "--from", last, "--accept-returning", "--key", &new_pin], 0);
    daemon.up();
    had.are_there(&daemon);
    daemon.run(&["verify", "--full"], 0);
}

/// With a second key of each role, in use or prepared, a fingerprint rotation that is under way, and back again to a third token.
#[test]
fn later_keys_move_and_a_vault_moves_twice() {
    let mut daemon = Daemon::start();
    daemon.stop();
    daemon.configure("keys.rewraps_per_second = 1");
    daemon.run(&["init", "--next", "fingerprint,audit,transport"], 0);
    daemon.up();
    let mut had = Possessions::made(&daemon);
    let first_pin = daemon.run(&["key", "show", "audit"], 0);
    daemon.run(&["key", "rotate", "--role", "audit"], 0);
    daemon.run(&["key", "rotate", "--role", "transport"], 0);
    // far from its end
    daemon.run(&["key", "rotate", "--role", "fingerprint"], 0);
    daemon.run(&["key", "rotate"], 0);
    let place = Place::beside(&mut daemon, "first");
    let before = place.serial_in_use(&daemon);
    said(&place.moves(&daemon, &[]), 0);
    place.delete_token(&daemon, &before);
    place.take_into_use(&daemon);
    daemon.configure("keys.rewraps_per_second = 0");
    daemon.up();
    had.are_there(&daemon);
    daemon.wait(std::time::Duration::from_secs(60), "the rotation's end", || {
        status(&daemon)["fingerprint"]["rotation"]["finished"] == true
    });
    had.are_there(&daemon);
    assert_eq!(status(&daemon)["audit"][2]["state"], "active");

    let place = Place::beside(&mut daemon, "second");
    let before = place.serial_in_use(&daemon);
    said(&place.moves(&daemon, &["--epochs", "2"]), 0);
    place.delete_token(&daemon, &before);
    place.take_into_use(&daemon);
    daemon.up();
    had.are_there(&daemon);
    let now = status(&daemon);
    assert_eq!(now["epochs"].as_array().unwrap().len(), 18, "{now}");
    assert_eq!(
        (&now["epochs"][15]["state"], &now["epochs"][16]["state"]),
        (&json!("left"), &json!("active"))
    );
    assert_ne!(daemon.run(&["key", "show", "audit"], 0), first_pin);
    daemon.run(&["audit", "verify"], 0);
    daemon.run(&["verify", "--full"], 0);
    // more epochs, behind all that there were
    daemon.stop();
    let more = daemon.try_run(&[
        "init",
        "--epochs",
        "19",
        "--so-pin-file",
        daemon.dir().join("so-pin").to_str().unwrap(),
    ]);
    let more = said(&more, 0);
    assert!(
        more.contains("made kek 19") && !more.contains("made transport"),
        "{more}"
    );
    daemon.up();
    assert_eq!(daemon.reveal(had.token()).json()["card"]["number"], VISA);
}
