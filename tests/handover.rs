//! Rotation of the audit key on the real daemon: the old key names the new one, and who pinned the old one learns of it
//! offline, from nobody else.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test program: a panic fails the test"
)]

#[path = "backup/place.rs"]
#[allow(dead_code, reason = "this test program uses its part of it")]
mod place;
mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use data_encoding::BASE64URL_NOPAD;
use panvault::audit::{Event, Head};
use panvault::hsm::{Handover, PublicKey, signed_form};
use panvault::id::{UnixMillis, VaultId};
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::Value;
use support::daemon::{Daemon, PROGRAM, VISA};

fn said(output: &Output, code: i32) -> String {
    let text = place::said(output);
    assert_eq!(output.status.code(), Some(code), "{text}");
    text
}

/// A command that needs no instance.
fn offline(arguments: &[&str]) -> Output {
    Command::new(PROGRAM).args(arguments).output().unwrap()
}

/// The receipt of a deletion, in a file.
fn receipt(daemon: &Daemon, name: &str) -> PathBuf {
    let token = daemon.tokenize(VISA)["token"].as_str().unwrap().to_owned();
    let answer = daemon.call("DELETE", &format!("/v1/tokens/{token}"), &Value::Null);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let file = daemon.dir().join(name);
    std::fs::write(&file, answer.text()).unwrap();
    file
}

/// Makes the next audit key, with the daemon stopped.
fn prepare(daemon: &mut Daemon) {
    daemon.stop();
    let made = daemon.try_run(&["init", "--next", "audit"]);
    assert!(said(&made, 0).contains("made audit 2"));
    daemon.up();
}

fn export(daemon: &Daemon, name: &str) -> PathBuf {
    let out = daemon.dir().join(name);
    daemon.run(&["audit", "export", out.to_str().unwrap()], 0);
    out
}

fn verified(segments: &Path, key: &str, code: i32) -> String {
    said(
        &offline(&[
            "audit",
            "verify",
            "--segments",
            segments.to_str().unwrap(),
            "--key",
            key,
        ]),
        code,
    )
}

#[test]
fn an_audit_key_names_the_next_and_both_pins_verify() {
    let mut daemon = Daemon::start();
    let one = place::audit_key(&daemon);
    let first = receipt(&daemon, "first.json");
    let refused = daemon.try_run(&["key", "rotate", "--role", "audit"]);
    assert!(said(&refused, 1).contains("init --next audit"));
    let early = daemon.dir().join("early");
    place::backup(&daemon, &early);
    prepare(&mut daemon);
    assert_eq!(place::audit_key(&daemon), one, "made, and not in use yet");
    let told = daemon.try_run(&["key", "rotate", "--role", "audit"]);
    let two = place::audit_key(&daemon);
    assert_ne!(one, two);
    assert!(said(&told, 0).contains(&two));
    assert!(
        daemon.run(&["init", "--verify"], 0).contains(&two),
        "its own pin follows"
    );
    let second = receipt(&daemon, "second.json");
    let late = daemon.dir().join("late");
    place::backup(&daemon, &late);

    // each by its own pin, and by the instance's whatever key signed
    let dir = daemon.dir().to_str().unwrap().to_owned();
    let verify = |file: &Path, by: &[&str], code| {
        let mut arguments = vec!["receipt", "verify", file.to_str().unwrap()];
        arguments.extend_from_slice(by);
        said(&offline(&arguments), code)
    };
    for (file, own, other) in [(&first, &one, &two), (&second, &two, &one)] {
        assert!(verify(file, &["--key", own], 0).contains("authentic"));
        assert!(verify(file, &["--key", other], 3).contains("not genuine"));
        assert!(verify(file, &["--dir", &dir], 0).contains("authentic"));
    }

    // offline, from either pin
    let out = export(&daemon, "export");
    for pin in [&one, &two] {
        let good = verified(&out, pin, 0);
        assert!(good.contains("records: authentic") && good.contains(&two), "{good}");
        assert!(good.contains("the audit key was changed 1 times"), "{good}");
    }
    let wrong = format!("SHA256:{}", "A".repeat(43));
    verified(&out, &wrong, 3);
    daemon.run(&["audit", "verify"], 0);
    daemon.run(&["check", "audit"], 0);

    let shown = daemon.run(&["key", "status"], 0);
    assert!(
        shown.contains("audit key 1: deactivated") && shown.contains("audit key 2: active"),
        "{shown}"
    );
    let inventory: Value = serde_json::from_str(&daemon.run(&["inventory", "--json"], 0)).unwrap();
    assert_eq!(inventory["audit_key"], two);

    // what the keyring says next is signed by the new key, and the old one's trail goes on after restarts
    daemon.run(&["key", "rotate", "--wait"], 0);
    daemon.kill();
    daemon.up();
    daemon.tokenize(VISA);
    daemon.stop();
    let out = export(&daemon, "export");
    assert!(verified(&out, &one, 0).contains("records: authentic"));

    // backups are restored by the pin of the key that signed them
    for (number, (from, own, other)) in [(&early, &one, &two), (&late, &two, &one)].into_iter().enumerate() {
        place::lose_state(&daemon, &format!("aside-{number}"));
        let refused = place::restore(&daemon, from, &["--accept-returning", "--key", other]);
        assert!(!refused.status.success(), "{}", place::said(&refused));
        said(&place::restore(&daemon, from, &["--accept-returning", "--key", own]), 0);
        assert_eq!(place::audit_key(&daemon), *own);
    }
    daemon.up();
    daemon.run(&["audit", "verify"], 0);
    daemon.run(&["verify"], 0);
}

