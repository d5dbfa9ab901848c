//! The client in Python, and what it needs to meet every documented answer.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::support::daemon::{PROGRAM, Running};
use super::support::skip::skipped;

pub(crate) fn walks() {
    if !python("import requests") {
        skipped("a_client_in_another_language: needs python3 with the requests library");
        return;
    }
    let place = tempfile::Builder::new().prefix("pv").tempdir_in("/tmp").unwrap();
    let dev = place.path().join("dev.json");
    let _daemon = Running::start(
        Command::new(PROGRAM)
            .args(["dev", "--tcp", "127.0.0.1:0", "--dir"])
            .arg(place.path()),
    );
    let until = Instant::now() + Duration::from_secs(60);
    while !dev.exists() {
        assert!(Instant::now() < until, "the daemon did not come up");
        std::thread::sleep(Duration::from_millis(20));
    }
    // accounts that answer otherwise: one that does business, one that may do none
    let accounts = json!({
        "live": added(place.path(), &["wplive"]),
        "suspended": added(place.path(), &["TESTsuspended", "--test"]),
    });
    run(place.path(), &["merchant", "suspend", "TESTsuspended"]);
    let more = place.path().join("accounts.json");
    std::fs::write(&more, accounts.to_string()).unwrap();

    let output = Command::new("python3")
        .arg("-B")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/worldpay/client.py"))
        .args([&dev, &more])
        .env("PANVAULT_CONTRACTS", contracts())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{complained}");
    assert!(said.contains("all steps done"), "{said}");
    if let Some(reason) = said
        .lines()
        .find_map(|line| line.strip_prefix("schemas: not checked: "))
    {
        skipped(&format!(
            "a_client_in_another_language: answers against the vendor's schemas: {reason}"
        ));
    }
}

/// Where the vendor's OpenAPI files would be.
fn contracts() -> std::ffi::OsString {
    let beside = || concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/contracts").into();
    std::env::var_os("PANVAULT_CONTRACTS").unwrap_or_else(beside)
}

fn python(code: &str) -> bool {
    let output = Command::new("python3").args(["-c", code]).output();
    output.is_ok_and(|output| output.status.success())
}

/// A command of the program; its standard output.
fn run(dir: &Path, arguments: &[&str]) -> String {
    let output = Command::new(PROGRAM)
        .args(arguments)
        .arg("--dir")
        .arg(dir)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// A merchant's credential.
fn added(dir: &Path, merchant: &[&str]) -> Value {
    run(
        dir,
        &[&["merchant", "add"], merchant, &["--dialect", "worldpay"]].concat(),
    );
    let add = [
        "credential",
        "add",
        "--dialect",
        "worldpay",
        "--json",
        "--merchant",
        merchant[0],
    ];
    let made: Value = serde_json::from_str(&run(dir, &add)).unwrap();
    json!({"username": made["credential"]["id"], "password": made["secret"]})
}
