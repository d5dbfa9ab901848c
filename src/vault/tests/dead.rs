//! Cards under a KEK that was destroyed, which a backup brought back: they keep nothing from who has the card again.

use super::idempotency::once;
use super::personal::{ada, bob, created};
use super::*;
use crate::card::check_digit;
use crate::id::Namespace;
use crate::vault::check::indexes;
use crate::vault::types::{
    Compared, Comparison, Content, IntegrityError, Kept, NewRecord, Patch, Person, Put, PutMode, Stored,
};

fn same(scope: &str, pan: &str) -> NewToken {
    NewToken {
        reuse: return_within(scope),
        ..card(pan)
    }
}

fn named(name: &str, pan: &str) -> NewToken {
    NewToken {
        format: Format::Supplied(token(name)),
        ..card(pan)
    }
}

async fn sound(rig: &Rig) {
    assert_eq!(indexes(rig.store.as_ref()).await.unwrap().faults, [""; 0]);
}

async fn is_gone(rig: &Rig, token: &Token) -> bool {
    let seen = rig.vault.inspect(&rig.actor, token).await;
    seen == Err(Error::Caller(CallerError::UnknownToken))
}

async fn opens(rig: &Rig, token: &Token, pan: &str) {
    let revealed = rig.vault.reveal(&rig.actor, token, true).await.unwrap();
    assert_eq!(revealed.pan.expose(), pan);
}

async fn last_detail(rig: &Rig) -> String {
    let last = rig.store.audit(rig.store.health().audit_seq, 1).await.unwrap();
    let line: serde_json::Value = serde_json::from_slice(&last[0].line).unwrap();
    line["event"]["detail"].as_str().unwrap_or_default().to_owned()
}

fn destroyed(error: &Error) -> bool {
    matches!(error, Error::Integrity(IntegrityError::KekDestroyed { epoch: 1, .. }))
}

#[tokio::test]
async fn a_dead_card_is_stored_anew_and_has_one_token_again() {
    let rig = Rig::new().await;
    let old = rig.create(same("s", VISA)).await.token;
    let numeric = NewToken {
        format: Format::RandomLuhn,
        ..same("s", AMEX)
    };
    let digits = rig.create(numeric).await.token;
    let elsewhere = rig.create(same("t", VISA)).await.token;
    rig.sealer.destroy_all();
    assert!(destroyed(&error(rig.vault.reveal(&rig.actor, &old, false).await)));
    let records = rig.store.health().records;
    let commits = rig.store.commits();
    let new = rig.create(same("s", VISA)).await.token;
    assert_eq!(rig.store.commits() - commits, 1, "old and new in one");
    assert_ne!(new, old);
    let told = last_detail(&rig).await;
    assert_eq!(told, format!("in place of {old}, whose KEK epoch 1 was destroyed"));
    opens(&rig, &new, VISA).await;
    assert!(is_gone(&rig, &old).await);
    assert_eq!(rig.store.health().records, records);
    assert!(matches!(
        rig.vault.tokenize(&rig.actor, same("s", VISA)).await.unwrap(),
        Tokenized::Reused(view) if view.token == new
    ));
    assert!(!is_gone(&rig, &elsewhere).await, "another scope's waits for its own");
    // who refuses a second one has none to refuse
    let refuse = NewToken {
        reuse: Reuse::Refuse { scope: b"t".to_vec() },
        ..card(VISA)
    };
    rig.create(refuse).await;
    assert!(is_gone(&rig, &elsewhere).await);
    rig.create(same("s", AMEX)).await;
    // a token of digits is not taken for a card's number
    let told = last_detail(&rig).await.replace(':', "");
    assert!(told.contains(digits.as_str()), "{told}");
    sound(&rig).await;
}

#[tokio::test]
async fn of_many_who_come_with_a_dead_card_one_stores_it() {
    let rig = Rig::new().await;
    let old = rig.create(same("s", VISA)).await.token;
    rig.sealer.destroy_all();
    let all = (0..24).map(|_| {
        let (vault, actor) = (Arc::clone(&rig.vault), rig.actor.clone());
        tokio::spawn(async move { vault.tokenize(&actor, same("s", VISA)).await.unwrap() })
    });
    let mut tokens = BTreeSet::new();
    let mut made = 0;
    for one in all.collect::<Vec<_>>() {
        let (Tokenized::Created(view) | Tokenized::Reused(view)) = match one.await.unwrap() {
            created @ Tokenized::Created(_) => {
                made += 1;
                created
            }
            reused @ Tokenized::Reused(_) => reused,
        };
        tokens.insert(view.token);
    }
    assert_eq!((made, tokens.len(), rig.store.health().records), (1, 1, 1));
    assert!(!tokens.contains(&old));
    sound(&rig).await;
}

