//! Storing under a name, and paying.

use super::*;
use crate::vault::check::indexes;
use crate::vault::types::{Author, Change, Patch, Put, Verification};

fn named(name: &str, pan: &str) -> NewToken {
    NewToken {
        format: Format::Supplied(token(name)),
        ..card(pan)
    }
}

fn unique(name: &str, pan: &str) -> NewToken {
    NewToken {
        reuse: Reuse::Refuse { scope: Vec::new() },
        ..named(name, pan)
    }
}

async fn sound(rig: &Rig) {
    assert_eq!(indexes(rig.store.as_ref()).await.unwrap().faults, [""; 0]);
}

#[tokio::test]
async fn the_first_put_makes_the_token_and_the_next_changes_all_of_it() {
    let rig = Rig::new().await;
    let first = NewToken {
        metadata: Some("{}".to_owned()),
        verification: Some(Verification::Basic),
        ..named("order-1", VISA)
    };
    let Put::Created(made) = rig.vault.put(&rig.actor, first).await.unwrap() else {
        panic!("it was there")
    };
    assert_eq!((made.token.as_str(), made.revision), ("order-1", Revision(1)));
    let off = Patch {
        status: Some(Status::Inactive),
        ..Patch::default()
    };
    rig.vault.update(&rig.actor, &made.token, off).await.unwrap();
    let second = NewToken {
        profile: profile(None, None),
        expiry: None,
        verification: Some(Verification::Acquirer),
        ..named("order-1", AMEX)
    };
    let Put::Updated(changed) = rig.vault.put(&rig.actor, second).await.unwrap() else {
        panic!("made twice")
    };
    assert_eq!((changed.last4.as_str(), changed.expiry), ("0005", None));
    assert_eq!((changed.metadata, changed.status), (None, Status::Active));
    assert_eq!(changed.verification, Some(Verification::Acquirer));
    assert_eq!(changed.created_at, made.created_at);
    let card = rig.vault.reveal(&rig.actor, &made.token, true).await.unwrap();
    assert_eq!(card.pan.expose(), AMEX);
    assert!(card.profile.is_empty(), "the first card's holder went with it");
    // the same once more comes to the same
    let Put::Updated(again) = rig.vault.put(&rig.actor, named("order-1", AMEX)).await.unwrap() else {
        panic!("made twice")
    };
    assert_eq!((again.last4, again.revision), (changed.last4, Revision(4)));
    assert_eq!(
        rig.events().await,
        ["tokenize ok", "update ok", "update ok", "reveal ok", "update ok"]
    );
    sound(&rig).await;
}

#[tokio::test]
async fn a_put_of_a_card_that_another_token_has_is_refused() {
    let rig = Rig::new().await;
    rig.vault.put(&rig.actor, unique("a", VISA)).await.unwrap();
    let exists = Error::Caller(CallerError::CardExists { token: token("a") });
    assert_eq!(error(rig.vault.put(&rig.actor, unique("b", VISA)).await), exists);
    let returned = NewToken {
        reuse: return_within(""),
        ..named("b", VISA)
    };
    assert_eq!(
        error(rig.vault.put(&rig.actor, returned).await),
        exists,
        "never another token"
    );
    rig.vault.put(&rig.actor, unique("b", AMEX)).await.unwrap();
    assert_eq!(error(rig.vault.put(&rig.actor, unique("b", VISA)).await), exists);
    // the same card under the same name is no clash
    assert!(matches!(
        rig.vault.put(&rig.actor, unique("a", VISA)).await,
        Ok(Put::Updated(_))
    ));
    sound(&rig).await;
}

#[tokio::test]
async fn a_put_is_refused_where_it_cannot_take_the_place() {
    let rig = Rig::new().await;
    assert_eq!(field(rig.vault.put(&rig.actor, card(VISA)).await), "token");
    for name in [VISA, "9792000000000003", "900400000007"] {
        assert_eq!(
            field(rig.vault.put(&rig.actor, named(name, AMEX)).await),
            "token",
            "{name}"
        );
    }
    rig.vault.put(&rig.actor, named("a", VISA)).await.unwrap();
    let elsewhere = NewToken {
        namespace: Some(crate::id::Namespace::parse("customer").unwrap()),
        ..named("a", VISA)
    };
    let taken = error(rig.vault.put(&rig.actor, elsewhere).await);
    assert_eq!(taken, Error::Caller(CallerError::TokenTaken));
    let next = rig.create(card(AMEX)).await.token;
    let replaced = Patch {
        replacement: Change::Set(next),
        author: Author::Updater,
        ..Patch::default()
    };
    rig.vault.update(&rig.actor, &token("a"), replaced).await.unwrap();
    let refused = error(rig.vault.put(&rig.actor, named("a", AMEX)).await);
    assert_eq!(refused, Error::Caller(CallerError::Replaced));
}

