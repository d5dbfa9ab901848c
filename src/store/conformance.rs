//! What every engine must do, as checks against the trait. Each check takes a fresh store.

use std::fmt::Debug;
use std::future::Future;
use std::ops::Bound;
use std::sync::Arc;

use super::chain::Head;
use super::{
    AuditLine, COMMIT_MAX, Commit, Cond, Depth, EVENT_MAX, Error, FIRST_TABLE, KEY_MAX, Key, Outcome, Part, SCAN_MAX,
    Store, VALUE_MAX, WRITES_MAX, Write,
};

/// What an engine did wrong: the check and what was seen.
pub type Fault = String;

const P: Part = Part(0);

/// Runs every check, each on a store of its own from `fresh`. Wants a runtime with more than one thread.
///
/// # Errors
/// The first check that fails, and how.
pub async fn run<F, Fut>(fresh: F) -> Result<(), Fault>
where
    F: Fn() -> Fut,
    Fut: Future<Output = Arc<dyn Store>>,
{
    macro_rules! each {
        ($($check:ident),+ $(,)?) => {
            $(
                let store = fresh().await;
                $check(&store).await.map_err(|fault| format!("{}: {fault}", stringify!($check)))?;
                store.close().await.map_err(|e| format!("{}: closing: {e}", stringify!($check)))?;
            )+
        };
    }
    each![
        what_was_put_is_there,
        a_failed_condition_writes_nothing,
        writes_apply_in_order,
        revisions_grow,
        scans_keep_to_their_bounds,
        cursors_stand_inserts_and_deletes,
        one_of_many_wins,
        no_update_is_lost,
        the_audit_chain_holds,
        records_are_counted,
        limits_are_kept,
        the_engines_tables_are_closed,
        closing_ends_writing,
    ];
    Ok(())
}

async fn what_was_put_is_there(store: &Arc<dyn Store>) -> Result<(), Fault> {
    let empty = key(b"empty");
    same(store.get(P, &empty).await, Ok(None), "nothing there")?;
    let rev = done(store.commit(puts(&[(b"empty", b""), (b"a", b"one")])).await)?;
    let found = store.get(P, &empty).await.map_err(text)?;
    same(
        found.map(|v| (v.rev, v.value)),
        Some((rev, Vec::new())),
        "an empty value",
    )?;
    let large = vec![7; VALUE_MAX];
    done(
        store
            .commit(write(vec![Write::Put(key(b"large"), large.clone())]))
            .await,
    )?;
    let found = store.get(P, &key(b"large")).await.map_err(text)?;
    same(found.map(|v| v.value == large), Some(true), "the largest value")?;
    done(
        store
            .commit(write(vec![Write::Del(key(b"a")), Write::Del(key(b"none"))]))
            .await,
    )?;
    same(store.get(P, &key(b"a")).await, Ok(None), "deleted")?;
    same(
        store.verify(Depth::Full).await.map_err(text)?.faults,
        Vec::new(),
        "faults",
    )
}

async fn a_failed_condition_writes_nothing(store: &Arc<dyn Store>) -> Result<(), Fault> {
    let rev = done(store.commit(puts(&[(b"a", b"1")])).await)?;
    let now = store.get(P, &key(b"a")).await.map_err(text)?;
    for (conds, failed) in [
        (vec![Cond::Absent(key(b"a"))], b"a"),
        (vec![Cond::Exists(key(b"b"))], b"b"),
        (vec![Cond::Rev(key(b"b"), rev)], b"b"),
        (vec![Cond::Rev(key(b"a"), rev + 1)], b"a"),
        (
            vec![
                Cond::Absent(key(b"b")),
                Cond::Absent(key(b"a")),
                Cond::Exists(key(b"b")),
            ],
            b"a",
        ),
    ] {
        let shown = format!("{conds:?}");
        let refused = Commit {
            conds,
            event: Some(b"{}".to_vec()),
            records: 1,
            ..puts(&[(b"new", b"1"), (b"a", b"2")])
        };
        let wanted = Outcome::CondFailed {
            key: key(failed),
            now: now.clone().filter(|_| failed == b"a"),
        };
        same(store.commit(refused).await, Ok(wanted), &shown)?;
    }
    same(store.get(P, &key(b"new")).await, Ok(None), "nothing written")?;
    same(store.health().audit_seq, 0, "nothing audited")?;
    same(store.health().records, 0, "nothing counted")?;
    let held = Commit {
        conds: vec![
            Cond::Rev(key(b"a"), rev),
            Cond::Exists(key(b"a")),
            Cond::Absent(key(b"b")),
        ],
        ..puts(&[(b"b", b"1")])
    };
    done(store.commit(held).await).map(drop)
}