/// The keyring is written before the trail: where it was cut off in between, the next head comes behind the handover.
#[test]
fn a_handover_that_is_not_on_record_is_put_there() {
    let mut daemon = Daemon::start();
    let one = place::audit_key(&daemon);
    prepare(&mut daemon);
    daemon.stop();
    let before = daemon.dir().join("before");
    place::copy(&daemon.dir().join("state"), &before);
    daemon.up();
    daemon.run(&["key", "rotate", "--role", "audit"], 0);
    let two = place::audit_key(&daemon);
    daemon.stop();
    let keyring = std::fs::read(daemon.dir().join("state/keyring.json")).unwrap();
    place::lose_state(&daemon, "aside");
    place::copy(&before, &daemon.dir().join("state"));
    std::fs::write(daemon.dir().join("state/keyring.json"), keyring).unwrap();
    daemon.up();
    daemon.tokenize(VISA);
    daemon.stop();
    let out = export(&daemon, "export");
    for pin in [&one, &two] {
        assert!(verified(&out, pin, 0).contains("records: authentic"));
    }
}

#[test]
fn a_forged_handover_is_named() {
    let mut daemon = Daemon::start();
    let one = place::audit_key(&daemon);
    prepare(&mut daemon);
    daemon.run(&["key", "rotate", "--role", "audit"], 0);
    daemon.tokenize(VISA);
    daemon.stop();
    let out = export(&daemon, "export");
    assert!(verified(&out, &one, 0).contains("records: authentic"));
    // somebody who can write the files names a key of their own, and makes the chain fit again
    let file = std::fs::read_dir(&out)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|extension| extension == "jsonl"))
        .unwrap();
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::remove_file(out.join("head.json")).unwrap();
    let forger = Ed25519KeyPair::from_seed_unchecked(&[9; 32]).unwrap();
    let public = PublicKey::Ed25519 {
        x: BASE64URL_NOPAD.encode(forger.public_key().as_ref()),
    };
    let (mut head, mut forged, mut number) = (Head::START, Vec::new(), 0);
    for line in text.lines() {
        let read: Value = serde_json::from_str(line).unwrap();
        let event = if read["event"]["action"] == "audit-handover" {
            number = head.seq + 1;
            let vault = VaultId::parse(read["event"]["handover"]["vault"].as_str().unwrap()).unwrap();
            let at = UnixMillis(read["event"]["at"].as_u64().unwrap());
            let statement = Handover::statement(&vault, at, &public, &public).unwrap();
            let signature = forger.sign(&signed_form(Handover::DOMAIN, &statement));
            let (from, to) = (public.clone(), public.clone());
            Event::handover(Handover::new(vault, at, from, to, signature.as_ref())).encode()
        } else {
            let at = line.find("\"event\":").unwrap() + "\"event\":".len();
            line.as_bytes()[at..line.len() - 1].to_vec()
        };
        let mut line = Vec::new();
        head.append(&event, &mut line);
        forged.extend_from_slice(&line);
        forged.push(b'\n');
    }
    assert!(number > 0, "{text}");
    std::fs::write(&file, forged).unwrap();
    let told = verified(&out, &one, 3);
    let name = public.fingerprint().unwrap();
    let expected = format!("record {number}, a handover of the audit key, is by another key, {name}: it is forged");
    assert!(told.contains(&expected), "{told}");
}
