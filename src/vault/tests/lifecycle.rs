use std::time::Duration;

use super::*;
use crate::audit::{Statement, Verdict};
use crate::id::Revision;
use crate::vault::types::{Change, Patch, Query, Status};

fn text(text: &str) -> Change<Zeroizing<String>> {
    Change::Set(Zeroizing::new(text.to_owned()))
}

#[tokio::test]
async fn an_update_changes_what_it_names_and_nothing_else() {
    let rig = Rig::new().await;
    let made = rig
        .create(NewToken {
            profile: profile(Some("Ada"), Some("{\"a\":1}")),
            ..card(VISA)
        })
        .await;
    rig.sealer.opened();
    let patch = Patch {
        expiry: Change::Set(Expiry::new(1, 2031).unwrap()),
        metadata: Change::Set("{\"order\":7}".to_owned()),
        ..Patch::default()
    };
    let changed = rig.vault.update(&rig.actor, &made.token, patch).await.unwrap();
    assert_eq!(rig.sealer.opened(), [], "nothing sealed was touched");
    assert_eq!(changed.revision, Revision(2));
    assert_eq!(changed.expiry, Some(Expiry::new(1, 2031).unwrap()));
    assert_eq!(changed.metadata.as_deref(), Some("{\"order\":7}"));
    assert_eq!((changed.created_at, &changed.bin), (made.created_at, &made.bin));
    assert_eq!(rig.vault.inspect(&rig.actor, &made.token).await.unwrap(), changed);

    let patch = Patch {
        holder: text("Grace"),
        ..Patch::default()
    };
    rig.vault.update(&rig.actor, &made.token, patch).await.unwrap();
    assert_eq!(rig.sealer.opened(), [Compartment::Profile], "never the PAN");
    let card = rig.vault.reveal(&rig.actor, &made.token, true).await.unwrap();
    assert_eq!(card.profile.holder.as_deref().map(String::as_str), Some("Grace"));
    assert_eq!(card.profile.extra.as_deref().map(String::as_str), Some("{\"a\":1}"));
    assert_eq!(card.pan.expose(), VISA);

    rig.sealer.opened();
    let patch = Patch {
        holder: Change::Clear,
        extra: text("{\"b\":2}"),
        ..Patch::default()
    };
    rig.vault.update(&rig.actor, &made.token, patch).await.unwrap();
    assert_eq!(rig.sealer.opened(), [], "nothing of it stays");
    let card = rig.vault.reveal(&rig.actor, &made.token, true).await.unwrap();
    assert!(card.profile.holder.is_none());
    assert_eq!(card.profile.extra.as_deref().map(String::as_str), Some("{\"b\":2}"));
    let held = rig.vault.load(rig.actor.repository, &made.token).await.unwrap();
    let profile = held.record.sealed().unwrap();
    assert_eq!(profile.compartment(Compartment::Profile).unwrap().revision, 3);
    assert_eq!(rig.keys().await.len(), 3, "the old entry of the time index is gone");
}

#[tokio::test]
async fn a_revision_that_is_past_is_refused() {
    let rig = Rig::new().await;
    let token = rig.create(card(VISA)).await.token;
    let patch = |revision| Patch {
        status: Some(Status::Inactive),
        if_revision: Some(Revision(revision)),
        ..Patch::default()
    };
    rig.vault.update(&rig.actor, &token, patch(1)).await.unwrap();
    let refused = error(rig.vault.update(&rig.actor, &token, patch(1)).await);
    assert_eq!(refused, Error::Caller(CallerError::Revision { now: Revision(2) }));
    rig.vault.update(&rig.actor, &token, patch(2)).await.unwrap();
}

#[tokio::test]
async fn updates_at_once_all_take_effect() {
    let rig = Rig::new().await;
    let token = rig
        .create(NewToken {
            profile: profile(None, None),
            ..card(VISA)
        })
        .await
        .token;
    let mut running = tokio::task::JoinSet::new();
    for patch in [
        Patch {
            holder: text("Grace"),
            ..Patch::default()
        },
        Patch {
            extra: text("{\"a\":1}"),
            ..Patch::default()
        },
        Patch {
            metadata: Change::Set("{}".to_owned()),
            ..Patch::default()
        },
        Patch {
            expiry: Change::Clear,
            ..Patch::default()
        },
    ] {
        let (vault, actor, token) = (Arc::clone(&rig.vault), rig.actor.clone(), token.clone());
        running.spawn(async move { vault.update(&actor, &token, patch).await.unwrap() });
    }
    running.join_all().await;
    let card = rig.vault.reveal(&rig.actor, &token, true).await.unwrap();
    assert_eq!(card.profile.holder.as_deref().map(String::as_str), Some("Grace"));
    assert_eq!(card.profile.extra.as_deref().map(String::as_str), Some("{\"a\":1}"));
    let view = rig.vault.inspect(&rig.actor, &token).await.unwrap();
    assert_eq!(
        (view.metadata.as_deref(), view.expiry, view.revision),
        (Some("{}"), None, Revision(5))
    );
}