async fn writes_apply_in_order(store: &Arc<dyn Store>) -> Result<(), Fault> {
    let writes = vec![
        Write::Put(key(b"a"), b"1".to_vec()),
        Write::Del(key(b"a")),
        Write::Del(key(b"b")),
        Write::Put(key(b"b"), b"1".to_vec()),
        Write::Put(key(b"b"), b"2".to_vec()),
    ];
    done(store.commit(write(writes)).await)?;
    same(store.get(P, &key(b"a")).await, Ok(None), "put then deleted")?;
    let b = store.get(P, &key(b"b")).await.map_err(text)?;
    same(b.map(|v| v.value), Some(b"2".to_vec()), "the last put")
}

async fn revisions_grow(store: &Arc<dyn Store>) -> Result<(), Fault> {
    let mut tasks = Vec::new();
    for n in 0..100u8 {
        let store = store.clone();
        tasks.push(tokio::spawn(async move {
            done(store.commit(puts(&[(&[b'r', n], b"x"), (&[b's', n], b"y")])).await)
        }));
    }
    let mut revs = Vec::new();
    for (n, task) in (0..100u8).zip(tasks) {
        let rev = task.await.map_err(text)??;
        for name in [&[b'r', n], &[b's', n]] {
            let found = store.get(P, &key(name)).await.map_err(text)?;
            same(found.map(|v| v.rev), Some(rev), "the revision of what it wrote")?;
        }
        revs.push(rev);
    }
    let later = done(store.commit(puts(&[(b"later", b"")])).await)?;
    same(
        revs.iter().all(|rev| *rev < later),
        true,
        "later commits have larger revisions",
    )?;
    revs.sort_unstable();
    revs.dedup();
    same(revs.len(), 100, "different revisions")
}

async fn scans_keep_to_their_bounds(store: &Arc<dyn Store>) -> Result<(), Fault> {
    let names: [&[u8]; 5] = [b"a", b"b", b"ba", b"c", b"d"];
    done(
        store
            .commit(write(names.iter().map(|n| Write::Put(key(n), n.to_vec())).collect()))
            .await,
    )?;
    let other = Key(vec![FIRST_TABLE + 1, b'a']);
    let event = Some(b"{}".to_vec());
    done(
        store
            .commit(Commit {
                event,
                ..write(vec![Write::Put(other.clone(), Vec::new())])
            })
            .await,
    )?;
    use Bound::{Excluded, Included, Unbounded};
    let cases = [
        (Unbounded, Unbounded, 10, vec!["a", "b", "ba", "c", "d", "other"], false),
        (
            Included(key(b"b")),
            Excluded(key(b"d")),
            10,
            vec!["b", "ba", "c"],
            false,
        ),
        (
            Excluded(key(b"b")),
            Included(key(b"d")),
            10,
            vec!["ba", "c", "d"],
            false,
        ),
        (Excluded(key(b"b")), Unbounded, 2, vec!["ba", "c"], true),
        (Included(key(b"b")), Included(key(b"b")), 1, vec!["b"], true),
        (Excluded(key(b"b")), Excluded(key(b"b")), 1, vec![], false),
        (Included(key(b"d")), Included(key(b"a")), 10, vec![], false),
        (Included(key(b"e")), Excluded(other.clone()), 10, vec![], false),
    ];
    for (from, to, limit, wanted, more) in cases {
        let shown = format!("{from:?} to {to:?}");
        let page = store.scan(P, from, to, limit).await.map_err(text)?;
        let found: Vec<_> = page.items.iter().map(|(key, _)| key.clone()).collect();
        let wanted: Vec<_> = wanted
            .into_iter()
            .map(|name| {
                if name == "other" {
                    other.clone()
                } else {
                    key(name.as_bytes())
                }
            })
            .collect();
        same(&found, &wanted, &shown)?;
        same(
            page.next,
            found.last().cloned().filter(|_| more),
            &format!("where {shown} goes on"),
        )?;
    }
    same(
        store.scan(P, Unbounded, Unbounded, SCAN_MAX + 1).await,
        Err(Error::TooLarge),
        "too many",
    )?;
    let none = store.scan(P, Unbounded, Unbounded, 0).await;
    same(matches!(none, Err(Error::Invalid(_))), true, "a scan of none")
}

