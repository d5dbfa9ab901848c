//! What a search takes from its caller's caps, and from everyone else's time.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::vault::types::{PolicyError, Query};

/// Searches of `rig` are capped from now on: 1 a second and a burst of 10.
async fn cap_searches(rig: &Rig) {
    let policy = "version = 1\n[[grant]]\nuid = 1000\ndialects = [\"*\"]\nrepositories = [\"*\"]\noperations = [\"*\"]\n\
                  [grant.caps]\nsearch_per_second = 1\nsearch_burst = 10";
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), policy).unwrap();
    rig.vault.access.reload_policy(file.path(), None).await.unwrap();
}

fn up_to(limit: u32) -> Query {
    Query {
        limit,
        ..Query::default()
    }
}

#[tokio::test]
async fn a_search_costs_what_it_gave_and_not_what_it_asked_for() {
    let rig = Rig::new().await;
    cap_searches(&rig).await;
    for _ in 0..100 {
        assert_eq!(field(rig.vault.search(&rig.actor, up_to(0)).await), "limit");
    }
    for _ in 0..5 {
        let found = rig.vault.search(&rig.actor, up_to(1_000)).await.unwrap();
        assert!(found.tokens.is_empty());
    }
    for _ in 0..20 {
        rig.create(card(VISA)).await;
    }
    // a debt is made once, and then waited for
    assert_eq!(rig.vault.search(&rig.actor, up_to(20)).await.unwrap().tokens.len(), 20);
    let Error::Policy(PolicyError::Capped { retry_after_s }) = error(rig.vault.search(&rig.actor, up_to(1)).await)
    else {
        panic!("not capped")
    };
    assert!((12..=16).contains(&retry_after_s), "{retry_after_s}");
}

#[tokio::test]
async fn a_long_search_lets_others_work() {
    let rig = Rig::new().await;
    for _ in 0..600 {
        rig.create(card(VISA)).await;
    }
    let turns = Arc::new(AtomicUsize::new(0));
    let other = tokio::spawn({
        let turns = Arc::clone(&turns);
        async move {
            loop {
                turns.fetch_add(1, Ordering::SeqCst);
                tokio::task::yield_now().await;
            }
        }
    });
    let nothing = Query {
        last4: Some("9999".to_owned()),
        ..up_to(10)
    };
    // one thread: the other task gets it only where the search gives it up
    assert!(rig.vault.search(&rig.actor, nothing).await.unwrap().tokens.is_empty());
    assert_eq!(turns.load(Ordering::SeqCst), 2);
    other.abort();
}