#[tokio::test]
async fn forty_unconditional_updates_at_once_all_take_effect() {
    let rig = Rig::new().await;
    let token = rig.create(card(VISA)).await.token;
    let mut running = tokio::task::JoinSet::new();
    for n in 0..40 {
        let (vault, actor, token) = (Arc::clone(&rig.vault), rig.actor.clone(), token.clone());
        let patch = Patch {
            metadata: Change::Set(format!("{{\"n\":{n}}}")),
            holder: text("Grace"),
            ..Patch::default()
        };
        running.spawn(async move { vault.update(&actor, &token, patch).await.map(|_| ()) });
    }
    // and a reveal in the middle of them
    let (vault, actor, same) = (Arc::clone(&rig.vault), rig.actor.clone(), token.clone());
    running.spawn(async move { vault.reveal(&actor, &same, false).await.map(|_| ()) });
    for answer in running.join_all().await {
        answer.unwrap();
    }
    let view = rig.vault.inspect(&rig.actor, &token).await.unwrap();
    assert_eq!(view.revision, Revision(41));
}

#[tokio::test]
async fn with_one_revision_asked_for_one_of_many_updates_wins() {
    let rig = Rig::new().await;
    let token = rig.create(card(VISA)).await.token;
    let mut running = tokio::task::JoinSet::new();
    for n in 0..16 {
        let (vault, actor, token) = (Arc::clone(&rig.vault), rig.actor.clone(), token.clone());
        let patch = Patch {
            metadata: Change::Set(format!("{{\"n\":{n}}}")),
            if_revision: Some(Revision(1)),
            ..Patch::default()
        };
        running.spawn(async move { vault.update(&actor, &token, patch).await });
    }
    let answers = running.join_all().await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    let stale = Err(Error::Caller(CallerError::Revision { now: Revision(2) }));
    assert_eq!(answers.iter().filter(|answer| **answer == stale).count(), 15);
}

#[tokio::test]
async fn what_an_update_must_not_do() {
    let rig = Rig::new().await;
    let token = rig.create(card(VISA)).await.token;
    for (wanted, patch) in [
        (
            "status",
            Patch {
                status: Some(Status::Spent),
                ..Patch::default()
            },
        ),
        (
            "metadata",
            Patch {
                metadata: Change::Set("{\"pin\":1}".to_owned()),
                ..Patch::default()
            },
        ),
        (
            "profile",
            Patch {
                extra: text("{\"cvc\":1}"),
                ..Patch::default()
            },
        ),
        (
            "card.holder",
            Patch {
                holder: text(VISA),
                ..Patch::default()
            },
        ),
        (
            "expires_at",
            Patch {
                expires_at: Change::Set(UnixMillis(1)),
                ..Patch::default()
            },
        ),
    ] {
        assert_eq!(field(rig.vault.update(&rig.actor, &token, patch).await), wanted);
    }
    let same = rig.vault.update(&rig.actor, &token, Patch::default()).await.unwrap();
    assert_eq!(same.revision, Revision(1));
    assert_eq!(rig.events().await, ["tokenize ok"]);
    let single = rig
        .create(NewToken {
            uses: Uses::Single,
            ..card(VISA)
        })
        .await
        .token;
    rig.vault.reveal(&rig.actor, &single, false).await.unwrap();
    let patch = Patch {
        status: Some(Status::Active),
        ..Patch::default()
    };
    let spent = error(rig.vault.update(&rig.actor, &single, patch).await);
    assert_eq!(spent, Error::Caller(CallerError::Spent));
}

#[tokio::test]
async fn a_deletion_leaves_an_audit_event_a_receipt_and_nothing_else() {
    let rig = Rig::new().await;
    let new = NewToken {
        reuse: return_within(""),
        namespace: Some(crate::id::Namespace::parse("customer-1").unwrap()),
        expires_at: Some(UnixMillis::now().plus(60_000)),
        ..card(VISA)
    };
    let token = rig.create(new).await.token;
    rig.vault.reveal(&rig.actor, &token, false).await.unwrap();
    rig.vault.flush_last_used().await;
    assert_eq!(rig.keys().await.len(), 7);
    let receipt = rig.vault.delete(&rig.actor, &token).await.unwrap();
    assert_eq!(rig.keys().await, []);
    assert_eq!(rig.store.health().records, 0);
    assert_eq!(rig.events().await, ["tokenize ok", "reveal ok", "delete ok"]);

    let receipt = Statement::parse(receipt.0.as_bytes()).unwrap();
    assert_eq!(receipt.member("token").unwrap(), token.as_str());
    let pin = rig.sealer.audit_public.fingerprint().unwrap();
    assert_eq!(receipt.verify(&[pin]), Ok(Verdict::Authentic));

    for gone in [
        error(rig.vault.inspect(&rig.actor, &token).await),
        error(rig.vault.reveal(&rig.actor, &token, false).await),
        error(rig.vault.delete(&rig.actor, &token).await),
    ] {
        assert_eq!(gone, Error::Caller(CallerError::UnknownToken));
    }
}

