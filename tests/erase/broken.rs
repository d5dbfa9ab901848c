//! Erasures that are cut off, and what cannot be one.

use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::json;

use super::support::daemon::{Daemon, PROGRAM, VISA};
use super::support::skip::skipped;
use super::{Erasing, events, lines, said, token_of};

#[test]
fn an_erasure_that_is_cut_off_goes_on() {
    let mut daemon = Daemon::start();
    let place = tempfile::tempdir().unwrap();
    for _ in 0..300 {
        daemon.tokenize(VISA);
    }
    daemon.run(&["repository", "suspend", "TEST_native"], 0);
    let mut kept = 0;
    for (file, daemon_dies) in [("one", false), ("two", true)] {
        let out = place.path().join(file);
        let mut child = Command::new(PROGRAM)
            .args([
                "erase",
                "--repository",
                "TEST_native",
                "--yes",
                "--per-second",
                "100",
                "--out",
            ])
            .arg(&out)
            .arg("--dir")
            .arg(daemon.dir())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let before = events(&daemon, "delete").len();
        daemon.wait(Duration::from_secs(20), "some of it", || {
            events(&daemon, "delete").len() > before + 40
        });
        if daemon_dies {
            daemon.kill();
            let output = child.wait_with_output().unwrap();
            assert_eq!(output.status.code(), Some(69), "{}", said(&output));
            assert!(said(&output).contains("run it again"), "{}", said(&output));
            let receipts = lines(&out);
            assert!(
                receipts.iter().all(|line| line["kind"] == "deletion"),
                "no summary of what is not done"
            );
            kept += receipts.len();
            daemon.up();
        } else {
            child.kill().unwrap();
            child.wait().unwrap();
            // what is behind it notices, and says so
            daemon.wait(Duration::from_secs(20), "the end", || {
                events(&daemon, "erase")
                    .iter()
                    .any(|event| event["outcome"] == "stopped")
            });
        }
    }
    assert!(kept > 0);
    let left = daemon.metric("panvault_tokens");
    assert!(left > 0.0 && left < 220.0, "{left}");
    let erasing = Erasing::of(&daemon);
    let summary = erasing.done("rest", &["--repository", "TEST_native", "--per-second", "0"]);
    assert_eq!(
        (&summary["remaining"], summary["tokens"].as_f64()),
        (&json!(0), Some(left))
    );
    assert_eq!(events(&daemon, "delete").len(), 300, "each once");
    daemon.run(&["audit", "verify"], 0);
    drop(erasing);
    daemon.stop();
    daemon.run(&["check", "store"], 0);
}

#[test]
fn a_repository_that_is_resumed_is_erased_no_further() {
    let daemon = Daemon::start();
    for _ in 0..100 {
        daemon.tokenize(VISA);
    }
    daemon.run(&["repository", "suspend", "TEST_native"], 0);
    let erasing = Erasing::of(&daemon);
    let output = std::thread::scope(|scope| {
        let run = scope.spawn(|| erasing.run("part", &["--repository", "TEST_native", "--per-second", "50"]));
        daemon.wait(Duration::from_secs(20), "some of it", || {
            !events(&daemon, "delete").is_empty()
        });
        daemon.run(&["repository", "resume", "TEST_native"], 0);
        run.join().unwrap()
    });
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(
        said(&output).contains("was resumed while it was erased"),
        "{}",
        said(&output)
    );
    let receipts = lines(&erasing.at("part"));
    assert_eq!(
        receipts.len(),
        events(&daemon, "delete").len(),
        "each that is gone has its receipt"
    );
    assert!(daemon.metric("panvault_tokens") > 0.0);
    daemon.tokenize(VISA);
}

#[test]
fn a_person_at_a_terminal_is_asked() {
    let daemon = Daemon::start();
    daemon.tokenize(VISA);
    daemon.run(&["repository", "suspend", "TEST_native"], 0);
    let erasing = Erasing::of(&daemon);
    // script(1) gives the command a terminal
    let typed = |file: &str, name: &str| {
        let command = format!(
            "{PROGRAM} erase --repository TEST_native --out {} --dir {}",
            erasing.at(file).display(),
            daemon.dir().display()
        );
        let mut child = Command::new("script")
            .args(["-qec", &command, "/dev/null"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .ok()?;
        std::io::Write::write_all(child.stdin.as_mut().unwrap(), format!("{name}\n").as_bytes()).unwrap();
        Some(child.wait_with_output().unwrap())
    };
    let Some(wrong) = typed("wrong", "TEST_hyperswitch") else {
        skipped("a_person_at_a_terminal_is_asked: it needs script(1)");
        return;
    };
    assert_eq!(wrong.status.code(), Some(1), "{}", said(&wrong));
    assert!(
        said(&wrong).contains("1 tokens will be erased for good") && said(&wrong).contains("nothing was erased"),
        "{}",
        said(&wrong)
    );
    assert_eq!(daemon.metric("panvault_tokens"), 1.0);
    let right = typed("right", "TEST_native").unwrap();
    assert!(right.status.success(), "{}", said(&right));
    assert_eq!(daemon.metric("panvault_tokens"), 0.0);
    assert_eq!(lines(&erasing.at("right")).len(), 2);
}

#[test]
fn what_cannot_be_an_erasure_changes_nothing() {
    let daemon = Daemon::start();
    token_of(&daemon, "c1", VISA);
    daemon.run(&["repository", "suspend", "TEST_native"], 0);
    let erasing = Erasing::of(&daemon);
    std::fs::write(erasing.at("there"), "mine").unwrap();
    let own = ["--repository", "TEST_native"];
    for (file, arguments, told) in [
        ("there", own.to_vec(), "must be a new file"),
        // receipts that cannot be written would be lost
        ("not/there/x", own.to_vec(), "must be a new file"),
        ("x", vec!["--repository", "nobody"], "there is no such repository"),
        ("x", vec!["--repository", "a/b"], "cannot be a name"),
        (
            "x",
            [&own[..], &["--namespace", "a b"]].concat(),
            "character that is not allowed",
        ),
        ("x", [&own[..], &["--customer", "c"]].concat(), "--merchant"),
        ("x", [&own[..], &["--merchant", "TEST_native"]].concat(), "--customer"),
        (
            "x",
            [&own[..], &["--customer", "c", "--merchant", "TEST_paykka"]].concat(),
            "no merchant of that id",
        ),
        (
            "x",
            [&own[..], &["--customer", "", "--merchant", "TEST_native"]].concat(),
            "1 to 256 bytes",
        ),
        (
            "x",
            [&own[..], &["--namespace", "a", "--customer", "c"]].concat(),
            "cannot be used with",
        ),
    ] {
        let output = erasing.run(file, &arguments);
        assert!(
            !output.status.success() && said(&output).contains(told),
            "{told}: {}",
            said(&output)
        );
    }
    assert_eq!(std::fs::read_to_string(erasing.at("there")).unwrap(), "mine");
    assert!(!erasing.at("x").exists());
    // nobody is asked where there is no terminal
    let out = erasing.at("x").display().to_string();
    let output = daemon.try_run(&["erase", "--repository", "TEST_native", "--out", &out]);
    assert!(said(&output).contains("--yes"), "{}", said(&output));
    assert_eq!(daemon.metric("panvault_tokens"), 1.0);
    assert!(events(&daemon, "erase").is_empty());
}
