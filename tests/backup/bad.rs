//! Backups and places that are refused, with what to do next and nothing changed.

use std::fs;
use std::path::Path;

use crate::place::{audit_key, backup, copy, files, lose_state, restore, said};
use crate::support::daemon::{Daemon, VISA};

/// A stopped daemon without its state, and its backup.
fn lost() -> (Daemon, std::path::PathBuf) {
    let mut daemon = Daemon::start();
    for _ in 0..3 {
        daemon.tokenize(VISA);
    }
    let place = daemon.dir().join("backup");
    backup(&daemon, &place);
    daemon.stop();
    lose_state(&daemon, "lost");
    (daemon, place)
}

/// Restoring ends with `code` and says all of `expected`, and nothing of a vault's state is there afterwards.
fn refused(daemon: &Daemon, from: &Path, more: &[&str], code: i32, expected: &[&str]) {
    let output = restore(daemon, from, more);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(code), "{text}");
    for expected in expected {
        assert!(text.contains(expected), "no {expected:?}: {text}");
    }
    let left: Vec<_> = files(&daemon.dir().join("state"))
        .into_iter()
        .map(|(path, _)| path)
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_backup_that_was_changed_is_refused() {
    let (daemon, place) = lost();
    let bad = daemon.dir().join("bad");
    let names: Vec<_> = files(&place)
        .into_iter()
        .map(|(path, _)| path.strip_prefix(&place).unwrap().to_owned())
        .collect();
    assert!(names.len() >= 4, "{names:?}");
    let accept = ["--accept-returning"];
    let changed = |change: &dyn Fn(&Path)| {
        let _ = fs::remove_dir_all(&bad);
        copy(&place, &bad);
        change(&bad);
    };
    for name in &names {
        let manifest = name.to_str() == Some("manifest.json");
        let length = fs::metadata(place.join(name)).unwrap().len();
        for at in [0, length / 2, length - 1] {
            changed(&|bad| {
                let mut bytes = fs::read(bad.join(name)).unwrap();
                bytes[usize::try_from(at).unwrap()] ^= 1;
                fs::write(bad.join(name), bytes).unwrap();
            });
            refused(
                &daemon,
                &bad,
                &accept,
                3,
                &["not as it was made", "use another backup", "nothing was changed"],
            );
        }
        for cut in [1, length / 2] {
            changed(&|bad| {
                let file = fs::OpenOptions::new().write(true).open(bad.join(name)).unwrap();
                file.set_len(length - cut).unwrap();
            });
            refused(&daemon, &bad, &accept, 3, &["not as it was made", "use another backup"]);
        }
        changed(&|bad| fs::remove_file(bad.join(name)).unwrap());
        if manifest {
            refused(&daemon, &bad, &accept, 1, &["is no whole backup", "use another backup"]);
        } else {
            refused(&daemon, &bad, &accept, 3, &["it is missing", "use another backup"]);
        }
    }
    // a file that is as long as it was, and another one of the same backup
    changed(&|bad| {
        let manifest = fs::read_to_string(bad.join("manifest.json")).unwrap();
        fs::write(
            bad.join("manifest.json"),
            manifest.replacen("\"format\":2", "\"format\":3", 1),
        )
        .unwrap();
    });
    refused(
        &daemon,
        &bad,
        &accept,
        1,
        &["newer version (format 3)", "nothing was changed"],
    );
    refused(&daemon, &place, &[], 1, &["--accept-returning", "nothing was changed"]);
    let output = restore(&daemon, &place, &["--accept-returning"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
}

#[test]
fn a_backup_of_another_vault_is_refused() {
    let (daemon, place) = lost();
    let (other, others) = lost();
    let own = panvault::keys::Keyring::load(&daemon.dir().join("lost/keyring.json")).unwrap();
    let pin = own.audit_fingerprint().unwrap().to_string();
    let pinned = ["--accept-returning", "--key", &pin];
    refused(&daemon, &others, &pinned, 3, &["signed by the key", "another vault's"]);
    // its manifest over this vault's files, and its keyring and manifest
    let mixed = daemon.dir().join("mixed");
    copy(&place, &mixed);
    fs::copy(others.join("manifest.json"), mixed.join("manifest.json")).unwrap();
    refused(&daemon, &mixed, &pinned, 3, &["signed by the key"]);
    refused(&daemon, &mixed, &["--accept-returning"], 3, &["not as it was made"]);

    // whole, but on another HSM: restored, and no daemon starts on it
    let output = restore(&other, &place, &["--accept-returning"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let served = other.try_run(&["serve", "--allow-root"]);
    let text = said(&served);
    assert_eq!(served.status.code(), Some(77), "{text}");
    assert!(
        text.contains("another HSM than the one with this vault's keys"),
        "{text}"
    );
}

#[test]
fn nothing_is_restored_over_live_data_or_written_over_a_backup() {
    let mut daemon = Daemon::start();
    let token = daemon.tokenize(VISA)["token"].as_str().unwrap().to_owned();
    let place = daemon.dir().join("backup");
    backup(&daemon, &place);
    let key = audit_key(&daemon);
    let arguments = ["--accept-returning", "--key", &key];

    let output = restore(&daemon, &place, &arguments);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("stop it first"), "{}", said(&output));
    daemon.stop();
    let before = files(&daemon.dir().join("state"));
    let output = restore(&daemon, &place, &arguments);
    assert_eq!(output.status.code(), Some(1));
    let text = said(&output);
    assert!(text.contains("nothing was changed") && text.contains("move"), "{text}");
    assert!(
        files(&daemon.dir().join("state")) == before,
        "the live state is as it was"
    );

    let kept = files(&place);
    let out = daemon.try_run(&["backup", place.to_str().unwrap()]);
    assert_eq!(out.status.code(), Some(1));
    assert!(said(&out).contains("name another directory"), "{}", said(&out));
    assert!(files(&place) == kept);
    let home = daemon.dir().to_str().unwrap().to_owned();
    let out = daemon.try_run(&["backup", &home]);
    assert!(said(&out).contains("is not empty"), "{}", said(&out));
    daemon.up();
    assert_eq!(daemon.reveal(&token).status, 200);
}
