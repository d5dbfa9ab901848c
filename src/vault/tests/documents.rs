use tokio::sync::watch;

use super::*;
use crate::keys::SecretBytes;
use crate::vault::check::indexes;
use crate::vault::documents::Address;
use crate::vault::types::{Document, DocumentEvent, DocumentKind, DocumentWrite, Expect, PolicyError, Secret, Written};

const PERSONAL: &[u8] = br#"{"email":"ada@example.com"}"#;

fn order(name: &str, expect: Expect, clear: &[u8]) -> DocumentWrite {
    DocumentWrite {
        kind: DocumentKind::Order,
        name: name.to_owned(),
        expect,
        clear: clear.to_vec(),
        secret: Secret::Nothing,
        expires_at: None,
    }
}

fn with_secret(write: DocumentWrite) -> DocumentWrite {
    DocumentWrite {
        secret: Secret::Seal(SecretBytes::new(PERSONAL.to_vec())),
        ..write
    }
}

fn happened() -> DocumentEvent {
    DocumentEvent {
        action: "order-authorize",
        outcome: "approved",
        token: Some(token("tok_used")),
        detail: Some("card 4111111111111111".to_owned()),
    }
}

impl Rig {
    async fn put(&self, writes: Vec<DocumentWrite>) -> u64 {
        match self
            .vault
            .write_documents(&self.actor, writes, happened())
            .await
            .unwrap()
        {
            Written::Done { rev } => rev,
            Written::Changed => panic!("not as expected"),
        }
    }

    async fn is_refused(&self, write: DocumentWrite) -> bool {
        let written = self.vault.write_documents(&self.actor, vec![write], happened()).await;
        written.unwrap() == Written::Changed
    }

    async fn order(&self, name: &str) -> Option<Document> {
        let found = self.vault.document(&self.actor, DocumentKind::Order, name).await;
        found.unwrap()
    }

    async fn names(&self, prefix: &str, after: Option<&str>, limit: u32) -> Vec<String> {
        let listed = self
            .vault
            .documents(&self.actor, DocumentKind::Order, prefix, after, limit)
            .await;
        listed.unwrap().into_iter().map(|document| document.name).collect()
    }

    async fn all_documents(&self) -> usize {
        let from = std::ops::Bound::Included(Key(vec![tables::DOCUMENT]));
        let to = std::ops::Bound::Excluded(Key(vec![tables::DOCUMENT_EXPIRY + 1]));
        let page = self.store.scan(Part::default(), from, to, 10_000).await.unwrap();
        page.items.len()
    }

    async fn sweep_all(&self) {
        let (_stop, stopped) = watch::channel(false);
        self.vault.sweep_documents(&stopped).await.unwrap();
    }
}

fn soon(millis: u64) -> Option<UnixMillis> {
    Some(UnixMillis::now().plus(millis))
}

#[tokio::test]
async fn documents_come_back_with_their_event() {
    let rig = Rig::new().await;
    let transaction = DocumentWrite {
        kind: DocumentKind::Transaction,
        ..with_secret(order("1/1", Expect::Absent, b"t"))
    };
    let rev = rig.put(vec![order("1", Expect::Absent, b"o"), transaction]).await;
    let found = rig.order("1").await.unwrap();
    assert_eq!(
        (found.rev, found.clear.as_slice(), &found.sealed),
        (rev, &b"o"[..], &None)
    );
    assert!(rig.vault.document_secret(&found).await.unwrap().is_none());
    let found = rig.vault.document(&rig.actor, DocumentKind::Transaction, "1/1").await;
    let found = found.unwrap().unwrap();
    assert_eq!((found.rev, found.merchant.as_str()), (rev, "shop"));
    let secret = rig.vault.document_secret(&found).await.unwrap().unwrap();
    assert_eq!(secret.expose(), PERSONAL);
    assert_eq!(rig.sealer.seals(), 1, "one job a sealed part");
    assert_eq!(rig.sealer.opened(), [Compartment::Profile]);
    assert!(rig.order("1/1").await.is_none(), "each kind has names of its own");

    let last = rig.store.audit(rig.store.health().audit_seq, 1).await.unwrap();
    let line: serde_json::Value = serde_json::from_slice(&last[0].line).unwrap();
    let event = &line["event"];
    assert_eq!(
        (&event["action"], &event["outcome"]),
        (&"order-authorize".into(), &"approved".into())
    );
    assert_eq!(
        (&event["merchant"], &event["token"]),
        (&"shop".into(), &"tok_used".into())
    );
    assert_eq!(
        (&event["request"], &event["dialect"]),
        (&"req_test".into(), &"native".into())
    );
    assert_eq!(event["detail"], "card ************1111");

    // an event without a document
    rig.put(Vec::new()).await;
    assert_eq!(rig.events().await, ["order-authorize approved"; 2]);
}

