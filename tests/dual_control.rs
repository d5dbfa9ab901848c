//! Dual control on the built program: operators with users of their own, ceremonies, and files that come into force only
//! when two agreed.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test program: what fails here fails the test"
)]

#[path = "moving/place.rs"]
#[allow(dead_code, reason = "not all of it is used here")]
mod place;
#[path = "support/mod.rs"]
mod support;

#[path = "dual_control/destroy.rs"]
mod destroy;
#[path = "dual_control/office.rs"]
mod office;

use office::{ALICE, BOB, CAROL, Office, Person};
use serde_json::Value;
use support::daemon::VISA;
use support::skip::skipped;

const WAITS: i32 = 75;

fn office(test: &str, operations: &str) -> Option<Office> {
    if !nix::unistd::geteuid().is_root() {
        skipped(&format!("{test}: only root can act as several users"));
        return None;
    }
    Some(Office::open(operations))
}

#[test]
fn a_rotation_needs_two_people() {
    let Some(office) = office("a_rotation_needs_two_people", "[\"key-rotate\"]") else {
        return;
    };
    // without a credential, and with no operator at all, nothing happens: also not for root
    let told = office.daemon.try_run(&["key", "rotate"]);
    assert_eq!(told.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&told.stderr).contains("needs an operator"),
        "{told:?}"
    );
    office.enroll(ALICE);
    assert!(
        office.by(ALICE, &["key", "rotate"], 1).contains("needs two operators"),
        "one is not two"
    );
    office.enroll(BOB);

    let opened = office.by(ALICE, &["key", "rotate"], WAITS);
    let id = office.waiting();
    assert!(opened.contains(&id), "{opened}");
    office.by(ALICE, &["key", "rotate"], WAITS);
    assert_eq!(office.ceremonies().len(), 1, "asked twice is one ceremony");
    assert_eq!(office.epoch(), 1);

    assert!(
        office
            .by(ALICE, &["ceremony", "approve", &id], 1)
            .contains("another person")
    );
    assert!(
        office
            .by(CAROL, &["ceremony", "approve", &id], 1)
            .contains("for the vault's admins")
    );
    let stolen = office.with_credential_of(ALICE, BOB, &["ceremony", "approve", &id]);
    assert!(stolen.contains("credential is not one of this user"), "{stolen}");
    assert_eq!(office.epoch(), 1);

    office.by(BOB, &["ceremony", "approve", &id], 0);
    assert_eq!(office.epoch(), 1, "approved is not done");
    assert!(
        office.by(BOB, &["key", "rotate"], WAITS).contains("ceremony approve"),
        "it is for who opened it"
    );
    office.by(ALICE, &["key", "rotate"], 0);
    assert_eq!(office.epoch(), 2);
    office.by(ALICE, &["key", "rotate"], WAITS);
    assert_eq!(office.epoch(), 2, "approved once is done once");

    let transcript = office.by(ALICE, &["ceremony", "transcript", &id], 0);
    let file = office.daemon.dir().join("transcript.json");
    std::fs::write(&file, &transcript).unwrap();
    let file = file.to_str().unwrap();
    let verdict = office.daemon.run(&["receipt", "verify", file], 0);
    assert!(verdict.starts_with("authentic"), "{verdict}");
    let says: Value = serde_json::from_str(&transcript).unwrap();
    assert_eq!(says["operation"], "key-rotate");
    assert_eq!(says["opened"]["operator"], "alice");
    assert_eq!(says["approved"]["uid"], BOB.uid);
    std::fs::write(file, transcript.replace("bob", "eve")).unwrap();
    office.daemon.run(&["receipt", "verify", file], 3);

    let trail = office.daemon.run(&["audit", "tail", "--lines", "100"], 0);
    for told in [
        "operator-enroll",
        "ceremony-open",
        "ceremony-approve",
        "ceremony-act",
        "ceremony-done",
        "I have been told",
    ] {
        assert!(trail.contains(told), "{told} is not in the trail:\n{trail}");
    }
}