async fn cursors_stand_inserts_and_deletes(store: &Arc<dyn Store>) -> Result<(), Fault> {
    let name = |n: u32| key(format!("{n:05}").as_bytes());
    let even = (0..500).map(|n| Write::Put(name(n * 2), b"x".to_vec())).collect();
    done(store.commit(write(even)).await)?;
    let (mut from, mut seen) = (Bound::Unbounded, Vec::new());
    for round in 0.. {
        let page = store.scan(P, from, Bound::Unbounded, 60).await.map_err(text)?;
        seen.extend(page.items.into_iter().map(|(key, _)| key));
        let Some(next) = page.next else { break };
        // The cursor's own entry goes, others come before and after it; none of it may repeat or hide an entry.
        let changes = vec![Write::Del(next.clone()), Write::Put(name(round * 2 + 1), b"y".to_vec())];
        done(store.commit(write(changes)).await)?;
        from = Bound::Excluded(next);
    }
    same(seen.is_sorted_by(|a, b| a < b), true, "in order, none twice")?;
    let missing = (0..500)
        .map(|n| name(n * 2))
        .find(|key| seen.binary_search(key).is_err());
    same(missing, None, "every entry that was there throughout")
}

async fn one_of_many_wins(store: &Arc<dyn Store>) -> Result<(), Fault> {
    let mut tasks = Vec::new();
    for n in 0..64u8 {
        let store = store.clone();
        tasks.push(tokio::spawn(async move {
            let mine = Commit {
                conds: vec![Cond::Absent(key(b"one"))],
                event: Some(format!("{{\"winner\":{n}}}").into_bytes()),
                records: 1,
                ..puts(&[(b"one", &[n])])
            };
            (n, store.commit(mine).await)
        }));
    }
    let (mut winners, mut seen) = (Vec::new(), Vec::new());
    for task in tasks {
        match task.await.map_err(text)? {
            (n, Ok(Outcome::Done { .. })) => winners.push(vec![n]),
            (_, Ok(Outcome::CondFailed { now: Some(now), .. })) => seen.push(now.value),
            (n, other) => return Err(format!("commit {n} ended as {other:?}")),
        }
    }
    same(winners.len(), 1, "winners")?;
    same(seen.len(), 63, "losers")?;
    same(
        seen.iter().all(|value| winners.contains(value)),
        true,
        "every loser sees the winner",
    )?;
    same(
        (store.health().records, store.health().audit_seq),
        (1, 1),
        "records and events",
    )
}

async fn no_update_is_lost(store: &Arc<dyn Store>) -> Result<(), Fault> {
    done(store.commit(puts(&[(b"counter", &0u64.to_be_bytes())])).await)?;
    let mut tasks = Vec::new();
    for _ in 0..16 {
        let store = store.clone();
        tasks.push(tokio::spawn(async move {
            for _ in 0..5 {
                increment(&store).await?;
            }
            Ok::<_, Fault>(())
        }));
    }
    for task in tasks {
        task.await.map_err(text)??;
    }
    let found = store.get(P, &key(b"counter")).await.map_err(text)?;
    same(
        found.map(|v| v.value),
        Some(80u64.to_be_bytes().to_vec()),
        "the counter",
    )
}

