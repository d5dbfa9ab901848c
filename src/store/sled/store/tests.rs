use std::fs;
use std::io;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use super::*;
use crate::store::chain::{Head, seq_of};
use crate::store::sled::Loader;
use crate::store::{Change, Told, Write};

mod days;

const P: Part = Part(0);

fn config(dir: &Path) -> Config {
    Config {
        create: true,
        cache_bytes: 8 << 20,
        min_free_bytes: 1 << 20,
        audit_window: 20,
        audit_segment_bytes: 2 << 10,
        record_table: Some(0x10),
        ..Config::new(dir)
    }
}

fn open_at(dir: &Path) -> Result<SledStore, Error> {
    SledStore::open(config(dir), Metrics::new().unwrap())
}

fn key(n: u32) -> Key {
    Key([&[0x10], n.to_be_bytes().as_slice()].concat())
}

fn record(n: u32) -> Commit {
    Commit {
        writes: vec![Write::Put(key(n), vec![7; 300])],
        event: Some(format!("{{\"n\":{n}}}").into_bytes()),
        records: 1,
        ..Commit::default()
    }
}

async fn fill(store: &SledStore, numbers: std::ops::Range<u32>) {
    for n in numbers {
        assert!(matches!(store.commit(record(n)).await, Ok(Outcome::Done { .. })));
    }
}

/// Waits until the archiver has moved all but the window.
fn archived(store: &SledStore) -> u64 {
    let since = Instant::now();
    while store.shared.window() > 21 {
        assert!(since.elapsed() < Duration::from_secs(20), "the archiver does nothing");
        thread::sleep(Duration::from_millis(5));
    }
    store.shared.archived.load(Ordering::Acquire)
}

async fn follow_all(store: &SledStore, count: u64) {
    let lines = store.audit(1, SCAN_MAX).await.unwrap();
    let mut head = Head::START;
    for line in &lines {
        head.follow(&line.line).unwrap();
    }
    assert_eq!(head.seq, count);
}

fn segment_files(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut files: Vec<_> = fs::read_dir(dir.join("audit"))
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    files.sort();
    files
}

/// The directory as a killed process would leave it: everything but the clean mark.
async fn stopped_uncleanly(dir: &Path) {
    let store = open_at(dir).unwrap();
    store.close().await.unwrap();
    fs::remove_file(dir.join("CLEAN")).unwrap();
}

#[tokio::test]
async fn audit_records_move_to_segments_and_are_read_from_both() {
    let temp = tempfile::tempdir().unwrap();
    let store = open_at(temp.path()).unwrap();
    fill(&store, 0..200).await;
    assert!(archived(&store) >= 179);
    assert!(segment_files(temp.path()).len() > 3, "rotated");
    follow_all(&store, 200).await;
    let middle = store.audit(170, 20).await.unwrap();
    assert_eq!(
        middle.iter().map(|line| line.seq).collect::<Vec<_>>(),
        (170..190).collect::<Vec<_>>()
    );
    let report = store.verify(Depth::Full).await.unwrap();
    assert_eq!((report.entries, report.audit_lines, report.faults), (200, 200, vec![]));
    store.close().await.unwrap();

    let store = open_at(temp.path()).unwrap();
    assert_eq!((store.health().records, store.health().audit_seq), (200, 200));
    fill(&store, 200..300).await;
    archived(&store);
    follow_all(&store, 300).await;
    store.close().await.unwrap();
}