#[tokio::test]
async fn nothing_is_written_where_one_expectation_fails() {
    let rig = Rig::new().await;
    let rev = rig.put(vec![order("1", Expect::Absent, b"a")]).await;
    assert!(rig.is_refused(order("1", Expect::Absent, b"b")).await);
    assert!(rig.is_refused(order("1", Expect::Rev(rev + 1), b"b")).await);
    assert!(rig.is_refused(order("2", Expect::Rev(rev), b"b")).await);
    let both = vec![
        with_secret(order("2", Expect::Absent, b"b")),
        order("1", Expect::Rev(rev + 1), b"b"),
    ];
    let written = rig.vault.write_documents(&rig.actor, both, happened()).await.unwrap();
    assert_eq!((written, rig.sealer.seals()), (Written::Changed, 0));
    assert!(rig.order("2").await.is_none());
    assert_eq!(rig.events().await.len(), 1);
    let next = rig.put(vec![order("1", Expect::Rev(rev), b"b")]).await;
    assert!(next > rev && rig.order("1").await.unwrap().clear == b"b");
}

#[tokio::test]
async fn of_many_who_saw_the_same_one_writes() {
    let rig = Rig::new().await;
    let rev = rig.put(vec![order("1", Expect::Absent, b"0")]).await;
    let tries = (0..20_u8).map(|n| {
        let (vault, actor) = (Arc::clone(&rig.vault), rig.actor.clone());
        tokio::spawn(async move {
            let write = order("1", Expect::Rev(rev), &[n]);
            vault.write_documents(&actor, vec![write], happened()).await.unwrap()
        })
    });
    let mut done = 0;
    for one in tries.collect::<Vec<_>>() {
        done += usize::from(matches!(one.await.unwrap(), Written::Done { .. }));
    }
    assert_eq!(done, 1);
}

#[tokio::test]
async fn a_kept_secret_is_not_sealed_again() {
    let rig = Rig::new().await;
    rig.put(vec![with_secret(order("1", Expect::Absent, b"a"))]).await;
    let found = rig.order("1").await.unwrap();
    let keep = |name: &str, expect| DocumentWrite {
        secret: Secret::Keep(found.sealed.clone()),
        ..order(name, expect, b"b")
    };
    rig.put(vec![keep("1", Expect::Rev(found.rev))]).await;
    let again = rig.order("1").await.unwrap();
    assert_eq!((again.clear.as_slice(), &again.sealed), (&b"b"[..], &found.sealed));
    assert_eq!(rig.sealer.seals(), 1);
    let elsewhere = keep("2", Expect::Absent);
    let refused = rig.vault.write_documents(&rig.actor, vec![elsewhere], happened()).await;
    assert_eq!(refused, Err(Error::Integrity(IntegrityError::Damaged)));
    // cleared
    rig.put(vec![order("1", Expect::Rev(again.rev), b"c")]).await;
    assert_eq!(rig.order("1").await.unwrap().sealed, None);
}

#[tokio::test]
async fn lists_are_by_name_and_stop_at_the_prefix() {
    let rig = Rig::new().await;
    for name in ["b", "a/2", "a/10", "a", "ab", "a/1"] {
        rig.put(vec![order(name, Expect::Absent, b"")]).await;
    }
    let expired = DocumentWrite {
        expires_at: soon(0),
        ..order("a/0", Expect::Absent, b"")
    };
    rig.put(vec![expired]).await;
    assert_eq!(rig.names("a/", None, 1_000).await, ["a/1", "a/10", "a/2"]);
    assert_eq!(rig.names("a/", Some("a/1"), 1).await, ["a/10"]);
    assert_eq!(rig.names("a/", Some("a"), 2).await, ["a/1", "a/10"]);
    assert_eq!(rig.names("a/", Some("b"), 2).await, [""; 0]);
    assert_eq!(rig.names("", Some("a/2"), 9).await, ["ab", "b"]);
    for n in 0..150 {
        rig.put(vec![order(&format!("m{n:03}"), Expect::Absent, b"")]).await;
    }
    let all = rig.names("m", None, 1_000).await;
    assert!(all.len() == 150 && all.is_sorted());
    assert_eq!(rig.names("m", Some("m100"), 3).await, ["m101", "m102", "m103"]);
}

