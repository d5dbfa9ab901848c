//! What is on its way to the store while the end of its KEK is decided.

use tokio::sync::Semaphore;

use super::test_store::Fault;
use super::*;
use crate::keys::SecretBytes;
use crate::vault::destroy::Destruction;
use crate::vault::epochs::by_epoch;
use crate::vault::types::{DocumentEvent, DocumentKind, DocumentWrite, Expect, Patch, Secret, Written};

/// How many records are under each epoch, from the first.
async fn under(rig: &Rig) -> Vec<u64> {
    let counts = by_epoch(rig.store.as_ref()).await.unwrap();
    (1..=3)
        .map(|epoch| counts.get(&epoch).copied().unwrap_or_default().all())
        .collect()
}

/// Does `work` up to its commit, decides meanwhile the end of the epoch that it was sealed under, and lets it go on.
async fn while_its_epoch_ends<T: Send + 'static>(
    rig: &Rig,
    work: impl Future<Output = T> + Send + 'static,
    is_destroyed: bool,
) -> T {
    let (came, may) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    rig.store
        .next_commit(Fault::Halted(Arc::clone(&came), Arc::clone(&may)));
    let work = tokio::spawn(work);
    came.acquire().await.unwrap().forget();
    let epoch = rig.sealer.active_epoch().0;
    match is_destroyed {
        true => rig.sealer.destroy_all(),
        false => assert_eq!(rig.sealer.advance().await.unwrap().0, epoch + 1),
    }
    rig.vault.fence(&Destruction::of(epoch)).await.unwrap();
    may.add_permits(1);
    work.await.unwrap()
}

fn order(name: &str) -> DocumentWrite {
    DocumentWrite {
        kind: DocumentKind::Order,
        name: name.to_owned(),
        expect: Expect::Absent,
        clear: b"{}".to_vec(),
        secret: Secret::Seal(SecretBytes::new(b"ada@example.com".to_vec())),
        expires_at: None,
    }
}

fn on_record() -> DocumentEvent {
    DocumentEvent {
        action: "order",
        outcome: "ok",
        token: None,
        detail: None,
    }
}

#[tokio::test]
async fn a_card_on_its_way_is_sealed_again_under_the_epoch_in_use() {
    let rig = Rig::new().await;
    for (round, new) in [
        card(VISA),
        NewToken {
            reuse: return_within("s"),
            ..card(VISA)
        },
    ]
    .into_iter()
    .enumerate()
    {
        let (vault, actor) = (Arc::clone(&rig.vault), rig.actor.clone());
        let made = while_its_epoch_ends(&rig, async move { vault.tokenize(&actor, new).await }, round == 0).await;
        let Tokenized::Created(view) = made.unwrap() else {
            panic!("nothing was there")
        };
        assert_eq!(under(&rig).await, [[0, 1, 0], [0, 1, 1]][round]);
        let revealed = rig.vault.reveal(&rig.actor, &view.token, true).await.unwrap();
        assert_eq!(revealed.pan.expose(), VISA);
    }
}

#[tokio::test]
async fn a_number_for_a_dead_token_is_sealed_again_too() {
    let rig = Rig::new().await;
    let token = rig.create(card(VISA)).await.token;
    rig.sealer.destroy_all();
    let (vault, actor, of) = (Arc::clone(&rig.vault), rig.actor.clone(), token.clone());
    let patch = Patch {
        pan: Some(Pan::parse(AMEX).unwrap()),
        ..Patch::default()
    };
    let done = while_its_epoch_ends(&rig, async move { vault.update(&actor, &of, patch).await }, false).await;
    done.unwrap();
    assert_eq!(under(&rig).await, [0, 0, 1]);
    let revealed = rig.vault.reveal(&rig.actor, &token, false).await.unwrap();
    assert_eq!(revealed.pan.expose(), AMEX);
}

#[tokio::test]
async fn a_document_on_its_way_goes_under_the_epoch_in_use_or_is_not_written() {
    let rig = Rig::new().await;
    let write = |name: &'static str| {
        let (vault, actor) = (Arc::clone(&rig.vault), rig.actor.clone());
        async move { vault.write_documents(&actor, vec![order(name)], on_record()).await }
    };
    let written = while_its_epoch_ends(&rig, write("a"), false).await;
    assert!(matches!(written.unwrap(), Written::Done { .. }));
    assert_eq!(under(&rig).await, [0, 1, 0]);
    let found = rig.vault.document(&rig.actor, DocumentKind::Order, "a").await.unwrap();
    let secret = rig.vault.document_secret(&found.unwrap()).await.unwrap();
    assert_eq!(secret.unwrap().expose(), b"ada@example.com");
    // so late that nothing opens what was sealed
    let written = while_its_epoch_ends(&rig, write("b"), true).await;
    assert_eq!(error(written), Error::Dependency(types::DependencyError::HsmBusy));
    assert!(matches!(write("b").await.unwrap(), Written::Done { .. }));
    assert_eq!(under(&rig).await[2], 1);
}

/// What is kept as it is does not come under an epoch anew, so it is no reason to refuse a change beside it.
#[tokio::test]
async fn the_clear_part_of_a_dead_document_changes_all_the_same() {
    let rig = Rig::new().await;
    rig.vault
        .write_documents(&rig.actor, vec![order("a")], on_record())
        .await
        .unwrap();
    rig.sealer.destroy_all();
    rig.vault.fence(&Destruction::of(1)).await.unwrap();
    let found = rig
        .vault
        .document(&rig.actor, DocumentKind::Order, "a")
        .await
        .unwrap()
        .unwrap();
    let write = DocumentWrite {
        expect: Expect::Rev(found.rev),
        clear: b"[]".to_vec(),
        secret: Secret::Keep(found.sealed),
        ..order("a")
    };
    let written = rig
        .vault
        .write_documents(&rig.actor, vec![write], on_record())
        .await
        .unwrap();
    assert!(matches!(written, Written::Done { .. }));
}
