//! Segment files by day.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::*;
use crate::store::chain::at_of;

const DAY: u64 = 24 * 60 * 60 * 1000;

/// A record of that time.
async fn note(store: &SledStore, at: u64) {
    let commit = Commit {
        event: Some(format!("{{\"at\":{at},\"action\":\"test\"}}").into_bytes()),
        ..Commit::default()
    };
    store.commit(commit).await.unwrap();
}

/// Files by their names, with their records' days.
fn days(dir: &Path) -> Vec<(PathBuf, BTreeSet<u64>)> {
    let day = |line: &str| at_of(line.as_bytes()).unwrap() / DAY;
    let files = segment_files(dir).into_iter();
    files
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            (path, text.lines().map(day).collect())
        })
        .collect()
}

#[tokio::test]
async fn segments_are_by_day_and_size_and_one_chain() {
    let temp = tempfile::tempdir().unwrap();
    let roomy = |size| Config {
        audit_segment_bytes: size,
        ..config(temp.path())
    };
    let open = |size| SledStore::open(roomy(size), Metrics::new().unwrap()).unwrap();
    let store = open(1 << 20);
    for n in 0..60_u64 {
        // just before and after midnight, in one block or another
        note(&store, 100 * DAY - 30 + n).await;
    }
    for n in 0..60 {
        note(&store, 103 * DAY + n).await;
    }
    archived(&store);
    let found = days(temp.path());
    let named: Vec<&BTreeSet<u64>> = found.iter().map(|(_, days)| days).collect();
    assert_eq!(named, [&[99].into(), &[100].into(), &[103].into()]);
    let first = |path: &Path| path.file_stem().unwrap().to_str().unwrap().parse::<u64>().unwrap();
    let firsts: Vec<u64> = found.iter().map(|(path, _)| first(path)).collect();
    assert_eq!(firsts, [1, 31, 61]);
    follow_all(&store, 120).await;

    // a clock that was set back begins no file, and the same day goes on in its file after a start
    for n in 0..30 {
        note(&store, 102 * DAY + n).await;
    }
    archived(&store);
    store.close().await.unwrap();
    let store = open(1 << 20);
    for n in 0..30 {
        note(&store, 103 * DAY + 500 + n).await;
    }
    archived(&store);
    assert_eq!(days(temp.path()).len(), 3);
    for n in 0..60 {
        note(&store, 104 * DAY + n).await;
    }
    archived(&store);
    assert_eq!(days(temp.path()).last().unwrap().1, [104].into());
    assert_eq!(days(temp.path()).len(), 4);
    follow_all(&store, 240).await;
    let report = store.verify(Depth::Full).await.unwrap();
    assert_eq!((report.audit_lines, report.faults), (240, vec![]));
    store.close().await.unwrap();

    // by size within the day as before
    let store = open(1 << 10);
    for n in 0..200 {
        note(&store, 104 * DAY + 100 + n).await;
    }
    archived(&store);
    let found = days(temp.path());
    assert!(found.len() > 7, "{}", found.len());
    assert!(
        found.iter().all(|(_, days)| days.len() == 1 || days.contains(&103)),
        "{found:?}"
    );
    follow_all(&store, 440).await;
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_day_whose_archiving_broke_off_is_archived_anew() {
    let temp = tempfile::tempdir().unwrap();
    let store = open_at(temp.path()).unwrap();
    for n in 0..60 {
        note(&store, 100 * DAY - 30 + n).await;
    }
    archived(&store);
    let lines = store.audit(1, SCAN_MAX).await.unwrap();
    store.close().await.unwrap();
    // the archiver may have gone on until then
    let archived_to = store.shared.archived.load(Ordering::Acquire);
    // what follows was written to the next day's file, and the next day's to another, and neither was acknowledged
    let after: Vec<u8> = lines
        .iter()
        .filter(|line| line.seq > archived_to)
        .flat_map(|line| [line.line.as_slice(), b"\n"].concat())
        .collect();
    let name = temp.path().join(format!("audit/{:020}.jsonl", archived_to + 1));
    fs::write(&name, after).unwrap();
    let store = open_at(temp.path()).unwrap();
    assert!(!name.exists(), "cut");
    for n in 0..60 {
        note(&store, 101 * DAY + n).await;
    }
    archived(&store);
    follow_all(&store, 120).await;
    assert_eq!(store.verify(Depth::Full).await.unwrap().faults, Vec::<String>::new());
    store.close().await.unwrap();
}
