//! Opaque records, fingerprints and who is on record.

use tokio::sync::watch;

use super::*;
use crate::vault::accounts::AccountError;
use crate::vault::check::indexes;
use crate::vault::documents::Address;
use crate::vault::types::{Content, DocumentKind, IntegrityError, Kept, NewRecord, Person, PolicyError, PutMode};

const TEXT: &str = r#"{"Card":{"card_number":"4111111111111111"}}"#;

fn name(which: &str) -> Person {
    Person::new(&["entity", which])
}

fn new<'a>(name: &'a Person, text: &'a str) -> NewRecord<'a> {
    NewRecord {
        name,
        content: None,
        text,
        fingerprints: &[],
        mode: PutMode::Insert,
        expires_at: None,
    }
}

fn record_of(token: &Token) -> Person {
    name(token.as_str())
}

impl Rig {
    async fn keep(&self, record: NewRecord<'_>) -> Kept {
        self.vault.put_record(&self.actor, record).await.unwrap()
    }

    async fn text(&self, which: &str) -> Result<String, Error> {
        let text = self.vault.open_record(&self.actor, &name(which)).await?;
        Ok(String::from_utf8(text.expose().to_vec()).unwrap())
    }

    async fn forget(&self, which: &str) -> bool {
        let name = name(which);
        let removed = self.vault.remove_record(&self.actor, &name);
        removed.await.unwrap()
    }

    /// Where a record stands.
    async fn place(&self, which: &str) -> Key {
        let name = self.vault.person_name(&self.actor, &name(which)).await.unwrap();
        Address {
            merchant: self.actor.merchant.clone(),
            kind: DocumentKind::Record,
            name: name.as_str().to_owned(),
        }
        .key()
    }
}

#[tokio::test]
async fn a_record_is_kept_opened_and_removed_on_record() {
    let rig = Rig::new().await;
    assert_eq!(rig.keep(new(&name("a"), TEXT)).await, Kept::Created);
    assert_eq!(rig.text("a").await.unwrap(), TEXT);
    assert_eq!(rig.keep(new(&name("a"), "1")).await, Kept::There);
    assert_eq!(rig.text("a").await.unwrap(), TEXT);
    let a = name("a");
    let upsert = NewRecord {
        mode: PutMode::Upsert,
        ..new(&a, " [1e999] ")
    };
    assert_eq!(rig.keep(upsert).await, Kept::Replaced);
    assert_eq!(rig.text("a").await.unwrap(), "[1e999]");
    assert!(rig.forget("a").await);
    assert!(!rig.forget("a").await);
    assert_eq!(rig.text("a").await, Err(Error::Caller(CallerError::UnknownToken)));
    assert_eq!(
        rig.events().await,
        [
            "tokenize ok",
            "reveal ok",
            "tokenize reused",
            "reveal ok",
            "update ok",
            "reveal ok",
            "delete ok"
        ]
    );
    let (_stop, stopped) = watch::channel(false);
    rig.vault.sweep_documents(&stopped).await.unwrap();
    assert_eq!(indexes(&*rig.store).await.unwrap().faults, [""; 0]);
}

#[tokio::test]
async fn records_of_a_name_that_is_known_are_one_job_and_one_commit() {
    let rig = Rig::new().await;
    let a = name("a");
    rig.keep(new(&a, TEXT)).await;
    for step in 0..2 {
        let (jobs, commits) = (rig.sealer.jobs(), rig.store.commits());
        match step {
            0 => drop(rig.text("a").await.unwrap()),
            _ => {
                let upsert = NewRecord {
                    mode: PutMode::Upsert,
                    ..new(&a, TEXT)
                };
                rig.keep(upsert).await;
            }
        }
        assert_eq!((rig.sealer.jobs() - jobs, rig.store.commits() - commits), (1, 1));
    }
}

#[tokio::test]
async fn the_same_content_is_one_record() {
    let rig = Rig::new().await;
    let (content, one, two) = (Person::new(&["content"]), token("one"), token("two"));
    let alike = |name, token| NewRecord {
        content: Some(Content {
            what: &content,
            token,
            record_of: &record_of,
        }),
        ..new(name, TEXT)
    };
    let (a, b) = (name("a"), name("b"));
    assert_eq!(rig.keep(alike(&a, &one)).await, Kept::Created);
    assert_eq!(rig.keep(alike(&b, &two)).await, Kept::Alike(one.clone()));
    assert!(rig.text("b").await.is_err());
    assert!(rig.forget("a").await);
    assert_eq!(rig.keep(alike(&b, &two)).await, Kept::Created);
    assert_eq!(rig.keep(alike(&a, &one)).await, Kept::Alike(two));
}

#[tokio::test]
async fn many_who_insert_at_once_keep_one() {
    let rig = Arc::new(Rig::new().await);
    let tasks: Vec<_> = (0..16)
        .map(|n| {
            let rig = Arc::clone(&rig);
            tokio::spawn(async move { rig.keep(new(&name("a"), &n.to_string())).await })
        })
        .collect();
    let mut created = 0;
    for task in tasks {
        created += usize::from(task.await.unwrap() == Kept::Created);
    }
    assert_eq!(created, 1);
}

/// More than there are attempts.
#[tokio::test]
async fn many_who_upsert_at_once_all_succeed() {
    let rig = Arc::new(Rig::new().await);
    let tasks: Vec<_> = (0..3 * ATTEMPTS)
        .map(|n| {
            let rig = Arc::clone(&rig);
            tokio::spawn(async move {
                let (a, text) = (name("a"), n.to_string());
                let upsert = NewRecord {
                    mode: PutMode::Upsert,
                    ..new(&a, &text)
                };
                rig.keep(upsert).await
            })
        })
        .collect();
    for task in tasks {
        assert_ne!(task.await.unwrap(), Kept::There);
    }
    assert!(rig.text("a").await.unwrap().parse::<u32>().unwrap() < 3 * ATTEMPTS);
}