#[test]
fn a_half_done_ceremony_has_no_effect() {
    let Some(mut office) = office("a_half_done_ceremony_has_no_effect", "[\"key-rotate\"]") else {
        return;
    };
    office.enroll(ALICE);
    office.enroll(BOB);
    office.by(ALICE, &["key", "rotate"], WAITS);
    let first = office.waiting();
    office.daemon.kill();
    office.up();
    assert_eq!(office.epoch(), 1);
    assert_eq!(office.waiting(), first, "an open ceremony outlives the daemon");
    office.by(BOB, &["ceremony", "cancel", &first], 0);
    assert!(
        office
            .by(BOB, &["ceremony", "approve", &first], 1)
            .contains("cancelled")
    );

    office.by(ALICE, &["key", "rotate"], WAITS);
    let second = office.waiting();
    assert_ne!(second, first);
    office.by(BOB, &["ceremony", "approve", &second], 0);
    // an approval counts only as long as its giver is an operator with a credential
    office.both(ALICE, BOB, &["operator", "reset", "bob"]);
    assert!(office.by(ALICE, &["key", "rotate"], 1).contains("needs two operators"));
    office.enroll(BOB);
    office.by(ALICE, &["key", "rotate"], WAITS);
    assert_ne!(
        office.waiting(),
        second,
        "what the old credential approved is not approved"
    );
    assert_eq!(office.epoch(), 1);
    assert!(
        office
            .by(ALICE, &["ceremony", "approve", "cer_none"], 1)
            .contains("there is no ceremony")
    );
}

#[test]
fn operators_are_changed_by_two() {
    let Some(office) = office("operators_are_changed_by_two", "[\"key-rotate\"]") else {
        return;
    };
    office.enroll(ALICE);
    office.enroll(BOB);
    assert!(
        office.try_enroll(ALICE).contains("has a credential"),
        "a second one is not given out"
    );
    assert!(office.try_enroll(CAROL).contains("for the vault's admins"));

    let carol = CAROL.uid.to_string();
    let add = ["operator", "add", "carol", "--uid", &carol];
    office.by(ALICE, &add, WAITS);
    office.by(BOB, &["ceremony", "approve", &office.waiting()], 0);
    office.by(ALICE, &add, 0);
    office.enroll(CAROL);
    assert!(
        office
            .both(ALICE, BOB, &["operator", "add", "dave", "--uid", &carol])
            .contains("carol has that name or")
    );
    assert!(
        office
            .both(ALICE, BOB, &["operator", "add", "root", "--uid", "0"])
            .contains("not a person's own")
    );

    assert!(
        office
            .both(ALICE, CAROL, &["operator", "remove", "bob"])
            .contains("bob")
    );
    assert!(
        office
            .by(BOB, &["ceremony", "list"], 1)
            .contains("for the vault's admins"),
        "{}",
        BOB.name
    );
    assert!(
        office
            .both(ALICE, CAROL, &["operator", "remove", "carol"])
            .contains("fewer than two")
    );

    let init = office
        .daemon
        .try_run(&["init", "--operator", "mallory=3001", "--operator", "trudy=3002"]);
    assert!(!init.status.success(), "init does not add operators to those there are");
}

#[test]
fn the_security_officer_can_replace_operators_who_are_gone() {
    let test = "the_security_officer_can_replace_operators_who_are_gone";
    let Some(mut office) = office(test, "[\"key-rotate\"]") else {
        return;
    };
    office.enroll(ALICE);
    office.daemon.stop();
    let (bob, carol) = (format!("bob={}", BOB.uid), format!("carol={}", CAROL.uid));
    let replace = [
        "init",
        "--operator",
        &bob,
        "--operator",
        &carol,
        "--replace-operators",
        "--so-pin-file",
    ];
    let with_pin = |office: &Office, pin: &str| {
        let file = office.daemon.dir().join(pin);
        office
            .daemon
            .try_run(&[&replace[..], &[file.to_str().unwrap()]].concat())
    };
    // the user's PIN is not the officer's
    let refused = with_pin(&office, "user-pin");
    assert!(
        String::from_utf8_lossy(&refused.stderr).contains("officer"),
        "{refused:?}"
    );
    office.daemon.run(&["init"], 0);
    assert!(with_pin(&office, "so-pin").status.success());
    office.up();
    assert!(
        office
            .by(ALICE, &["key", "rotate"], 1)
            .contains("for the vault's admins")
    );
    office.enroll(BOB);
    office.enroll(CAROL);
    office.both(CAROL, BOB, &["key", "rotate"]);
    assert_eq!(office.epoch(), 2);
    let trail = office.daemon.run(&["audit", "tail", "--lines", "100"], 0);
    assert!(trail.contains("operators-replace"), "{trail}");
}