#[tokio::test]
async fn a_persons_dead_card_is_stored_anew_by_that_person() {
    let rig = Rig::new().await;
    let old = created(&rig, &ada(), card(VISA)).await.token;
    let named_before = created(&rig, &ada(), named("hers", AMEX)).await.token;
    let bobs = created(&rig, &bob(), card(VISA)).await.token;
    rig.sealer.destroy_all();
    let new = created(&rig, &ada(), card(VISA)).await.token;
    assert!(is_gone(&rig, &old).await && !is_gone(&rig, &bobs).await);
    // under the name that it had, and no other person's
    let taken = error(rig.vault.tokenize_for(&rig.actor, &bob(), named("hers", AMEX)).await);
    assert_eq!(taken, Error::Caller(CallerError::TokenTaken));
    assert_eq!(created(&rig, &ada(), named("hers", AMEX)).await.token, named_before);
    for (token, pan) in [(&new, VISA), (&named_before, AMEX)] {
        let revealed = rig.vault.reveal_for(&rig.actor, &ada(), token).await.unwrap();
        assert_eq!(revealed.unwrap().pan.expose(), pan);
    }
    let again = rig.vault.tokenize_for(&rig.actor, &ada(), card(VISA)).await.unwrap();
    assert!(matches!(again, Stored::Same(view) if view.token == new));
    sound(&rig).await;
}

#[tokio::test]
async fn a_supplied_token_of_a_dead_card_takes_that_card_again_and_no_other() {
    let rig = Rig::new().await;
    rig.create(named("order-1", VISA)).await;
    rig.sealer.destroy_all();
    let taken = error(rig.vault.tokenize(&rig.actor, named("order-1", AMEX)).await);
    assert_eq!(taken, Error::Caller(CallerError::TokenTaken));
    let view = rig.create(named("order-1", VISA)).await;
    assert_eq!(view.revision, Revision(1));
    opens(&rig, &view.token, VISA).await;
    let taken = error(rig.vault.tokenize(&rig.actor, named("order-1", VISA)).await);
    assert_eq!(taken, Error::Caller(CallerError::TokenTaken), "it lives");
    sound(&rig).await;
}

#[tokio::test]
async fn a_put_and_a_new_number_bring_a_dead_token_to_life() {
    let rig = Rig::new().await;
    let unique = |name: &str, pan| NewToken {
        reuse: Reuse::Refuse { scope: Vec::new() },
        ..named(name, pan)
    };
    rig.create(unique("a", VISA)).await;
    rig.create(unique("b", MASTERCARD)).await;
    rig.create(unique("c", AMEX)).await;
    rig.sealer.destroy_all();
    let put = rig.vault.put(&rig.actor, unique("a", VISA)).await.unwrap();
    assert!(matches!(put, Put::Updated(_)));
    opens(&rig, &token("a"), VISA).await;
    // another number, which a dead token had
    let patch = Patch {
        pan: Some(Pan::parse(AMEX).unwrap()),
        ..Patch::default()
    };
    rig.vault.update(&rig.actor, &token("b"), patch).await.unwrap();
    opens(&rig, &token("b"), AMEX).await;
    assert!(is_gone(&rig, &token("c")).await);
    assert!(rig.events().await.contains(&"delete key-destroyed".to_owned()));
    // without a number nothing comes to life
    rig.create(unique("d", "4012888888881881")).await;
    rig.sealer.destroy_all();
    let patch = Patch {
        holder: types::Change::Set(Zeroizing::new("Ada".to_owned())),
        ..Patch::default()
    };
    let refused = error(rig.vault.update(&rig.actor, &token("d"), patch).await);
    assert!(matches!(refused, Error::Integrity(IntegrityError::KekDestroyed { .. })));
    sound(&rig).await;
}

