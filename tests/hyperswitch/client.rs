//! The client in Python.

use std::process::Command;
use std::time::{Duration, Instant};

use super::support::daemon::{PROGRAM, Running};
use super::support::skip::skipped;

pub(crate) fn walks() {
    let python = Command::new("python3").args(["-c", "import sys"]).output();
    if !python.is_ok_and(|output| output.status.success()) {
        skipped("a_client_in_another_language: needs python3");
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
    let beside = || concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/contracts").into();
    let output = Command::new("python3")
        .arg("-B")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hyperswitch/client.py"))
        .arg(&dev)
        .env(
            "PANVAULT_CONTRACTS",
            std::env::var_os("PANVAULT_CONTRACTS").unwrap_or_else(beside),
        )
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{complained}");
    assert!(said.contains("all steps done"), "{said}");
    for line in said.lines() {
        if let Some(reason) = line.strip_prefix("schemas: not checked: ") {
            skipped(&format!(
                "a_client_in_another_language: requests and answers against the OpenAPI documents: {reason}"
            ));
        }
    }
}
