//! A compromised epoch opens and never seals, and is left and destroyed.

use std::time::Duration;

use serde_json::{Value, json};

use crate::place::backup;
use crate::support::daemon::{Daemon, VISA, card};
use crate::{refused, states, status};

#[test]
fn a_compromised_epoch_is_left_at_once_and_destroyed() {
    let daemon = Daemon::start();
    let token = daemon.tokenize(VISA)["token"].as_str().unwrap().to_owned();
    refused(
        &daemon,
        &["key", "compromise", "--epoch", "99"],
        "there is no KEK epoch 99",
    );
    let long = "x".repeat(201);
    refused(
        &daemon,
        &["key", "compromise", "--epoch", "1", "--reason", &long],
        "nothing was changed",
    );
    assert_eq!(states(&daemon)[..2], ["active", "pre-active"]);
    // one that was never used is passed over
    daemon.run(&["key", "compromise", "--epoch", "2"], 0);
    let said = daemon.run(
        &[
            "key",
            "compromise",
            "--epoch",
            "1",
            "--reason",
            "a lost backup of the token",
        ],
        0,
    );
    assert!(said.contains("KEK epoch 3 seals from now on"), "{said}");
    assert_eq!(
        states(&daemon)[..4],
        ["compromised", "compromised", "active", "pre-active"]
    );
    assert_eq!(status(&daemon)["epochs"][0]["reason"], "a lost backup of the token");
    assert_eq!(daemon.metric("panvault_kek_compromised"), 2.0);
    refused(&daemon, &["key", "compromise", "--epoch", "1"], "is compromised since");
    daemon.wait(Duration::from_secs(30), "the rotation's end", || {
        status(&daemon)["rotation"]["finished"] == true
    });
    assert_eq!(status(&daemon)["epochs"][2]["tokens"], 1);
    assert_eq!(daemon.reveal(&token).json()["card"]["number"], VISA);
    let inventory = daemon.run(&["inventory"], 0);
    assert!(inventory.contains("compromised"), "{inventory}");
    let place = daemon.dir().join("backup");
    backup(&daemon, &place);
    for epoch in ["1", "2"] {
        let text = daemon.run(
            &["key", "destroy", "--epoch", epoch, "--backup", place.to_str().unwrap()],
            0,
        );
        let certificate: Value = serde_json::from_str(&text).unwrap();
        assert!(certificate["compromised_since"].is_string(), "{certificate}");
    }
    assert_eq!(daemon.metric("panvault_kek_compromised"), 0.0);
    let trail = daemon.run(&["audit", "tail", "--lines", "1000"], 0);
    assert!(trail.contains("a lost backup of the token"), "{trail}");
}

#[test]
fn where_no_epoch_is_prepared_a_compromised_one_seals_nothing() {
    let mut daemon = Daemon::start();
    let token = daemon.tokenize(VISA)["token"].as_str().unwrap().to_owned();
    let prepared = status(&daemon)["prepared"].as_u64().unwrap();
    for _ in 0..prepared {
        daemon.run(&["key", "rotate", "--wait"], 0);
    }
    let last = (prepared + 1).to_string();
    let said = daemon.run(&["key", "compromise", "--epoch", &last], 0);
    assert!(
        said.contains("nothing is sealed") && said.contains("init --epochs"),
        "{said}"
    );
    for _ in 0..2 {
        let refused = daemon.call("POST", "/v1/tokens", &json!({ "card": card(VISA) }));
        assert_eq!(refused.status, 503, "{}", refused.text());
        assert_eq!(daemon.reveal(&token).json()["card"]["number"], VISA);
        // also after a restart
        daemon.stop();
        daemon.up();
    }
    refused(&daemon, &["key", "rotate"], "init --epochs");
    refused(&daemon, &["key", "destroy", "--epoch", &last], "in use");
}

#[test]
fn a_prepared_one_is_destroyed_before_any_rotation() {
    let daemon = Daemon::start();
    let token = daemon.tokenize(VISA)["token"].as_str().unwrap().to_owned();
    daemon.run(&["key", "compromise", "--epoch", "3"], 0);
    let place = daemon.dir().join("backup");
    backup(&daemon, &place);
    daemon.run(
        &["key", "destroy", "--epoch", "3", "--backup", place.to_str().unwrap()],
        0,
    );
    assert_eq!(
        states(&daemon)[..4],
        ["active", "pre-active", "destroyed", "pre-active"]
    );
    assert_eq!(daemon.reveal(&token).status, 200);
    daemon.run(&["key", "rotate", "--wait"], 0);
    assert_eq!(daemon.reveal(&token).status, 200);
}
