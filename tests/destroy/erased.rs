//! What a destroyed epoch does to backups, and how that is proved.

use std::fs;

use serde_json::{Value, json};

use crate::place::{backup, lose_state, restore, said};
use crate::support::daemon::{Daemon, MASTERCARD, VISA};
use crate::{keks, refused, states, status};

fn made(daemon: &Daemon, number: &str) -> String {
    daemon.tokenize(number)["token"].as_str().unwrap().to_owned()
}

/// A card that has one token in its repository: the answer's status, and the token.
fn one_token(daemon: &Daemon, number: &str) -> (u16, String) {
    let body = json!({
        "card": {"number": number, "expiry": {"month": 12, "year": 2030}},
        "reuse": "same_card",
    });
    let answer = daemon.call("POST", "/v1/tokens", &body);
    let token = answer.json()["token"].as_str().unwrap_or_default().to_owned();
    (answer.status, token)
}

/// The issue's own words: only when no record uses it, and then old backups of deleted tokens are dead.
#[test]
fn old_backups_of_deleted_tokens_are_dead() {
    let mut daemon = Daemon::start();
    let (kept, gone) = (made(&daemon, VISA), made(&daemon, MASTERCARD));
    let (_, only) = one_token(&daemon, VISA);
    let (old, new) = (daemon.dir().join("old"), daemon.dir().join("new"));
    let path = |name: &str| daemon.dir().join(name).to_str().unwrap().to_owned();
    let (receipt, certificate) = (path("receipt.json"), path("certificate.json"));
    backup(&daemon, &old);
    let deleted = daemon.call("DELETE", &format!("/v1/tokens/{gone}"), &Value::Null);
    assert_eq!(deleted.status, 200, "{}", deleted.text());
    fs::write(&receipt, deleted.text()).unwrap();
    let under = deleted.json()["cka_id"].clone();
    daemon.run(&["key", "rotate", "--wait"], 0);
    let figures = backup(&daemon, &new);
    let before = keks(&daemon);
    let said_of = daemon.run(
        &[
            "key",
            "destroy",
            "--epoch",
            "1",
            "--backup",
            new.to_str().unwrap(),
            "--out",
            &certificate,
        ],
        0,
    );
    assert!(
        said_of.contains("KEK epoch 1") && said_of.contains("1 objects"),
        "{said_of}"
    );

    // gone from the token, and from the token only this one
    assert_eq!(before[1..], keks(&daemon));
    let inventory = daemon.run(&["inventory"], 0);
    assert!(inventory.contains("destroyed on"), "{inventory}");
    assert_eq!(states(&daemon)[..3], ["destroyed", "active", "pre-active"]);
    assert_eq!(daemon.reveal(&kept).json()["card"]["number"], VISA);
    made(&daemon, VISA);
    daemon.run(&["check", "hsm"], 0);

    // the certificate says what, where, on what grounds and what it cannot reach, and can be had again
    let text = fs::read_to_string(&certificate).unwrap();
    let says: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&says["kind"], &says["kek_epoch"]), (&json!("shred"), &json!(1)));
    assert_eq!(says["objects"][0]["cka_id"], says["cka_id"]);
    assert_eq!(under, says["cka_id"], "the receipt names the same key");
    assert_eq!(says["objects"][0]["proved"], true);
    assert_eq!(says["backup"]["manifest_sha256"], figures["sha256"]);
    assert_eq!(says["backup"]["revision"], figures["revision"]);
    assert!(says["token"]["serial"].as_str().unwrap().len() >= 8, "{says}");
    assert!(text.contains("backups of a token") && says["limits"].as_array().unwrap().len() >= 4);
    let again: Value = serde_json::from_str(&daemon.run(&["key", "certificate", "--epoch", "1"], 0)).unwrap();
    assert_eq!(again, says);
    let authentic = daemon.run(&["receipt", "verify", &certificate], 0);
    assert!(authentic.contains("authentic"), "{authentic}");

    // receipt and certificate together
    let erased = daemon.run(&["receipt", "verify", &receipt, "--shredded", &certificate], 0);
    assert!(
        erased.contains("erased: deleted on") && erased.contains("epoch 1"),
        "{erased}"
    );
    let forged = text.replace("\"kek_epoch\":1", "\"kek_epoch\":2");
    fs::write(path("forged.json"), forged).unwrap();
    let output = daemon.try_run(&["receipt", "verify", &receipt, "--shredded", &path("forged.json")]);
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    assert_eq!(
        one_token(&daemon, VISA),
        (200, only.clone()),
        "it moved with the rotation"
    );
    let other = daemon.call("DELETE", &format!("/v1/tokens/{kept}"), &Value::Null);
    fs::write(path("other.json"), other.text()).unwrap();
    let output = daemon.try_run(&["receipt", "verify", &path("other.json"), "--shredded", &certificate]);
    assert_eq!(output.status.code(), Some(3));
    assert!(said(&output).contains("under KEK epoch 2"), "{}", said(&output));

    let trail = daemon.run(&["audit", "tail", "--lines", "100000"], 0);
    for told in ["\"begun\"", "\"ok\""] {
        let is_told = |line: &str| line.contains("\"kek-destroy\"") && line.contains(told);
        assert!(trail.lines().any(is_told), "{told}: {trail}");
    }
    daemon.run(&["audit", "verify"], 0);
    daemon.stop();
    daemon.up();
    made(&daemon, VISA);

    // the old backup, as whoever has it would restore it
    daemon.stop();
    lose_state(&daemon, "lost");
    let output = restore(&daemon, &old, &["--accept-returning", "--shredded", &receipt]);
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    let output = restore(&daemon, &old, &["--accept-returning"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let served = daemon.try_run(&["serve", "--allow-root"]);
    assert_eq!(served.status.code(), Some(77), "{}", said(&served));
    assert!(said(&served).contains("--shredded"), "{}", said(&served));
    lose_state(&daemon, "lost-again");
    let output = restore(&daemon, &old, &["--accept-returning", "--shredded", &certificate]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(said(&output).contains("3 tokens and"), "{}", said(&output));
    daemon.up();
    for token in [&gone, &kept, &only] {
        let answer = daemon.reveal(token);
        assert_eq!(answer.status, 410, "{}", answer.text());
        assert_eq!(answer.json()["code"], "key_destroyed");
    }
    assert_eq!(daemon.metric("panvault_tampered_total"), 0.0);
    let verified: Value = serde_json::from_str(&daemon.run(&["verify", "--full", "--json"], 0)).unwrap();
    assert_eq!(verified["verified"]["faults"], 0, "{verified}");
    assert!(verified["verified"]["dead"].as_u64().unwrap() >= 2, "{verified}");
    assert_eq!(states(&daemon)[..3], ["destroyed", "active", "pre-active"]);
    assert_eq!(status(&daemon)["epochs"][0]["tokens"], 3);
    // a card that opens nowhere any more is nobody's answer: it is stored anew, in its place
    let (created, again) = one_token(&daemon, VISA);
    assert_eq!(created, 201);
    assert_ne!(again, only);
    assert_eq!(daemon.reveal(&again).json()["card"]["number"], VISA);
    assert_eq!(daemon.reveal(&only).status, 404);
    assert_eq!(one_token(&daemon, VISA), (200, again));
    assert_eq!(status(&daemon)["epochs"][0]["tokens"], 2);
    made(&daemon, VISA);
    refused(&daemon, &["key", "destroy", "--epoch", "1"], "was destroyed on");
    let again: Value = serde_json::from_str(&daemon.run(&["key", "certificate", "--epoch", "1"], 0)).unwrap();
    assert_eq!(again, says, "it is learnt from the file");
    // the keyring itself says so by now
    fs::remove_dir_all(daemon.dir().join("state/shredded")).unwrap();
    daemon.stop();
    daemon.up();
    assert_eq!(daemon.reveal(&gone).status, 410);

    // the newer one has all that was wanted
    daemon.stop();
    lose_state(&daemon, "lost-once-more");
    let output = restore(
        &daemon,
        &new,
        &["--accept-returning", "--shredded", &certificate, "--json"],
    );
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let figures: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(figures["dead"], 0, "{figures}");
    daemon.up();
    assert_eq!(daemon.reveal(&kept).json()["card"]["number"], VISA);
    assert_eq!(daemon.reveal(&gone).status, 404);
}