#[tokio::test]
async fn without_the_hsm_nothing_is_deleted_because_no_receipt_can_be_signed() {
    let rig = Rig::new().await;
    let token = rig.create(card(VISA)).await.token;
    rig.sealer.set_down(true);
    error(rig.vault.delete(&rig.actor, &token).await);
    assert_eq!(rig.vault.inspect(&rig.actor, &token).await.unwrap().token, token);
}

#[tokio::test]
async fn a_token_of_another_repository_is_not_there() {
    let rig = Rig::new().await;
    let token = rig.create(card(VISA)).await.token;
    let (mut other, repository) = (rig.actor.clone(), rig.actor.repository);
    other.repository = RepositoryId(repository.0 + 1);
    let held = rig.vault.load(other.repository, &token).await.err();
    assert_eq!(held, Some(Error::Caller(CallerError::UnknownToken)));
}

#[tokio::test]
async fn a_token_past_its_time_is_expired_then_gone() {
    let rig = Rig::new().await;
    let soon = |millis| Some(UnixMillis::now().plus(millis));
    let short = rig
        .create(NewToken {
            expires_at: soon(30),
            ..card(VISA)
        })
        .await
        .token;
    let long = rig
        .create(NewToken {
            expires_at: soon(60_000),
            ..card(VISA)
        })
        .await
        .token;
    let moved = rig
        .create(NewToken {
            expires_at: soon(30),
            ..card(VISA)
        })
        .await
        .token;
    let expires_at = Change::Set(UnixMillis::now().plus(60_000));
    rig.vault
        .update(
            &rig.actor,
            &moved,
            Patch {
                expires_at,
                ..Patch::default()
            },
        )
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(40)).await;

    let expired = Error::Caller(CallerError::Expired);
    assert_eq!(error(rig.vault.inspect(&rig.actor, &short).await), expired);
    assert_eq!(error(rig.vault.reveal(&rig.actor, &short, false).await), expired);
    assert_eq!(
        error(rig.vault.update(&rig.actor, &short, Patch::default()).await),
        expired
    );
    let query = Query {
        limit: 10,
        ..Query::default()
    };
    assert_eq!(rig.vault.search(&rig.actor, query).await.unwrap().tokens.len(), 2);

    let background = rig.vault.start_background(0);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while rig.vault.metrics.expired.get() == 0 && tokio::time::Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    background.shutdown().await;
    assert_eq!(rig.vault.metrics.expired.get(), 1);
    assert_eq!(
        error(rig.vault.inspect(&rig.actor, &short).await),
        Error::Caller(CallerError::UnknownToken)
    );
    assert_eq!(
        rig.events().await.iter().filter(|event| *event == "expire ok").count(),
        1
    );
    for stays in [long, moved] {
        assert!(rig.vault.inspect(&rig.actor, &stays).await.is_ok());
    }
    assert_eq!(rig.store.health().records, 2);
}

#[tokio::test]
async fn idempotency_keys_are_forgotten_two_days_later() {
    let rig = Rig::new().await;
    let old = tables::idempotency(19_000, &[1; 16]);
    let writes = vec![store::Write::Put(old.clone(), vec![1])];
    rig.store
        .commit(Commit {
            writes,
            ..Commit::default()
        })
        .await
        .unwrap();
    let new = NewToken {
        idempotency: Some(super::idempotency::once("k-1", "body")),
        ..card(VISA)
    };
    rig.create(new).await;
    let (_stop, running) = tokio::sync::watch::channel(false);
    rig.vault.sweep(&running).await.unwrap();
    let keys = rig.keys().await;
    assert!(!keys.contains(&old));
    assert_eq!(keys.len(), 4, "the one of today stays");
}

#[tokio::test]
async fn a_bad_record_or_a_full_disk_keeps_no_other_token_for_good() {
    let rig = Rig::new().await;
    let soon = UnixMillis::now().plus(1_000);
    let mut tokens = Vec::new();
    for _ in 0..40 {
        let new = NewToken {
            expires_at: Some(soon),
            ..card(VISA)
        };
        tokens.push(rig.create(new).await.token);
    }
    tokens.sort();
    let damaged = Write::Put(tables::record(rig.actor.repository, &tokens[0]), vec![1, 2, 3]);
    let writes = vec![damaged];
    rig.store
        .commit(Commit {
            writes,
            ..Commit::default()
        })
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(1_050)).await;

    let (_stop, running) = tokio::sync::watch::channel(false);
    rig.store.next_commit(Fault::Refused(store::Error::Full));
    let full = Error::Dependency(types::DependencyError::StoreReadOnly);
    assert_eq!(rig.vault.sweep(&running).await, Err(full));
    let damaged = Err(Error::Integrity(IntegrityError::Damaged));
    assert_eq!(rig.vault.sweep(&running).await, damaged);
    assert_eq!(rig.store.health().records, 1, "all but the bad one");
    assert_eq!(rig.vault.metrics.expired.get(), 39);
    let lines = rig.store.audit(1, 1000).await.unwrap();
    let last: serde_json::Value = serde_json::from_slice(&lines.last().unwrap().line).unwrap();
    assert_eq!(last["event"]["action"], "expire");
    assert_eq!(last["event"]["repository"], rig.actor.repository_name.as_str());
}
