//! Scans: bounds and cursors.

use std::ops::Bound;
use std::sync::Arc;

use super::{Fault, P, done, key, same, text, write};
use crate::store::{Commit, Error, FIRST_TABLE, Key, SCAN_MAX, Store, Write};

pub(super) async fn scans_keep_to_their_bounds(store: &Arc<dyn Store>) -> Result<(), Fault> {
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

pub(super) async fn cursors_stand_inserts_and_deletes(store: &Arc<dyn Store>) -> Result<(), Fault> {
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
