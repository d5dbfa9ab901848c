//! Commits: conditions, order, revisions, races.

use std::sync::Arc;

use super::{Fault, P, done, key, puts, same, text, write};
use crate::store::{Commit, Cond, Depth, Outcome, Store, VALUE_MAX, Write};

pub(super) async fn what_was_put_is_there(store: &Arc<dyn Store>) -> Result<(), Fault> {
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

pub(super) async fn a_failed_condition_writes_nothing(store: &Arc<dyn Store>) -> Result<(), Fault> {
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

pub(super) async fn writes_apply_in_order(store: &Arc<dyn Store>) -> Result<(), Fault> {
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

pub(super) async fn revisions_grow(store: &Arc<dyn Store>) -> Result<(), Fault> {
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

pub(super) async fn one_of_many_wins(store: &Arc<dyn Store>) -> Result<(), Fault> {
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

pub(super) async fn no_update_is_lost(store: &Arc<dyn Store>) -> Result<(), Fault> {
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

pub(super) async fn records_are_counted(store: &Arc<dyn Store>) -> Result<(), Fault> {
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
