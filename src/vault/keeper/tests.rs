use super::super::soft::Soft;
use super::*;
use crate::audit::{Head, Report, SignedHead, Verifier};
use crate::id::UnixMillis;
use crate::keys::some_uses;

/// Reads the whole trail with the key that signs in these tests.
async fn verified(soft: &Soft) -> Report {
    let lines = soft.store.audit(1, 10_000).await.unwrap();
    let mut verifier = Verifier::new().pinned(soft.vault.sealer.audit_public().fingerprint().unwrap());
    for line in &lines {
        verifier.line(&line.line);
    }
    verifier.finish()
}

async fn heads(soft: &Soft) -> usize {
    let events = soft.events().await;
    events.iter().filter(|event| *event == "audit-head ok").count()
}

async fn note(soft: &Soft, count: usize) {
    for _ in 0..count {
        soft.vault.note(Event::new("test", "ok")).await.unwrap();
    }
}

async fn settle(soft: &Soft) {
    for _ in 0..200 {
        if soft.vault.unsigned_records() == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{} records wait", soft.vault.unsigned_records());
}

#[tokio::test]
async fn a_head_covers_everything_before_it_and_is_not_signed_twice() {
    let soft = Soft::start().await;
    note(&soft, 3).await;
    assert_eq!(soft.vault.unsigned_records(), 3);
    soft.vault.sign_head().await.unwrap();
    soft.vault.sign_head().await.unwrap();
    assert_eq!((heads(&soft).await, soft.vault.unsigned_records()), (1, 0));
    let report = verified(&soft).await;
    assert!(report.is_authentic(), "{:?}", report.findings);
    assert_eq!((report.signed.unwrap().through, report.unsigned), (3, 0));
    note(&soft, 2).await;
    assert_eq!(soft.vault.unsigned_records(), 2);
}

#[tokio::test]
async fn without_the_hsm_heads_are_late_and_nobody_waits() {
    let soft = Soft::start().await;
    soft.set_down(true);
    let config = TrailConfig {
        every_records: 10,
        every: Duration::from_millis(1),
    };
    let keeper = soft.vault.start_trail(config);
    note(&soft, 25).await;
    tokio::time::sleep(TICK * 3).await;
    assert_eq!((heads(&soft).await, soft.vault.unsigned_records()), (0, 25));
    assert_eq!(soft.vault.metrics.audit_unsigned_records.get(), 25);
    soft.set_down(false);
    settle(&soft).await;
    keeper.shutdown().await;
    assert!(verified(&soft).await.is_authentic());
}

#[tokio::test]
async fn a_new_run_knows_what_the_last_one_signed() {
    let soft = Soft::start().await;
    note(&soft, 3).await;
    soft.vault.sign_head().await.unwrap();
    note(&soft, 2).await;
    soft.vault.heads.forget();
    assert_eq!(soft.vault.unsigned_records(), 6);
    soft.vault.recall_head().await.unwrap();
    assert_eq!(soft.vault.unsigned_records(), 2);
    soft.vault.conclude_trail().await;
    let events = soft.events().await;
    assert_eq!(events[events.len() - 2..], ["daemon-stop ok", "audit-head ok"]);
    let report = verified(&soft).await;
    assert!(report.is_authentic(), "{:?}", report.findings);
    assert_eq!((report.signed_heads, report.unsigned), (2, 0));
}

#[tokio::test]
async fn commits_between_the_reading_of_a_head_and_its_record_do_no_harm() {
    let soft = Soft::start().await;
    note(&soft, 1).await;
    let writer = async {
        for _ in 0..50 {
            note(&soft, 1).await;
            tokio::task::yield_now().await;
        }
    };
    let signer = async {
        while soft.store.health().audit_seq < 50 {
            soft.vault.sign_head().await.unwrap();
            tokio::task::yield_now().await;
        }
    };
    tokio::join!(biased; writer, signer);
    let report = verified(&soft).await;
    assert!(report.is_authentic(), "{:?}", report.findings);
    assert!(report.signed_heads > 1);
    // at least one was recorded behind a record that it does not cover
    let apart = soft
        .store
        .audit(1, 10_000)
        .await
        .unwrap()
        .into_iter()
        .filter(|line| SignedHead::of_line(&line.line).is_some_and(|head| head.unwrap().head.seq + 1 < line.seq));
    assert!(apart.count() > 0);
    assert_eq!(report.unsigned, soft.vault.unsigned_records());
}

#[tokio::test]
async fn the_end_tells_how_often_keys_were_used() {
    let soft = Soft::start().await;
    let told = some_uses().take().unwrap();
    soft.vault.sealer.uses().give_back(told);
    soft.vault.conclude_trail().await;
    assert_eq!(soft.events().await, ["key-use ok", "daemon-stop ok", "audit-head ok"]);
    let line = soft.store.audit(1, 1).await.unwrap().remove(0);
    let line: serde_json::Value = serde_json::from_slice(&line.line).unwrap();
    assert_eq!(line["event"]["count"], 4);
    let detail = line["event"]["detail"].as_str().unwrap();
    assert!(detail.starts_with("KEK of epoch 1: open 1; "), "{detail}");
    soft.vault.sign_head().await.unwrap();
    assert_eq!(soft.events().await.len(), 3);
}

#[test]
fn heads_are_due_by_count_and_by_time_and_at_once_in_a_new_run() {
    let config = TrailConfig::default();
    let mut schedule = Schedule::new(config);
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    assert!(!schedule.due(0, at(0)));
    assert!(schedule.due(1, at(0)));
    schedule.failed(at(0));
    assert!(!schedule.due(5_000, at(1)));
    assert!(schedule.due(1, at(2)));
    schedule.signed();
    assert!(!schedule.due(999, at(3)));
    assert_eq!(schedule.waited(at(13)), Duration::from_secs(10));
    assert!(schedule.due(1_000, at(4)));
    assert!(!schedule.due(999, at(62)));
    assert!(schedule.due(999, at(63)));
    // nothing to sign: the time begins anew
    assert!(!schedule.due(0, at(64)));
    assert!(!schedule.due(1, at(200)));
    assert_eq!(schedule.waited(at(200)), Duration::ZERO);
}

#[test]
fn a_signed_head_is_no_card_number_to_anyone() {
    // the encoder masks texts, and leaves this member alone
    let head = SignedHead {
        vault: crate::id::VaultId::parse("vault_0123456789").unwrap(),
        head: Head {
            seq: 9_007_199_254_740_993,
            hash: [7; 32],
        },
        at: UnixMillis(1_800_000_000_123),
        public_key: crate::hsm::PublicKey::Ed25519 { x: "A".repeat(43) },
        signature: vec![1; 64],
    };
    let read: Event = serde_json::from_slice(&head.event().encode()).unwrap();
    assert_eq!(*read.head.unwrap(), head);
}
