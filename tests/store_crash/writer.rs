//! The process that is killed: eight writers, each telling what it was told is durable. And what must be there afterwards.

use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;

use panvault::store::chain::Head;
use panvault::store::sled::SledStore;
use panvault::store::{Commit, Cond, Depth, Error, Key, Outcome, Part, Store, Write};

pub(crate) const WRITERS: usize = 8;
pub(crate) const RECORDS: u8 = 0x10;
const INDEX: u8 = 0x11;
const COUNTER: u8 = 0x12;
const BALLAST: u8 = 0x20;
/// A writer's commit number n puts record n and deletes record n - 7.
const KEPT: u32 = 7;
const P: Part = Part(0);

fn key(table: u8, writer: usize, n: u32) -> Key {
    Key([&[table, u8::try_from(writer).unwrap()], n.to_be_bytes().as_slice()].concat())
}

fn counter(writer: usize) -> Key {
    Key(vec![COUNTER, u8::try_from(writer).unwrap()])
}

/// Commit number `n` of `writer`. `rev` is the counter's, `None` for the first.
pub(crate) fn step(writer: usize, n: u32, rev: Option<u64>) -> Commit {
    let mut writes = vec![
        Write::Put(key(RECORDS, writer, n), vec![u8::try_from(n % 251).unwrap(); 600]),
        Write::Put(key(INDEX, writer, n), n.to_be_bytes().to_vec()),
        Write::Put(counter(writer), n.to_be_bytes().to_vec()),
    ];
    if let Some(old) = n.checked_sub(KEPT) {
        writes.extend([
            Write::Del(key(RECORDS, writer, old)),
            Write::Del(key(INDEX, writer, old)),
        ]);
    }
    Commit {
        conds: vec![rev.map_or_else(|| Cond::Absent(counter(writer)), |rev| Cond::Rev(counter(writer), rev))],
        writes,
        event: Some(format!("{{\"w\":{writer},\"n\":{n}}}").into_bytes()),
        records: if n < KEPT { 1 } else { 0 },
        ..Commit::default()
    }
}

/// How far `writer` got, and its counter's revision.
pub(crate) async fn reached(store: &impl Store, writer: usize) -> Option<(u32, u64)> {
    let found = store.get(P, &counter(writer)).await.unwrap()?;
    Some((u32::from_be_bytes(found.value.try_into().unwrap()), found.rev))
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "the child process of the other tests"]
async fn writer_process() {
    // run with all the ignored tests it has nothing to do
    let Some(dir) = std::env::var_os("PANVAULT_TEST_WRITER") else {
        return;
    };
    let store = Arc::new(crate::open(crate::config(Path::new(&dir))).unwrap());
    let (errors, _) = write(&store, false, true).await;
    panic!("it was to be killed, and was refused: {errors:?}");
}

/// Eight writers at once, until each is refused. Gives with what, and how far it got. `ballast` fills the disk with 16
/// KiB a commit; `tell` prints every acknowledgement.
pub(crate) async fn write(
    store: &Arc<SledStore>,
    ballast: bool,
    tell: bool,
) -> ([Error; WRITERS], [Option<u32>; WRITERS]) {
    let mut tasks = Vec::new();
    for writer in 0..WRITERS {
        let store = store.clone();
        tasks.push(tokio::spawn(async move {
            let mut at = reached(&*store, writer).await;
            loop {
                let (n, rev) = at.map_or((0, None), |(n, rev)| (n + 1, Some(rev)));
                let mut commit = step(writer, n, rev);
                if ballast {
                    commit
                        .writes
                        .push(Write::Put(key(BALLAST, writer, n), vec![7; 16 << 10]));
                }
                match store.commit(commit).await {
                    Ok(Outcome::Done { rev }) => at = Some((n, rev)),
                    Ok(failed) => panic!("{failed:?}"),
                    Err(error) => return (error, at.map(|(n, _)| n)),
                }
                if tell {
                    println!("ack {writer} {n} .");
                }
            }
        }));
    }
    let (mut errors, mut acked) = ([const { Error::Full }; WRITERS], [None; WRITERS]);
    for (writer, task) in tasks.into_iter().enumerate() {
        (errors[writer], acked[writer]) = task.await.unwrap();
    }
    (errors, acked)
}

/// Everything acknowledged is there, whole, and nothing else; the chain holds and has each commit once. Gives the
/// number of commits.
pub(crate) async fn check(store: &impl Store, acked: &[Option<u32>; WRITERS]) -> u32 {
    let report = store.verify(Depth::Full).await.unwrap();
    assert_eq!(report.faults, Vec::<String>::new());
    let (mut records, mut commits) = (0, 0);
    for (writer, acked) in acked.iter().enumerate() {
        let landed = reached(store, writer).await.map(|(n, _)| n);
        assert!(
            landed >= *acked,
            "writer {writer}: acknowledged {acked:?}, found {landed:?}"
        );
        let Some(landed) = landed else { continue };
        commits += landed + 1;
        for (table, first) in [
            (RECORDS, landed.saturating_sub(KEPT - 1)),
            (INDEX, landed.saturating_sub(KEPT - 1)),
        ] {
            let (from, to) = (
                Bound::Included(key(table, writer, 0)),
                Bound::Included(key(table, writer, u32::MAX)),
            );
            let found: Vec<_> = store
                .scan(P, from, to, 100)
                .await
                .unwrap()
                .items
                .into_iter()
                .map(|(key, _)| key)
                .collect();
            let wanted: Vec<_> = (first..=landed).map(|n| key(table, writer, n)).collect();
            assert_eq!(found, wanted, "writer {writer}");
        }
        records += u64::from(landed.min(KEPT - 1) + 1);
    }
    assert_eq!(store.health().records, records);
    let (mut head, mut next) = (Head::START, [0; WRITERS]);
    loop {
        let lines = store.audit(head.seq + 1, 1000).await.unwrap();
        if lines.is_empty() {
            break;
        }
        for line in lines {
            head.follow(&line.line).unwrap();
            let line: serde_json::Value = serde_json::from_slice(&line.line).unwrap();
            let writer = usize::try_from(line["event"]["w"].as_u64().unwrap()).unwrap();
            assert_eq!(line["event"]["n"].as_u64(), Some(next[writer]), "writer {writer}");
            next[writer] += 1;
        }
    }
    assert_eq!(head.seq, u64::from(commits));
    commits
}
