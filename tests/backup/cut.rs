//! kill -9 while a backup is restored: the next run ends well. `PANVAULT_LONG=1` runs more rounds.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::place::{filled, lose_state, random_time, restore, rounds, said, text};
use crate::support::daemon::{Daemon, PROGRAM};

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
