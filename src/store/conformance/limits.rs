//! What an engine refuses: too much, its own tables, and everything once closed.

use std::ops::Bound;
use std::sync::Arc;

use super::{Fault, P, done, key, puts, same, text, write};
use crate::store::{
    COMMIT_MAX, Commit, Cond, EVENT_MAX, Error, FIRST_TABLE, KEY_MAX, Key, Part, Store, VALUE_MAX, WRITES_MAX, Write,
};

pub(super) async fn limits_are_kept(store: &Arc<dyn Store>) -> Result<(), Fault> {
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

pub(super) async fn the_engines_tables_are_closed(store: &Arc<dyn Store>) -> Result<(), Fault> {
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

pub(super) async fn closing_ends_writing(store: &Arc<dyn Store>) -> Result<(), Fault> {
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
