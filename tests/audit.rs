//! The signed audit trail on the real daemon: heads, export, offline verification, and what tampering comes to.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test program: a panic fails the test"
)]

mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::Value;
use support::daemon::{Daemon, PROGRAM, VISA, signal};

/// The audit key's fingerprint, as `init` prints it.
fn pin(daemon: &Daemon) -> String {
    let printed = daemon.run(&["init"], 0);
    let at = printed.find("SHA256:").expect("a fingerprint");
    printed[at..].split_whitespace().next().unwrap().to_owned()
}

/// `audit verify --segments`, with no instance.
fn offline(segments: &Path, more: &[&str]) -> Output {
    Command::new(PROGRAM)
        .args(["audit", "verify", "--segments"])
        .arg(segments)
        .args(more)
        .output()
        .unwrap()
}

fn said(output: &Output, code: i32) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{text}");
    text
}

fn segments(out: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(out)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "jsonl"))
        .collect();
    files.sort();
    files
}

fn lines(file: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(file).unwrap();
    text.lines().map(str::to_owned).collect()
}

fn report(daemon: &Daemon) -> Value {
    serde_json::from_str(&daemon.run(&["audit", "verify", "--json"], 0)).unwrap()
}

#[test]
fn an_export_is_verified_offline_and_tampering_is_named() {
    let mut daemon = Daemon::start();
    let token = daemon.tokenize(VISA)["token"].as_str().unwrap().to_owned();
    assert_eq!(daemon.reveal(&token).status, 200);
    let out = daemon.dir().join("export");
    let name = out.to_str().unwrap().to_owned();
    daemon.run(&["audit", "export", &name], 0);

    // a second export goes on from the first, also of a stopped daemon
    daemon.tokenize(VISA);
    daemon.run(&["audit", "export", &name], 0);
    daemon.stop();
    daemon.run(&["audit", "export", &name], 0);
    let files = segments(&out);
    let whole: Vec<String> = files.iter().flat_map(|file| lines(file)).collect();
    assert!(whole.last().unwrap().contains("\"action\":\"audit-head\""), "{whole:?}");
    assert!(whole[whole.len() - 2].contains("daemon-stop"), "{whole:?}");
    let uses = &whole[whole.len() - 3];
    assert!(
        uses.contains("key-use") && uses.contains("KEK of epoch 1: open 1, seal 2"),
        "{uses}"
    );
    assert!(
        whole[0].contains("keys-made") && whole[0].contains("audit key SHA256:"),
        "{}",
        whole[0]
    );

    let pin = pin(&daemon);
    let key = ["--key", pin.as_str()];
    let good = said(&offline(&out, &key), 0);
    assert!(
        good.contains("records: authentic") && !good.contains("not covered"),
        "{good}"
    );
    assert!(said(&offline(&out, &[]), 0).contains("consistent, not authenticated"));
    let dir = daemon.dir().to_str().unwrap().to_owned();
    assert!(said(&offline(&out, &["--dir", &dir]), 0).contains("records: authentic"));
    let wrong = format!("SHA256:{}", "A".repeat(43));
    said(&offline(&out, &["--key", &wrong]), 3);

    let file = &files[0];
    let text = std::fs::read_to_string(file).unwrap();
    let all = lines(file);
    let reveal = all.iter().position(|line| line.contains("\"reveal\"")).unwrap();
    let number = reveal + 1;
    let tampered = |lines: Vec<String>| {
        std::fs::write(file, lines.join("\n") + "\n").unwrap();
        let found = said(&offline(&out, &key), 3);
        std::fs::write(file, &text).unwrap();
        found
    };
    let mut changed = all.clone();
    changed[reveal] = changed[reveal].replace("\"reveal\"", "\"inspect\"");
    assert!(tampered(changed).contains(&format!("record {number} was changed")));
    let mut removed = all.clone();
    removed.remove(reveal);
    assert!(tampered(removed).contains(&format!("record {number} was removed")));
    let mut inserted = all.clone();
    inserted.insert(reveal, all[0].clone());
    assert!(tampered(inserted).contains("a line that calls itself record 1 was inserted"));
    let mut moved = all.clone();
    let line = moved.remove(reveal);
    moved.insert(1, line);
    assert!(tampered(moved).contains(&format!("record {number} was moved")));
    let cut = all[..reveal].to_vec();
    let found = tampered(cut);
    assert!(
        found.contains(&format!("records {number} to ")) && found.contains("cut off the end"),
        "{found}"
    );

    // cut together with the head that is kept beside: only a forwarded head shows it
    let last = whole.last().unwrap();
    let head: Value = serde_json::from_str::<Value>(last).unwrap()["event"]["head"].clone();
    let noted = format!("{}:{}", head["seq"], head["hash"].as_str().unwrap());
    std::fs::remove_file(out.join("head.json")).unwrap();
    std::fs::write(file, all[..reveal].join("\n") + "\n").unwrap();
    for later in &files[1..] {
        std::fs::remove_file(later).unwrap();
    }
    let unnoticed = said(&offline(&out, &[]), 0);
    assert!(unnoticed.contains("--expect"), "{unnoticed}");
    said(&offline(&out, &["--expect", &noted]), 3);
}

