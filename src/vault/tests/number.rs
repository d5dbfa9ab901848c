//! Another number behind a token.

use super::*;
use crate::vault::check::indexes;
use crate::vault::types::{Author, Change, Patch, Query, Verification};

fn number(pan: &str) -> Patch {
    Patch {
        pan: Some(Pan::parse(pan).unwrap()),
        ..Patch::default()
    }
}

fn unique(pan: &str) -> NewToken {
    NewToken {
        reuse: Reuse::Refuse { scope: Vec::new() },
        ..card(pan)
    }
}

async fn found(rig: &Rig, pan: &str) -> Vec<Token> {
    let query = Query {
        pan: Some(Pan::parse(pan).unwrap()),
        limit: 10,
        ..Query::default()
    };
    let found = rig.vault.search(&rig.actor, query).await.unwrap();
    found.tokens.into_iter().map(|view| view.token).collect()
}

async fn sound(rig: &Rig) {
    assert_eq!(indexes(rig.store.as_ref()).await.unwrap().faults, [""; 0]);
}

async fn detail(rig: &Rig) -> Option<String> {
    let last = rig.store.audit(rig.store.health().audit_seq, 1).await.unwrap();
    let line: serde_json::Value = serde_json::from_slice(&last[0].line).unwrap();
    line["event"]["detail"].as_str().map(str::to_owned)
}

#[tokio::test]
async fn another_number_takes_the_place_of_the_first_unseen() {
    let rig = Rig::new().await;
    let made = rig.create(unique(VISA)).await;
    let seals = rig.sealer.seals();
    let patch = Patch {
        expiry: Change::Set(Expiry::new(1, 2031).unwrap()),
        verification: Some(Verification::Acquirer),
        ..number(AMEX)
    };
    let changed = rig.vault.update(&rig.actor, &made.token, patch).await.unwrap();
    assert_eq!(rig.sealer.opened(), [], "nothing was opened");
    assert_eq!(rig.sealer.seals(), seals, "under the data key that is there");
    assert_eq!(changed.masked, "378282*****0005");
    assert_eq!(changed.brand.as_deref(), Some("amex"));
    assert_eq!(changed.verification, Some(Verification::Acquirer));
    assert_eq!(changed.revision, Revision(2));
    assert_eq!(detail(&rig).await.as_deref(), Some("number, expiry, verification"));
    let card = rig.vault.reveal(&rig.actor, &made.token, false).await.unwrap();
    assert_eq!(card.pan.expose(), AMEX);
    assert_eq!(
        card.profile.holder.as_deref().map(String::as_str),
        Some("Ada Lovelace"),
        "the profile stays"
    );
    assert_eq!(found(&rig, AMEX).await, std::slice::from_ref(&made.token));
    assert_eq!(found(&rig, VISA).await, []);
    // the scope has the new card, and no longer the old one
    let exists = CallerError::CardExists { token: made.token };
    assert_eq!(
        error(rig.vault.tokenize(&rig.actor, unique(AMEX)).await),
        Error::Caller(exists)
    );
    rig.create(unique(VISA)).await;
    sound(&rig).await;
}

#[tokio::test]
async fn the_same_number_is_no_change() {
    let rig = Rig::new().await;
    let new = NewToken {
        format: Format::Preserve64,
        ..unique(VISA)
    };
    let made = rig.create(new).await;
    let commits = rig.store.commits();
    let same = rig.vault.update(&rig.actor, &made.token, number(VISA)).await.unwrap();
    assert_eq!((same.revision, rig.store.commits()), (Revision(1), commits));
    let patch = Patch {
        expiry: Change::Clear,
        ..number(VISA)
    };
    let changed = rig.vault.update(&rig.actor, &made.token, patch).await.unwrap();
    assert_eq!((changed.expiry, changed.revision), (None, Revision(2)));
    assert_eq!(detail(&rig).await.as_deref(), Some("expiry"));
    sound(&rig).await;
}

