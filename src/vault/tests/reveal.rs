use super::*;
use crate::vault::types::{Change, Patch, Status};

#[tokio::test]
async fn a_reveal_gives_back_what_was_stored_and_opens_no_more_than_asked_for() {
    let rig = Rig::new().await;
    let full = NewToken {
        profile: profile(Some("Ada"), Some("{\"a\":1}")),
        ..card(VISA)
    };
    let full = rig.create(full).await.token;
    let bare = rig
        .create(NewToken {
            profile: profile(None, None),
            ..card(AMEX)
        })
        .await
        .token;
    let extra = rig
        .create(NewToken {
            profile: profile(None, Some("{\"a\":1}")),
            ..card(VISA)
        })
        .await
        .token;

    let card = rig.vault.reveal(&rig.actor, &full, false).await.unwrap();
    assert_eq!(card.pan.expose(), VISA);
    assert_eq!(card.expiry, Some(Expiry::new(12, 2030).unwrap()));
    assert_eq!(card.profile.holder.as_deref().map(String::as_str), Some("Ada"));
    assert!(card.profile.extra.is_none(), "not asked for");
    let card = rig.vault.reveal(&rig.actor, &full, true).await.unwrap();
    assert_eq!(card.profile.extra.as_deref().map(String::as_str), Some("{\"a\":1}"));

    rig.sealer.opened();
    let card = rig.vault.reveal(&rig.actor, &bare, true).await.unwrap();
    assert_eq!(card.pan.expose(), AMEX);
    assert!(card.profile.is_empty());
    assert_eq!(rig.sealer.opened(), [Compartment::Pan]);
    rig.vault.reveal(&rig.actor, &extra, false).await.unwrap();
    assert_eq!(
        rig.sealer.opened(),
        [Compartment::Pan],
        "no holder, and the rest was not asked for"
    );
}

#[tokio::test]
async fn a_reveal_is_on_record_before_it_is_answered() {
    let rig = Rig::new().await;
    let token = rig.create(card(VISA)).await.token;
    rig.store.next_commit(Fault::Refused(store::Error::Full));
    let refused = error(rig.vault.reveal(&rig.actor, &token, false).await);
    assert_eq!(refused, Error::Dependency(types::DependencyError::StoreReadOnly));
    rig.vault.reveal(&rig.actor, &token, false).await.unwrap();
    assert_eq!(rig.events().await, ["tokenize ok", "reveal ok"]);
}

#[tokio::test]
async fn of_64_at_once_one_gets_a_single_use_card() {
    let rig = Rig::new().await;
    let new = NewToken {
        uses: Uses::Single,
        reuse: return_within(""),
        ..card(VISA)
    };
    let token = rig.create(new).await.token;
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..64 {
        let (vault, actor, token) = (Arc::clone(&rig.vault), rig.actor.clone(), token.clone());
        running.spawn(async move {
            vault
                .reveal(&actor, &token, false)
                .await
                .map(|card| card.pan.expose().to_owned())
        });
    }
    let answers = running.join_all().await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    let spent = Err(Error::Caller(CallerError::Spent));
    assert_eq!(answers.iter().filter(|answer| **answer == spent).count(), 63);
    assert_eq!(rig.events().await, ["tokenize ok", "reveal ok"]);

    let view = rig.vault.inspect(&rig.actor, &token).await.unwrap();
    assert_eq!((view.status, view.last4.as_str()), (Status::Spent, "1111"));
    let held = rig.vault.load(rig.actor.repository, &token).await.unwrap();
    assert_eq!((held.record.sealed, held.record.reuse), (None, None));
    assert_eq!(rig.keys().await.len(), 2, "record and time; not found by its PAN");
}

#[tokio::test]
async fn a_single_use_card_whose_answer_was_lost_is_not_shown_twice() {
    let rig = Rig::new().await;
    let token = rig
        .create(NewToken {
            uses: Uses::Single,
            ..card(VISA)
        })
        .await
        .token;
    rig.sealer.set_down(true);
    let down = error(rig.vault.reveal(&rig.actor, &token, false).await);
    assert_eq!(
        down,
        Error::Dependency(types::DependencyError::HsmDown),
        "not spent by that"
    );
    rig.sealer.set_down(false);
    rig.store.next_commit(Fault::AnswerLost);
    let lost = error(rig.vault.reveal(&rig.actor, &token, false).await);
    assert_eq!(lost, Error::Dependency(types::DependencyError::StoreUnavailable));
    let after = rig.restarted().await;
    let spent = error(after.vault.reveal(&after.actor, &token, false).await);
    assert_eq!(spent, Error::Caller(CallerError::Spent));
}

