//! What the store holds cannot be moved or changed unnoticed, and a full disk loses nothing.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test program: a panic fails the test"
)]

mod support;

use std::ops::Bound;
use std::process::Command;
use std::time::Duration;

use panvault::keys::Sealed;
use panvault::store::sled::SledStore;
use panvault::store::{self, Commit, Key, Part, Store, Write};
use panvault::telemetry::Metrics;
use panvault::vault::RECORD_TABLE;
use serde_json::json;
use support::daemon::{Daemon, MASTERCARD, VISA, card};
use support::skip::skipped;

/// Where the sealed part stands in a stored record: the only range that reads as one.
fn sealed_range(record: &[u8]) -> std::ops::Range<usize> {
    let mut found = Vec::new();
    for start in 0..record.len() {
        for end in start + 60..=record.len() {
            if Sealed::decode(&record[start..end]).is_ok() {
                found.push(start..end);
            }
        }
    }
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

/// Changes a stopped daemon's records as somebody who can write its files would.
fn edit_records(daemon: &Daemon, edit: impl FnOnce(&mut Vec<(Key, Vec<u8>)>)) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let state = daemon.dir().join("state");
    let mut config = store::Config::new(state.join("store"));
    config.audit_dir = Some(state.join("audit"));
    config.record_table = Some(RECORD_TABLE);
    let store = SledStore::open(config, Metrics::new().unwrap()).unwrap();
    runtime.block_on(async {
        let (from, to) = (Key(vec![RECORD_TABLE]), Key(vec![RECORD_TABLE + 1]));
        let page = store
            .scan(Part::default(), Bound::Included(from), Bound::Excluded(to), 100)
            .await
            .unwrap();
        let mut records: Vec<(Key, Vec<u8>)> = page.items.into_iter().map(|(key, held)| (key, held.value)).collect();
        edit(&mut records);
        let commit = Commit {
            writes: records.into_iter().map(|(key, value)| Write::Put(key, value)).collect(),
            ..Commit::default()
        };
        store.commit(commit).await.unwrap();
        store.close().await.unwrap();
    });
}

#[test]
fn ciphertexts_swapped_between_records_do_not_open() {
    let mut daemon = Daemon::start();
    let tokens: Vec<String> = [VISA, MASTERCARD]
        .iter()
        .map(|number| daemon.tokenize(number)["token"].as_str().unwrap().to_owned())
        .collect();
    daemon.stop();
    edit_records(&daemon, |records| {
        assert_eq!(records.len(), 2);
        let ranges: Vec<_> = records.iter().map(|(_, value)| sealed_range(value)).collect();
        let first = records[0].1[ranges[0].clone()].to_vec();
        let second = records[1].1[ranges[1].clone()].to_vec();
        assert_eq!(first.len(), second.len());
        records[0].1[ranges[0].clone()].copy_from_slice(&second);
        records[1].1[ranges[1].clone()].copy_from_slice(&first);
    });
    let verify = |arguments: &[&str], code| {
        let text = daemon.run(&[&["verify"], arguments].concat(), code);
        assert!(!text.contains(VISA) && !text.contains(MASTERCARD));
        text
    };
    // stopped and serving alike
    let named = |text: &str| tokens.iter().filter(|token| text.contains(token.as_str())).count();
    assert_eq!(named(&verify(&["--full"], 3)), 2);
    daemon.up();
    let verify = |arguments: &[&str], code| daemon.run(&[&["verify"], arguments].concat(), code);
    assert_eq!(named(&verify(&["--full"], 3)), 2);
    assert_eq!(named(&verify(&["--sample", "10"], 3)), 2);
    for token in &tokens {
        let answer = daemon.reveal(token);
        assert_eq!(answer.status, 500, "{}", answer.text());
        assert_eq!(answer.json()["code"], "integrity");
        assert!(!answer.text().contains(VISA) && !answer.text().contains(MASTERCARD));
    }
    assert_eq!(daemon.metric("panvault_tampered_total"), 2.0);
    assert!(daemon.run(&["audit", "tail"], 0).contains("tampered"));
    // The HSM is well: others' cards open.
    let token = daemon.tokenize(VISA)["token"].as_str().unwrap().to_owned();
    assert_eq!(daemon.reveal(&token).status, 200);
    assert!(daemon.ready());
}

#[test]
fn what_is_whole_verifies_while_it_serves_and_the_rate_is_kept() {
    let mut daemon = Daemon::start();
    for _ in 0..30 {
        daemon.tokenize(VISA);
    }
    let since = std::time::Instant::now();
    let text = daemon.run(&["verify", "--full", "--rate", "20"], 0);
    assert!(since.elapsed() > Duration::from_secs(1), "{:?}", since.elapsed());
    assert!(text.contains("30 opened") && text.contains("0 faults"), "{text}");
    let sampled = daemon.run(&["verify", "--sample", "10", "--json"], 0);
    let sampled: serde_json::Value = serde_json::from_str(&sampled).unwrap();
    assert_eq!(sampled["verified"]["opened"], 10);
    assert!(
        daemon
            .run(&["audit", "tail"], 0)
            .contains("\"action\":\"verify\",\"outcome\":\"ended\"")
    );
    daemon.stop();
    assert!(daemon.run(&["verify", "--full"], 0).contains("30 opened"));
}