#[test]
fn files_come_into_force_when_two_agreed() {
    let Some(mut office) = office("files_come_into_force_when_two_agreed", "[\"policy\"]") else {
        return;
    };
    office.enroll(ALICE);
    office.enroll(BOB);
    let policy = office.daemon.dir().join("policy.toml");
    let before = std::fs::read_to_string(&policy).unwrap();
    let wider = format!(
        "{before}\n[[grant]]\nname = \"more\"\nuid = 4711\ndialects = [\"native\"]\nrepositories = [\"*\"]\noperations = [\"reveal\"]\n"
    );
    std::fs::write(&policy, &wider).unwrap();
    let told = office.daemon.try_run(&["policy", "reload"]);
    assert!(
        String::from_utf8_lossy(&told.stderr).contains("was not approved"),
        "{told:?}"
    );
    let granted = |office: &Office| {
        office
            .daemon
            .run(&["policy", "explain", "--uid", "4711", "--op", "reveal"], 0)
    };
    assert!(granted(&office).contains("not granted"));

    let staged = office.public_file("staged-policy.toml", &wider);
    let approve = ["policy", "approve", "--policy", &staged];
    office.by(ALICE, &approve, WAITS);
    let told = office.daemon.try_run(&["policy", "reload"]);
    assert!(!told.status.success(), "one has agreed, not two");
    office.by(BOB, &["ceremony", "approve", &office.waiting()], 0);
    office.by(ALICE, &approve, 0);
    office.daemon.run(&["policy", "reload"], 0);
    assert!(!granted(&office).contains("not granted"));
    // what was approved before it does not come back without two
    std::fs::write(&policy, &before).unwrap();
    let told = office.daemon.try_run(&["policy", "reload"]);
    assert!(
        String::from_utf8_lossy(&told.stderr).contains("was not approved"),
        "{told:?}"
    );
    let staged = office.public_file("staged-policy.toml", &before);
    office.both(ALICE, BOB, &["policy", "approve", "--policy", &staged]);
    office.daemon.run(&["policy", "reload"], 0);

    // whoever takes the list out of the configuration has changed a file that nobody approved
    let file = office.daemon.dir().join("panvault.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    office.daemon.stop();
    let open = text.replace("operations = [\"policy\"]", "operations = []");
    assert_ne!(open, text);
    std::fs::write(&file, &open).unwrap();
    assert!(
        office.refused().contains("configuration (sha256"),
        "an open configuration is not loaded"
    );
    // a daemon that does not start: two approvals in files let it
    let staged = office.public_file("staged.toml", &open);
    let approve = ["policy", "approve", "--configuration", &staged];
    let in_file = |person: Person| {
        let file = office.daemon.dir().join(person.name).join("approval");
        let file = file.to_str().unwrap().to_owned();
        office.by(person, &[&approve[..], &["--approve", &file]].concat(), 0);
        file
    };
    let (alice, bob) = (in_file(ALICE), in_file(BOB));
    let told = office.daemon.try_run(&[&approve[..], &["--approval", &alice]].concat());
    assert!(!told.status.success(), "one is not two: {told:?}");
    let both = [&approve[..], &["--approval", &alice, "--approval", &bob]].concat();
    office.daemon.run(&both, 0);
    office.up();
    let trail = office.daemon.run(&["audit", "tail", "--lines", "100"], 0);
    assert!(
        trail.contains("dual-control-off") && trail.contains("file-load"),
        "{trail}"
    );
}

#[test]
fn deleted_tokens_come_back_only_when_two_agreed() {
    let Some(mut office) = office("deleted_tokens_come_back_only_when_two_agreed", "[\"restore\"]") else {
        return;
    };
    office.enroll(ALICE);
    office.enroll(BOB);
    office.daemon.tokenize(VISA);
    let (backup, manifest) = office.backup("backup");
    office.daemon.stop();
    office.lose_state();
    let from = ["restore", "--from", &backup];
    let restore = |office: &Office, more: &[&str]| {
        let arguments = [&from[..], &["--accept-returning"], more].concat();
        let ended = office.daemon.try_run(&arguments);
        let told = String::from_utf8_lossy(&ended.stderr).into_owned();
        (ended.status.success(), told)
    };
    let refused = |office: &Office, more: &[&str], because: &str| {
        let (restored, told) = restore(office, more);
        assert!(
            !restored && told.contains(because) && told.contains("nothing was changed"),
            "{told}"
        );
        assert!(!office.daemon.dir().join("state/keyring.json").exists());
    };
    refused(&office, &[], "two operators are needed, 0 given");
    let approve = |person: Person| {
        let file = office.daemon.dir().join(person.name).join("approval");
        let file = file.to_str().unwrap().to_owned();
        office.by(person, &["restore", "--from", &manifest, "--approve", &file], 0);
        file
    };
    let (alice, bob) = (approve(ALICE), approve(BOB));
    refused(&office, &["--approval", &alice, "--approval", &alice], "1 given");
    let copy = office.public_file("copy", &std::fs::read_to_string(&bob).unwrap());
    refused(
        &office,
        &["--approval", &alice, "--approval", &copy],
        "does not belong to the operator's own user",
    );
    let text = std::fs::read_to_string(&bob).unwrap();
    let mut forged: Value = serde_json::from_str(&text).unwrap();
    forged["at"] = (forged["at"].as_u64().unwrap() + 1).into();
    std::fs::write(&bob, forged.to_string()).unwrap();
    refused(&office, &["--approval", &alice, "--approval", &bob], "it was changed");
    std::fs::write(&bob, &text).unwrap();

    let (restored, told) = restore(&office, &["--approval", &alice, "--approval", &bob]);
    assert!(restored, "{told}");
    office.up();
    let trail = office.daemon.run(&["audit", "tail", "--lines", "100"], 0);
    assert!(trail.contains("agreed to by alice and bob"), "{trail}");
    // the daemon that has the HSM signs what was done without it
    let (file, says) = transcript(&office);
    assert_eq!(
        (says["operation"].as_str(), says["approved_by"].as_str()),
        (Some("restore"), Some("alice and bob"))
    );
    assert!(says["subject"]["manifest_sha256"].is_string(), "{says}");
    let verified = office.daemon.run(&["receipt", "verify", file.to_str().unwrap()], 0);
    assert!(verified.contains("authentic"), "{verified}");
}

#[test]
fn a_token_is_adopted_only_when_two_agreed() {
    let Some(mut office) = office("a_token_is_adopted_only_when_two_agreed", "[\"key-adopt\"]") else {
        return;
    };
    office.enroll(ALICE);
    office.enroll(BOB);
    office.daemon.stop();
    let keyring = panvault::keys::Keyring::load(&office.daemon.dir().join("state/keyring.json")).unwrap();
    let serial = keyring.keyset().token_serial.clone();
    let adopt = ["key", "adopt", "--serial", &serial];
    let refused = office.daemon.try_run(&adopt);
    assert!(
        String::from_utf8_lossy(&refused.stderr).contains("two operators"),
        "{refused:?}"
    );
    let approve = |person: Person, serial: &str| {
        let file = office.daemon.dir().join(person.name).join(format!("approval-{serial}"));
        let file = file.to_str().unwrap().to_owned();
        office.by(person, &["key", "adopt", "--serial", serial, "--approve", &file], 0);
        file
    };
    let (alice, bob, other) = (approve(ALICE, &serial), approve(BOB, &serial), approve(BOB, "0123"));
    let refused = office
        .daemon
        .try_run(&[&adopt[..], &["--approval", &alice, "--approval", &other]].concat());
    assert!(
        String::from_utf8_lossy(&refused.stderr).contains("for something else"),
        "{refused:?}"
    );
    let arguments = [&adopt[..], &["--approval", &alice, "--approval", &bob]].concat();
    office.daemon.run(&arguments, 0);
    office.up();
    let trail = office.daemon.run(&["audit", "tail", "--lines", "100"], 0);
    assert!(trail.contains("approved by alice and bob"), "{trail}");
}

/// The one transcript of what was done offline, once it is signed.
fn transcript(office: &Office) -> (std::path::PathBuf, Value) {
    let dir = office.daemon.dir().join("state/transcripts");
    let files = || {
        let files = std::fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path());
        files.collect::<Vec<_>>()
    };
    let signed = || matches!(&files()[..], [file] if file.extension().is_some_and(|extension| extension == "json"));
    let wait = std::time::Duration::from_secs(20);
    office.daemon.wait(wait, "the transcript", signed);
    let file = files().remove(0);
    let says = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    (file, says)
}

