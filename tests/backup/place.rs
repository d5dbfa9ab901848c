//! A daemon whose state goes and comes back.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::daemon::{Daemon, VISA, card};

/// The fingerprint that `init` prints.
pub(crate) fn audit_key(daemon: &Daemon) -> String {
    let keyring = panvault::keys::Keyring::load(&daemon.dir().join("state/keyring.json")).unwrap();
    keyring.audit_fingerprint().unwrap().to_string()
}

/// Takes a backup and gives its figures.
pub(crate) fn backup(daemon: &Daemon, to: &Path) -> Value {
    let text = daemon.run(&["backup", to.to_str().unwrap(), "--json"], 0);
    serde_json::from_str(&text).unwrap()
}

/// Puts a stopped daemon's state aside.
pub(crate) fn lose_state(daemon: &Daemon, name: &str) -> PathBuf {
    let aside = daemon.dir().join(name);
    fs::rename(daemon.dir().join("state"), &aside).unwrap();
    aside
}

/// Runs `restore`; more arguments may follow.
pub(crate) fn restore(daemon: &Daemon, from: &Path, more: &[&str]) -> Output {
    let mut arguments = vec!["restore", "--from", from.to_str().unwrap()];
    arguments.extend_from_slice(more);
    daemon.try_run(&arguments)
}

/// What was said on standard error.
pub(crate) fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Copies a directory.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// All files under a directory, by name, with their bytes.
pub(crate) fn files(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let Ok(entries) = fs::read_dir(dir) else {
        return found;
    };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push((path.clone(), fs::read(path).unwrap()));
        }
    }
    found.sort();
    found
}

/// How many rounds of a test that cuts.
pub(crate) fn rounds() -> u32 {
    match crate::support::long() {
        true => 50,
        false => 5,
    }
}

/// A time below `limit`.
pub(crate) fn random_time(limit: Duration) -> Duration {
    let mut raw = [0; 4];
    panvault::id::fill_random(&mut raw).unwrap();
    limit.mul_f64(f64::from(u32::from_le_bytes(raw)) / f64::from(u32::MAX))
}

/// A daemon with two thousand tokens and one, and that one.
pub(crate) fn filled() -> (Daemon, String) {
    let daemon = Daemon::start();
    let items: Vec<_> = (0..500).map(|_| json!({"card": card(VISA)})).collect();
    for _ in 0..4 {
        let answer = daemon.call("POST", "/v1/tokens/batch", &json!({ "items": items }));
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let token = daemon.tokenize(VISA)["token"].as_str().unwrap().to_owned();
    (daemon, token)
}

/// A path as an argument.
pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
