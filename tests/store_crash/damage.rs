//! Files lost, emptied, cut and changed while the store is closed: refused in words, nothing touched, no panic, and never
//! a smaller store taken for the whole one.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use panvault::store::{Depth, Error, Outcome, Store};

use crate::writer::{WRITERS, check, step};
use crate::{config, open, random_below};

type Damage = fn(&Path);

/// A store with some thousand commits, closed in order; and how far its writers got.
async fn closed_store(dir: &Path) -> [Option<u32>; WRITERS] {
    let store = open(config(dir)).unwrap();
    let mut acked = [None; WRITERS];
    for (writer, acked) in acked.iter_mut().enumerate() {
        let mut rev = None;
        for n in 0..300 {
            let Ok(Outcome::Done { rev: done }) = store.commit(step(writer, n, rev)).await else {
                panic!("commit {n} was refused");
            };
            (rev, *acked) = (Some(done), Some(n));
        }
    }
    store.close().await.unwrap();
    acked
}

fn contents(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(contents(&path));
        } else {
            found.insert(path.clone(), fs::read(path).unwrap());
        }
    }
    found
}

fn copy(from: &Path, to: &Path) {
    for (path, bytes) in contents(from) {
        let target = to.join(path.strip_prefix(from).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::write(target, bytes).unwrap();
    }
    fs::create_dir_all(to.join("sled/blobs")).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_or_empty_file_is_refused_and_nothing_touched() {
    let temp = tempfile::tempdir().unwrap();
    closed_store(&temp.path().join("whole")).await;
    let cases: [(&str, Damage); 5] = [
        ("no log", |sled| fs::remove_file(sled.join("db")).unwrap()),
        ("an empty log", |sled| fs::write(sled.join("db"), "").unwrap()),
        ("empty settings", |sled| fs::write(sled.join("conf"), "").unwrap()),
        ("no settings", |sled| fs::remove_file(sled.join("conf")).unwrap()),
        ("nothing", |sled| fs::remove_dir_all(sled).unwrap()),
    ];
    for clean in [true, false] {
        for (what, damage) in cases {
            let dir = temp.path().join(format!("{what} {clean}"));
            copy(&temp.path().join("whole"), &dir);
            if !clean {
                fs::remove_file(dir.join("CLEAN")).unwrap();
            }
            damage(&dir.join("sled"));
            let before = contents(&dir);
            match open(config(&dir)).err() {
                Some(Error::Corrupt(text)) => {
                    assert!(text.contains("is missing or empty; nothing was changed"), "{text}")
                }
                other => panic!("{what}: {other:?}"),
            }
            assert_eq!(contents(&dir), before, "{what}");
        }
    }
    let dir = temp.path().join("cut");
    copy(&temp.path().join("whole"), &dir);
    let log = OpenOptions::new().write(true).open(dir.join("sled/db")).unwrap();
    log.set_len(log.metadata().unwrap().len() / 2 + 17).unwrap();
    let before = contents(&dir);
    assert!(
        matches!(open(config(&dir)).err(), Some(Error::Corrupt(text)) if text.contains("not the ones that were there"))
    );
    assert_eq!(contents(&dir), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_is_found_and_never_a_panic() {
    let rounds = if std::env::var_os("PANVAULT_LONG").is_some() {
        200
    } else {
        25
    };
    let temp = tempfile::tempdir().unwrap();
    let whole = temp.path().join("whole");
    let acked = closed_store(&whole).await;
    let (mut refused, mut faulty, mut harmless) = (0, 0, 0);
    for round in 0..rounds {
        let dir = temp.path().join(round.to_string());
        copy(&whole, &dir);
        let log = OpenOptions::new()
            .read(true)
            .write(true)
            .open(dir.join("sled/db"))
            .unwrap();
        let at = random_below(log.metadata().unwrap().len());
        let mut bytes = [0; 64];
        let count = log.read_at(&mut bytes, at).unwrap();
        // some rounds change a few bits, some wipe
        for byte in &mut bytes[..count] {
            *byte = if round % 2 == 0 { *byte ^ 0x41 } else { 0 };
        }
        log.write_all_at(&bytes[..count], at).unwrap();
        match open(config(&dir)) {
            Err(Error::Corrupt(_)) => refused += 1,
            Err(other) => panic!("damage at {at} is called {other:?}"),
            Ok(store) => match store.verify(Depth::Full).await {
                Err(Error::Corrupt(_)) => faulty += 1,
                Ok(report) if !report.faults.is_empty() => faulty += 1,
                Ok(_) => {
                    // bytes that nothing refers to any more: then all must be there
                    check(&store, &acked).await;
                    harmless += 1;
                }
                Err(other) => panic!("damage at {at} is called {other:?}"),
            },
        }
        fs::remove_dir_all(&dir).unwrap();
    }
    println!("{rounds} damaged: {refused} refused, {faulty} with faults, {harmless} harmless");
    assert!(refused + faulty > 0, "no damage was ever found");
}
