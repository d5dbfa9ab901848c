//! Erasures where the clock is set and where a record was changed by another hand.

use tokio::sync::mpsc;

use super::*;
use crate::audit::Statement;
use crate::vault::accounts::AccountError;
use crate::vault::types::{DocumentEvent, DocumentKind, DocumentWrite, Expect, Secret};

const ADMIN: AdminActor = AdminActor {
    peer: Peer {
        uid: 0,
        gid: 0,
        pid: None,
    },
};

impl Rig {
    fn erasure(&self, namespace: Option<&str>) -> Erasure {
        Erasure {
            repository: self.actor.repository_name.clone(),
            namespace: namespace.map(|name| crate::id::Namespace::parse(name).unwrap()),
            per_second: 0,
        }
    }

    /// How it ended, and how many receipts came.
    async fn erase(&self, what: Erasure) -> (Result<Statement, AccountError>, usize) {
        let (to, mut from) = mpsc::channel(1);
        let vault = Arc::clone(&self.vault);
        let done = tokio::spawn(async move { vault.erase(ADMIN, what, &(), to).await });
        let mut receipts = 0;
        while from.recv().await.is_some() {
            receipts += 1;
        }
        (done.await.unwrap(), receipts)
    }

    async fn suspend(&self) {
        let accounts = self.vault.access.accounts();
        let name = &self.actor.repository_name;
        accounts.suspend_repository(ADMIN, name).await.unwrap();
    }
}

#[tokio::test]
async fn a_clock_that_was_set_back_keeps_no_token() {
    let rig = Rig::new().await;
    let of_customer = || NewToken {
        namespace: Some(crate::id::Namespace::parse("c1").unwrap()),
        ..card(VISA)
    };
    let token = rig.create(of_customer()).await.token;
    // made by a clock that was an hour ahead
    let held = rig.vault.load(rig.actor.repository, &token).await.unwrap();
    let record = Record {
        created_at: UnixMillis::now().plus(3_600_000),
        ..held.record
    };
    let commit = Commit {
        writes: vec![Write::Put(record.key(), record.encode().unwrap())],
        ..Commit::default()
    };
    rig.store.commit(commit).await.unwrap();
    let (summary, receipts) = rig.erase(rig.erasure(Some("c1"))).await;
    let summary = summary.unwrap();
    assert_eq!(
        (receipts, summary.number("tokens"), summary.number("created_meanwhile")),
        (1, Ok(1), Ok(0))
    );
    assert!(rig.keys().await.is_empty(), "no entry of any index is left");
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_told_and_keeps_no_other() {
    let rig = Rig::new().await;
    let bad = rig.create(card(VISA)).await.token;
    for _ in 0..40 {
        rig.create(card(MASTERCARD)).await;
    }
    let write = DocumentWrite {
        kind: DocumentKind::Customer,
        name: "c".to_owned(),
        expect: Expect::Absent,
        clear: Vec::new(),
        secret: Secret::Nothing,
        expires_at: None,
    };
    let event = DocumentEvent {
        action: "customer-add",
        outcome: "ok",
        token: None,
        detail: None,
    };
    rig.vault.write_documents(&rig.actor, vec![write], event).await.unwrap();
    let key = tables::record(rig.actor.repository, &bad);
    let commit = Commit {
        writes: vec![Write::Put(key, vec![4, 0, 0])],
        ..Commit::default()
    };
    rig.store.commit(commit).await.unwrap();
    rig.suspend().await;
    let (ended, receipts) = rig.erase(rig.erasure(None)).await;
    let told = ended.unwrap_err().to_string();
    assert!(told.contains(bad.as_str()) && told.contains("check store"), "{told}");
    assert_eq!(receipts, 40);
    assert_eq!(rig.vault.metrics.tampered.get(), 1);
    let there = rig.vault.erasable(ADMIN, &rig.erasure(None)).await.unwrap();
    assert_eq!((there.tokens, there.documents.len()), (1, 0));
    let events = rig.events().await;
    assert_eq!(events.last().map(String::as_str), Some("erase stopped"));
}
