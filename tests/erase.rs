//! `panvault erase`: repositories and customers, with receipts and a signed summary.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test program: a panic fails the test"
)]

mod support;

#[path = "erase/broken.rs"]
mod broken;
#[path = "erase/customers.rs"]
mod customers;
#[allow(dead_code, reason = "this program uses its part of it")]
#[path = "hyperswitch/shop.rs"]
mod hyperswitch;
#[allow(dead_code, reason = "this program uses its part of it")]
#[path = "locker/asking.rs"]
mod locker;
#[allow(dead_code, reason = "this program uses its part of it")]
#[path = "paykka/asking.rs"]
mod paykka;
#[path = "erase/repositories.rs"]
mod repositories;

use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::{Value, json};
use support::daemon::Daemon;
use support::http;

/// The daemon's erasures, and where their receipts go.
pub(crate) struct Erasing<'a> {
    daemon: &'a Daemon,
    place: tempfile::TempDir,
}

impl<'a> Erasing<'a> {
    pub(crate) fn of(daemon: &'a Daemon) -> Self {
        let place = tempfile::tempdir().unwrap();
        Self { daemon, place }
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    pub(crate) fn run(&self, name: &str, more: &[&str]) -> Output {
        let out = self.at(name).display().to_string();
        self.daemon
            .try_run(&[&["erase", "--yes", "--json", "--out", &out], more].concat())
    }

    /// Erases, and gives the summary; the file is verified as a whole.
    pub(crate) fn done(&self, name: &str, more: &[&str]) -> Value {
        let output = self.run(name, more);
        assert!(output.status.success(), "{more:?}: {}", said(&output));
        let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
        let told = self
            .daemon
            .run(&["receipt", "verify", "--erasure", self.at(name).to_str().unwrap()], 0);
        assert!(told.contains("authentic"), "{told}");
        let lines = lines(&self.at(name));
        assert_eq!(lines.last(), Some(&summary));
        assert_eq!(json!(lines.len() - 1), summary["tokens"]);
        assert_eq!(summary["kind"], "erasure");
        for receipt in &lines[..lines.len() - 1] {
            assert_eq!(
                (&receipt["kind"], &receipt["repository"]),
                (&json!("deletion"), &summary["repository"])
            );
        }
        summary
    }

    /// Says what there is.
    pub(crate) fn there(&self, more: &[&str]) -> Value {
        serde_json::from_str(&self.daemon.run(&[&["erase", "--dry-run", "--json"], more].concat(), 0)).unwrap()
    }
}

pub(crate) fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

pub(crate) fn lines(file: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(file).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The events of an action in the trail.
pub(crate) fn events(daemon: &Daemon, action: &str) -> Vec<Value> {
    let tail = daemon.run(&["audit", "tail", "--lines", "100000"], 0);
    let line = |line: &str| serde_json::from_str::<Value>(line).unwrap()["event"].clone();
    tail.lines()
        .map(line)
        .filter(|event| event["action"] == action)
        .collect()
}

/// A token in a namespace.
pub(crate) fn token_of(daemon: &Daemon, namespace: &str, number: &str) -> String {
    let card = support::daemon::card(number);
    let answer = daemon.call("POST", "/v1/tokens", &json!({"card": card, "namespace": namespace}));
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()["token"].as_str().unwrap().to_owned()
}

/// A request as it is, for dialects without a client here.
pub(crate) fn ask(daemon: &Daemon, method: &str, path: &str, headers: &[(&str, &str)], body: &Value) -> http::Answer {
    let text = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    http::request(&daemon.api(), method, path, headers, text.as_bytes()).unwrap()
}