#[test]
fn heads_go_on_over_restarts_and_kills() {
    let mut daemon = Daemon::start_with("audit.sign_every_records = 5\naudit.sign_every_s = 1");
    for _ in 0..20 {
        daemon.tokenize(VISA);
    }
    let signed = || daemon.metric("panvault_audit_unsigned_records") == 0.0;
    daemon.wait(Duration::from_secs(20), "signed heads", signed);
    let first = report(&daemon);
    assert_eq!(first["verdict"], "authentic", "{first}");
    let status: Value = serde_json::from_str(&daemon.run(&["status", "--json"], 0)).unwrap();
    assert!(status["audit"]["unsigned"].is_u64(), "{status}");
    daemon.stop();
    daemon.up();
    let heads = |report: &Value| report["signed_heads"].as_u64().unwrap();
    let second = report(&daemon);
    assert!(heads(&second) > heads(&first), "{second}");

    // killed in the midst of it: no head is wrong, and the next run covers what was left
    for round in 0..3 {
        std::thread::scope(|scope| {
            let clients: Vec<_> = (0..4)
                .map(|_| {
                    let daemon = &daemon;
                    scope.spawn(move || {
                        while daemon
                            .try_call(
                                "POST",
                                "/v1/tokens",
                                &serde_json::json!({"card": support::daemon::card(VISA)}),
                            )
                            .is_ok()
                        {}
                    })
                })
                .collect();
            std::thread::sleep(Duration::from_millis(300 + 170 * round));
            signal(daemon.pid(), "KILL");
            clients.into_iter().for_each(|client| client.join().unwrap());
        });
        daemon.kill();
        assert_eq!(report(&daemon)["verdict"], "authentic");
        daemon.up();
        daemon.wait(Duration::from_secs(20), "a head that covers the rest", || {
            daemon.metric("panvault_audit_unsigned_records") == 0.0
        });
        let after = report(&daemon);
        assert_eq!(
            (&after["verdict"], after["unsigned"].as_u64()),
            (&Value::from("authentic"), Some(0))
        );
    }
}

#[test]
fn without_the_hsm_heads_are_late_and_requests_are_not() {
    let mut daemon = Daemon::start_with("audit.sign_every_records = 1\naudit.sign_every_s = 1");
    let token = daemon.tokenize(VISA)["token"].as_str().unwrap().to_owned();
    // one that is killed in the middle of its login leaves SoftHSM's token in pieces
    daemon.wait_all_workers();
    let conf = daemon.dir().join("softhsm2.conf");
    let away = daemon.dir().join("softhsm2.conf.away");
    std::fs::rename(&conf, &away).unwrap();
    for worker in daemon.workers() {
        signal(worker, "KILL");
    }
    daemon.wait(Duration::from_secs(30), "the HSM's absence", || {
        daemon.reveal(&token).status == 503
    });
    let before = daemon.metric("panvault_audit_records_total");
    // merchants need no HSM, and are on record
    daemon.run(&["merchant", "add", "shop", "--dialect", "native"], 0);
    daemon.wait(Duration::from_secs(10), "records that wait", || {
        daemon.metric("panvault_audit_unsigned_records") >= 1.0
            && daemon.metric("panvault_audit_unsigned_seconds") >= 1.0
    });
    assert!(daemon.metric("panvault_audit_records_total") > before);
    let late = report(&daemon);
    assert_eq!(late["verdict"], "authentic", "{late}");
    assert!(late["unsigned"].as_u64().unwrap() >= 1, "{late}");
    // it stops in order, and says that the end is not covered
    daemon.stop();
    assert!(
        daemon.log().contains("have no signed head until the next start"),
        "{}",
        daemon.log()
    );
    std::fs::rename(&away, &conf).unwrap();
    daemon.up();
    daemon.wait(Duration::from_secs(20), "a late head", || {
        daemon.metric("panvault_audit_unsigned_records") == 0.0
    });
    assert_eq!(report(&daemon)["unsigned"], 0);
}

#[test]
fn access_to_the_trail_and_refused_settings_are_on_record() {
    let daemon = Daemon::start();
    let out = daemon.dir().join("export");
    daemon.run(&["audit", "verify"], 0);
    daemon.run(&["audit", "export", out.to_str().unwrap()], 0);
    let tail = daemon.run(&["audit", "tail", "--lines", "20"], 0);
    assert!(tail.matches("\"audit-read\"").count() >= 2, "{tail}");
    let uid = format!("\"uid\":{}", nix::unistd::getuid());
    assert!(
        tail.lines()
            .filter(|line| line.contains("audit-read"))
            .all(|line| line.contains(&uid)),
        "{tail}"
    );
    for bad in [
        "sign_every_records = 0",
        "sign_every_records = 30001",
        "sign_every_s = 301",
        "sign_every = 1",
    ] {
        let text = std::fs::read_to_string(daemon.dir().join("panvault.toml")).unwrap();
        let file = daemon.dir().join("bad.toml");
        std::fs::write(&file, format!("{text}\n[audit]\n{bad}\n")).unwrap();
        let refused = Command::new(PROGRAM)
            .args(["check", "config", "--config"])
            .arg(&file)
            .output()
            .unwrap();
        assert!(said(&refused, 78).contains("sign_every"), "{bad}");
    }
}

/// With journald the copy is complete; without it records wait, are counted, and nobody else does.
#[test]
fn records_are_copied_to_the_journal_or_wait_for_it() {
    let daemon = Daemon::start_with("audit.journal = true");
    daemon.tokenize(VISA);
    let waiting = || daemon.metric("panvault_audit_uncopied_records");
    let mark = daemon.dir().join("state/journal-copied");
    if Path::new("/run/systemd/journal/socket").exists() {
        daemon.wait(Duration::from_secs(10), "the copies", || {
            waiting() == 0.0 && mark.exists()
        });
        return;
    }
    daemon.wait(Duration::from_secs(10), "the count", || waiting() > 0.0);
    assert!(
        daemon.log().contains("wait to be copied to the journal"),
        "{}",
        daemon.log()
    );
    assert!(daemon.ready());
}