#[tokio::test]
async fn a_put_over_a_token_past_its_time_makes_it_anew() {
    let rig = Rig::new().await;
    let short = NewToken {
        expires_at: Some(UnixMillis::now().plus(20)),
        ..named("a", VISA)
    };
    rig.vault.put(&rig.actor, short).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(30)).await;
    assert!(matches!(
        rig.vault.put(&rig.actor, named("a", AMEX)).await,
        Ok(Put::Created(_))
    ));
    sound(&rig).await;
}

#[tokio::test]
async fn of_many_puts_at_once_one_makes_the_token_and_no_card_is_there_twice() {
    let rig = Rig::new().await;
    let mut running = tokio::task::JoinSet::new();
    for n in 0..32 {
        let (vault, actor) = (Arc::clone(&rig.vault), rig.actor.clone());
        // some want the first card under another name
        let (name, pan) = match n % 4 {
            3 => ("b", VISA),
            n => ("a", [VISA, AMEX, MASTERCARD][n]),
        };
        running.spawn(async move { vault.put(&actor, unique(name, pan)).await });
    }
    let mut created = BTreeSet::new();
    for answer in running.join_all().await {
        match answer {
            Ok(Put::Created(view)) => assert!(created.insert(view.token.to_string()), "made twice"),
            Ok(Put::Updated(_)) | Err(Error::Caller(CallerError::CardExists { .. })) => {}
            Err(other) => panic!("{other}"),
        }
    }
    assert!(created.contains("a"));
    sound(&rig).await;
}

#[tokio::test]
async fn a_payment_takes_the_card_under_its_own_name() {
    let rig = Rig::new().await;
    let token = rig.create(card(VISA)).await.token;
    let paid = rig.vault.card_for_payment(&rig.actor, &token).await.unwrap();
    assert_eq!(paid.pan.expose(), VISA);
    assert_eq!(paid.profile.holder.as_deref().map(String::as_str), Some("Ada Lovelace"));
    assert_eq!(rig.events().await, ["tokenize ok", "pay ok"]);
    let view = rig.vault.inspect(&rig.actor, &token).await.unwrap();
    assert!(view.last_used_at.is_some());
    let off = Patch {
        status: Some(Status::Inactive),
        ..Patch::default()
    };
    rig.vault.update(&rig.actor, &token, off).await.unwrap();
    let refused = error(rig.vault.card_for_payment(&rig.actor, &token).await);
    assert_eq!(refused, Error::Caller(CallerError::Inactive));
}

#[tokio::test]
async fn the_right_to_pay_is_neither_that_to_reveal_nor_the_other_way_round() {
    let rig = Rig::new().await;
    let token = rig.create(card(VISA)).await.token;
    for (granted, may_pay) in [("pay", true), ("reveal", false)] {
        let policy = format!(
            "version = 1\n[[grant]]\nuid = 1000\ndialects = [\"*\"]\nrepositories = [\"*\"]\noperations = [\"{granted}\"]"
        );
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), policy).unwrap();
        rig.vault.access.reload_policy(file.path(), None).await.unwrap();
        let paid = rig.vault.card_for_payment(&rig.actor, &token).await.is_ok();
        let revealed = rig.vault.reveal(&rig.actor, &token, false).await.is_ok();
        assert_eq!((paid, revealed), (may_pay, !may_pay), "{granted}");
        let put = error(rig.vault.put(&rig.actor, named("a", AMEX)).await);
        assert_eq!(put, Error::Policy(types::PolicyError::Denied));
    }
}

#[tokio::test]
async fn a_payment_spends_a_single_use_token() {
    let rig = Rig::new().await;
    let single = NewToken {
        uses: Uses::Single,
        ..card(VISA)
    };
    let token = rig.create(single).await.token;
    rig.vault.card_for_payment(&rig.actor, &token).await.unwrap();
    let spent = error(rig.vault.card_for_payment(&rig.actor, &token).await);
    assert_eq!(spent, Error::Caller(CallerError::Spent));
    sound(&rig).await;
}
