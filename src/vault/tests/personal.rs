//! Cards of persons.

use std::collections::BTreeSet;

use super::*;
use crate::vault::types::{IntegrityError, Patch, Person, PolicyError, Query, Stored};

pub(super) fn ada() -> Person {
    Person::new(&["shop", "ada"])
}

pub(super) fn bob() -> Person {
    Person::new(&["shop", "bob"])
}

async fn stored(rig: &Rig, person: &Person, new: NewToken) -> Stored {
    rig.vault.tokenize_for(&rig.actor, person, new).await.unwrap()
}

pub(super) async fn created(rig: &Rig, person: &Person, new: NewToken) -> View {
    match stored(rig, person, new).await {
        Stored::Created(view) => view,
        other => panic!("{other:?}"),
    }
}

fn with(holder: &str, extra: &str) -> NewToken {
    NewToken {
        profile: profile(Some(holder), Some(extra)),
        ..card(VISA)
    }
}

#[tokio::test]
async fn a_person_has_one_token_for_a_card() {
    let rig = Rig::new().await;
    let first = created(&rig, &ada(), with("Ada", r#"{"card":{"a":1,"b":2}}"#)).await;
    assert!(first.namespace.is_none());
    let same = stored(&rig, &ada(), with("Ada", r#"{ "card": {"b":2, "a":1} }"#)).await;
    assert!(matches!(same, Stored::Same(view) if view.token == first.token));
    for other in [
        with("Eve", r#"{"card":{"a":1,"b":2}}"#),
        with("Ada", r#"{"card":{"a":1}}"#),
        with("Ada", "{}"),
    ] {
        let different = stored(&rig, &ada(), other).await;
        assert!(matches!(different, Stored::Different(view) if view.token == first.token));
    }
    let bobs = created(&rig, &bob(), with("Ada", "{}")).await;
    assert_ne!(bobs.token, first.token);
    let there = rig.vault.describe(&rig.actor, &first.token).await.unwrap();
    assert_eq!(there.profile.holder.as_deref().map(String::as_str), Some("Ada"));
    assert_eq!(
        rig.events().await,
        [
            "tokenize ok",
            "tokenize reused",
            "tokenize reused",
            "tokenize reused",
            "tokenize reused",
            "tokenize ok"
        ]
    );
}

#[tokio::test]
async fn a_new_card_is_one_job_and_one_commit_and_so_is_its_reveal() {
    let rig = Rig::new().await;
    let (jobs, commits) = (rig.sealer.jobs(), rig.store.commits());
    let view = created(&rig, &ada(), card(VISA)).await;
    assert_eq!((rig.sealer.jobs() - jobs, rig.store.commits() - commits), (1, 1));
    // of a person who was here lately too
    let (jobs, commits) = (rig.sealer.jobs(), rig.store.commits());
    created(&rig, &ada(), card(AMEX)).await;
    assert_eq!((rig.sealer.jobs() - jobs, rig.store.commits() - commits), (1, 1));
    let (jobs, commits) = (rig.sealer.jobs(), rig.store.commits());
    let revealed = rig
        .vault
        .reveal_for(&rig.actor, &ada(), &view.token)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(revealed.pan.expose(), VISA);
    assert_eq!((rig.sealer.jobs() - jobs, rig.store.commits() - commits), (1, 1));
}

#[tokio::test]
async fn a_token_is_its_persons_alone() {
    let rig = Rig::new().await;
    let view = created(&rig, &ada(), card(VISA)).await;
    let others = created(&rig, &bob(), card(AMEX)).await;
    let seen = error(rig.vault.reveal_for(&rig.actor, &bob(), &view.token).await);
    assert_eq!(seen, Error::Caller(CallerError::UnknownToken));
    // one that was made for nobody
    let nobodys = rig.create(card(MASTERCARD)).await;
    let seen = error(rig.vault.reveal_for(&rig.actor, &ada(), &nobodys.token).await);
    assert_eq!(seen, Error::Caller(CallerError::UnknownToken));
    let nothing = rig
        .vault
        .reveal_for(&rig.actor, &ada(), &token("tok_none"))
        .await
        .unwrap();
    assert!(nothing.is_none());
    for (person, token, removed) in [
        (bob(), view.token.clone(), false),
        (ada(), nobodys.token.clone(), false),
        (ada(), token("tok_none"), false),
        (ada(), view.token.clone(), true),
        (ada(), view.token.clone(), false),
    ] {
        assert_eq!(
            rig.vault.delete_for(&rig.actor, &person, &token).await.unwrap(),
            removed
        );
    }
    rig.vault
        .reveal_for(&rig.actor, &bob(), &others.token)
        .await
        .unwrap()
        .unwrap();
    // nothing leads to what is gone
    let keys = rig.keys().await;
    rig.vault.delete_for(&rig.actor, &bob(), &others.token).await.unwrap();
    rig.vault.delete(&rig.actor, &nobodys.token).await.unwrap();
    let left = rig.keys().await;
    assert!(keys.len() > left.len() && left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn many_who_come_at_once_get_one_token() {
    let rig = Arc::new(Rig::new().await);
    let tasks: Vec<_> = (0..16)
        .map(|_| {
            let rig = Arc::clone(&rig);
            tokio::spawn(async move { stored(&rig, &ada(), card(VISA)).await })
        })
        .collect();
    let (mut tokens, mut created) = (BTreeSet::new(), 0);
    for task in tasks {
        let view = match task.await.unwrap() {
            Stored::Created(view) => {
                created += 1;
                view
            }
            Stored::Same(view) => view,
            Stored::Different(view) => panic!("{} differs", view.token),
        };
        tokens.insert(view.token);
    }
    assert_eq!((tokens.len(), created, rig.store.health().records), (1, 1, 1));
}

#[tokio::test]
async fn a_supplied_token_stands_for_one_card_of_one_person() {
    let rig = Rig::new().await;
    let supplied = |pan| NewToken {
        format: Format::Supplied(token("mine")),
        ..card(pan)
    };
    assert_eq!(created(&rig, &ada(), supplied(VISA)).await.token, token("mine"));
    assert!(matches!(stored(&rig, &ada(), supplied(VISA)).await, Stored::Same(_)));
    for (person, pan) in [(ada(), AMEX), (bob(), VISA)] {
        let refused = error(rig.vault.tokenize_for(&rig.actor, &person, supplied(pan)).await);
        assert_eq!(refused, Error::Caller(CallerError::TokenTaken));
    }
}

/// Who writes to the disk cannot give a card to another person.
#[tokio::test]
async fn rows_that_were_exchanged_open_nothing() {
    let rig = Rig::new().await;
    let one = created(&rig, &ada(), card(VISA)).await;
    let two = created(&rig, &bob(), card(AMEX)).await;
    let places = [&one.token, &two.token].map(|token| tables::record(rig.actor.repository, token));
    let mut rows = Vec::new();
    for place in &places {
        rows.push(rig.store.get(Part::default(), place).await.unwrap().unwrap().value);
    }
    rows.reverse();
    let writes = places.iter().cloned().zip(rows).map(|(key, row)| Write::Put(key, row));
    let commit = Commit {
        writes: writes.collect(),
        ..Commit::default()
    };
    rig.store.commit(commit).await.unwrap();
    for (person, view) in [(ada(), &one), (bob(), &two), (ada(), &two), (bob(), &one)] {
        let seen = error(rig.vault.reveal_for(&rig.actor, &person, &view.token).await);
        assert_eq!(seen, Error::Integrity(IntegrityError::Tampered));
    }
}

#[tokio::test]
async fn another_number_is_the_persons_as_well() {
    let rig = Rig::new().await;
    let first = created(&rig, &ada(), with("Ada", r#"{"card":1}"#)).await;
    let patch = Patch {
        pan: Some(Pan::parse(AMEX).unwrap()),
        ..Patch::default()
    };
    rig.vault.update(&rig.actor, &first.token, patch).await.unwrap();
    let amex = NewToken {
        profile: profile(Some("Ada"), Some(r#"{"card":1}"#)),
        ..card(AMEX)
    };
    let same = stored(&rig, &ada(), amex).await;
    assert!(matches!(same, Stored::Same(view) if view.token == first.token));
    assert_ne!(created(&rig, &ada(), card(VISA)).await.token, first.token);
    assert_ne!(created(&rig, &bob(), card(AMEX)).await.token, first.token);
}

/// Who reads the disk does not learn which cards are of one person.
#[tokio::test]
async fn nothing_in_the_clear_says_whose_a_card_is() {
    let rig = Rig::new().await;
    for card in [card(VISA), card(AMEX)] {
        let view = created(&rig, &ada(), card).await;
        let key = tables::record(rig.actor.repository, &view.token);
        let row = rig.store.get(Part::default(), &key).await.unwrap().unwrap().value;
        let record = Record::decode(&row, rig.actor.repository, &view.token).unwrap();
        assert_eq!((record.scope, record.namespace), (None, None));
    }
}

#[tokio::test]
async fn a_persons_cards_are_found_by_their_number_and_are_what_the_check_expects() {
    let rig = Rig::new().await;
    let mut made = vec![rig.create(card(VISA)).await.token];
    for person in [ada(), bob()] {
        made.push(created(&rig, &person, card(VISA)).await.token);
        created(&rig, &person, card(AMEX)).await;
    }
    let (mut found, mut cursor) = (Vec::new(), None);
    loop {
        let query = Query {
            pan: Some(Pan::parse(VISA).unwrap()),
            limit: 1,
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
    made.sort();
    assert_eq!(found, made);
    let report = crate::vault::check::indexes(rig.store.as_ref()).await.unwrap();
    assert_eq!(report.faults, [""; 0]);
    assert_eq!(report.entries, u64::try_from(rig.keys().await.len()).unwrap());
}

#[tokio::test]
async fn a_token_that_is_nobodys_costs_nothing_and_others_cost_one() {
    let rig = Rig::new().await;
    let hers = created(&rig, &ada(), card(VISA)).await.token;
    let policy = "version = 1\n[[grant]]\nuid = 1000\ndialects = [\"*\"]\nrepositories = [\"*\"]\noperations = [\"*\"]\n\
                  caps.reveal_per_day = 2";
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), policy).unwrap();
    rig.vault.access.reload_policy(file.path(), None).await.unwrap();
    for _ in 0..5 {
        let none = rig.vault.reveal_for(&rig.actor, &ada(), &token("tok_none")).await;
        assert!(none.unwrap().is_none());
    }
    let seen = error(rig.vault.reveal_for(&rig.actor, &bob(), &hers).await);
    assert_eq!(seen, Error::Caller(CallerError::UnknownToken));
    rig.vault.reveal_for(&rig.actor, &ada(), &hers).await.unwrap().unwrap();
    let capped = error(rig.vault.reveal_for(&rig.actor, &ada(), &hers).await);
    assert!(
        matches!(capped, Error::Policy(PolicyError::Capped { .. })),
        "{capped:?}"
    );
}