async fn increment(store: &Arc<dyn Store>) -> Result<(), Fault> {
    loop {
        let now = store
            .get(P, &key(b"counter"))
            .await
            .map_err(text)?
            .ok_or("no counter")?;
        let value: [u8; 8] = now.value.try_into().map_err(|_| "not a counter")?;
        let next = (u64::from_be_bytes(value) + 1).to_be_bytes();
        let change = Commit {
            conds: vec![Cond::Rev(key(b"counter"), now.rev)],
            ..puts(&[(b"counter", &next)])
        };
        match store.commit(change).await.map_err(text)? {
            Outcome::Done { .. } => return Ok(()),
            Outcome::CondFailed { .. } => {}
        }
    }
}

/// 600 events: with a window of less the oldest are in segment files by the end.
async fn the_audit_chain_holds(store: &Arc<dyn Store>) -> Result<(), Fault> {
    same(store.audit(1, 10).await, Ok(Vec::new()), "an empty chain")?;
    for round in 0..6u32 {
        let mut tasks = Vec::new();
        for n in 0..100u32 {
            let store = store.clone();
            let event = format!("{{\"n\":{}}}", round * 100 + n).into_bytes();
            tasks.push(tokio::spawn(async move {
                let name = (round * 100 + n).to_be_bytes();
                done(
                    store
                        .commit(Commit {
                            event: Some(event),
                            ..puts(&[(&name, b"x")])
                        })
                        .await,
                )
            }));
        }
        for task in tasks {
            task.await.map_err(text)??;
        }
        let lines = all_lines(store, 64).await?;
        same(
            lines.len(),
            usize::try_from((round + 1) * 100).unwrap_or(0),
            "lines so far",
        )?;
        let mut head = Head::START;
        for line in &lines {
            head.follow(&line.line).map_err(text)?;
            same(head.seq, line.seq, "the line's number")?;
        }
    }
    let lines = all_lines(store, SCAN_MAX).await?;
    let mut events: Vec<_> = lines
        .iter()
        .map(|line| {
            String::from_utf8_lossy(&line.line)
                .split_once("\"event\":")
                .map(|(_, event)| event.to_owned())
        })
        .collect();
    events.sort_unstable();
    events.dedup();
    same(events.len(), 600, "different events")?;
    let middle = store.audit(250, 3).await.map_err(text)?;
    same(
        middle.as_slice(),
        lines.get(249..252).unwrap_or_default(),
        "a read from the middle",
    )?;
    same(store.audit(601, 5).await, Ok(Vec::new()), "a read past the end")?;
    same(store.health().audit_seq, 600, "the last number")?;
    let report = store.verify(Depth::Full).await.map_err(text)?;
    same(
        (report.audit_lines, report.faults),
        (600, Vec::new()),
        "what verify found",
    )
}

async fn all_lines(store: &Arc<dyn Store>, step: u32) -> Result<Vec<AuditLine>, Fault> {
    let mut lines: Vec<AuditLine> = Vec::new();
    loop {
        let from = lines.last().map_or(1, |line| line.seq + 1);
        let more = store.audit(from, step).await.map_err(text)?;
        if more.is_empty() {
            return Ok(lines);
        }
        lines.extend(more);
    }
}

async fn records_are_counted(store: &Arc<dyn Store>) -> Result<(), Fault> {
    for (records, sum) in [(1, 1), (5, 6), (-2, 4), (0, 4)] {
        done(
            store
                .commit(Commit {
                    records,
                    ..puts(&[(b"a", b"")])
                })
                .await,
        )?;
        same(store.health().records, sum, "records")?;
    }
    Ok(())
}

