//! The end of a KEK needs two, and so does the word that it is compromised.

use serde_json::Value;

use crate::office::{ALICE, BOB};
use crate::support::daemon::VISA;
use crate::{WAITS, office};

#[test]
fn a_kek_is_destroyed_only_when_two_agreed() {
    let Some(office) = office("a_kek_is_destroyed_only_when_two_agreed", "[\"key-destroy\"]") else {
        return;
    };
    office.enroll(ALICE);
    office.enroll(BOB);
    office.daemon.tokenize(VISA);
    let state = |epoch: usize| {
        let status: Value = serde_json::from_str(&office.daemon.run(&["key", "status", "--json"], 0)).unwrap();
        status["epochs"][epoch - 1]["state"].as_str().unwrap().to_owned()
    };
    office.by(ALICE, &["key", "compromise", "--epoch", "1", "--reason", "lost"], WAITS);
    assert_eq!(state(1), "active");
    office.by(BOB, &["ceremony", "approve", &office.waiting()], 0);
    office.by(ALICE, &["key", "compromise", "--epoch", "1", "--reason", "lost"], 0);
    assert_eq!((state(1), state(2)), ("compromised".to_owned(), "active".to_owned()));
    office
        .daemon
        .wait(std::time::Duration::from_secs(30), "the rotation's end", || {
            let status: Value = serde_json::from_str(&office.daemon.run(&["key", "status", "--json"], 0)).unwrap();
            status["rotation"]["finished"] == true
        });

    let (place, _) = office.backup("newer");
    let readable = std::process::Command::new("chmod")
        .args(["-R", "a+rX", &place])
        .status()
        .unwrap();
    assert!(readable.success());
    let destroy = ["key", "destroy", "--epoch", "1", "--backup", &place];
    office.by(ALICE, &destroy, WAITS);
    assert_eq!(state(1), "compromised");
    office.by(BOB, &["ceremony", "approve", &office.waiting()], 0);
    let told = office.by(ALICE, &destroy, 0);
    // a remark follows it
    let certificate: Value = serde_json::Deserializer::from_str(&told)
        .into_iter()
        .next()
        .unwrap()
        .unwrap();
    assert_eq!(
        (&certificate["kind"], &certificate["kek_epoch"]),
        (&"shred".into(), &1.into())
    );
    assert_eq!(state(1), "destroyed");
}