#[tokio::test]
async fn an_inactive_token_is_not_revealed_until_it_is_active_again() {
    let rig = Rig::new().await;
    let token = rig.create(card(VISA)).await.token;
    let status = |status| Patch {
        status: Some(status),
        ..Patch::default()
    };
    rig.vault
        .update(&rig.actor, &token, status(Status::Inactive))
        .await
        .unwrap();
    let refused = error(rig.vault.reveal(&rig.actor, &token, false).await);
    assert_eq!(refused, Error::Caller(CallerError::Inactive));
    rig.vault
        .update(&rig.actor, &token, status(Status::Active))
        .await
        .unwrap();
    rig.vault.reveal(&rig.actor, &token, false).await.unwrap();
}

#[tokio::test]
async fn a_reveal_that_meets_a_change_looks_again() {
    let rig = Rig::new().await;
    let token = rig.create(card(VISA)).await.token;
    let held = rig.vault.load(rig.actor.repository, &token).await.unwrap();
    let inactive = record::Record {
        status: Status::Inactive,
        ..held.record.clone()
    };
    let writes = inactive.replacement(&held.record).unwrap();
    rig.store.next_commit(Fault::Behind(Commit {
        writes,
        ..Commit::default()
    }));
    let refused = error(rig.vault.reveal(&rig.actor, &token, false).await);
    assert_eq!(refused, Error::Caller(CallerError::Inactive));
}

#[tokio::test]
async fn the_last_use_is_seen_at_once_and_written_later() {
    let rig = Rig::new().await;
    let token = rig.create(card(VISA)).await.token;
    let seen = async |rig: &Rig| rig.vault.inspect(&rig.actor, &token).await.unwrap().last_used_at;
    assert_eq!(seen(&rig).await, None);
    rig.vault.reveal(&rig.actor, &token, false).await.unwrap();
    let at = seen(&rig).await;
    assert!(at.is_some());
    assert_eq!(seen(&rig.restarted().await).await, None, "not written yet");
    rig.store.next_commit(Fault::Refused(store::Error::Full));
    rig.vault.flush_last_used().await;
    assert_eq!(seen(&rig).await, at, "kept for the next time");
    rig.vault.flush_last_used().await;
    let after = rig.restarted().await;
    assert_eq!(seen(&after).await, at);
    let view = after.vault.inspect(&after.actor, &token).await.unwrap();
    assert_eq!(view.revision.0, 1, "a use is no change");
}

#[tokio::test]
async fn a_last_use_does_not_outlive_its_token() {
    let rig = Rig::new().await;
    let (gone, stays) = (rig.create(card(VISA)).await.token, rig.create(card(VISA)).await.token);
    for token in [&gone, &stays] {
        rig.vault.reveal(&rig.actor, token, false).await.unwrap();
    }
    rig.vault.delete(&rig.actor, &gone).await.unwrap();
    rig.vault.flush_last_used().await;
    let keys = rig.keys().await;
    assert!(!keys.contains(&tables::last_used(rig.actor.repository, &gone)));
    assert!(keys.contains(&tables::last_used(rig.actor.repository, &stays)));
}

#[tokio::test]
async fn a_patch_of_the_holder_shows_in_the_next_reveal() {
    let rig = Rig::new().await;
    let token = rig
        .create(NewToken {
            profile: profile(None, None),
            ..card(VISA)
        })
        .await
        .token;
    let holder = Change::Set(Zeroizing::new("Grace".to_owned()));
    rig.vault
        .update(
            &rig.actor,
            &token,
            Patch {
                holder,
                ..Patch::default()
            },
        )
        .await
        .unwrap();
    let card = rig.vault.reveal(&rig.actor, &token, false).await.unwrap();
    assert_eq!(card.profile.holder.as_deref().map(String::as_str), Some("Grace"));
}