async fn limits_are_kept(store: &Arc<dyn Store>) -> Result<(), Fault> {
    let long = Key(vec![FIRST_TABLE; KEY_MAX + 1]);
    let event = |len: usize| Some([b"{\"x\":\"", vec![b'x'; len - 8].as_slice(), b"\"}"].concat());
    let too_large = [
        ("a key", write(vec![Write::Put(long.clone(), Vec::new())])),
        ("a deleted key", write(vec![Write::Del(long.clone())])),
        (
            "a condition's key",
            Commit {
                conds: vec![Cond::Absent(long.clone())],
                ..Commit::default()
            },
        ),
        ("a value", write(vec![Write::Put(key(b"v"), vec![0; VALUE_MAX + 1])])),
        ("writes", write(vec![Write::Del(key(b"w")); WRITES_MAX + 1])),
        (
            "the bytes",
            write(vec![Write::Put(key(b"b"), vec![0; VALUE_MAX]); COMMIT_MAX / VALUE_MAX]),
        ),
        (
            "an event",
            Commit {
                event: event(EVENT_MAX + 1),
                ..Commit::default()
            },
        ),
    ];
    for (what, commit) in too_large {
        same(store.commit(commit).await, Err(Error::TooLarge), what)?;
    }
    same(store.get(P, &long).await, Err(Error::TooLarge), "a long key read")?;
    for bad in ["", "1", "[]", "{", "{}}", "{\"a\":1", "{\n}", "{} {}", "{\"a\":\u{1}}"] {
        let commit = Commit {
            event: Some(bad.as_bytes().to_vec()),
            ..Commit::default()
        };
        let refused = matches!(store.commit(commit).await, Err(Error::Invalid(_)));
        same(refused, true, &format!("the event {bad:?} refused"))?;
    }
    let largest = Commit {
        event: event(EVENT_MAX),
        ..write(vec![
            Write::Put(Key(vec![FIRST_TABLE; KEY_MAX]), Vec::new());
            WRITES_MAX
        ])
    };
    done(store.commit(largest).await).map(drop)
}

async fn the_engines_tables_are_closed(store: &Arc<dyn Store>) -> Result<(), Fault> {
    for name in [vec![], vec![0], vec![1, 2], vec![FIRST_TABLE - 1]] {
        let name = Key(name);
        let refused = [
            store.get(P, &name).await.err(),
            store
                .commit(write(vec![Write::Put(name.clone(), Vec::new())]))
                .await
                .err(),
            store
                .scan(P, Bound::Included(name.clone()), Bound::Unbounded, 1)
                .await
                .err(),
        ];
        let all = refused.iter().all(|e| matches!(e, Some(Error::Invalid(_))));
        same(all, true, &format!("{name:?} refused"))?;
    }
    let other = Commit {
        part: Part(1),
        ..puts(&[(b"a", b"")])
    };
    same(
        matches!(store.commit(other).await, Err(Error::Invalid(_))),
        true,
        "another partition refused",
    )?;
    done(
        store
            .commit(Commit {
                event: Some(b"{}".to_vec()),
                ..puts(&[(b"a", b"")])
            })
            .await,
    )?;
    let page = store
        .scan(P, Bound::Unbounded, Bound::Unbounded, 100)
        .await
        .map_err(text)?;
    let found: Vec<_> = page.items.into_iter().map(|(key, _)| key).collect();
    same(found, vec![key(b"a")], "a scan of everything")
}

async fn closing_ends_writing(store: &Arc<dyn Store>) -> Result<(), Fault> {
    done(store.commit(puts(&[(b"a", b"")])).await)?;
    same(store.health().writable, true, "writable")?;
    store.close().await.map_err(text)?;
    let late = store.commit(puts(&[(b"b", b"")])).await;
    same(
        matches!(late, Err(Error::Unavailable(_))),
        true,
        "a commit after closing refused",
    )?;
    same(store.health().writable, false, "writable after closing")?;
    same(store.close().await, Ok(()), "closing twice")
}

fn key(name: &[u8]) -> Key {
    Key([&[FIRST_TABLE], name].concat())
}

fn write(writes: Vec<Write>) -> Commit {
    Commit {
        writes,
        ..Commit::default()
    }
}

fn puts(entries: &[(&[u8], &[u8])]) -> Commit {
    write(
        entries
            .iter()
            .map(|(name, value)| Write::Put(key(name), value.to_vec()))
            .collect(),
    )
}

fn done(outcome: Result<Outcome, Error>) -> Result<u64, Fault> {
    match outcome {
        Ok(Outcome::Done { rev }) => Ok(rev),
        other => Err(format!("a commit ended as {other:?}")),
    }
}

fn same<T: PartialEq + Debug>(found: T, wanted: T, what: &str) -> Result<(), Fault> {
    if found == wanted {
        return Ok(());
    }
    Err(format!("{what}: found {found:?}, wanted {wanted:?}"))
}

fn text(error: impl ToString) -> Fault {
    error.to_string()
}
