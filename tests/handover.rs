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

/// Restores into an empty state directory, whatever was there.
fn restored(daemon: &Daemon, from: &Path, more: &[&str], code: i32) -> String {
    let state = daemon.dir().join("state");
    if state.exists() {
        std::fs::remove_dir_all(&state).unwrap();
    }
    said(&place::restore(daemon, from, more), code)
}

#[test]
fn a_backup_from_before_is_restored_with_the_trail_and_the_certificates_of_after() {
    let mut daemon = Daemon::start();
    let made = |daemon: &Daemon, uses: &str| {
        let body = serde_json::json!({"card": support::daemon::card(VISA), "uses": uses});
        let answer = daemon.call("POST", "/v1/tokens", &body);
        answer.json()["token"].as_str().unwrap().to_owned()
    };
    let (kept, gone) = (made(&daemon, "multi"), made(&daemon, "multi"));
    let (used, unused) = (made(&daemon, "single"), made(&daemon, "single"));
    let early = daemon.dir().join("early");
    place::backup(&daemon, &early);
    let one = place::audit_key(&daemon);
    prepare(&mut daemon);
    daemon.run(&["key", "rotate", "--role", "audit"], 0);
    let two = place::audit_key(&daemon);
    let deleted = daemon.call("DELETE", &format!("/v1/tokens/{gone}"), &Value::Null);
    assert_eq!((deleted.status, daemon.reveal(&used).status), (200, 200));
    let trail = daemon.dir().join("trail");
    std::fs::create_dir(&trail).unwrap();
    std::fs::write(
        trail.join("1.jsonl"),
        daemon.run(&["audit", "tail", "--lines", "100000"], 0),
    )
    .unwrap();
    daemon.stop();
    let keyring = place::lose_state(&daemon, "lost").join("keyring.json");
    let (trail, keyring) = (trail.to_str().unwrap().to_owned(), keyring.to_str().unwrap().to_owned());

    // without a keyring that knows the second key, and with ones that do not
    let told = restored(&daemon, &early, &["--key", &one, "--audit", &trail], 1);
    assert!(
        told.contains("--keyring") && told.contains("nothing was changed"),
        "{told}"
    );
    let old = early.join("keyring.json").to_str().unwrap().to_owned();
    let with = |keyring: &str| ["--audit", &trail, "--keyring", keyring].map(str::to_owned);
    let told = restored(&daemon, &early, &with(&old).each_ref().map(String::as_str), 1);
    assert!(told.contains("no keyring that is here knows the later key"), "{told}");
    let other = Daemon::start();
    let others = other.dir().join("state/keyring.json").to_str().unwrap().to_owned();
    let told = restored(&daemon, &early, &with(&others).each_ref().map(String::as_str), 1);
    assert!(
        told.contains("another vault's") && told.contains("nothing was changed"),
        "{told}"
    );
    let forged = daemon.dir().join("forged.json");
    let text = std::fs::read_to_string(&keyring).unwrap();
    std::fs::write(&forged, text.replacen("\"created\": 1", "\"created\": 2", 1)).unwrap();
    let forged = forged.to_str().unwrap().to_owned();
    restored(&daemon, &early, &with(&forged).each_ref().map(String::as_str), 1);
    let strange = format!("SHA256:{}", "A".repeat(43));
    restored(
        &daemon,
        &early,
        &["--audit", &trail, "--keyring", &keyring, "--key", &strange],
        3,
    );

    // with it, from the pin that was noted before, or the one that was noted since
    for pin in [&one, &two] {
        let told = restored(
            &daemon,
            &early,
            &["--audit", &trail, "--keyring", &keyring, "--key", pin, "--json"],
            0,
        );
        let figures: Value = serde_json::from_str(&told).unwrap();
        let replayed = &figures["replayed"];
        assert_eq!(figures["authentic"], true, "{figures}");
        assert_eq!(figures["audit_key"], *two, "{figures}");
        let counts = ["deleted", "spent", "handovers", "strange_handovers"].map(|name| replayed[name].as_u64());
        assert_eq!(counts, [1, 1, 1, 0].map(Some), "{figures}");
    }
    assert_eq!(place::audit_key(&daemon), two);
    daemon.run(&["check", "store"], 0);
    daemon.run(&["audit", "verify"], 0);
    daemon.up();
    for (token, status) in [(&kept, 200), (&gone, 404), (&used, 410), (&unused, 200)] {
        assert_eq!(daemon.reveal(token).status, status);
    }
    daemon.tokenize(VISA);
    let out = export(&daemon, "export");
    for pin in [&one, &two] {
        let good = verified(&out, pin, 0);
        assert!(
            good.contains("records: authentic") && good.contains("changed 1 times"),
            "{good}"
        );
    }

    // a certificate that the second key signed
    daemon.run(&["key", "rotate", "--wait"], 0);
    let late = daemon.dir().join("late");
    place::backup(&daemon, &late);
    let certificate = daemon.dir().join("shred.json").to_str().unwrap().to_owned();
    let destroy = [
        "key",
        "destroy",
        "--epoch",
        "1",
        "--out",
        &certificate,
        "--backup",
        late.to_str().unwrap(),
    ];
    daemon.run(&destroy, 0);
    daemon.stop();
    let shredded = ["--accept-returning", "--shredded", &certificate];
    let told = restored(&daemon, &early, &shredded, 3);
    assert!(told.contains("no shred certificate of this vault"), "{told}");
    let told = restored(&daemon, &early, &[&shredded[..], &["--keyring", &keyring]].concat(), 0);
    assert!(told.contains("tokens and") && told.contains("open no more"), "{told}");
    daemon.up();
    assert_eq!(daemon.reveal(&kept).status, 410);
    daemon.tokenize(VISA);
    daemon.run(&["audit", "verify"], 0);
    daemon.stop();

    // found by itself: beside the segment files, above them, and where it belongs
    let beside = PathBuf::from(&trail).join("keyring.json");
    std::fs::copy(&keyring, &beside).unwrap();
    let told = restored(&daemon, &early, &["--audit", &trail], 0);
    assert!(told.contains("the audit key was changed 1 times"), "{told}");
    std::fs::remove_file(&beside).unwrap();
    let above = daemon.dir().join("keyring.json");
    std::fs::copy(&keyring, &above).unwrap();
    restored(&daemon, &early, &["--audit", &trail], 0);
    std::fs::remove_file(&above).unwrap();
    let state = daemon.dir().join("state");
    std::fs::remove_dir_all(&state).unwrap();
    std::fs::create_dir(&state).unwrap();
    std::fs::copy(&keyring, state.join("keyring.json")).unwrap();
    said(&place::restore(&daemon, &early, &["--audit", &trail]), 0);
    assert_eq!(place::audit_key(&daemon), two);
    daemon.run(&["check", "store"], 0);
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
