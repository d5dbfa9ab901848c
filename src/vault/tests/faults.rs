use super::*;
use crate::vault::types::{DependencyError, PolicyError, Query};

/// Puts the value of one record under the key of another, as someone with a hand on the disk would.
async fn swap(rig: &Rig, from: &Token, to: &Token, rename: bool) {
    let held = rig.vault.load(rig.actor.repository, from).await.unwrap();
    let mut record = held.record;
    let key = tables::record(rig.actor.repository, to);
    if rename {
        // with the identity of the place it is put to, so that only the ciphertext tells
        let there = rig.vault.load(rig.actor.repository, to).await.unwrap().record;
        record = record::Record {
            sealed: record.sealed,
            ..there
        };
    }
    let writes = vec![Write::Put(key, record.encode().unwrap())];
    rig.store
        .commit(Commit {
            writes,
            ..Commit::default()
        })
        .await
        .unwrap();
}

#[tokio::test]
async fn records_and_ciphertexts_that_were_swapped_raise_the_alarm() {
    for rename in [false, true] {
        let rig = Rig::new().await;
        let (one, two) = (rig.create(card(VISA)).await.token, rig.create(card(VISA)).await.token);
        swap(&rig, &one, &two, rename).await;
        let tampered = error(rig.vault.reveal(&rig.actor, &two, false).await);
        assert_eq!(tampered, Error::Integrity(IntegrityError::Tampered));
        assert_eq!(rig.vault.metrics.tampered.get(), 1);
        assert_eq!(rig.events().await.last().unwrap(), "reveal tampered");
        rig.vault.reveal(&rig.actor, &one, false).await.unwrap();
    }
}

#[tokio::test]
async fn a_whole_record_copied_under_another_token_raises_the_alarm() {
    let rig = Rig::new().await;
    let (one, two) = (rig.create(card(VISA)).await.token, rig.create(card(VISA)).await.token);
    let record = rig.vault.load(rig.actor.repository, &one).await.unwrap().record;
    // over another's record, and under a token that nobody made
    for (times, to) in [two, token("tok_mine")].iter().enumerate() {
        let copy = record::Record {
            token: to.clone(),
            ..record.clone()
        };
        let commit = Commit {
            writes: vec![Write::Put(copy.key(), copy.encode().unwrap())],
            ..Commit::default()
        };
        rig.store.commit(commit).await.unwrap();
        let tampered = error(rig.vault.reveal(&rig.actor, to, false).await);
        assert_eq!(tampered, Error::Integrity(IntegrityError::Tampered));
        assert_eq!(rig.vault.metrics.tampered.get(), u64::try_from(times + 1).unwrap());
        assert_eq!(rig.events().await.last().unwrap(), "reveal tampered");
    }
    rig.vault.reveal(&rig.actor, &one, false).await.unwrap();
}

#[tokio::test]
async fn a_reuse_key_that_leads_to_another_repository_raises_the_alarm() {
    let rig = Rig::new().await;
    let new = || NewToken {
        reuse: return_within(""),
        ..card(VISA)
    };
    let token = rig.create(new()).await.token;
    let record = rig.vault.load(rig.actor.repository, &token).await.unwrap().record;
    let key = tables::reuse(&record.reuse.unwrap());
    let elsewhere = tables::reuse_value(crate::id::RepositoryId(4711), &token);
    let commit = Commit {
        writes: vec![Write::Put(key, elsewhere)],
        ..Commit::default()
    };
    rig.store.commit(commit).await.unwrap();
    let tampered = error(rig.vault.tokenize(&rig.actor, new()).await);
    assert_eq!(tampered, Error::Integrity(IntegrityError::Tampered));
}

#[tokio::test]
async fn a_number_that_is_not_the_one_shown_raises_the_alarm() {
    let rig = Rig::new().await;
    let token = rig.create(card(VISA)).await.token;
    let held = rig.vault.load(rig.actor.repository, &token).await.unwrap();
    let mut changed = held.record;
    changed.shown.last4 = "4444".to_owned();
    let writes = vec![Write::Put(changed.key(), changed.encode().unwrap())];
    rig.store
        .commit(Commit {
            writes,
            ..Commit::default()
        })
        .await
        .unwrap();
    let tampered = error(rig.vault.reveal(&rig.actor, &token, false).await);
    assert_eq!(tampered, Error::Integrity(IntegrityError::Tampered));
}

