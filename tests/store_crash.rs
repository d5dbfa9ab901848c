//! The store under kill -9, a second process, lost and damaged files, and a full disk: real processes, real files.
//!
//! `PANVAULT_LONG=1` runs more rounds.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test, also outside its test functions"
)]

#[path = "store_crash/damage.rs"]
mod damage;
#[path = "store_crash/full.rs"]
mod full;
#[path = "support/skip.rs"]
mod skip;
#[path = "store_crash/writer.rs"]
mod writer;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use panvault::id::fill_random;
use panvault::store::sled::SledStore;
use panvault::store::{Config, Error, Store};
use panvault::telemetry::Metrics;

use writer::{WRITERS, check};

fn config(dir: &Path) -> Config {
    Config {
        create: true,
        cache_bytes: 16 << 20,
        min_free_bytes: 1 << 20,
        audit_window: 500,
        audit_segment_bytes: 256 << 10,
        record_table: Some(writer::RECORDS),
        ..Config::new(dir)
    }
}

fn open(config: Config) -> Result<SledStore, Error> {
    SledStore::open(config, Metrics::new().unwrap())
}

fn random_below(end: u64) -> u64 {
    let mut raw = [0; 8];
    fill_random(&mut raw).unwrap();
    u64::from_le_bytes(raw) % end
}

/// This test binary again, as the process that writes.
fn spawn_writer(dir: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", "writer::writer_process"])
        .env("PANVAULT_TEST_WRITER", dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// The last number that each writer was told is durable, once `child` has ended.
fn acknowledged(child: &mut Child) -> [Option<u32>; WRITERS] {
    let mut acked = [None; WRITERS];
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        let mut words = line.split(' ');
        if words.next() != Some("ack") {
            continue;
        }
        // the last line may be cut, and then its number is only smaller
        if let (Some(Ok(writer)), Some(Ok(n))) = (words.next().map(str::parse::<usize>), words.next().map(str::parse)) {
            acked[writer] = acked[writer].max(Some(n));
        }
    }
    acked
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_by_kill_9() {
    let rounds = if std::env::var_os("PANVAULT_LONG").is_some() {
        50
    } else {
        6
    };
    let temp = tempfile::tempdir().unwrap();
    let (mut commits, mut acked) = (0, [None; WRITERS]);
    for round in 0..rounds {
        let mut child = spawn_writer(temp.path());
        let kill = Duration::from_millis(300 + random_below(900));
        let id = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
        let killer = std::thread::spawn(move || {
            std::thread::sleep(kill);
            nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGKILL).unwrap();
        });
        for (so_far, last) in acked.iter_mut().zip(acknowledged(&mut child)) {
            *so_far = last.max(*so_far);
        }
        killer.join().unwrap();
        assert!(
            !child.wait().unwrap().success(),
            "it was to be killed, it ended by itself"
        );
        // every other time the next writer recovers from the kill itself
        if round % 2 == 1 {
            let store = open(config(temp.path())).unwrap();
            commits = check(&store, &acked).await;
            store.close().await.unwrap();
        }
    }
    println!("{rounds} rounds, {commits} commits, none lost");
    assert!(commits > 100, "the writers wrote next to nothing: {commits}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_is_refused() {
    let temp = tempfile::tempdir().unwrap();
    let mut child = spawn_writer(temp.path());
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(
        lines.any(|line| line.unwrap().starts_with("ack")),
        "the writer wrote nothing"
    );
    let refused = open(config(temp.path())).err();
    child.kill().unwrap();
    child.wait().unwrap();
    match refused {
        Some(Error::Unavailable(text)) => assert!(text.contains("another process has the store"), "{text}"),
        other => panic!("the second was not refused: {other:?}"),
    }
    open(config(temp.path())).unwrap().close().await.unwrap();
}