#[tokio::test]
async fn what_a_broken_off_archiving_left_is_cut() {
    let temp = tempfile::tempdir().unwrap();
    let store = open_at(temp.path()).unwrap();
    fill(&store, 0..100).await;
    archived(&store);
    let lines = store.audit(1, SCAN_MAX).await.unwrap();
    store.close().await.unwrap();

    // a line that is still in the store, then half of one, then another file begun
    let last = segment_files(temp.path()).pop().unwrap();
    let before = fs::read(&last).unwrap();
    let through = seq_of(before.trim_ascii_end().rsplit(|b| *b == b'\n').next().unwrap()).unwrap();
    let next: Vec<_> = lines.into_iter().filter(|line| line.seq > through).collect();
    let torn = [before.as_slice(), &next[0].line, b"\n", &next[1].line[..30]].concat();
    fs::write(&last, torn).unwrap();
    fs::write(
        temp.path().join(format!("audit/{:020}.jsonl", through + 2)),
        &next[1].line,
    )
    .unwrap();

    let store = open_at(temp.path()).unwrap();
    assert_eq!(fs::read(&last).unwrap(), before);
    assert_eq!(segment_files(temp.path()).pop().unwrap(), last);
    fill(&store, 100..200).await;
    archived(&store);
    follow_all(&store, 200).await;
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_store_older_than_its_audit_trail_is_refused() {
    let temp = tempfile::tempdir().unwrap();
    let store = open_at(temp.path()).unwrap();
    fill(&store, 0..50).await;
    archived(&store);
    let mut head = Head::after(store.audit(50, 1).await.unwrap().last().unwrap());
    store.close().await.unwrap();

    let last = segment_files(temp.path()).pop().unwrap();
    let before = fs::read(&last).unwrap();
    let mut newer = before.clone();
    head.append(b"{}", &mut newer);
    newer.push(b'\n');
    fs::write(&last, &newer).unwrap();
    let refused = open_at(temp.path()).err();
    assert!(matches!(refused, Some(Error::Corrupt(text)) if text.contains("older than its audit trail")));
    assert_eq!(fs::read(&last).unwrap(), newer, "nothing was cut");

    fs::write(&last, &before).unwrap();
    fs::remove_file(temp.path().join("CLEAN")).ok();
    let store = open_at(temp.path()).unwrap();
    follow_all(&store, 50).await;
    store.close().await.unwrap();

    fs::remove_file(&last).unwrap();
    assert!(
        matches!(open_at(temp.path()).err(), Some(Error::Corrupt(text)) if text.contains("put the missing file back"))
    );
}

#[tokio::test]
async fn a_changed_segment_is_a_fault() {
    let temp = tempfile::tempdir().unwrap();
    let store = open_at(temp.path()).unwrap();
    fill(&store, 0..100).await;
    archived(&store);
    let first = segment_files(temp.path()).remove(0);
    let text = fs::read_to_string(&first).unwrap();
    fs::write(&first, text.replacen("\"n\":3", "\"n\":4", 1)).unwrap();
    let faults = store.verify(Depth::Full).await.unwrap().faults;
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(faults[0].contains("the audit chain is broken: line 5"), "{faults:?}");
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_failed_sync_ends_writing_for_good() {
    let temp = tempfile::tempdir().unwrap();
    let store = open_at(temp.path()).unwrap();
    fill(&store, 0..3).await;
    store.close().await.unwrap();

    let failing = Arc::new(AtomicBool::new(false));
    let opened = open(&config(temp.path())).unwrap();
    let mut real = sync_of(&opened.dir.sled()).unwrap();
    let fail = failing.clone();
    let sync: Sync = Box::new(move || {
        if fail.load(Ordering::SeqCst) {
            Err(io::Error::other("lost pages"))
        } else {
            real()
        }
    });
    let store = SledStore::start(config(temp.path()), Metrics::new().unwrap(), opened, sync).unwrap();
    fill(&store, 3..4).await;

    failing.store(true, Ordering::SeqCst);
    assert_eq!(store.commit(record(4)).await, Err(Error::OutcomeUnknown));
    failing.store(false, Ordering::SeqCst);
    let after = store.commit(record(5)).await;
    assert_eq!(after, Err(Error::ReadOnly("fdatasync: lost pages".to_owned())));
    assert!(!store.health().writable);
    assert!(store.health().reason.unwrap().contains("lost pages"));
    assert_eq!(store.shared.metrics.store_writable.get(), 0);
    // what is durable is served; what may not be is not
    assert!(store.get(P, &key(3)).await.unwrap().is_some());
    assert!(matches!(store.get(P, &key(4)).await, Err(Error::ReadOnly(_))));
    assert_eq!(store.audit(1, 100).await.unwrap().len(), 4);
    assert!(matches!(store.close().await, Err(Error::ReadOnly(_))));
    drop(store);
    assert!(!temp.path().join("CLEAN").exists());
    open_at(temp.path()).unwrap().close().await.unwrap();
}

#[tokio::test]
async fn readers_wait_for_what_is_not_yet_on_disk() {
    let temp = tempfile::tempdir().unwrap();
    let opened = open(&config(temp.path())).unwrap();
    let mut real = sync_of(&opened.dir.sled()).unwrap();
    let (enter, entered) = std::sync::mpsc::channel();
    let (go, gone) = std::sync::mpsc::channel::<()>();
    let sync: Sync = Box::new(move || {
        enter.send(()).map_err(io::Error::other)?;
        gone.recv().map_err(io::Error::other)?;
        real()
    });
    let store = SledStore::start(config(temp.path()), Metrics::new().unwrap(), opened, sync).unwrap();
    let store = Arc::new(store);
    let writer = tokio::spawn({
        let store = store.clone();
        async move { store.commit(record(1)).await }
    });
    tokio::task::spawn_blocking(move || entered.recv().map(|()| entered))
        .await
        .unwrap()
        .unwrap();
    let short = Duration::from_millis(50);
    assert!(
        tokio::time::timeout(short, store.get(P, &key(1))).await.is_err(),
        "applied, not durable"
    );
    assert_eq!(
        store.get(P, &key(2)).await,
        Ok(None),
        "nothing there is no reason to wait"
    );
    go.send(()).unwrap();
    assert!(store.get(P, &key(1)).await.unwrap().is_some());
    assert!(writer.await.unwrap().is_ok());
    drop(go);
}

#[tokio::test]
async fn an_unclean_stop_leaves_a_copy_until_the_store_is_verified() {
    let temp = tempfile::tempdir().unwrap();
    stopped_uncleanly(temp.path()).await;
    let copy = temp.path().join("before-recovery");
    let store = open_at(temp.path()).unwrap();
    assert!(copy.join("db").exists() && copy.join("OPENED").exists());
    fill(&store, 0..3).await;
    assert_eq!(store.verify(Depth::Full).await.unwrap().faults, Vec::<String>::new());
    assert!(!copy.exists());
    store.close().await.unwrap();

    stopped_uncleanly(temp.path()).await;
    let roomless = Config {
        min_free_bytes: u64::MAX,
        ..config(temp.path())
    };
    let store = SledStore::open(roomless, Metrics::new().unwrap()).unwrap();
    assert!(!copy.exists(), "no room, no copy");
    assert_eq!(store.commit(record(9)).await, Err(Error::Full));
    assert!(store.get(P, &key(1)).await.unwrap().is_some());
    store.close().await.unwrap();
}

/// A process that is killed while sled writes its snapshot leaves a part of it, under a name that sled reads as a whole one.
#[tokio::test]
async fn an_opening_that_was_cut_harms_nothing() {
    let temp = tempfile::tempdir().unwrap();
    let sled = temp.path().join("sled");
    let store = open_at(temp.path()).unwrap();
    fill(&store, 0..5).await;
    store.close().await.unwrap();
    stopped_uncleanly(temp.path()).await;
    for (name, part) in [
        ("snap.0000000000000000.generating", ""),
        ("snap.7FFFFFFFFFFFFFFF.generating", "part"),
    ] {
        fs::write(sled.join(name), part).unwrap();
    }
    let store = open_at(temp.path()).unwrap();
    assert!(store.get(P, &key(4)).await.unwrap().is_some());
    assert_eq!(store.verify(Depth::Full).await.unwrap().faults, Vec::<String>::new());
    store.close().await.unwrap();
    let left: Vec<_> = fs::read_dir(sled)
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(left.iter().all(|name| !name.ends_with(".generating")), "{left:?}");
}

#[tokio::test]
async fn files_of_another_store_are_refused() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for dir in [&one, &two] {
        let store = open_at(dir.path()).unwrap();
        fill(&store, 0..2).await;
        store.close().await.unwrap();
    }
    fs::copy(two.path().join("VAULT-STORE"), one.path().join("VAULT-STORE")).unwrap();
    assert!(matches!(open_at(one.path()).err(), Some(Error::Corrupt(text)) if text.contains("another store")));
    fs::remove_file(two.path().join("VAULT-STORE")).unwrap();
    assert!(matches!(open_at(two.path()).err(), Some(Error::Corrupt(text)) if text.contains("VAULT-STORE is not")));
}

#[tokio::test]
async fn a_store_is_made_only_when_asked_for() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("data");
    let no = Config {
        create: false,
        ..config(&dir)
    };
    let refused = SledStore::open(no.clone(), Metrics::new().unwrap()).err();
    assert!(matches!(refused, Some(Error::Unavailable(text)) if text.contains("there is no store")));
    assert!(!dir.exists());
    // a creation that broke off
    fs::create_dir_all(dir.join("sled.new")).unwrap();
    fs::write(dir.join("sled.new/db"), "half").unwrap();
    open_at(&dir).unwrap().close().await.unwrap();
    assert!(!dir.join("sled.new").exists());
    SledStore::open(no, Metrics::new().unwrap())
        .unwrap()
        .close()
        .await
        .unwrap();
}

