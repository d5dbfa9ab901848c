//! HSMs whose keys the vendor's officer marks, between one run and the next.

use std::fs;

use serde_json::Value;

use crate::place::{Place, said, status};
use crate::possessions::Possessions;
use crate::support::daemon::Daemon;

const WAITS: &str = "have the HSM's officer set CKA_TRUSTED on";

#[test]
fn a_vault_moves_where_the_vendors_officer_marks_keys() {
    let mut daemon = Daemon::start();
    let mut had = Possessions::made(&daemon);

    // the new HSM's KEKs are marked
    let place = Place::beside(&mut daemon, "to");
    let before = place.serial_in_use(&daemon);
    let keyring = fs::read(daemon.dir().join("state/keyring.json")).unwrap();
    let waits = said(&place.moves(&daemon, &["--mode", "officer-sets", "--epochs", "2"]), 77);
    assert!(waits.contains(WAITS) && waits.contains("panvault-kek-0009"), "{waits}");
    assert_eq!(fs::read(daemon.dir().join("state/keyring.json")).unwrap(), keyring);
    // meanwhile it serves as before
    daemon.up();
    daemon.stop();
    let waits = said(&place.moves(&daemon, &[]), 77);
    assert!(waits.contains("panvault-kek-0010"), "{waits}");
    assert_eq!(mark(&daemon, &place.serial, &SECRET_KEY), 2);
    let told: Value = serde_json::from_str(&said(&place.moves(&daemon, &["--json"]), 0)).unwrap();
    assert_eq!(told["finished"], true, "{told}");
    place.delete_token(&daemon, &before);
    place.take_into_use(&daemon);
    daemon.up();
    had.are_there(&daemon);
    let keyset = fs::read_to_string(daemon.dir().join("state/keyring.json")).unwrap();
    assert!(keyset.contains("\"officer-sets\""), "{keyset}");
    assert_eq!(status(&daemon)["epochs"].as_array().unwrap().len(), 10);
    daemon.run(&["check", "hsm"], 0);

    // and from there on, the key that fingerprint keys leave under
    let place = Place::beside(&mut daemon, "from");
    let before = place.serial_in_use(&daemon);
    let mode = ["--mode", "session-source", "--epochs", "2"];
    let waits = said(&place.moves(&daemon, &mode), 77);
    assert!(
        waits.contains(WAITS) && waits.contains("panvault-conveyance"),
        "{waits}"
    );
    assert_eq!(mark(&daemon, &before, b"panvault-conveyance"), 1);
    // a TRUSTED key that is none of the vault's is no state to serve in
    let refused = said(&daemon.try_run(&["verify"]), 77);
    assert!(
        refused.contains("unknown TRUSTED keys: 'panvault-conveyance'"),
        "{refused}"
    );
    said(&place.moves(&daemon, &mode), 0);
    assert_eq!(
        mark(&daemon, &before, b"panvault-conveyance"),
        0,
        "it is gone from the HSM that is left"
    );
    place.delete_token(&daemon, &before);
    place.take_into_use(&daemon);
    daemon.up();
    had.are_there(&daemon);
    daemon.run(&["check", "hsm"], 0);
    daemon.run(&["verify", "--full"], 0);
    daemon.run(&["audit", "verify"], 0);
}

/// CKA_CLASS, a number, CKO_SECRET_KEY: as SoftHSM writes it. Labels of private objects are encrypted there.
const SECRET_KEY: [u8; 24] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 4];

/// What the vendor's officer does, whom SoftHSM does not have: sets CKA_TRUSTED of objects that have `part` in their files.
fn mark(daemon: &Daemon, serial: &str, part: &[u8]) -> usize {
    let contains = |bytes: &[u8], part: &[u8]| bytes.windows(part.len()).position(|at| at == part);
    let mut marked = 0;
    for token in fs::read_dir(daemon.dir().join("tokens")).unwrap() {
        let token = token.unwrap().path();
        let about = fs::read(token.join("token.object")).unwrap();
        if contains(&about, serial.as_bytes()).is_none() {
            continue;
        }
        for object in fs::read_dir(&token).unwrap() {
            let object = object.unwrap().path();
            let mut bytes = fs::read(&object).unwrap();
            // attribute, kind boolean, false
            let is_false = [0, 0, 0, 0, 0, 0, 0, 0x86, 0, 0, 0, 0, 0, 0, 0, 1, 0];
            if contains(&bytes, part).is_some()
                && let Some(at) = contains(&bytes, &is_false)
            {
                bytes[at + 16] = 0xff;
                fs::write(&object, bytes).unwrap();
                marked += 1;
            }
        }
    }
    marked
}
