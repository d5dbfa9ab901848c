use std::time::Duration;

use super::*;
use crate::keys::{EpochState, NotMoved, Refused, SecretBytes};
use crate::vault::rotation::{RotationError, RotationStatus};
use crate::vault::types::{DocumentEvent, DocumentKind, DocumentWrite, Expect, Secret};

/// Tokens and documents beyond a page of either; one token is spent.
async fn filled(rig: &Rig) -> Vec<Token> {
    let mut tokens = Vec::new();
    for _ in 0..70 {
        tokens.push(rig.create(card(VISA)).await.token);
    }
    let single = NewToken {
        uses: Uses::Single,
        ..card(AMEX)
    };
    let spent = rig.create(single).await.token;
    rig.vault.reveal(&rig.actor, &spent, false).await.unwrap();
    for number in 0..40 {
        let write = DocumentWrite {
            kind: DocumentKind::Order,
            name: format!("order-{number}"),
            expect: Expect::Absent,
            clear: b"{}".to_vec(),
            secret: match number % 2 {
                0 => Secret::Seal(SecretBytes::new(b"ada@example.com".to_vec())),
                _ => Secret::Nothing,
            },
            expires_at: None,
        };
        let event = DocumentEvent {
            action: "order",
            outcome: "ok",
            token: None,
            detail: None,
        };
        rig.vault.write_documents(&rig.actor, vec![write], event).await.unwrap();
    }
    tokens
}

/// Tokens and documents by epoch, and the last rotation.
async fn counts(rig: &Rig) -> (Vec<(u64, u64)>, Option<RotationStatus>) {
    let status = rig.vault.key_status().await.unwrap();
    let by_epoch = status.epochs.iter().map(|epoch| (epoch.tokens, epoch.documents));
    (by_epoch.collect(), status.rotation)
}