#[tokio::test]
async fn a_count_that_is_off_is_a_fault() {
    let temp = tempfile::tempdir().unwrap();
    let store = open_at(temp.path()).unwrap();
    fill(&store, 0..5).await;
    let miscounted = Commit {
        records: 3,
        ..record(5)
    };
    store.commit(miscounted).await.unwrap();
    let faults = store.verify(Depth::Full).await.unwrap().faults;
    assert_eq!(faults, ["6 records are stored, the header counts 8"]);
    store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_is_loaded_as_the_same_store() {
    let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = open_at(old.path()).unwrap();
    fill(&store, 0..600).await;
    let gone = Commit {
        writes: vec![Write::Del(key(5))],
        records: -1,
        ..Commit::default()
    };
    store.commit(gone).await.unwrap();
    archived(&store);
    let (to, mut from) = mpsc::channel(64);
    let mark = store.checkpoint(to).await.unwrap();
    let lines = store.audit(1, SCAN_MAX).await.unwrap();
    let (all, end) = (Bound::Unbounded, Bound::Unbounded);
    let before = store.scan(P, all.clone(), end.clone(), SCAN_MAX).await.unwrap();

    let mut loader = Loader::new(&config(new.path())).unwrap();
    assert!(
        matches!(Loader::new(&config(new.path())), Err(Error::Unavailable(_))),
        "one at a time"
    );
    while let Ok(told) = from.try_recv() {
        let Told::Entries(entries) = told else {
            continue;
        };
        let change = |(key, entry)| Change { key, now: Some(entry) };
        let changes: Vec<Change> = entries.into_iter().map(change).collect();
        loader.apply(&changes).unwrap();
    }
    let engines = Change {
        key: Key(vec![0]),
        now: None,
    };
    assert!(matches!(loader.apply(&[engines]), Err(Error::Invalid(_))));
    for line in &lines {
        loader.audit(&line.line).unwrap();
    }
    assert!(matches!(loader.audit(&lines[7].line), Err(Error::Corrupt(_))));
    assert_eq!(loader.head(), mark.head);
    loader.finish(&mark).unwrap();
    assert!(Loader::new(&config(new.path())).is_err(), "there is a store now");
    store.close().await.unwrap();

    let store = open_at(new.path()).unwrap();
    assert_eq!(store.scan(P, all, end, SCAN_MAX).await.unwrap(), before);
    assert_eq!(store.audit(1, SCAN_MAX).await.unwrap(), lines);
    let report = store.verify(Depth::Full).await.unwrap();
    assert_eq!((report.faults.as_slice(), report.audit_lines), (&[][..], 600));
    assert_eq!(store.health().records, 599);
    // and goes on from there
    assert_eq!(store.commit(record(5)).await, Ok(Outcome::Done { rev: mark.rev + 1 }));
    follow_all(&store, 601).await;
    store.close().await.unwrap();
}

#[test]
fn what_does_not_end_where_it_should_is_no_store() {
    let dir = tempfile::tempdir().unwrap();
    let (put, mark) = (
        Change {
            key: key(1),
            now: Some(Versioned { rev: 9, value: vec![1] }),
        },
        |rev, head| crate::store::Mark { rev, records: 1, head },
    );
    for mark in [mark(8, Head::START), mark(9, Head { seq: 1, hash: [0; 32] })] {
        let mut loader = Loader::new(&config(dir.path())).unwrap();
        loader.apply(std::slice::from_ref(&put)).unwrap();
        assert!(matches!(loader.finish(&mark), Err(Error::Corrupt(_))));
        assert!(
            SledStore::open(
                Config {
                    create: false,
                    ..config(dir.path())
                },
                Metrics::new().unwrap()
            )
            .is_err()
        );
    }
    let mut loader = Loader::new(&config(dir.path())).unwrap();
    loader.apply(&[put]).unwrap();
    loader.finish(&mark(9, Head::START)).unwrap();
}
