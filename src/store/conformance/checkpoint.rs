//! Checkpoints: the state at one revision, however much is written meanwhile.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::sync::mpsc;

use super::{Fault, done, key, same, text, write};
use crate::store::chain::Head;
use crate::store::{Change, Commit, Key, Mark, Store, Told, Versioned, Write};

type State = BTreeMap<Key, Versioned>;
/// What commits wrote, by their revisions; `None` where a key was removed.
type History = Vec<(u64, Key, Option<Vec<u8>>, i64)>;

/// Commits that are made while checkpoints are taken.
const CHANGES: usize = 600;

pub(super) async fn a_checkpoint_is_one_revision_under_load(store: &Arc<dyn Store>) -> Result<(), Fault> {
    let mut history = History::new();
    for n in 0..1500_u32 {
        put(store, &mut history, n, b"before").await?;
    }
    let (stop, made) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let writers: Vec<_> = (0..4_u32)
        .map(|writer| tokio::spawn(change(store.clone(), writer, stop.clone(), made.clone())))
        .collect();
    let mut taken = Vec::new();
    // until enough was written between and behind the pages of checkpoints
    while taken.len() < 5 || made.load(Ordering::Acquire) < CHANGES {
        taken.push(take(store).await?);
    }
    stop.store(true, Ordering::Release);
    for writer in writers {
        history.extend(writer.await.map_err(text)??);
    }
    history.sort_by_key(|(rev, ..)| *rev);
    for (state, mark) in taken {
        let (mut wanted, mut records) = (State::new(), 0);
        for (rev, key, value, counted) in history.iter().take_while(|(rev, ..)| *rev <= mark.rev) {
            records += counted;
            match value {
                Some(value) => wanted.insert(
                    key.clone(),
                    Versioned {
                        rev: *rev,
                        value: value.clone(),
                    },
                ),
                None => wanted.remove(key),
            };
        }
        same(state.len(), wanted.len(), "entries of a checkpoint")?;
        same(state == wanted, true, "the state at the checkpoint's revision")?;
        same(mark.records, records, "records of a checkpoint")?;
        let last = store.audit(mark.head.seq, 1).await.map_err(text)?;
        same(
            last.first().map(Head::after),
            Some(mark.head),
            "the head of a checkpoint",
        )?;
    }
    Ok(())
}

pub(super) async fn a_checkpoint_that_nobody_takes_ends(store: &Arc<dyn Store>) -> Result<(), Fault> {
    let mut history = History::new();
    put(store, &mut history, 1, b"x").await?;
    let (to, from) = mpsc::channel(1);
    drop(from);
    same(store.checkpoint(to).await.is_err(), true, "nobody takes it")?;
    // and is no hindrance to the next
    let (state, _) = take(store).await?;
    same(state.len(), 1, "entries of the next")
}

async fn put(store: &Arc<dyn Store>, history: &mut History, n: u32, value: &[u8]) -> Result<(), Fault> {
    let key = key(&n.to_be_bytes());
    let commit = Commit {
        event: Some(b"{}".to_vec()),
        records: 1,
        ..write(vec![Write::Put(key.clone(), value.to_vec())])
    };
    let rev = done(store.commit(commit).await)?;
    history.push((rev, key, Some(value.to_vec()), 1));
    Ok(())
}

/// Puts and removes keys all over the table, each writer its own.
async fn change(
    store: Arc<dyn Store>,
    writer: u32,
    stop: Arc<AtomicBool>,
    made: Arc<AtomicUsize>,
) -> Result<History, Fault> {
    let mut history = History::new();
    for round in 0_u32.. {
        if stop.load(Ordering::Acquire) {
            break;
        }
        let n = round.wrapping_mul(7919).wrapping_mul(4) % 2000 + writer;
        let (key, value) = (
            key(&n.to_be_bytes()),
            (round % 3 > 0).then(|| round.to_be_bytes().to_vec()),
        );
        let (change, counted) = match &value {
            Some(value) => (Write::Put(key.clone(), value.clone()), 1),
            None => (Write::Del(key.clone()), -1),
        };
        let commit = Commit {
            event: Some(b"{}".to_vec()),
            records: counted,
            ..write(vec![change])
        };
        history.push((done(store.commit(commit).await)?, key, value, counted));
        made.fetch_add(1, Ordering::AcqRel);
        tokio::task::yield_now().await;
    }
    Ok(history)
}

async fn take(store: &Arc<dyn Store>) -> Result<(State, Mark), Fault> {
    let (to, mut from) = mpsc::channel(2);
    let gather = async {
        let (mut state, mut changes, mut last) = (State::new(), Vec::new(), None);
        while let Some(told) = from.recv().await {
            match told {
                Told::Entries(entries) => {
                    let ordered = entries.iter().all(|(key, _)| Some(key) > last.as_ref());
                    same(ordered, true, "each key once, in order")?;
                    last = entries.last().map(|(key, _)| key.clone()).or(last);
                    state.extend(entries);
                }
                Told::Changes(next) => changes.extend(next),
            }
        }
        for Change { key, now } in changes {
            match now {
                Some(now) => state.insert(key, now),
                None => state.remove(&key),
            };
        }
        Ok::<_, Fault>(state)
    };
    let (mark, state) = tokio::join!(store.checkpoint(to), gather);
    Ok((state?, mark.map_err(text)?))
}