/// Lets the background work until the rotation is finished.
async fn finished(rig: &Rig) -> RotationStatus {
    let background = rig.vault.start_background(0);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    let status = loop {
        match rig.vault.rotation_status() {
            Some(status) if status.finished => break status,
            status => assert!(tokio::time::Instant::now() < deadline, "{status:?}"),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    background.shutdown().await;
    status
}

fn peer(rig: &Rig) -> Peer {
    rig.actor.peer
}

#[tokio::test]
async fn everything_goes_under_the_new_epoch_and_opens_as_before() {
    let rig = Rig::new().await;
    let tokens = filled(&rig).await;
    assert_eq!(counts(&rig).await, (vec![(70, 20), (0, 0), (0, 0)], None));
    assert_eq!(rig.vault.rotate(peer(&rig)).await.unwrap(), 2);
    let fresh = rig.create(card(MASTERCARD)).await.token;
    assert_eq!(counts(&rig).await.0, [(70, 20), (1, 0), (0, 0)], "new tokens at once");

    let before = rig.vault.inspect(&rig.actor, &tokens[0]).await.unwrap();
    let status = finished(&rig).await;
    assert_eq!((status.to, status.moved, status.faults), (2, 90, 0));
    assert_eq!(counts(&rig).await.0, [(0, 0), (71, 20), (0, 0)]);
    for token in tokens.iter().chain([&fresh]) {
        rig.vault.reveal(&rig.actor, token, false).await.unwrap();
    }
    let after = rig.vault.inspect(&rig.actor, &tokens[0]).await.unwrap();
    assert_eq!((after.revision, after.updated_at), (before.revision, before.updated_at));
    let document = rig
        .vault
        .document(&rig.actor, DocumentKind::Order, "order-2")
        .await
        .unwrap();
    let secret = rig.vault.document_secret(&document.unwrap()).await.unwrap();
    assert_eq!(secret.unwrap().expose(), b"ada@example.com");

    let states: Vec<EpochState> = rig
        .vault
        .key_status()
        .await
        .unwrap()
        .epochs
        .iter()
        .map(|e| e.state)
        .collect();
    assert_eq!(
        states,
        [EpochState::Deactivated, EpochState::Active, EpochState::PreActive]
    );
    let events = rig.events().await;
    let of = |wanted: &str| events.iter().filter(|event| *event == wanted).count();
    assert_eq!(
        (of("kek-rotate asked"), of("kek-rotate ok"), of("kek-rotate finished")),
        (1, 1, 1)
    );
    assert!(of("rewrap ok") >= 4, "an event a page");
    assert_eq!(rig.vault.metrics.rewrapped.get(), 90);

    assert_eq!(rig.vault.rotate(peer(&rig)).await.unwrap(), 3);
    finished(&rig).await;
    assert_eq!(
        rig.vault.rotate(peer(&rig)).await,
        Err(RotationError::Keys(NotMoved::Refused(Refused::NoneLeft)))
    );
    assert!(rig.events().await.contains(&"kek-rotate refused".to_owned()));
    assert_eq!(counts(&rig).await.0, [(0, 0), (0, 0), (71, 20)]);
}

#[tokio::test]
async fn a_restart_goes_on_and_a_crash_behind_the_step_is_made_good() {
    let rig = Rig::new().await;
    filled(&rig).await;
    // the keyring moved on, and nothing else was written
    rig.sealer.advance().await.unwrap();
    let rig = rig.restarted().await;
    let status = finished(&rig).await;
    assert_eq!((status.to, status.moved), (2, 90));

    rig.vault.rotate(peer(&rig)).await.unwrap();
    // its answers are lost on the way: what they did counts once
    for _ in 0..2 {
        rig.store.next_commit(Fault::AnswerLost);
    }
    let rig = rig.restarted().await;
    let status = finished(&rig).await;
    assert_eq!((status.to, status.moved), (3, 90));
    let rig = rig.restarted().await;
    assert_eq!(
        finished(&rig).await,
        status,
        "a finished one is known after a restart, and not begun again"
    );
}

#[tokio::test]
async fn what_others_change_meanwhile_is_moved_as_they_left_it() {
    let rig = Rig::new().await;
    let tokens = filled(&rig).await;
    rig.vault.rotate(peer(&rig)).await.unwrap();
    let updates = async {
        for (number, token) in tokens.iter().enumerate() {
            let patch = types::Patch {
                holder: types::Change::Set(zeroize::Zeroizing::new(format!("Ada {number}"))),
                ..types::Patch::default()
            };
            rig.vault.update(&rig.actor, token, patch).await.unwrap();
        }
    };
    let (status, ()) = tokio::join!(finished(&rig), updates);
    assert_eq!(status.faults, 0);
    assert_eq!(counts(&rig).await.0[0], (0, 0));
    for (number, token) in tokens.iter().enumerate() {
        let card = rig.vault.reveal(&rig.actor, token, true).await.unwrap();
        let holder = card.profile.holder.unwrap();
        assert_eq!(
            (card.pan.expose(), holder.as_str()),
            (VISA, format!("Ada {number}").as_str())
        );
    }
}

#[tokio::test]
async fn what_does_not_open_stays_and_keeps_nobody() {
    let rig = Rig::new().await;
    let tokens = filled(&rig).await;
    let held = rig.vault.load(rig.actor.repository, &tokens[7]).await.unwrap();
    let mut record = held.record;
    let sealed = record.sealed.as_mut().unwrap();
    let last = sealed.len() - 1;
    sealed[last] ^= 1;
    let commit = Commit {
        writes: vec![Write::Put(record.key(), record.encode().unwrap())],
        ..Commit::default()
    };
    rig.store.commit(commit).await.unwrap();

    rig.vault.rotate(peer(&rig)).await.unwrap();
    let status = finished(&rig).await;
    assert_eq!((status.moved, status.faults), (89, 1));
    assert_eq!(counts(&rig).await.0, [(1, 0), (69, 20), (0, 0)]);
    assert!(rig.events().await.contains(&"rewrap tampered".to_owned()));
    assert!(rig.vault.metrics.tampered.get() >= 1);
}

#[tokio::test]
async fn a_rotation_waits_for_the_hsm() {
    let rig = Rig::new().await;
    filled(&rig).await;
    rig.vault.rotate(peer(&rig)).await.unwrap();
    rig.sealer.set_down(true);
    let background = rig.vault.start_background(0);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!rig.vault.rotation_status().unwrap().finished);
    assert!(
        rig.vault.rotate(peer(&rig)).await.is_err(),
        "nor is there a step without it"
    );
    assert_eq!(rig.sealer.active_epoch().0, 2);
    background.shutdown().await;
    rig.sealer.set_down(false);
    assert_eq!(finished(&rig).await.moved, 90);
}
