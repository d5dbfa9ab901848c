mod doubt;
mod pairs;
mod property;

use std::collections::BTreeSet;
use std::ops::Bound;

use secrecy::ExposeSecret;

use super::*;
use crate::audit::{Event, Peer};
use crate::id::{MerchantId, RepositoryId, RepositoryName, Token};
use crate::store::memory::MemoryStore;
use crate::store::{Cond, Key, Outcome, Part};
use crate::vault::tables;
use crate::vault::types::{Dialect, TokenRules};

const ADMIN: AdminActor = AdminActor {
    peer: Peer {
        uid: 0,
        gid: 0,
        pid: Some(1),
    },
};

fn merchant(id: &str) -> MerchantId {
    MerchantId::parse(id).unwrap()
}

fn repository(name: &str) -> RepositoryName {
    RepositoryName::parse(name).unwrap()
}

fn new_merchant(id: &str) -> NewMerchant {
    NewMerchant {
        id: merchant(id),
        name: "A shop".to_owned(),
        dialects: BTreeSet::from([Dialect::Native]),
        repository: None,
        test: true,
    }
}

fn new_key(id: &str) -> NewCredential {
    NewCredential {
        merchant: merchant(id),
        dialect: Dialect::Native,
        kind: CredentialKind::ApiKey,
        certificate: None,
        public_key: None,
        expires_at: None,
    }
}

async fn empty() -> (Arc<MemoryStore>, Accounts) {
    let store = Arc::new(MemoryStore::new());
    let accounts = Accounts::load(store.clone()).await.unwrap();
    (store, accounts)
}

async fn events(store: &dyn Store) -> Vec<Event> {
    #[derive(serde::Deserialize)]
    struct Line {
        event: Event,
    }
    let lines = store.audit(1, 1_000).await.unwrap();
    lines
        .iter()
        .map(|line| serde_json::from_slice::<Line>(&line.line).unwrap().event)
        .collect()
}

async fn has(store: &dyn Store, key: &Key) -> bool {
    store.get(Part::default(), key).await.unwrap().is_some()
}

async fn put_token(store: &dyn Store, id: RepositoryId, rules: Option<TokenRules>) -> Outcome {
    let commit = Commit {
        conds: vec![Cond::Exists(gate_key(id, rules))],
        writes: vec![Write::Put(tables::record(id, &Token::parse("tok_1").unwrap()), vec![1])],
        ..Commit::default()
    };
    store.commit(commit).await.unwrap()
}

/// What memory holds is what the store holds.
async fn assert_in_step(store: &Arc<MemoryStore>, accounts: &Accounts) {
    let fresh = Accounts::load(store.clone()).await.unwrap();
    assert_eq!(fresh.merchants().unwrap(), accounts.merchants().unwrap());
    assert_eq!(fresh.repositories(), accounts.repositories());
    assert_eq!(fresh.credentials(None), accounts.credentials(None));
}

#[tokio::test]
async fn every_change_is_stored_and_audited_once() {
    let (store, accounts) = empty().await;
    let shop = merchant("shop");
    accounts.add_merchant(ADMIN, new_merchant("shop")).await.unwrap();
    let key = accounts
        .add_credential(ADMIN, new_key("shop"))
        .await
        .unwrap()
        .credential;
    accounts.suspend_credential(ADMIN, &key.id).await.unwrap();
    accounts.resume_credential(ADMIN, &key.id).await.unwrap();
    accounts.suspend_merchant(ADMIN, &shop).await.unwrap();
    accounts.suspend_merchant(ADMIN, &shop).await.unwrap();
    accounts.resume_merchant(ADMIN, &shop).await.unwrap();
    accounts.add_repository(ADMIN, &repository("eu"), None).await.unwrap();
    accounts.suspend_repository(ADMIN, &repository("eu")).await.unwrap();
    accounts.resume_repository(ADMIN, &repository("eu")).await.unwrap();
    accounts
        .grant_repository(ADMIN, &repository("eu"), &shop, false)
        .await
        .unwrap();
    accounts
        .revoke_repository(ADMIN, &repository("eu"), &shop)
        .await
        .unwrap();
    assert_in_step(&store, &accounts).await;
    accounts.remove_repository(ADMIN, &repository("eu")).await.unwrap();
    accounts.remove_credential(ADMIN, &key.id).await.unwrap();
    accounts.remove_merchant(ADMIN, &shop).await.unwrap();
    assert_in_step(&store, &accounts).await;
    assert_eq!(accounts.merchants().unwrap(), []);

    let events = events(&*store).await;
    let actions: Vec<&str> = events.iter().map(|event| event.action.as_str()).collect();
    assert_eq!(
        actions,
        [
            "merchant-add",
            "credential-add",
            "credential-suspend",
            "credential-resume",
            "merchant-suspend",
            "merchant-resume",
            "repository-add",
            "repository-suspend",
            "repository-resume",
            "repository-grant",
            "repository-revoke",
            "repository-remove",
            "credential-remove",
            "merchant-remove",
        ]
    );
    assert!(
        events
            .iter()
            .all(|event| event.peer == Some(ADMIN.peer) && event.outcome == "ok")
    );
    assert_eq!(events[1].merchant, Some(shop));
    assert!(events[1].detail.as_deref().unwrap().contains(key.id.as_str()));
}

