//! A destruction that is killed is done or not begun, or goes on.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::place::backup;
use crate::support::daemon::{Daemon, VISA};
use crate::support::long;
use crate::{keks, status};

#[test]
fn a_destruction_that_is_killed_goes_on() {
    let mut daemon = Daemon::start();
    let token = daemon.tokenize(VISA)["token"].as_str().unwrap().to_owned();
    let there = keks(&daemon);
    let rounds = if long() { there.len() - 1 } else { 4 };
    for _ in 0..rounds {
        daemon.run(&["key", "rotate", "--wait"], 0);
    }
    let place = daemon.dir().join("backup");
    backup(&daemon, &place);
    let place = place.to_str().unwrap().to_owned();
    for round in 0..rounds {
        let epoch = (round + 1).to_string();
        let keyring = daemon.dir().join("state/keyring.json");
        let begun_before = std::fs::read_to_string(&keyring)
            .unwrap()
            .matches("\"destroying\"")
            .count();
        // the first one is killed before it begins
        let begins = round > 0;
        std::thread::scope(|scope| {
            let asking = scope.spawn(|| daemon.try_run(&["key", "destroy", "--epoch", &epoch, "--backup", &place]));
            let until = Instant::now() + Duration::from_secs(60);
            while begins
                && std::fs::read_to_string(&keyring)
                    .unwrap()
                    .matches("\"destroying\"")
                    .count()
                    == begun_before
            {
                assert!(Instant::now() < until && !asking.is_finished());
                std::thread::sleep(Duration::from_millis(1));
            }
            // workers are replaced, one after another, then it is destroyed
            std::thread::sleep(Duration::from_millis(300 * u64::try_from(round * round).unwrap() / 2));
            let pid = nix::unistd::Pid::from_raw(daemon.pid().try_into().unwrap());
            nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
            asking.join().unwrap();
        });
        daemon.kill();
        daemon.up();
        if !begins {
            assert_eq!(status(&daemon)["epochs"][round]["state"], "deactivated");
            daemon.run(&["key", "destroy", "--epoch", &epoch, "--backup", &place], 0);
        }
        daemon.wait(Duration::from_secs(30), "the destruction's end", || {
            status(&daemon)["epochs"][round]["state"] == "destroyed"
        });
        assert_eq!(keks(&daemon), there[round + 1..]);
        let text = daemon.run(&["key", "certificate", "--epoch", &epoch], 0);
        let certificate: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(certificate["objects_destroyed"], 1, "{certificate}");
        let file = daemon.dir().join(format!("{epoch}.json"));
        std::fs::write(&file, text).unwrap();
        daemon.run(&["receipt", "verify", file.to_str().unwrap()], 0);
        assert_eq!(daemon.reveal(&token).json()["card"]["number"], VISA);
    }
    daemon.run(&["check", "store"], 0);
    daemon.run(&["audit", "verify"], 0);
}

/// A backup of the token brings the key back: it is destroyed again, and that is told.
#[test]
fn a_destroyed_kek_that_comes_back_is_destroyed_again() {
    let mut daemon = Daemon::start();
    let token = daemon.tokenize(VISA)["token"].as_str().unwrap().to_owned();
    daemon.run(&["key", "rotate", "--wait"], 0);
    let place = daemon.dir().join("backup");
    backup(&daemon, &place);
    let (tokens, kept) = (daemon.dir().join("tokens"), daemon.dir().join("tokens.kept"));
    crate::place::copy(&tokens, &kept);
    daemon.run(
        &["key", "destroy", "--epoch", "1", "--backup", place.to_str().unwrap()],
        0,
    );
    let without = crate::place::files(&tokens).len();
    daemon.stop();
    std::fs::remove_dir_all(&tokens).unwrap();
    crate::place::copy(&kept, &tokens);
    assert!(crate::place::files(&tokens).len() > without);
    daemon.up();
    daemon.wait(Duration::from_secs(30), "its second end", || {
        crate::place::files(&tokens).len() == without
    });
    let trail = daemon.run(&["audit", "tail", "--lines", "100"], 0);
    assert!(
        trail
            .lines()
            .any(|line| line.contains("\"kek-destroy\"") && line.contains("\"again\"")),
        "{trail}"
    );
    assert_eq!(daemon.reveal(&token).json()["card"]["number"], VISA);
}
