//! kill -9 while a backup is written or restored: the next run ends well. `PANVAULT_LONG=1` runs more rounds.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::place::{lose_state, restore, said};
use crate::support::daemon::{Daemon, PROGRAM, VISA, card};

fn rounds() -> u32 {
    match crate::support::long() {
        true => 50,
        false => 5,
    }
}

/// A time below `limit`.
fn random_time(limit: Duration) -> Duration {
    let mut raw = [0; 4];
    panvault::id::fill_random(&mut raw).unwrap();
    limit.mul_f64(f64::from(u32::from_le_bytes(raw)) / f64::from(u32::MAX))
}

/// Runs a command and kills it after that time, if it still runs.
fn cut(daemon: &Daemon, arguments: &[&str], after: Duration) {
    let mut child = Command::new(PROGRAM)
        .args(arguments)
        .arg("--dir")
        .arg(daemon.dir())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(after);
    let _ = child.kill();
    child.wait().unwrap();
}

fn filled() -> (Daemon, String) {
    let daemon = Daemon::start();
    let items: Vec<_> = (0..500).map(|_| json!({"card": card(VISA)})).collect();
    for _ in 0..4 {
        let answer = daemon.call("POST", "/v1/tokens/batch", &json!({ "items": items }));
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let token = daemon.tokenize(VISA)["token"].as_str().unwrap().to_owned();
    (daemon, token)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_backup_that_is_killed_is_known_as_cut_and_begins_anew() {
    let (mut daemon, token) = filled();
    let place = daemon.dir().join("backup");
    let arguments = ["backup", text(&place)];
    let since = Instant::now();
    daemon.run(&arguments, 0);
    let whole = since.elapsed();
    let mut torn = 0;
    for round in 0..rounds() {
        fs::remove_dir_all(&place).unwrap();
        cut(&daemon, &arguments, random_time(whole));
        if !place.join("manifest.json").exists() {
            torn += u32::from(place.exists());
            let output = daemon.try_run(&["restore", "--accept-returning", "--from", text(&place)]);
            assert_ne!(output.status.code(), Some(0), "round {round}");
            daemon.run(&arguments, 0);
        }
        assert!(!place.join("manifest.json.new").exists());
    }
    // one that is certainly cut: as it is after the first file
    fs::remove_file(place.join("manifest.json")).unwrap();
    fs::write(place.join("BACKUP-UNFINISHED"), "").unwrap();
    fs::write(place.join("store/00000009.entries"), "old").unwrap();
    daemon.run(&arguments, 0);
    assert!(!place.join("store/00000009.entries").exists());
    assert!(torn <= rounds());
    daemon.stop();
    lose_state(&daemon, "lost");
    let output = restore(&daemon, &place, &["--accept-returning"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    daemon.up();
    assert_eq!(daemon.reveal(&token).status, 200);
}

#[test]
fn a_restoration_that_is_killed_is_run_again() {
    let (mut daemon, token) = filled();
    let place = daemon.dir().join("backup");
    daemon.run(&["backup", text(&place)], 0);
    daemon.stop();
    lose_state(&daemon, "lost");
    let arguments = ["restore", "--accept-returning", "--from", text(&place)];
    let since = Instant::now();
    daemon.run(&arguments, 0);
    let whole = since.elapsed();
    let mut cuts = 0;
    for round in 0..rounds() {
        fs::remove_dir_all(daemon.dir().join("state")).unwrap();
        cut(&daemon, &arguments, random_time(whole));
        let keyring = daemon.dir().join("state/keyring.json");
        if !keyring.exists() || daemon.dir().join("state/restoring").exists() {
            cuts += 1;
            if !keyring.exists() {
                // what is half there is not served
                let output = daemon.try_run(&["serve", "--allow-root"]);
                assert_eq!(output.status.code(), Some(77), "round {round}: {}", said(&output));
            }
            let output = restore(&daemon, &place, &["--accept-returning"]);
            assert_eq!(output.status.code(), Some(0), "round {round}: {}", said(&output));
        }
        daemon.run(&["check", "store"], 0);
        daemon.run(&["audit", "verify"], 0);
    }
    assert!(cuts > 0, "not one round was cut");
    assert!(!daemon.dir().join("state/restoring").exists());
    daemon.up();
    assert_eq!(daemon.reveal(&token).status, 200);
}