#[tokio::test]
async fn what_is_past_its_time_is_gone_before_it_is_swept() {
    let rig = Rig::new().await;
    let expiring = |expect, millis| DocumentWrite {
        expires_at: soon(millis),
        ..with_secret(order("1", expect, b"a"))
    };
    let rev = rig.put(vec![expiring(Expect::Absent, 30)]).await;
    assert!(rig.order("1").await.is_some());
    tokio::time::sleep(std::time::Duration::from_millis(40)).await;
    assert!(rig.order("1").await.is_none());
    assert!(rig.is_refused(expiring(Expect::Rev(rev), 9)).await);
    // its name is free, and its entry goes with it
    rig.put(vec![expiring(Expect::Absent, 3_600_000)]).await;
    assert_eq!(rig.all_documents().await, 2);
    rig.sweep_all().await;
    assert!(rig.order("1").await.is_some());
    assert_eq!(indexes(rig.store.as_ref()).await.unwrap().faults, [""; 0]);
    // a document that expires no more leaves the index
    let rev = rig.order("1").await.unwrap().rev;
    rig.put(vec![order("1", Expect::Rev(rev), b"a")]).await;
    assert_eq!(rig.all_documents().await, 1);
}

#[tokio::test]
async fn the_sweeper_removes_and_tells_how_many() {
    let rig = Rig::new().await;
    for n in 0..70 {
        let write = DocumentWrite {
            expires_at: soon(if n < 66 { 0 } else { 3_600_000 }),
            ..order(&format!("{n:02}"), Expect::Absent, b"")
        };
        rig.put(vec![write]).await;
    }
    let before = rig.events().await.len();
    // one of them cannot be read
    let damaged = Commit {
        writes: vec![Write::Put(address(&rig, "10").key(), vec![1])],
        ..Commit::default()
    };
    rig.store.commit(damaged).await.unwrap();
    let (_stop, stopped) = watch::channel(false);
    assert!(rig.vault.sweep_documents(&stopped).await.is_err());
    assert_eq!(rig.all_documents().await, 2 * 4 + 2);
    let lines = rig.store.audit(1, 10_000).await.unwrap();
    let counted: u64 = lines
        .iter()
        .map(|line| serde_json::from_slice::<serde_json::Value>(&line.line).unwrap())
        .filter(|line| line["event"]["action"] == "documents-remove" && line["event"]["outcome"] == "expired")
        .map(|line| line["event"]["count"].as_u64().unwrap())
        .sum();
    assert_eq!(counted, 65);
    assert_eq!(rig.events().await.len(), before + 2, "an event for each commit");
}

fn address(rig: &Rig, name: &str) -> Address {
    Address {
        merchant: rig.actor.merchant.clone(),
        kind: DocumentKind::Order,
        name: name.to_owned(),
    }
}

async fn copy(rig: &Rig, from: &Key, to: Key) {
    let row = rig.store.get(Part::default(), from).await.unwrap().unwrap();
    let commit = Commit {
        writes: vec![Write::Put(to, row.value)],
        ..Commit::default()
    };
    rig.store.commit(commit).await.unwrap();
}