#[tokio::test]
async fn the_secret_is_shown_once_and_stored_nowhere() {
    let (store, accounts) = empty().await;
    accounts.add_merchant(ADMIN, new_merchant("shop")).await.unwrap();
    let issued = accounts.add_credential(ADMIN, new_key("shop")).await.unwrap();
    let text = issued.secret.as_ref().unwrap().expose_secret();
    let secret = text.rsplit('_').next().unwrap();
    assert!(text.starts_with(&format!("pv_{}_", issued.credential.id)));
    let page = store
        .scan(Part::default(), Bound::Unbounded, Bound::Unbounded, 1_000)
        .await
        .unwrap();
    assert!(page.items.len() > 3);
    let lines = store.audit(1, 100).await.unwrap();
    let stored = page.items.iter().map(|(_, value)| &value.value);
    for bytes in stored.chain(lines.iter().map(|line| &line.line)) {
        assert!(!String::from_utf8_lossy(bytes).contains(secret));
    }
    let listed = serde_json::to_string(&accounts.credentials(None)).unwrap();
    assert!(!listed.contains(secret) && !listed.contains("hash"));
}

#[tokio::test]
async fn names_are_taken_once_and_numbers_never_again() {
    let (_, accounts) = empty().await;
    accounts.add_merchant(ADMIN, new_merchant("shop")).await.unwrap();
    assert_eq!(
        accounts.add_merchant(ADMIN, new_merchant("shop")).await,
        Err(AccountError::Exists(Kind::Merchant))
    );
    accounts.add_repository(ADMIN, &repository("eu"), None).await.unwrap();
    assert_eq!(
        accounts.add_merchant(ADMIN, new_merchant("eu")).await,
        Err(AccountError::Exists(Kind::Repository))
    );
    let first = accounts.repositories().into_iter().map(|row| row.id).max();
    accounts.remove_repository(ADMIN, &repository("eu")).await.unwrap();
    let again = accounts.add_repository(ADMIN, &repository("eu"), None).await.unwrap();
    assert!(Some(again.id) > first);
}