/// Who writes to the disk cannot give a record to another entity, nor an old text the place of a new one in another row.
#[tokio::test]
async fn rows_that_were_exchanged_open_nothing() {
    let rig = Rig::new().await;
    rig.keep(new(&name("a"), "1")).await;
    rig.keep(new(&name("b"), "2")).await;
    let row = rig
        .store
        .get(Part::default(), &rig.place("a").await)
        .await
        .unwrap()
        .unwrap();
    let commit = Commit {
        writes: vec![Write::Put(rig.place("b").await, row.value)],
        ..Commit::default()
    };
    rig.store.commit(commit).await.unwrap();
    assert_eq!(rig.text("b").await, Err(Error::Integrity(IntegrityError::Tampered)));
    assert!(rig.events().await.contains(&"document tampered".to_owned()));
    assert_eq!(rig.text("a").await.unwrap(), "1");
}

#[tokio::test]
async fn nothing_is_named_in_clear() {
    let rig = Rig::new().await;
    rig.keep(new(&name("ada@example.com"), TEXT)).await;
    rig.vault
        .enter_person(&rig.actor, &name("ada@example.com"))
        .await
        .unwrap();
    rig.vault
        .fingerprint_id(&rig.actor, &Person::new(&["key", VISA]), None)
        .await
        .unwrap();
    let from = std::ops::Bound::Included(Key(vec![tables::DOCUMENT]));
    let page = rig
        .store
        .scan(Part::default(), from, std::ops::Bound::Unbounded, 100)
        .await
        .unwrap();
    assert_eq!(page.items.len(), 3);
    for (key, found) in page.items {
        for text in ["ada@", VISA, "entity"] {
            let held = |bytes: &[u8]| bytes.windows(text.len()).any(|window| window == text.as_bytes());
            assert!(!held(&key.0) && !held(&found.value), "{text}");
        }
    }
}

#[tokio::test]
async fn fingerprints_stay_until_their_record_goes() {
    let rig = Rig::new().await;
    let what = || Person::new(&["key", VISA]);
    let id = async |wanted| rig.vault.fingerprint_id(&rig.actor, &what(), wanted).await.unwrap();
    let first = id(None).await;
    assert_eq!(id(Some("x")).await, first);
    assert_eq!(rig.events().await, ["fingerprint created"]);
    let (a, of_card) = (name("a"), [what(), Person::new(&["never", "asked"])]);
    let with = |text, mode, expires_at| NewRecord {
        fingerprints: &of_card,
        mode,
        expires_at,
        ..new(&a, text)
    };
    rig.keep(with(TEXT, PutMode::Insert, None)).await;
    assert!(rig.forget("a").await);
    assert_eq!(id(Some("one")).await, "one");
    assert_eq!(id(None).await, "one");

    // one that another takes the place of
    rig.keep(with(TEXT, PutMode::Insert, None)).await;
    rig.keep(with("1", PutMode::Upsert, None)).await;
    assert_eq!(id(Some("two")).await, "one", "of the same card");
    let other = NewRecord {
        mode: PutMode::Upsert,
        ..new(&a, "2")
    };
    rig.keep(other).await;
    assert_eq!(id(Some("two")).await, "two");

    // one that is past its time
    rig.keep(with("3", PutMode::Upsert, Some(UnixMillis::now().plus(20))))
        .await;
    tokio::time::sleep(std::time::Duration::from_millis(40)).await;
    let (_stop, stopped) = watch::channel(false);
    rig.vault.sweep_documents(&stopped).await.unwrap();
    assert_eq!(id(Some("three")).await, "three");
}

#[tokio::test]
async fn sensitive_data_is_refused_and_so_is_what_is_too_long() {
    let rig = Rig::new().await;
    let long = format!("\"{}\"", "x".repeat(crate::vault::types::Document::RECORD_MAX));
    for text in [r#"{"Card":{"card_cvc":"123"}}"#, &long] {
        let refused = rig.vault.put_record(&rig.actor, new(&name("a"), text)).await;
        assert_eq!(field(refused), "data");
    }
}

#[tokio::test]
async fn a_merchant_with_records_is_not_removed() {
    let rig = Rig::new().await;
    rig.keep(new(&name("a"), TEXT)).await;
    let accounts = rig.vault.access().accounts();
    let admin = AdminActor { peer: rig.actor.peer };
    let refused = accounts.remove_merchant(admin, &rig.actor.merchant).await;
    assert!(matches!(refused, Err(AccountError::InUse(_))));
    assert!(rig.forget("a").await);
    accounts.remove_merchant(admin, &rig.actor.merchant).await.unwrap();
}

#[tokio::test]
async fn what_cannot_be_put_on_record_is_not_shown() {
    let rig = Rig::new().await;
    rig.keep(new(&name("a"), TEXT)).await;
    rig.store
        .next_commit(Fault::Refused(store::Error::ReadOnly("full".to_owned())));
    assert!(matches!(rig.text("a").await, Err(Error::Dependency(_))));
    let accounts = rig.vault.access().accounts();
    let admin = AdminActor { peer: rig.actor.peer };
    accounts.suspend_merchant(admin, &rig.actor.merchant).await.unwrap();
    assert_eq!(rig.text("a").await, Err(Error::Policy(PolicyError::Suspended)));
}