#[tokio::test]
async fn a_row_that_was_copied_elsewhere_raises_the_alarm() {
    let rig = Rig::new().await;
    rig.put(vec![with_secret(order("1", Expect::Absent, b"a"))]).await;
    let key = address(&rig, "1").key();
    copy(&rig, &key, address(&rig, "2").key()).await;
    let session = Address {
        kind: DocumentKind::Session,
        ..address(&rig, "1")
    };
    copy(&rig, &key, session.key()).await;
    let tampered = Error::Integrity(IntegrityError::Tampered);
    let read = rig.vault.document(&rig.actor, DocumentKind::Order, "2").await;
    assert_eq!(read, Err(tampered.clone()));
    let read = rig.vault.document(&rig.actor, DocumentKind::Session, "1").await;
    assert_eq!(read, Err(tampered.clone()));
    let listed = rig.vault.documents(&rig.actor, DocumentKind::Order, "", None, 9).await;
    assert_eq!(listed, Err(tampered.clone()));
    let over = vec![order("2", Expect::Absent, b"")];
    let written = rig.vault.write_documents(&rig.actor, over, happened()).await;
    assert_eq!(written, Err(tampered.clone()));
    assert_eq!(rig.vault.metrics.tampered.get(), 4);

    // the secret of one document handed in under the name of another, and changed bytes
    let found = rig.order("1").await.unwrap();
    let mut renamed = found.clone();
    renamed.name = "3".to_owned();
    assert_eq!(error(rig.vault.document_secret(&renamed).await), tampered);
    let mut moved = found.clone();
    moved.sealed.as_mut().unwrap().repository.0 += 1;
    assert_eq!(error(rig.vault.document_secret(&moved).await), tampered);
    let mut changed = found.clone();
    *changed.sealed.as_mut().unwrap().sealed.last_mut().unwrap() ^= 1;
    assert_eq!(error(rig.vault.document_secret(&changed).await), tampered);
    assert_eq!(rig.vault.metrics.tampered.get(), 7);
    let alarms = rig.events().await;
    assert_eq!(alarms.iter().filter(|event| *event == "document tampered").count(), 7);
    assert_eq!(indexes(rig.store.as_ref()).await.unwrap().faults.len(), 2);
}

#[tokio::test]
async fn the_check_tells_what_the_index_misses() {
    let rig = Rig::new().await;
    let write = DocumentWrite {
        expires_at: Some(UnixMillis(4_000_000_000_000)),
        ..order("1", Expect::Absent, b"a")
    };
    rig.put(vec![write]).await;
    assert_eq!(indexes(rig.store.as_ref()).await.unwrap().faults, [""; 0]);
    let address = address(&rig, "1");
    let entry = |at| address.expiry_key(UnixMillis(at));
    let commit = |writes| Commit {
        writes,
        ..Commit::default()
    };
    rig.store
        .commit(commit(vec![Write::Del(entry(4_000_000_000_000))]))
        .await
        .unwrap();
    let told = indexes(rig.store.as_ref()).await.unwrap().faults;
    assert!(
        told.len() == 1 && told[0].ends_with("is not in the expiry index"),
        "{told:?}"
    );
    let writes = vec![Write::Put(entry(5), Vec::new()), Write::Del(address.key())];
    rig.store.commit(commit(writes)).await.unwrap();
    let told = indexes(rig.store.as_ref()).await.unwrap().faults;
    assert!(told.len() == 1 && told[0].ends_with("which is not there"), "{told:?}");
    // what is left behind goes by itself
    rig.sweep_all().await;
    assert_eq!(indexes(rig.store.as_ref()).await.unwrap().faults, [""; 0]);
}

#[tokio::test]
async fn names_and_sizes_are_bounded() {
    let rig = Rig::new().await;
    let refused = async |write| field(rig.vault.write_documents(&rig.actor, vec![write], happened()).await);
    assert_eq!(refused(order("", Expect::Absent, b"")).await, "name");
    assert_eq!(refused(order(&"n".repeat(201), Expect::Absent, b"")).await, "name");
    let large = vec![b'a'; Document::CLEAR_MAX + 1];
    assert_eq!(refused(order("1", Expect::Absent, &large)).await, "body");
    let large = SecretBytes::new(vec![b'a'; Document::SECRET_MAX + 1]);
    let large = DocumentWrite {
        secret: Secret::Seal(large),
        ..order("1", Expect::Absent, b"")
    };
    assert_eq!(refused(large).await, "body");
    let twice = vec![order("1", Expect::Absent, b""), order("1", Expect::Absent, b"")];
    assert_eq!(
        field(rig.vault.write_documents(&rig.actor, twice, happened()).await),
        "name"
    );
    let many = (0..33).map(|n| order(&n.to_string(), Expect::Absent, b"")).collect();
    assert_eq!(
        field(rig.vault.write_documents(&rig.actor, many, happened()).await),
        "body"
    );
    assert_eq!(rig.all_documents().await, 0);
    for name in ["", &"n".repeat(201)] {
        assert!(rig.order(name).await.is_none());
    }
    let largest = DocumentWrite {
        secret: Secret::Seal(SecretBytes::new(vec![b'a'; Document::SECRET_MAX])),
        ..order(&"n".repeat(200), Expect::Absent, &vec![b'a'; Document::CLEAR_MAX])
    };
    rig.put(vec![largest]).await;
}