#[test]
fn a_changed_byte_of_a_ciphertext_is_found() {
    let mut daemon = Daemon::start();
    let token = daemon.tokenize(VISA)["token"].as_str().unwrap().to_owned();
    daemon.stop();
    edit_records(&daemon, |records| {
        let range = sealed_range(&records[0].1);
        records[0].1[range.end - 1] ^= 1;
    });
    daemon.up();
    assert_eq!(daemon.reveal(&token).json()["code"], "integrity");
}

#[test]
fn a_changed_keyring_is_refused() {
    let mut daemon = Daemon::start();
    daemon.stop();
    let keyring = daemon.dir().join("state/keyring.json");
    let own = std::fs::read(&keyring).unwrap();
    // One changed byte.
    let mut changed = own.clone();
    let at = changed.len() / 2;
    changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
    std::fs::write(&keyring, &changed).unwrap();
    let output = daemon.try_run(&["serve", "--allow-root"]);
    assert_eq!(
        output.status.code(),
        Some(77),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    std::fs::write(&keyring, own).unwrap();
    daemon.up();
    daemon.tokenize(VISA);
}

/// Makes `fdatasync` of the processes that load it fail with EIO while a file exists.
const FAILING_DISK: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
int fdatasync(int fd) {
    const char *mark = getenv("FAILING_DISK");
    if (mark && access(mark, F_OK) == 0) { errno = EIO; return -1; }
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    return real(fd);
}
"#;

#[test]
fn a_failed_sync_ends_writing_for_good_and_loses_nothing() {
    let mut daemon = Daemon::start();
    daemon.stop();
    let (source, library) = (daemon.dir().join("disk.c"), daemon.dir().join("disk.so"));
    let mark = daemon.dir().join("disk-fails");
    std::fs::write(&source, FAILING_DISK).unwrap();
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .arg(&library)
        .arg(&source)
        .arg("-ldl")
        .status();
    assert!(built.unwrap().success());
    let text = |path: &std::path::Path| path.to_str().unwrap().to_owned();
    daemon.environment = vec![
        ("LD_PRELOAD".to_owned(), text(&library)),
        ("FAILING_DISK".to_owned(), text(&mark)),
    ];
    daemon.up();
    let token = daemon.tokenize(VISA)["token"].as_str().unwrap().to_owned();
    std::fs::write(&mark, "").unwrap();
    assert_eq!(create_on(&daemon).status, 503);
    std::fs::remove_file(&mark).unwrap();
    // Linux forgets what it could not write: a later success would prove nothing.
    daemon.serves_views_only(&token, "store_read_only");
    daemon.kill();
    daemon.environment.clear();
    daemon.up();
    assert_eq!(daemon.reveal(&token).status, 200);
    assert_eq!(create_on(&daemon).status, 201);
    daemon.run(&["audit", "verify"], 0);
}

fn create_on(daemon: &Daemon) -> support::http::Answer {
    daemon.call("POST", "/v1/tokens", &json!({"card": card(MASTERCARD)}))
}

/// A small file system of its own, where this user may mount one.
struct SmallDisk(std::path::PathBuf);

impl SmallDisk {
    fn mount(at: &std::path::Path) -> Option<Self> {
        std::fs::create_dir_all(at).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=512m", "tmpfs"])
            .arg(at)
            .output()
            .is_ok_and(|output| output.status.success());
        mounted.then(|| Self(at.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_stops_writes_and_reveals_and_is_recovered_from() {
    let place = tempfile::Builder::new().prefix("pvfull").tempdir_in("/tmp").unwrap();
    let Some(disk) = SmallDisk::mount(&place.path().join("disk")) else {
        skipped("a_full_disk_stops_writes_and_reveals_and_is_recovered_from: no right to mount a small file system");
        return;
    };
    let daemon = Daemon::start_in(&disk.0.join("d"), "store.min_free_mib = 24\nstore.cache_mib = 16");
    let mut tokens = Vec::new();
    for _ in 0..50 {
        tokens.push(daemon.tokenize(VISA)["token"].as_str().unwrap().to_owned());
    }
    let ballast = disk.0.join("ballast");
    let fill = |bytes: usize| std::fs::write(&ballast, vec![1u8; bytes]);
    // Leaves less than the limit.
    let free = || {
        let stat = nix::sys::statvfs::statvfs(&disk.0).unwrap();
        stat.blocks_available() * stat.fragment_size()
    };
    fill(usize::try_from(free() - (12 << 20)).unwrap()).unwrap();
    let create = || daemon.call("POST", "/v1/tokens", &json!({"card": card(VISA)}));
    daemon.wait(Duration::from_secs(10), "the guard", || create().status == 503);
    daemon.serves_views_only(&tokens[0], "store_read_only");
    std::fs::remove_file(&ballast).unwrap();
    daemon.wait(Duration::from_secs(20), "recovery", || create().status == 201);
    for token in &tokens {
        assert_eq!(daemon.reveal(token).status, 200);
    }
    daemon.run(&["audit", "verify"], 0);
}
