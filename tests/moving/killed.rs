//! A move that is killed has changed nothing, or goes on.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::place::{Place, said, status};
use crate::possessions::Possessions;
use crate::support::daemon::{Daemon, VISA, card};
use crate::support::long;

#[test]
fn a_move_that_is_killed_goes_on() {
    let mut daemon = Daemon::start();
    let mut had = Possessions::made(&daemon);
    let more = if long() { 12_000 } else { 1_500 };
    let mut tokens = Vec::new();
    while tokens.len() < more {
        let items = vec![json!({"card": card(VISA)}); (more - tokens.len()).min(1_000)];
        let answer = daemon.call("POST", "/v1/tokens/batch", &json!({ "items": items }));
        for item in answer.json()["items"].as_array().unwrap() {
            tokens.push(item["result"]["token"].as_str().unwrap().to_owned());
        }
    }
    let place = Place::beside(&mut daemon, "other");
    let before = place.serial_in_use(&daemon);
    let (journal, next) = (
        daemon.dir().join("state/move.json"),
        daemon.dir().join("state/keyring.next.json"),
    );
    let rounds: u64 = if long() { 50 } else { 8 };
    let mut seen = [false; 3];
    let (mut finished, mut noted) = (false, None);
    for round in 0..rounds {
        let mut moving = place.command(&[]).spawn().unwrap();
        // the first ones before and while keys are made, the others wherever records are then
        let marked = match round {
            0 => None,
            1 | 2 => Some(&journal),
            _ => Some(&next),
        };
        let until = Instant::now() + Duration::from_secs(120);
        while marked.is_some_and(|mark| !mark.exists()) && moving.try_wait().unwrap().is_none() {
            assert!(Instant::now() < until, "it does not come as far");
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_millis(match round {
            0 => 300,
            1 => 0,
            2 => 900,
            _ => 50 + 150 * ((round - 3) % 8),
        }));
        if let Some(status) = moving.try_wait().unwrap() {
            assert!(status.success(), "round {round}");
            finished = true;
            break;
        }
        moving.kill().unwrap();
        moving.wait().unwrap();
        // workers end with it; SoftHSM must not be met in the middle of a login
        std::thread::sleep(Duration::from_millis(300));
        let stage = match (next.exists(), journal.exists()) {
            (true, _) => 2,
            (false, true) => 1,
            (false, false) => 0,
        };
        seen[stage] = true;
        noted = std::fs::read(&journal).ok().or(noted);
        if stage == 2 {
            // nothing else is done with the vault meanwhile
            for command in [
                &["verify"][..],
                &["init"],
                &["backup", &place.path("never")],
                &["key", "adopt", "--serial", "1"],
            ] {
                let refused = daemon.try_run(command);
                assert!(
                    said(&refused, 77).contains("`panvault key move` finishes it"),
                    "{command:?}"
                );
            }
            let refused = daemon.try_run(&["dev"]);
            assert!(said(&refused, 77).contains("half-way"), "round {round}");
            // and it goes to this token only
            let elsewhere = place.bare(&[
                "--to",
                place.configuration().to_str().unwrap(),
                "--serial",
                "0123456789abcdef",
            ]);
            let elsewhere = { elsewhere }.output().unwrap();
            assert!(said(&elsewhere, 77).contains("finish that one"));
        }
    }
    assert!(seen[1] && seen[2], "{seen:?}");
    if !finished {
        // to go on it needs neither backup nor officer
        let configuration = place.configuration();
        let goes_on = place.bare(&["--to", configuration.to_str().unwrap(), "--serial", &place.serial]);
        said(&{ goes_on }.output().unwrap(), 0);
    }
    assert!(!journal.exists() && !next.exists());
    cut_at_the_end(&daemon, &place, &noted.expect("the journal was seen"));
    place.delete_token(&daemon, &before);
    place.take_into_use(&daemon);
    daemon.up();
    had.are_there(&daemon);
    for some in tokens.chunks(500) {
        let items: Vec<_> = some.iter().map(|token| json!({ "token": token })).collect();
        let answer = daemon.call("POST", "/v1/tokens/reveal-batch", &json!({ "items": items }));
        for item in answer.json()["items"].as_array().unwrap() {
            assert_eq!(item["result"]["card"]["number"], VISA, "{item}");
        }
    }
    let epochs = status(&daemon)["epochs"].as_array().unwrap().clone();
    assert!(
        epochs.iter().all(|epoch| epoch["tokens"] == 0 || epoch["epoch"] == 9),
        "{epochs:?}"
    );
    daemon.run(&["verify", "--full"], 0);
    daemon.run(&["audit", "verify"], 0);
    let trail = daemon.run(&["audit", "tail", "--lines", "100000"], 0);
    let ends = trail
        .lines()
        .filter(|line| line.contains("\"key-move\"") && line.contains("\"ok\""));
    assert_eq!(ends.count(), 1, "{trail}");
    daemon.run(&["check", "hsm"], 0);
    // nothing that was cut is left in the token
    let inventory = crate::place::inventory(&daemon);
    let keks = inventory["keys"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|key| key["role"] == "kek");
    assert_eq!(keks.count(), 8, "{inventory}");
    daemon.stop();
    daemon.run(&["init"], 0);
}

/// Cut when all was on record and the keyrings had not changed places, or had and the journal was there.
fn cut_at_the_end(daemon: &Daemon, place: &Place, journal: &[u8]) {
    let state = daemon.dir().join("state");
    let left = std::fs::read_dir(&state).unwrap().map(|entry| entry.unwrap().path());
    let left = left.filter(|path| path.to_string_lossy().contains("keyring.left-"));
    let left: Vec<_> = left.collect();
    assert_eq!(left.len(), 1);
    let configuration = place.configuration();
    let again = || {
        let mut command = place.bare(&[
            "--to",
            configuration.to_str().unwrap(),
            "--serial",
            &place.serial,
            "--json",
        ]);
        let told = said(&command.output().unwrap(), 0);
        serde_json::from_str::<serde_json::Value>(&told).unwrap()
    };
    let now = std::fs::read(state.join("keyring.json")).unwrap();
    std::fs::copy(&left[0], state.join("keyring.json")).unwrap();
    std::fs::write(state.join("keyring.next.json"), &now).unwrap();
    std::fs::write(state.join("move.json"), journal).unwrap();
    let told = again();
    assert_eq!(
        (&told["finished"], &told["records"]["concluded"]),
        (&json!(true), &json!(true)),
        "{told}"
    );
    assert_eq!(std::fs::read(state.join("keyring.json")).unwrap(), now);
    std::fs::write(state.join("move.json"), journal).unwrap();
    assert_eq!(again()["already"], true);
    assert!(!state.join("move.json").exists() && !state.join("keyring.next.json").exists());
}