#[tokio::test]
async fn a_token_that_keeps_digits_keeps_its_number() {
    let rig = Rig::new().await;
    let new = NewToken {
        format: Format::Preserve64,
        ..card(VISA)
    };
    let token = rig.create(new).await.token;
    for author in [Author::Merchant, Author::Updater] {
        let patch = Patch {
            author,
            ..number("4242424242424242")
        };
        assert_eq!(
            error(rig.vault.update(&rig.actor, &token, patch).await),
            Error::Caller(CallerError::CardFixed)
        );
    }
    let card = rig.vault.reveal(&rig.actor, &token, false).await.unwrap();
    assert_eq!(card.pan.expose(), VISA);
}

#[tokio::test]
async fn a_number_that_the_scope_has_is_refused_with_its_token() {
    let rig = Rig::new().await;
    let first = rig.create(unique(VISA)).await.token;
    let second = rig.create(unique(AMEX)).await.token;
    let refused = error(rig.vault.update(&rig.actor, &second, number(VISA)).await);
    assert_eq!(refused, Error::Caller(CallerError::CardExists { token: first.clone() }));
    // a token without a scope may have the number too, and so may a scope of its own
    let free = rig.create(card(MASTERCARD)).await.token;
    rig.vault.update(&rig.actor, &free, number(VISA)).await.unwrap();
    let elsewhere = NewToken {
        reuse: return_within("b"),
        ..card(MASTERCARD)
    };
    let elsewhere = rig.create(elsewhere).await.token;
    rig.vault.update(&rig.actor, &elsewhere, number(VISA)).await.unwrap();
    // once the first is gone the number is free
    rig.vault.delete(&rig.actor, &first).await.unwrap();
    rig.vault.update(&rig.actor, &second, number(VISA)).await.unwrap();
    assert_eq!(found(&rig, VISA).await.len(), 3);
    sound(&rig).await;
}

#[tokio::test]
async fn a_token_past_its_time_does_not_keep_its_number_from_others() {
    let rig = Rig::new().await;
    let short = NewToken {
        expires_at: Some(UnixMillis::now().plus(20)),
        ..unique(VISA)
    };
    rig.create(short).await;
    let second = rig.create(unique(AMEX)).await.token;
    tokio::time::sleep(std::time::Duration::from_millis(30)).await;
    let changed = rig.vault.update(&rig.actor, &second, number(VISA)).await.unwrap();
    assert_eq!(changed.last4, "1111");
    assert_eq!(found(&rig, VISA).await, [second]);
    sound(&rig).await;
}

#[tokio::test]
async fn of_many_updates_at_once_to_one_number_in_a_scope_one_wins() {
    let rig = Rig::new().await;
    let mut tokens = Vec::new();
    for n in 0..16 {
        let body = format!("41111111111{n:04}");
        let pan = format!("{body}{}", crate::card::check_digit(&body).unwrap());
        tokens.push(rig.create(unique(&pan)).await.token);
    }
    let mut running = tokio::task::JoinSet::new();
    for token in tokens.clone() {
        let (vault, actor) = (Arc::clone(&rig.vault), rig.actor.clone());
        running.spawn(async move { (token.clone(), vault.update(&actor, &token, number(MASTERCARD)).await) });
    }
    // and one that stores the card anew
    let (vault, actor) = (Arc::clone(&rig.vault), rig.actor.clone());
    let stored = tokio::spawn(async move { vault.tokenize(&actor, unique(MASTERCARD)).await });
    let answers = running.join_all().await;
    let winners = found(&rig, MASTERCARD).await;
    assert_eq!(winners.len(), 1);
    for (token, answer) in answers {
        match answer {
            Ok(view) => assert_eq!((&view.token, &token), (&winners[0], &winners[0])),
            Err(error) => assert_eq!(
                error,
                Error::Caller(CallerError::CardExists {
                    token: winners[0].clone()
                })
            ),
        }
    }
    if let Ok(Tokenized::Created(view)) = stored.await.unwrap() {
        assert_eq!(view.token, winners[0]);
    }
    sound(&rig).await;
}

