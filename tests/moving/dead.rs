//! What does not open is named, and stays behind only if that is said.

use crate::place::{Place, said, status};
use crate::support::daemon::{Daemon, MASTERCARD, VISA};

#[test]
fn records_that_do_not_open_stay_behind_by_their_number_only() {
    let mut daemon = Daemon::start();
    let token = daemon.tokenize(VISA)["token"].as_str().unwrap().to_owned();
    let broken = daemon.tokenize(MASTERCARD)["token"].as_str().unwrap().to_owned();
    let place = Place::beside(&mut daemon, "other");
    tamper(&daemon, &broken);
    // as from a shell: it starts itself once more with what the module wants in its environment
    let unfinished = said(&place.command(&[]).env_remove("SOFTHSM2_CONF").output().unwrap(), 3);
    assert!(
        unfinished.contains(&broken) && unfinished.contains("--leave 1") && !unfinished.contains(&token),
        "{unfinished}"
    );
    assert!(said(&daemon.try_run(&["dev"]), 77).contains("half-way"));
    said(&place.moves(&daemon, &["--leave", "2"]), 3);
    let told = said(&place.moves(&daemon, &["--leave", "1"]), 0);
    assert!(told.contains("1 records did not open"), "{told}");
    let serial = place.serial.clone();
    place.take_into_use(&daemon);
    daemon.up();
    assert_eq!(place.serial_in_use(&daemon), serial);
    assert_eq!(daemon.reveal(&token).json()["card"]["number"], VISA);
    let gone = daemon.reveal(&broken);
    assert_eq!(
        (gone.status, gone.json()["code"].as_str()),
        (410, Some("key_destroyed")),
        "{}",
        gone.text()
    );
    let verified = daemon.run(&["verify", "--full"], 0);
    assert!(
        verified.contains("1 more open no more: they did not open in the HSM before"),
        "{verified}"
    );
    assert_eq!(status(&daemon)["epochs"][0]["tokens"], 1);
    // nor does it stand in the way of a rotation
    daemon.run(&["key", "rotate", "--wait"], 0);
    let trail = daemon.run(&["audit", "tail", "--lines", "1000"], 0);
    assert!(
        trail.contains(&broken) && trail.contains("stays under its epoch"),
        "{trail}"
    );
}

/// A byte of the record's data key, by who can write the disk.
fn tamper(daemon: &Daemon, token: &str) {
    use panvault::store::{Commit, Config, Part, Store, Write, sled::SledStore};
    let mut config = Config::new(daemon.dir().join("state/store"));
    config.record_table = Some(panvault::vault::RECORD_TABLE);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let metrics = panvault::telemetry::Metrics::new().unwrap();
        let store = SledStore::open(config, metrics).unwrap();
        let all = store
            .scan(
                Part::default(),
                std::ops::Bound::Included(panvault::store::Key(vec![panvault::vault::RECORD_TABLE])),
                std::ops::Bound::Excluded(panvault::store::Key(vec![panvault::vault::RECORD_TABLE + 1])),
                1_000,
            )
            .await
            .unwrap();
        let (key, found) = all
            .items
            .into_iter()
            .find(|(key, _)| key.0.windows(token.len()).any(|part| part == token.as_bytes()))
            .unwrap();
        let mut value = found.value;
        // format and algorithm, the first epoch, and the length of a wrapped data key stand before that
        let begin = value
            .windows(7)
            .position(|part| part == [1, 1, 0, 0, 0, 1, 40])
            .unwrap();
        value[begin + 10] ^= 1;
        let commit = Commit {
            writes: vec![Write::Put(key, value)],
            ..Commit::default()
        };
        store.commit(commit).await.unwrap();
        store.close().await.unwrap();
    });
}