#[tokio::test]
async fn a_removed_merchants_documents_go_with_it() {
    let rig = Rig::new().await;
    let admin = AdminActor { peer: rig.actor.peer };
    let write = DocumentWrite {
        expires_at: soon(3_600_000),
        ..with_secret(order("1", Expect::Absent, b"a"))
    };
    rig.put(vec![write, order("2", Expect::Absent, b"b")]).await;
    let left = Commit {
        writes: vec![
            Write::Put(address(&rig, "left").key(), b"damaged".to_vec()),
            // of a merchant whose id begins alike
            Write::Put(other(&rig).key(), b"damaged".to_vec()),
        ],
        ..Commit::default()
    };
    rig.store.commit(left.clone()).await.unwrap();
    let accounts = rig.vault.access.accounts();
    accounts.remove_merchant(admin, &rig.actor.merchant).await.unwrap();
    assert_eq!(rig.all_documents().await, 1, "the other merchant's");
    assert!(
        rig.events()
            .await
            .contains(&"documents-remove merchant-removed".to_owned())
    );

    // a request that was let in before
    let late = vec![order("3", Expect::Absent, b"c")];
    let written = rig.vault.write_documents(&rig.actor, late, happened()).await;
    assert_eq!(written, Err(Error::Policy(PolicyError::Suspended)));

    // what an interrupted removal left is gone before there is a merchant of that id again
    rig.store.commit(left.clone()).await.unwrap();
    let (_stop, stopped) = watch::channel(false);
    rig.vault.sweep_orphaned_documents(&stopped).await.unwrap();
    assert_eq!(rig.all_documents().await, 0);
    rig.store.commit(left).await.unwrap();
    let again = NewMerchant {
        id: rig.actor.merchant.clone(),
        name: "Shop".to_owned(),
        dialects: BTreeSet::from([Dialect::Native]),
        repository: None,
        test: true,
    };
    accounts.add_merchant(admin, again).await.unwrap();
    assert_eq!(rig.all_documents().await, 1);
    // and those of one that is there stay
    rig.put(vec![order("1", Expect::Absent, b"a")]).await;
    rig.vault.sweep_orphaned_documents(&stopped).await.unwrap();
    assert!(rig.order("1").await.is_some());
    assert_eq!(rig.all_documents().await, 1, "the other merchant is not there");
}

fn other(rig: &Rig) -> Address {
    Address {
        merchant: MerchantId::parse("shop2").unwrap(),
        ..address(rig, "1")
    }
}

#[tokio::test]
async fn request_macs_are_keyed_and_of_a_domain_of_their_own() {
    let rig = Rig::new().await;
    let mac = async |text: &str| {
        let request = SecretBytes::new(text.as_bytes().to_vec());
        rig.vault.request_mac(request).await.unwrap()
    };
    assert_eq!(mac("a").await, mac("a").await);
    assert_ne!(mac("a").await, mac("b").await);
    let idempotent = rig
        .vault
        .sealer
        .mac("panvault idempotent request v1", SecretBytes::new(b"a".to_vec()))
        .await
        .unwrap();
    assert_ne!(mac("a").await, idempotent);
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_or_refused_is_told() {
    let rig = Rig::new().await;
    rig.store.next_commit(Fault::Refused(store::Error::Full));
    let write = || vec![order("1", Expect::Absent, b"a")];
    assert!(
        rig.vault
            .write_documents(&rig.actor, write(), happened())
            .await
            .is_err()
    );
    assert!(rig.order("1").await.is_none());
    rig.store.next_commit(Fault::AnswerLost);
    assert!(
        rig.vault
            .write_documents(&rig.actor, write(), happened())
            .await
            .is_err()
    );
    assert!(rig.order("1").await.is_some());
    rig.sealer.set_down(true);
    let sealed = vec![with_secret(order("2", Expect::Absent, b"a"))];
    assert!(rig.vault.write_documents(&rig.actor, sealed, happened()).await.is_err());
    rig.sealer.set_down(false);
    assert!(rig.order("2").await.is_none());
}