#[tokio::test]
async fn a_dead_card_keeps_no_place_in_its_namespace() {
    let rig = Rig::new().await;
    let namespace = Namespace::parse("shopper").unwrap();
    let within = |pan: &str| NewToken {
        namespace: Some(namespace.clone()),
        reuse: return_within("shopper"),
        terms: Terms {
            alias: true,
            namespace_limit: Some(2),
            renewed_by: None,
        },
        ..card(pan)
    };
    let first = rig.create(within(VISA)).await;
    rig.create(within(AMEX)).await;
    let full = error(rig.vault.tokenize(&rig.actor, within(MASTERCARD)).await);
    assert_eq!(full, Error::Caller(CallerError::NamespaceFull));
    rig.sealer.destroy_all();
    let again = rig.create(within(VISA)).await;
    assert!(is_gone(&rig, &first.token).await && again.alias != first.alias);
    let body = "400000000000123";
    let third = format!("{body}{}", check_digit(body).unwrap());
    rig.create(within(&third)).await;
    let full = error(rig.vault.tokenize(&rig.actor, within(MASTERCARD)).await);
    assert_eq!(full, Error::Caller(CallerError::NamespaceFull), "both live");
    assert_eq!(rig.store.health().records, 2);
    // as Worldpay's dialect stores it
    rig.sealer.destroy_all();
    let compared = rig
        .vault
        .tokenize_compared(
            &rig.actor,
            within(VISA),
            Comparison {
                members: &[],
                filled: &[],
            },
        )
        .await;
    assert!(matches!(compared.unwrap(), Compared::Created(_)));
    sound(&rig).await;
}

#[tokio::test]
async fn a_repeated_request_is_not_answered_with_a_dead_card() {
    let rig = Rig::new().await;
    let keyed = || NewToken {
        idempotency: Some(once("k-1", "body")),
        ..card(VISA)
    };
    let old = rig.create(keyed()).await.token;
    rig.sealer.destroy_all();
    let other = NewToken {
        idempotency: Some(once("k-1", "other")),
        ..card(VISA)
    };
    let refused = error(rig.vault.tokenize(&rig.actor, other).await);
    assert_eq!(refused, Error::Caller(CallerError::IdempotencyMismatch));
    let new = rig.create(keyed()).await.token;
    assert_ne!(new, old);
    assert_eq!(rig.create(keyed()).await.token, new);
    opens(&rig, &new, VISA).await;
    sound(&rig).await;
}

#[tokio::test]
async fn a_dead_record_is_kept_anew_under_its_name_and_for_its_content() {
    let rig = Rig::new().await;
    let (what, place) = (Person::new(&["content"]), Person::new(&["entity", "a"]));
    let record_of = |token: &Token| Person::new(&["data", token.as_str()]);
    let new = |token: &'static str| {
        let (rig, what) = (&rig, &what);
        async move {
            let token = self::token(token);
            let record = NewRecord {
                name: &record_of(&token),
                content: Some(Content {
                    what,
                    token: &token,
                    record_of: &record_of,
                }),
                text: "1",
                fingerprints: &[],
                mode: PutMode::Insert,
                expires_at: None,
            };
            rig.vault.put_record(&rig.actor, record).await.unwrap()
        }
    };
    let plain = || NewRecord {
        name: &place,
        content: None,
        text: "2",
        fingerprints: &[],
        mode: PutMode::Insert,
        expires_at: None,
    };
    assert_eq!(new("first").await, Kept::Created);
    assert_eq!(new("second").await, Kept::Alike(token("first")));
    assert_eq!(rig.vault.put_record(&rig.actor, plain()).await.unwrap(), Kept::Created);
    rig.sealer.destroy_all();
    assert_eq!(new("second").await, Kept::Created);
    assert_eq!(new("third").await, Kept::Alike(token("second")));
    let first = record_of(&token("first"));
    assert!(!rig.vault.has_record(&rig.actor, &first).await.unwrap());
    let there = rig.vault.open_record(&rig.actor, &record_of(&token("second"))).await;
    assert_eq!(there.unwrap().expose(), b"1");
    rig.sealer.destroy_all();
    // under its own token again
    assert_eq!(new("second").await, Kept::Created);
    assert_eq!(rig.vault.put_record(&rig.actor, plain()).await.unwrap(), Kept::Created);
    assert_eq!(rig.vault.put_record(&rig.actor, plain()).await.unwrap(), Kept::There);
    assert_eq!(rig.vault.open_record(&rig.actor, &place).await.unwrap().expose(), b"2");
    sound(&rig).await;
}