#[test]
fn a_vault_moves_to_another_hsm_only_when_two_agreed() {
    let Some(mut office) = office("a_vault_moves_to_another_hsm_only_when_two_agreed", "[\"key-move\"]") else {
        return;
    };
    office.enroll(ALICE);
    office.enroll(BOB);
    let place = place::Place::beside(&mut office.daemon, "other");
    let before = place.everything();
    let approve = |person: Person, name: &str, serial: &str| {
        let file = office.daemon.dir().join(person.name).join(format!("{name}-{serial}"));
        let file = file.to_str().unwrap().to_owned();
        office.by(person, &["key", "move", "--serial", serial, "--approve", &file], 0);
        file
    };
    let (alice, bob) = (
        approve(ALICE, "move", &place.serial),
        approve(BOB, "move", &place.serial),
    );
    let other = approve(BOB, "move", "0123");
    for (approvals, because) in [
        (&[][..], "two operators"),
        (&["--approval", &alice], "1 given"),
        (&["--approval", &alice, "--approval", &alice], "1 given"),
        (&["--approval", &alice, "--approval", &other], "for something else"),
    ] {
        let refused = place::said(&place.moves(&office.daemon, approvals), 1);
        assert!(
            refused.contains(because) && refused.contains("nothing was changed"),
            "{refused}"
        );
        assert_eq!(place.everything(), before, "{because}");
    }
    let told = place::said(
        &place.moves(&office.daemon, &["--approval", &alice, "--approval", &bob]),
        0,
    );
    assert!(told.contains("under KEK epoch 9"), "{told}");
    let trail = office.daemon.run(&["audit", "tail", "--lines", "100"], 0);
    assert!(
        trail.contains("\"key-move\"") && trail.contains("approved by alice and bob"),
        "{trail}"
    );
    place.take_into_use(&office.daemon);
    office.up();
    let (file, says) = transcript(&office);
    assert_eq!(
        (says["operation"].as_str(), says["approved_by"].as_str()),
        (Some("key-move"), Some("alice and bob"))
    );
    assert_eq!(says["subject"]["serial"], place.serial.as_str(), "{says}");
    let verified = office.daemon.run(&["receipt", "verify", file.to_str().unwrap()], 0);
    assert!(verified.contains("authentic"), "{verified}");
}