#[tokio::test]
async fn what_cannot_be_taken_is_named() {
    let (store, accounts) = empty().await;
    let field = |result: Result<MerchantView, AccountError>| match result.unwrap_err() {
        AccountError::Field { field, .. } => field,
        other => panic!("{other}"),
    };
    for name in ["", "a\nb", &"x".repeat(129)] {
        let new = NewMerchant {
            name: name.to_owned(),
            ..new_merchant("shop")
        };
        assert_eq!(field(accounts.add_merchant(ADMIN, new).await), "name");
    }
    let silent = NewMerchant {
        dialects: BTreeSet::new(),
        ..new_merchant("shop")
    };
    assert_eq!(field(accounts.add_merchant(ADMIN, silent).await), "dialects");
    let homeless = NewMerchant {
        repository: Some(repository("none")),
        ..new_merchant("shop")
    };
    assert_eq!(
        accounts.add_merchant(ADMIN, homeless).await,
        Err(AccountError::Unknown(Kind::Repository))
    );
    assert_eq!(
        accounts.add_credential(ADMIN, new_key("shop")).await.err(),
        Some(AccountError::Unknown(Kind::Merchant))
    );
    accounts.add_merchant(ADMIN, new_merchant("shop")).await.unwrap();
    let past = NewCredential {
        expires_at: Some(UnixMillis(1)),
        ..new_key("shop")
    };
    assert!(accounts.add_credential(ADMIN, past).await.is_err());
    assert_eq!(events(&*store).await.len(), 1, "a refusal changes nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_credentials_at_once_two_are_made() {
    let (store, accounts) = empty().await;
    accounts.add_merchant(ADMIN, new_merchant("shop")).await.unwrap();
    let tasks: Vec<_> = (0..16)
        .map(|_| {
            let accounts = accounts.clone();
            tokio::spawn(async move { accounts.add_credential(ADMIN, new_key("shop")).await.is_ok() })
        })
        .collect();
    let mut made = 0;
    for task in tasks {
        made += usize::from(task.await.unwrap());
    }
    assert_eq!((made, accounts.credentials(None).len()), (2, 2));
    assert_in_step(&store, &accounts).await;

    let first = accounts.credentials(None)[0].id.clone();
    accounts.suspend_credential(ADMIN, &first).await.unwrap();
    accounts.add_credential(ADMIN, new_key("shop")).await.unwrap();
    assert!(matches!(
        accounts.resume_credential(ADMIN, &first).await,
        Err(AccountError::Live {
            kind: CredentialKind::ApiKey,
            ..
        })
    ));
}

#[tokio::test]
async fn a_merchant_with_tokens_stays_and_goes_on_working() {
    let (store, accounts) = empty().await;
    let shop = accounts.add_merchant(ADMIN, new_merchant("shop")).await.unwrap();
    let id = RepositoryId(accounts.repositories()[0].id);
    put_token(&*store, id, None).await;
    assert_eq!(
        accounts.remove_merchant(ADMIN, &shop.id).await,
        Err(AccountError::InUse("repository shop holds tokens".to_owned()))
    );
    assert!(has(&*store, &gate_key(id, None)).await);
    assert_eq!(accounts.merchants().unwrap(), [shop]);
}

#[tokio::test]
async fn a_removed_merchant_leaves_nothing_and_takes_no_late_token() {
    let (store, accounts) = empty().await;
    accounts.add_merchant(ADMIN, new_merchant("shop")).await.unwrap();
    let key = accounts
        .add_credential(ADMIN, new_key("shop"))
        .await
        .unwrap()
        .credential;
    let id = RepositoryId(accounts.repositories()[0].id);
    accounts.remove_merchant(ADMIN, &merchant("shop")).await.unwrap();
    assert_eq!((accounts.repositories(), accounts.credentials(None)), (vec![], vec![]));
    assert!(accounts.current().credential(&key.id).is_none());
    assert!(matches!(put_token(&*store, id, None).await, Outcome::CondFailed { .. }));
    let left = store
        .scan(Part::default(), Bound::Unbounded, Bound::Unbounded, 100)
        .await
        .unwrap();
    assert_eq!(left.items.len(), 1, "the counter");
}

#[tokio::test]
async fn a_shared_repository_outlives_its_merchants() {
    let (store, accounts) = empty().await;
    accounts.add_repository(ADMIN, &repository("eu"), None).await.unwrap();
    let id = RepositoryId(accounts.repositories()[0].id);
    for name in ["a", "b"] {
        let new = NewMerchant {
            repository: Some(repository("eu")),
            ..new_merchant(name)
        };
        assert_eq!(
            accounts.add_merchant(ADMIN, new).await.unwrap().repository,
            repository("eu")
        );
    }
    put_token(&*store, id, None).await;
    accounts.remove_merchant(ADMIN, &merchant("a")).await.unwrap();
    assert!(
        accounts.remove_merchant(ADMIN, &merchant("b")).await.is_err(),
        "its tokens would be nobody's"
    );
    assert!(accounts.remove_repository(ADMIN, &repository("eu")).await.is_err());
    store
        .commit(Commit {
            writes: vec![Write::Del(tables::record(id, &Token::parse("tok_1").unwrap()))],
            ..Commit::default()
        })
        .await
        .unwrap();
    accounts.remove_merchant(ADMIN, &merchant("b")).await.unwrap();
    assert_eq!(accounts.repositories().len(), 1);
    assert!(
        has(&*store, &gate_key(id, None)).await,
        "open for whoever is granted it next"
    );
}

#[tokio::test]
async fn a_default_repository_can_be_changed_but_not_revoked() {
    let (store, accounts) = empty().await;
    let shop = merchant("shop");
    accounts.add_merchant(ADMIN, new_merchant("shop")).await.unwrap();
    accounts.add_repository(ADMIN, &repository("eu"), None).await.unwrap();
    assert!(matches!(
        accounts.revoke_repository(ADMIN, &repository("shop"), &shop).await,
        Err(AccountError::InUse(_))
    ));
    let view = accounts
        .grant_repository(ADMIN, &repository("eu"), &shop, true)
        .await
        .unwrap();
    assert_eq!(view.repository, repository("eu"));
    let view = accounts
        .revoke_repository(ADMIN, &repository("shop"), &shop)
        .await
        .unwrap();
    assert_eq!(view.repositories, [repository("eu")]);
    assert_in_step(&store, &accounts).await;
}

#[tokio::test]
async fn a_suspended_repository_is_shut_for_new_tokens() {
    let (store, accounts) = empty().await;
    accounts.add_repository(ADMIN, &repository("eu"), None).await.unwrap();
    let id = RepositoryId(accounts.repositories()[0].id);
    accounts.suspend_repository(ADMIN, &repository("eu")).await.unwrap();
    assert!(matches!(put_token(&*store, id, None).await, Outcome::CondFailed { .. }));
    assert_in_step(&store, &accounts).await;
    assert!(!has(&*store, &gate_key(id, None)).await, "loading does not open it");
    accounts.resume_repository(ADMIN, &repository("eu")).await.unwrap();
    assert!(matches!(put_token(&*store, id, None).await, Outcome::Done { .. }));
}

#[tokio::test]
async fn a_repository_left_shut_by_a_crash_is_opened_by_the_next_start() {
    let (store, accounts) = empty().await;
    accounts.add_repository(ADMIN, &repository("eu"), None).await.unwrap();
    let id = RepositoryId(accounts.repositories()[0].id);
    store
        .commit(Commit {
            writes: vec![Write::Del(gate_key(id, None))],
            ..Commit::default()
        })
        .await
        .unwrap();
    assert_in_step(&store, &accounts).await;
    assert!(has(&*store, &gate_key(id, None)).await);
}

#[tokio::test]
async fn last_uses_are_kept_to_the_minute() {
    let (store, accounts) = empty().await;
    accounts.add_merchant(ADMIN, new_merchant("shop")).await.unwrap();
    let id = accounts
        .add_credential(ADMIN, new_key("shop"))
        .await
        .unwrap()
        .credential
        .id;
    let held = accounts.current().credential(&id).unwrap().clone();
    accounts.note_use(&held, UnixMillis(1_800_000_059_999));
    accounts.note_use(&held, UnixMillis(1_800_000_000_001));
    accounts.flush_uses().await.unwrap();
    let listed = accounts.credentials(None)[0].last_used_at.clone();
    assert_eq!(listed.as_deref(), Some("2027-01-15T08:00:00.000Z"));
    assert_in_step(&store, &accounts).await;
    accounts.suspend_credential(ADMIN, &id).await.unwrap();
    assert_eq!(accounts.credentials(None)[0].last_used_at, listed);
    accounts.note_use(&held, UnixMillis(1_800_000_120_000));
    accounts.remove_credential(ADMIN, &id).await.unwrap();
    accounts.flush_uses().await.unwrap();
    assert!(
        !has(&*store, &last_use_key(&id)).await,
        "nothing stays of a removed one"
    );
    let events = events(&*store).await.len();
    assert_eq!(events, 4, "last uses are not events");
}

#[tokio::test]
async fn a_change_that_nobody_waits_for_ends_all_the_same() {
    let (store, accounts) = empty().await;
    {
        let adding = accounts.add_merchant(ADMIN, new_merchant("shop"));
        tokio::select! {
            biased;
            _ = adding => panic!("a commit takes a turn of the runtime"),
            () = std::future::ready(()) => {}
        }
    }
    // waits for the change under way
    accounts.flush_uses().await.unwrap();
    drop(accounts.begin().await.unwrap());
    assert_eq!(accounts.merchants().unwrap().len(), 1);
    assert_in_step(&store, &accounts).await;
}
