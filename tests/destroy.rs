//! The end of KEK epochs on a real token: destroyed, compromised, used up; and killed in the middle of it.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test program: a panic fails the test"
)]

#[path = "destroy/compromise.rs"]
mod compromise;
#[path = "destroy/erased.rs"]
mod erased;
#[path = "destroy/killed.rs"]
mod killed;
#[path = "backup/place.rs"]
#[allow(dead_code, reason = "not all of it is used here")]
mod place;
#[path = "destroy/refused.rs"]
mod refused;
mod support;
#[path = "destroy/uses.rs"]
mod uses;

use serde_json::Value;
use support::daemon::Daemon;

/// What `key status` tells.
fn status(daemon: &Daemon) -> Value {
    serde_json::from_str(&daemon.run(&["key", "status", "--json"], 0)).unwrap()
}

/// The states of the epochs, from the first.
fn states(daemon: &Daemon) -> Vec<String> {
    let status = status(daemon);
    let epochs = status["epochs"].as_array().unwrap().iter();
    epochs
        .map(|epoch| epoch["state"].as_str().unwrap().to_owned())
        .collect()
}

/// KEKs that are in the token, by epoch.
fn keks(daemon: &Daemon) -> Vec<u64> {
    let inventory: Value = serde_json::from_str(&daemon.run(&["inventory", "--json"], 0)).unwrap();
    let keys = inventory["keys"].as_array().unwrap().iter();
    keys.filter_map(|key| key["epoch"].as_u64()).collect()
}

/// The command is refused, and says this.
fn refused(daemon: &Daemon, arguments: &[&str], says: &str) {
    let output = daemon.try_run(arguments);
    let said = place::said(&output);
    assert!(!output.status.success() && said.contains(says), "{arguments:?}: {said}");
}