#[test]
fn cards_leave_or_go_only_when_two_agreed() {
    let Some(office) = office("cards_leave_or_go_only_when_two_agreed", "[\"erase\", \"export\"]") else {
        return;
    };
    office.enroll(ALICE);
    office.enroll(BOB);
    let token = office.daemon.tokenize(VISA)["token"].as_str().unwrap().to_owned();
    let repository = office.daemon.dev_json()["native"]["merchant"]
        .as_str()
        .unwrap()
        .to_owned();
    let out = |name: &str| {
        office
            .daemon
            .dir()
            .join("alice")
            .join(name)
            .to_str()
            .unwrap()
            .to_owned()
    };
    let (cards, receipts) = (out("cards"), out("receipts"));
    let recipient = office.recipient();
    let export = [
        "export",
        "--yes",
        "--repository",
        &repository,
        "--recipient",
        &recipient,
        "--out",
        &cards,
    ];
    let erase = ["erase", "--yes", "--repository", &repository, "--out", &receipts];

    let root = office.daemon.try_run(&export);
    assert!(
        String::from_utf8_lossy(&root.stderr).contains("needs an operator"),
        "{root:?}"
    );
    office.by(ALICE, &export, WAITS);
    assert!(!std::path::Path::new(&cards).exists());
    office.by(BOB, &["ceremony", "approve", &office.waiting()], 0);
    let told = office.by(ALICE, &export, 0);
    assert!(told.contains("1 cards"), "{told}");

    office.daemon.run(&["repository", "suspend", &repository], 0);
    office.by(ALICE, &[&erase[..], &["--dry-run"]].concat(), 0);
    office.by(ALICE, &erase, WAITS);
    assert!(!std::path::Path::new(&receipts).exists());
    office.by(BOB, &["ceremony", "approve", &office.waiting()], 0);
    office.by(ALICE, &erase, 0);
    assert!(std::fs::read_to_string(&receipts).unwrap().contains(&token));
    let outcomes: Vec<Value> = office
        .ceremonies()
        .into_iter()
        .map(|one| one["outcome"].clone())
        .collect();
    assert_eq!(outcomes, ["begun", "begun"], "what is streamed is told as begun");
}