#[tokio::test]
async fn a_newer_format_is_refused_by_name() {
    let rig = Rig::new().await;
    let token = rig.create(card(VISA)).await.token;
    let writes = vec![Write::Put(
        tables::record(rig.actor.repository, &token),
        vec![u8::MAX, 0],
    )];
    rig.store
        .commit(Commit {
            writes,
            ..Commit::default()
        })
        .await
        .unwrap();
    let newer = error(rig.vault.inspect(&rig.actor, &token).await);
    assert_eq!(newer, Error::Integrity(IntegrityError::NewerFormat));
}

#[tokio::test]
async fn a_full_disk_stops_writes_and_reveals_but_not_looking() {
    let rig = Rig::new().await;
    let token = rig.create(card(VISA)).await.token;
    let full = Error::Dependency(DependencyError::StoreReadOnly);
    let fault = || rig.store.next_commit(Fault::Refused(store::Error::Full));
    fault();
    assert_eq!(error(rig.vault.tokenize(&rig.actor, card(VISA)).await), full);
    fault();
    assert_eq!(error(rig.vault.reveal(&rig.actor, &token, false).await), full);
    fault();
    assert_eq!(error(rig.vault.delete(&rig.actor, &token).await), full);
    fault();
    assert!(rig.vault.inspect(&rig.actor, &token).await.is_ok());
    let query = Query {
        limit: 1,
        last4: Some("1111".to_owned()),
        ..Query::default()
    };
    assert_eq!(rig.vault.search(&rig.actor, query).await.unwrap().tokens.len(), 1);
}

#[tokio::test]
async fn the_hsm_down_is_said_and_looking_goes_on() {
    let rig = Rig::new().await;
    let token = rig.create(card(VISA)).await.token;
    rig.sealer.set_down(true);
    let down = Error::Dependency(DependencyError::HsmDown);
    assert_eq!(error(rig.vault.tokenize(&rig.actor, card(VISA)).await), down);
    assert_eq!(error(rig.vault.reveal(&rig.actor, &token, false).await), down);
    assert!(rig.vault.inspect(&rig.actor, &token).await.is_ok());
    rig.sealer.set_down(false);
    rig.vault.reveal(&rig.actor, &token, false).await.unwrap();
}

#[tokio::test]
async fn a_create_whose_answer_was_lost_is_whole_or_not_there() {
    let rig = Rig::new().await;
    rig.store.next_commit(Fault::AnswerLost);
    let new = NewToken {
        reuse: return_within(""),
        ..card(VISA)
    };
    let lost = error(rig.vault.tokenize(&rig.actor, new).await);
    assert_eq!(lost, Error::Dependency(DependencyError::StoreUnavailable));
    let after = rig.restarted().await;
    let again = NewToken {
        reuse: return_within(""),
        ..card(VISA)
    };
    let Tokenized::Reused(view) = after.vault.tokenize(&after.actor, again).await.unwrap() else {
        panic!("stored twice")
    };
    assert_eq!(
        after
            .vault
            .reveal(&after.actor, &view.token, false)
            .await
            .unwrap()
            .pan
            .expose(),
        VISA
    );
}

#[tokio::test]
async fn what_is_not_granted_is_not_done() {
    let rig = Rig::new().await;
    let token = rig.create(card(VISA)).await.token;
    let mut stranger = rig.actor.clone();
    stranger.peer.uid = 4711;
    let denied = Error::Policy(PolicyError::Denied);
    let commits = rig.store.commits();
    let by_pan = Query {
        pan: Some(Pan::parse(VISA).unwrap()),
        limit: 1,
        ..Query::default()
    };
    for refused in [
        error(rig.vault.tokenize(&stranger, card(VISA)).await),
        error(rig.vault.inspect(&stranger, &token).await),
        error(rig.vault.reveal(&stranger, &token, false).await),
        error(rig.vault.update(&stranger, &token, types::Patch::default()).await),
        error(rig.vault.delete(&stranger, &token).await),
        error(rig.vault.search(&stranger, by_pan).await),
    ] {
        assert_eq!(refused, denied);
    }
    assert_eq!(rig.store.commits(), commits);
}

#[tokio::test]
async fn operations_are_counted_by_outcome() {
    let rig = Rig::new().await;
    let token = rig.create(card(VISA)).await.token;
    rig.vault.inspect(&rig.actor, &token).await.unwrap();
    error(rig.vault.inspect(&rig.actor, &super::token("tok_none")).await);
    let count = |op: &str, outcome: &str| rig.vault.metrics.operations.with_label_values(&[op, outcome]).get();
    assert_eq!(
        (
            count("tokenize", "created"),
            count("inspect", "ok"),
            count("inspect", "caller")
        ),
        (1, 1, 1)
    );
}
