//! Rotation of the fingerprint key, with keys in software.

use std::time::Duration;

use super::*;
use crate::hsm::{Generation, Rotated};
use crate::keys::{NotMoved, SecretBytes};
use crate::store::Versioned;
use crate::vault::record::Record;
use crate::vault::sealer::Sealer;
use crate::vault::tables::{self, PanIndex};
use crate::vault::types::{Filter, Idempotency, Patch, Person, Query, Search, Stored};
use crate::vault::{RefingerprintStatus, RotationError};

/// Lets the background work until the rotation is finished.
async fn finished(rig: &Rig) -> RefingerprintStatus {
    let background = rig.vault.start_background(0);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    let status = loop {
        match rig.vault.refingerprint_status() {
            Some(status) if status.finished => break status,
            status => assert!(tokio::time::Instant::now() < deadline, "{status:?}"),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    background.shutdown().await;
    status
}

async fn rotate(rig: &Rig) -> u32 {
    rig.vault.rotate_fingerprint(rig.actor.peer).await.unwrap()
}

/// Tokens by fingerprint key.
async fn counts(rig: &Rig) -> Vec<u64> {
    let status = rig.vault.fingerprint_status().await.unwrap();
    status.keys.iter().map(|key| key.tokens).collect()
}

async fn by_pan(rig: &Rig, number: &str) -> Vec<Token> {
    let mut found = Vec::new();
    let mut cursor = None;
    loop {
        let query = Query {
            pan: Some(Pan::parse(number).unwrap()),
            limit: 2,
            cursor,
            ..Query::default()
        };
        let page = rig.vault.search(&rig.actor, query).await.unwrap();
        found.extend(page.tokens.into_iter().map(|view| view.token));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    found.sort();
    found
}

/// What a card's entries begin with under a key.
async fn index(rig: &Rig, generation: u32, number: &str) -> PanIndex {
    let pan = Pan::parse(number).unwrap();
    let made = rig
        .sealer
        .fingerprint(Generation(generation), rig.actor.repository, &pan);
    PanIndex::of(&made.await.unwrap())
}

/// Everything in the store, keys and values.
async fn dump(rig: &Rig) -> Vec<(Vec<u8>, Versioned)> {
    let (mut all, mut from) = (Vec::new(), std::ops::Bound::Unbounded);
    loop {
        let page = rig
            .store
            .scan(crate::store::Part::default(), from, std::ops::Bound::Unbounded, 256);
        let page = page.await.unwrap();
        all.extend(page.items.into_iter().map(|(key, found)| (key.0, found)));
        match page.next {
            Some(last) => from = std::ops::Bound::Excluded(last),
            None => return all,
        }
    }
}

fn same(number: &str) -> NewToken {
    NewToken {
        reuse: Reuse::Return {
            scope: b"shop".to_vec(),
        },
        ..card(number)
    }
}

#[tokio::test]
async fn every_entry_goes_under_the_new_key_and_is_found_all_the_time() {
    let rig = Rig::new().await;
    let mut visa = Vec::new();
    for _ in 0..5 {
        visa.push(rig.create(card(VISA)).await.token);
    }
    let one = rig.create(same(MASTERCARD)).await.token;
    let single = NewToken {
        uses: Uses::Single,
        ..card(AMEX)
    };
    let spent = rig.create(single).await.token;
    rig.vault.reveal(&rig.actor, &spent, false).await.unwrap();
    let before = [VISA, MASTERCARD, AMEX];
    let mut old = Vec::new();
    for number in before {
        old.push(index(&rig, 1, number).await);
    }

    assert_eq!(rotate(&rig).await, 2);
    visa.push(rig.create(card(VISA)).await.token);
    visa.sort();
    assert_eq!(counts(&rig).await, [7, 1, 0]);
    // both keys are looked under, whoever comes
    assert_eq!(by_pan(&rig, VISA).await, visa);
    let again = rig.vault.tokenize(&rig.actor, same(MASTERCARD)).await.unwrap();
    assert!(matches!(again, Tokenized::Reused(view) if view.token == one));
    let filter = Filter::All(vec![Filter::Pan(Pan::parse(VISA).unwrap())]);
    let search = Search::Begin {
        filter,
        limit: 4,
        opened: 0,
    };
    let first = rig.vault.find_tokens(&rig.actor, search).await.unwrap();
    let cursor = first.next.unwrap();
    let rest = rig
        .vault
        .find_tokens(&rig.actor, Search::Resume { cursor })
        .await
        .unwrap();
    let mut found: Vec<Token> = first
        .tokens
        .into_iter()
        .chain(rest.tokens)
        .map(|view| view.token)
        .collect();
    found.sort();
    assert_eq!((found, rest.next), (visa.clone(), None));
    let op = Operation::Inspect;
    let others = rig
        .vault
        .others_of_card(&rig.actor, op, &visa[0])
        .await
        .unwrap()
        .unwrap();
    assert_eq!(others.len(), 5);

    rig.sealer.opened();
    let status = finished(&rig).await;
    assert_eq!((status.to, status.moved, status.faults), (2, 7, 0));
    assert!(rig.sealer.opened().is_empty(), "no card leaves the worker");
    assert_eq!(counts(&rig).await, [0, 8, 0]);
    assert_eq!(by_pan(&rig, VISA).await, visa);
    let again = rig.vault.tokenize(&rig.actor, same(MASTERCARD)).await.unwrap();
    assert!(matches!(again, Tokenized::Reused(view) if view.token == one));
    for (key, found) in dump(&rig).await {
        let all = [key.as_slice(), &found.value].concat();
        for PanIndex(old) in &old {
            assert!(!all.windows(16).any(|part| part == old), "{key:?} is under the old key");
        }
    }
    assert!(
        crate::vault::check::indexes(rig.store.as_ref())
            .await
            .unwrap()
            .faults
            .is_empty()
    );
    // afterwards one job makes a fingerprint, as before
    let jobs = rig.sealer.jobs();
    by_pan(&rig, AMEX).await;
    assert_eq!(rig.sealer.jobs(), jobs + 1);
    let events = rig.events().await;
    for told in ["asked", "ok", "finished"] {
        assert_eq!(
            events
                .iter()
                .filter(|event| **event == format!("fingerprint-rotate {told}"))
                .count(),
            1
        );
    }
    for token in visa.iter().chain([&one]) {
        rig.vault.delete(&rig.actor, token).await.unwrap();
    }
    assert_eq!(counts(&rig).await, [0, 1, 0]);
    assert_eq!(rig.vault.metrics.refingerprinted.get(), 7);
}

#[tokio::test]
async fn a_third_key_may_come_before_the_second_has_all() {
    let rig = Rig::new().await;
    let one = rig.create(same(VISA)).await.token;
    assert_eq!(rotate(&rig).await, 2);
    let two = rig.create(card(VISA)).await.token;
    assert_eq!(rotate(&rig).await, 3);
    let mut both = vec![one.clone(), two];
    both.sort();
    assert_eq!(by_pan(&rig, VISA).await, both);
    let again = rig.vault.tokenize(&rig.actor, same(VISA)).await.unwrap();
    assert!(matches!(again, Tokenized::Reused(view) if view.token == one));
    assert_eq!(finished(&rig).await.to, 3);
    assert_eq!(counts(&rig).await, [0, 0, 2]);
    assert_eq!(by_pan(&rig, VISA).await, both);
    let refused = rig.vault.rotate_fingerprint(rig.actor.peer).await;
    assert_eq!(
        refused,
        Err(RotationError::Keys(NotMoved::NotMade(Rotated::Fingerprint)))
    );
    assert!(rig.events().await.contains(&"fingerprint-rotate refused".to_owned()));
}

/// The keyring is written before the store: a crash in between is mended by whoever comes first.
#[tokio::test]
async fn a_step_that_was_cut_short_is_finished() {
    let rig = Rig::new().await;
    let one = rig.create(same(VISA)).await.token;
    rig.sealer.next_fingerprint().await.unwrap();
    rig.vault.refingerprint.forget();
    let again = rig.vault.tokenize(&rig.actor, same(VISA)).await.unwrap();
    assert!(matches!(again, Tokenized::Reused(view) if view.token == one));
    rig.create(card(VISA)).await;
    assert_eq!(counts(&rig).await, [1, 1, 0]);
    assert_eq!(finished(&rig).await.moved, 1);
    assert!(rig.events().await.contains(&"fingerprint-rotate ok".to_owned()));
}

#[tokio::test]
async fn a_card_made_under_the_key_of_before_is_not_stored_under_it() {
    let rig = Rig::new().await;
    let stale = rig
        .vault
        .card_prints(rig.actor.repository, &Pan::parse(VISA).unwrap())
        .await
        .unwrap();
    rotate(&rig).await;
    let commit = crate::store::Commit {
        conds: vec![stale.generations.cond()],
        writes: vec![crate::store::Write::Put(tables::key(0x7f, &[]), vec![1])],
        ..crate::store::Commit::default()
    };
    let outcome = rig.store.commit(commit).await.unwrap();
    assert!(matches!(outcome, crate::store::Outcome::CondFailed { key, .. } if rig.vault.outdated(&key)));
}

#[tokio::test]
async fn a_persons_card_keeps_its_one_token() {
    let rig = Rig::new().await;
    let person = Person::new(&["shop", "ada"]);
    let store = async || rig.vault.tokenize_for(&rig.actor, &person, card(VISA)).await.unwrap();
    let Stored::Created(one) = store().await else {
        panic!("it was there")
    };
    rotate(&rig).await;
    assert!(matches!(store().await, Stored::Same(view) if view.token == one.token));
    assert_eq!(finished(&rig).await.faults, 0);
    assert!(matches!(store().await, Stored::Same(view) if view.token == one.token));
    let other = Person::new(&["shop", "bob"]);
    let another = rig.vault.tokenize_for(&rig.actor, &other, card(VISA)).await.unwrap();
    assert!(matches!(another, Stored::Created(_)));
    assert!(
        crate::vault::check::indexes(rig.store.as_ref())
            .await
            .unwrap()
            .faults
            .is_empty()
    );
    assert!(rig.vault.delete_for(&rig.actor, &person, &one.token).await.unwrap());
}

#[tokio::test]
async fn a_number_is_changed_while_the_key_is() {
    let rig = Rig::new().await;
    let taken = rig.create(same(MASTERCARD)).await.token;
    let token = rig.create(same(VISA)).await.token;
    rotate(&rig).await;
    let to = |number: &str| Patch {
        pan: Some(Pan::parse(number).unwrap()),
        ..Patch::default()
    };
    // the same number, under the old key: nothing changes
    let before = rig.vault.inspect(&rig.actor, &token).await.unwrap().revision;
    let after = rig.vault.update(&rig.actor, &token, to(VISA)).await.unwrap().revision;
    assert_eq!(before, after);
    let refused = rig.vault.update(&rig.actor, &token, to(MASTERCARD)).await;
    assert!(matches!(refused, Err(Error::Caller(CallerError::CardExists { token })) if token == taken));
    rig.vault.update(&rig.actor, &token, to(AMEX)).await.unwrap();
    assert_eq!(counts(&rig).await, [1, 1, 0]);
    let again = rig.vault.tokenize(&rig.actor, same(VISA)).await.unwrap();
    assert!(matches!(again, Tokenized::Created(_)), "the old number is free");
    finished(&rig).await;
    assert!(
        crate::vault::check::indexes(rig.store.as_ref())
            .await
            .unwrap()
            .faults
            .is_empty()
    );
}

/// The entry of a request holds a MAC of its body, card number and all: a day later it is gone, until then it is known.
#[tokio::test]
async fn a_request_is_known_again_under_the_key_of_before() {
    let rig = Rig::new().await;
    let request = |body: &[u8]| NewToken {
        idempotency: Some(Idempotency {
            key: crate::id::IdempotencyKey::parse("key-1").unwrap(),
            request: SecretBytes::new(body.to_vec()),
        }),
        ..card(VISA)
    };
    let one = rig.create(request(b"body")).await.token;
    rotate(&rig).await;
    let again = rig.vault.tokenize(&rig.actor, request(b"body")).await.unwrap();
    assert!(matches!(again, Tokenized::Created(view) if view.token == one));
    let other = rig.vault.tokenize(&rig.actor, request(b"another")).await;
    assert!(matches!(other, Err(Error::Caller(CallerError::IdempotencyMismatch))));
}

#[tokio::test]
async fn one_that_does_not_open_is_told_and_stays_findable() {
    let rig = Rig::new().await;
    let broken = rig.create(card(VISA)).await.token;
    let fine = rig.create(card(VISA)).await.token;
    let key = tables::record(rig.actor.repository, &broken);
    let held = rig
        .store
        .get(crate::store::Part::default(), &key)
        .await
        .unwrap()
        .unwrap();
    let mut record = Record::decode(&held.value, rig.actor.repository, &broken).unwrap();
    // in the ciphertext of the number, behind wrapped DEK and IV
    record.sealed.as_mut().unwrap()[72] ^= 1;
    let commit = crate::store::Commit {
        writes: vec![crate::store::Write::Put(key, record.encode().unwrap())],
        ..crate::store::Commit::default()
    };
    rig.store.commit(commit).await.unwrap();
    rotate(&rig).await;
    let status = finished(&rig).await;
    assert_eq!((status.moved, status.faults), (1, 1));
    let mut both = vec![broken, fine];
    both.sort();
    assert_eq!(by_pan(&rig, VISA).await, both, "older keys stay in use");
    assert!(rig.events().await.contains(&"refingerprint tampered".to_owned()));
}