#[tokio::test]
async fn the_updater_changes_what_merchants_no_longer_may() {
    let rig = Rig::new().await;
    let new = |pan| NewToken {
        format: Format::Preserve64,
        ..unique(pan)
    };
    let old = rig.create(new(VISA)).await;
    let next = rig.create(new(MASTERCARD)).await;
    assert_eq!(old.updated_by.as_ref().map(MerchantId::as_str), Some("shop"));
    // the number changes below the token; the new one has its place in the scope
    let patch = Patch {
        replacement: Change::Set(next.token.clone()),
        author: Author::Updater,
        ..number(MASTERCARD)
    };
    let replaced = rig.vault.update(&rig.actor, &old.token, patch).await.unwrap();
    assert_eq!(
        (&replaced.replacement, &replaced.updated_by),
        (&Some(next.token.clone()), &None)
    );
    assert_eq!(
        detail(&rig).await.as_deref(),
        Some("number, replacement, by the account updater")
    );
    assert_eq!(replaced.status, Status::Active);
    let card = rig.vault.reveal(&rig.actor, &old.token, false).await.unwrap();
    assert_eq!(card.pan.expose(), MASTERCARD);
    for patch in [
        number(MASTERCARD),
        Patch {
            expiry: Change::Clear,
            ..Patch::default()
        },
        Patch {
            replacement: Change::Clear,
            ..Patch::default()
        },
        Patch::default(),
    ] {
        assert_eq!(
            error(rig.vault.update(&rig.actor, &old.token, patch).await),
            Error::Caller(CallerError::Replaced)
        );
    }
    let patch = Patch {
        author: Author::Updater,
        status: Some(Status::Inactive),
        ..number(AMEX)
    };
    let closed = rig.vault.update(&rig.actor, &old.token, patch).await.unwrap();
    assert_eq!((closed.status, closed.last4.as_str()), (Status::Inactive, "0005"));
    // the scope's old place is free, and the new one is the replacement's
    rig.create(new(VISA)).await;
    let refused = error(rig.vault.tokenize(&rig.actor, new(MASTERCARD)).await);
    assert_eq!(refused, Error::Caller(CallerError::CardExists { token: next.token }));
    sound(&rig).await;
    rig.vault.delete(&rig.actor, &old.token).await.unwrap();
    sound(&rig).await;
}

#[tokio::test]
async fn a_replacement_is_another_token_of_the_repository() {
    let rig = Rig::new().await;
    let token = rig.create(card(VISA)).await.token;
    for other in [token.clone(), super::token("tok_none")] {
        let patch = Patch {
            replacement: Change::Set(other),
            author: Author::Updater,
            ..Patch::default()
        };
        assert_eq!(field(rig.vault.update(&rig.actor, &token, patch).await), "replacement");
    }
}

#[tokio::test]
async fn a_token_never_shows_its_number() {
    let rig = Rig::new().await;
    // begins with 9 and is in no range in use: a token may look like this
    let number_of_none = "9990000000000003";
    let supplied = |pan| NewToken {
        format: Format::Supplied(token(number_of_none)),
        ..card(pan)
    };
    assert_eq!(
        field(rig.vault.tokenize(&rig.actor, supplied(number_of_none)).await),
        "token"
    );
    let made = rig.create(supplied(VISA)).await.token;
    let refused = rig.vault.update(&rig.actor, &made, number(number_of_none)).await;
    assert_eq!(field(refused), "token");
}

#[tokio::test]
async fn a_change_whose_answer_is_lost_or_refused_is_whole_or_not_at_all() {
    let rig = Rig::new().await;
    let token = rig.create(unique(VISA)).await.token;
    rig.store.next_commit(Fault::Refused(store::Error::Full));
    error(rig.vault.update(&rig.actor, &token, number(AMEX)).await);
    assert_eq!(found(&rig, VISA).await, std::slice::from_ref(&token));
    rig.store.next_commit(Fault::AnswerLost);
    error(rig.vault.update(&rig.actor, &token, number(AMEX)).await);
    assert_eq!(found(&rig, AMEX).await, std::slice::from_ref(&token));
    sound(&rig).await;
    let view = rig.vault.inspect(&rig.actor, &token).await.unwrap();
    assert_eq!(view.last4, "0005");
    rig.sealer.set_down(true);
    error(rig.vault.update(&rig.actor, &token, number(VISA)).await);
    rig.sealer.set_down(false);
    sound(&rig).await;
}
