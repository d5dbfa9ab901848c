//! `key adopt`: a replaced HSM with the same keys, and one without them.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test program: what fails here fails the test"
)]

mod support;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use support::daemon::{Daemon, VISA};

/// What the vendor's tool would give the token that the keys were put into.
const REPLACED: &str = "fedcba9876543210";

fn keyring(daemon: &Daemon) -> Vec<u8> {
    fs::read(daemon.dir().join("state/keyring.json")).unwrap()
}

fn transcripts(daemon: &Daemon) -> Vec<PathBuf> {
    let found = fs::read_dir(daemon.dir().join("state/transcripts"));
    let found = found.map_or_else(|_| Vec::new(), Iterator::collect);
    found.into_iter().map(|entry| entry.unwrap().path()).collect()
}

fn token_file(daemon: &Daemon) -> PathBuf {
    let mut tokens = fs::read_dir(daemon.dir().join("tokens")).unwrap();
    tokens.next().unwrap().unwrap().path().join("token.object")
}

fn serial(daemon: &Daemon) -> String {
    let keyring = panvault::keys::Keyring::load(&daemon.dir().join("state/keyring.json")).unwrap();
    keyring.keyset().token_serial.clone()
}

/// The same objects in a token with another serial number.
fn replace_token(daemon: &Daemon) {
    let (file, old) = (token_file(daemon), serial(daemon));
    let mut bytes = fs::read(&file).unwrap();
    let at = bytes
        .windows(old.len())
        .position(|part| part == old.as_bytes())
        .unwrap();
    bytes[at..at + old.len()].copy_from_slice(REPLACED.as_bytes());
    fs::write(&file, bytes).unwrap();
}

#[test]
fn a_token_with_the_same_keys_is_adopted() {
    let mut daemon = Daemon::start();
    let token = daemon.tokenize(VISA)["token"].as_str().unwrap().to_owned();
    daemon.stop();
    replace_token(&daemon);
    let refused = daemon.try_run(&["verify"]);
    assert_eq!(refused.status.code(), Some(77), "{refused:?}");
    assert!(
        String::from_utf8_lossy(&refused.stderr).contains("panvault key adopt"),
        "{refused:?}"
    );

    let before = keyring(&daemon);
    let unknown = daemon.try_run(&["key", "adopt", "--serial", "0000000000000000"]);
    assert!(!unknown.status.success());
    assert_eq!(keyring(&daemon), before);

    let told = daemon.run(&["key", "adopt", "--serial", REPLACED], 0);
    assert!(told.contains("takes the place of"), "{told}");
    assert_eq!(serial(&daemon), REPLACED);
    // what was done is stated beside, signed by the audit key
    let [transcript] = &transcripts(&daemon)[..] else {
        panic!("not one transcript")
    };
    let says: serde_json::Value = serde_json::from_slice(&fs::read(transcript).unwrap()).unwrap();
    assert_eq!(
        (
            says["kind"].as_str(),
            says["ceremony"].as_str(),
            says["operation"].as_str()
        ),
        (Some("ceremony"), Some("offline"), Some("key-adopt"))
    );
    assert_eq!(says["result"]["now"]["serial"], REPLACED);
    assert!(
        says["approved_by"].is_null() && says["audit_head"].is_string(),
        "{says}"
    );
    let verified = daemon.run(&["receipt", "verify", transcript.to_str().unwrap()], 0);
    assert!(verified.contains("authentic"), "{verified}");
    daemon.up();
    assert_eq!(daemon.reveal(&token).status, 200);
    let trail = daemon.run(&["audit", "tail", "--lines", "100"], 0);
    assert!(
        trail.contains("\"key-adopt\"") && trail.contains(REPLACED.get(12..).unwrap()),
        "{trail}"
    );
    daemon.stop();
    let again = daemon.run(&["key", "adopt", "--serial", REPLACED], 0);
    assert!(again.contains("already"), "{again}");
}

#[test]
fn a_token_without_the_keys_is_not() {
    let mut daemon = Daemon::start();
    let token = daemon.tokenize(VISA)["token"].as_str().unwrap().to_owned();
    let refused = daemon.try_run(&["key", "adopt", "--serial", &serial(&daemon)]);
    assert!(!refused.status.success(), "not while a daemon serves: {refused:?}");
    daemon.stop();
    let before = keyring(&daemon);
    let pin = |name: &str| fs::read_to_string(daemon.dir().join(name)).unwrap().trim().to_owned();
    let made = Command::new("softhsm2-util")
        .args(["--init-token", "--free", "--label", "panvault-dev"])
        .args(["--so-pin", &pin("so-pin"), "--pin", &pin("user-pin")])
        .env("SOFTHSM2_CONF", daemon.dir().join("softhsm2.conf"))
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let shown = Command::new("softhsm2-util")
        .arg("--show-slots")
        .env("SOFTHSM2_CONF", daemon.dir().join("softhsm2.conf"))
        .output()
        .unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    let serials = shown
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Serial number:"));
    let own = serial(&daemon);
    let other = serials.map(str::trim).find(|found| !found.is_empty() && *found != own);
    let refused = daemon.try_run(&["key", "adopt", "--serial", other.unwrap()]);
    assert_eq!(refused.status.code(), Some(77), "{refused:?}");
    assert_eq!(keyring(&daemon), before, "nothing was changed");
    assert!(transcripts(&daemon).is_empty(), "nothing was done");
    daemon.up();
    assert_eq!(daemon.reveal(&token).status, 200);
}
