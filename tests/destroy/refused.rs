//! What is not destroyed, with what to do next and nothing changed.

use std::fs;

use serde_json::Value;

use crate::place::{backup, copy, said};
use crate::support::daemon::{Daemon, VISA};
use crate::{keks, refused, states, status};

#[test]
fn nothing_is_destroyed_that_anything_needs() {
    let daemon = Daemon::start_with("keys.rewraps_per_second = 2");
    for _ in 0..8 {
        daemon.tokenize(VISA);
    }
    let path = |name: &str| daemon.dir().join(name).to_str().unwrap().to_owned();
    let (old, under_way, new) = (path("old"), path("under-way"), path("new"));
    backup(&daemon, old.as_ref());
    let before = keks(&daemon);
    refused(
        &daemon,
        &["key", "destroy", "--epoch", "99"],
        "there is no KEK epoch 99",
    );
    refused(&daemon, &["key", "destroy", "--epoch", "1"], "in use");
    refused(&daemon, &["key", "destroy", "--epoch", "3"], "prepared");
    refused(&daemon, &["key", "certificate", "--epoch", "1"], "no shred certificate");
    daemon.run(&["key", "rotate"], 0);
    backup(&daemon, under_way.as_ref());
    let destroy = |backup: &str| ["key", "destroy", "--epoch", "1", "--backup", backup].map(str::to_owned);
    let not_by = |backup: &str, says: &str| {
        let arguments = destroy(backup);
        refused(&daemon, &arguments.each_ref().map(String::as_str), says);
    };
    not_by(&under_way, "under way");
    daemon.run(&["key", "rotate", "--wait"], 0);
    // two rotations: the first epoch, and the second
    assert_eq!(states(&daemon)[..3], ["deactivated", "deactivated", "active"]);
    refused(&daemon, &["key", "destroy", "--epoch", "1"], "panvault backup DIR");
    not_by(&old, "from before everything was put under another epoch");
    not_by(&under_way, "from before everything was put under another epoch");
    not_by(&path("nowhere"), "is no whole backup");
    backup(&daemon, new.as_ref());
    let bad = path("bad");
    copy(new.as_ref(), bad.as_ref());
    let entries = daemon.dir().join("bad/store/00000001.entries");
    let mut bytes = fs::read(&entries).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&entries, bytes).unwrap();
    not_by(&bad, "not as it was made");
    let there = path("there.json");
    fs::write(&there, "mine").unwrap();
    let output = daemon.try_run(&["key", "destroy", "--epoch", "1", "--backup", &new, "--out", &there]);
    assert!(said(&output).contains("nothing was changed"), "{}", said(&output));
    assert_eq!(fs::read_to_string(&there).unwrap(), "mine");

    // another vault's
    let other = Daemon::start();
    let others = other.dir().join("others");
    backup(&other, &others);
    not_by(others.to_str().unwrap(), "another vault's");
    drop(other);

    assert_eq!(keks(&daemon), before, "nothing was changed");
    assert_eq!(states(&daemon)[..3], ["deactivated", "deactivated", "active"]);
    // and the right one goes
    let arguments = destroy(&new);
    let said = daemon.run(&arguments.each_ref().map(String::as_str), 0);
    let certificate: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(certificate["kek_epoch"], 1);
    not_by(&new, "was destroyed on");
    refused(&daemon, &["key", "compromise", "--epoch", "1"], "was destroyed on");
    assert_eq!(status(&daemon)["epochs"][0]["state"], "destroyed");
    let trail = daemon.run(&["audit", "tail", "--lines", "100000"], 0);
    let refusals = trail
        .lines()
        .filter(|line| line.contains("\"kek-destroy\"") && line.contains("\"refused\""));
    assert!(refusals.count() >= 6, "{trail}");
}

/// A backup of a history that went on elsewhere is no grounds here, however new it is.
#[test]
fn a_backup_of_another_history_is_no_grounds() {
    let mut daemon = Daemon::start();
    daemon.tokenize(VISA);
    let path = |name: &str| daemon.dir().join(name).to_str().unwrap().to_owned();
    let (before, after) = (path("before"), path("after"));
    backup(&daemon, before.as_ref());
    daemon.run(&["key", "rotate", "--wait"], 0);
    // well behind the revision at which the other way gets to the same epoch
    for _ in 0..30 {
        daemon.tokenize(VISA);
    }
    backup(&daemon, after.as_ref());
    // back to the state before, and on another way to the same epoch
    daemon.stop();
    crate::place::lose_state(&daemon, "lost");
    let output = crate::place::restore(&daemon, before.as_ref(), &["--accept-returning"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    daemon.up();
    daemon.run(&["key", "rotate", "--wait"], 0);
    let arguments = ["key", "destroy", "--epoch", "1", "--backup", &after];
    refused(&daemon, &arguments, "another history");
    // also where this trail is as long
    for _ in 0..60 {
        daemon.tokenize(VISA);
    }
    refused(&daemon, &arguments, "another history");
    assert_eq!(states(&daemon)[0], "deactivated");
}
