//! Repositories with rules and their TEST twins, and the merchants that act in them.

use super::*;
use crate::vault::CertificateDigest;
use crate::vault::types::{Generation, Management, TokenRules, Verification};

pub(super) const RULES: TokenRules = TokenRules {
    management: Management::UniqueToken,
    generation: Generation::RandomWithLuhn,
    verification: Verification::Basic,
};

fn shopper(id: &str, test: bool, shared: &str) -> NewMerchant {
    NewMerchant {
        dialects: BTreeSet::from([Dialect::Mastercard]),
        repository: Some(repository(shared)),
        test,
        ..new_merchant(id)
    }
}

fn change(verification: Verification) -> RulesChange {
    RulesChange {
        management: None,
        generation: None,
        verification: Some(verification),
    }
}

async fn pair() -> (Arc<MemoryStore>, Accounts) {
    let (store, accounts) = empty().await;
    accounts
        .add_repository(ADMIN, &repository("EU"), Some(RULES))
        .await
        .unwrap();
    (store, accounts)
}

/// The row of that name.
fn row(accounts: &Accounts, name: &str) -> RepositoryView {
    let mut rows = accounts.repositories().into_iter();
    rows.find(|row| row.name == repository(name)).unwrap()
}

fn field<T: std::fmt::Debug>(result: Result<T, AccountError>) -> &'static str {
    match result.unwrap_err() {
        AccountError::Field { field, .. } => field,
        other => panic!("{other}"),
    }
}

async fn drop_token(store: &dyn Store, id: RepositoryId) {
    let commit = Commit {
        writes: vec![Write::Del(tables::record(id, &Token::parse("tok_1").unwrap()))],
        ..Commit::default()
    };
    store.commit(commit).await.unwrap();
}

#[tokio::test]
async fn rules_bring_a_test_twin_in_the_same_commit() {
    let (store, accounts) = pair().await;
    let (live, test) = (row(&accounts, "EU"), row(&accounts, "TESTEU"));
    assert_eq!((live.rules, live.test), (Some(RULES), false));
    assert_eq!((test.rules, test.test), (Some(RULES), true));
    assert_eq!(live.twin, Some(test.name));
    assert_eq!(test.twin, Some(live.name));
    for id in [live.id, test.id] {
        assert!(has(&*store, &gate_key(RepositoryId(id), Some(RULES))).await);
    }
    let events = events(&*store).await;
    assert_eq!(events.len(), 1);
    assert_eq!(
        events[0].detail.as_deref().unwrap(),
        "{\"management\":\"UNIQUE_TOKEN\",\"generation\":\"RANDOM_WITH_LUHN\",\"verification\":\"BASIC\"}, with its TEST twin \
         TESTEU"
    );
    assert_in_step(&store, &accounts).await;
    let plain = accounts.add_repository(ADMIN, &repository("us"), None).await.unwrap();
    assert_eq!((plain.rules, plain.twin, plain.test), (None, None, false));
    assert!(plain.id > test.id);
}

#[tokio::test]
async fn names_leave_room_for_the_twin() {
    let (store, accounts) = empty().await;
    for name in ["TESTEU", "Testeu", "test", "A234567890123", "E-U", "E.U", "E_U"] {
        let refused = accounts.add_repository(ADMIN, &repository(name), Some(RULES)).await;
        assert_eq!(field(refused), "name", "{name}");
    }
    for name in ["A23456789012", "TES", "1"] {
        let made = accounts
            .add_repository(ADMIN, &repository(name), Some(RULES))
            .await
            .unwrap();
        assert!(made.twin.unwrap().as_str().len() <= 16);
    }
    accounts
        .add_repository(ADMIN, &repository("TESTUS"), None)
        .await
        .unwrap();
    let taken = accounts.add_repository(ADMIN, &repository("US"), Some(RULES)).await;
    assert!(matches!(taken, Err(AccountError::InUse(text)) if text.contains("TESTUS")));
    let again = accounts.add_repository(ADMIN, &repository("TES"), Some(RULES)).await;
    assert_eq!(again, Err(AccountError::Exists(Kind::Repository)));
    assert_in_step(&store, &accounts).await;
}

#[tokio::test]
async fn tests_and_business_never_meet() {
    let (store, accounts) = pair().await;
    let name = |view: MerchantView| view.repository.to_string();
    let add = async |new| accounts.add_merchant(ADMIN, new).await;
    assert_eq!(add(shopper("SHOP", false, "EU")).await.map(name).unwrap(), "EU");
    assert_eq!(add(shopper("TESTSHOP", true, "EU")).await.map(name).unwrap(), "TESTEU");
    assert_eq!(
        add(shopper("TESTTWO", true, "TESTEU")).await.map(name).unwrap(),
        "TESTEU"
    );
    assert_eq!(field(add(shopper("TWO", false, "TESTEU")).await), "repository");
    // of any dialect
    let native = NewMerchant {
        repository: Some(repository("EU")),
        ..new_merchant("native")
    };
    assert_eq!(add(native).await.map(name).unwrap(), "TESTEU");

    accounts
        .add_repository(ADMIN, &repository("US"), Some(RULES))
        .await
        .unwrap();
    let grant = async |name: &str, id: &str| {
        accounts
            .grant_repository(ADMIN, &repository(name), &merchant(id), true)
            .await
    };
    assert_eq!(grant("US", "TESTSHOP").await.map(name).unwrap(), "TESTUS");
    assert_eq!(field(grant("TESTUS", "SHOP").await), "repository");
    assert_eq!(grant("US", "SHOP").await.map(name).unwrap(), "US");
    let revoked = accounts
        .revoke_repository(ADMIN, &repository("EU"), &merchant("TESTSHOP"))
        .await
        .unwrap();
    assert_eq!(revoked.repositories, [repository("TESTUS")]);
    assert_in_step(&store, &accounts).await;
}

#[tokio::test]
async fn a_merchant_of_the_gateway_acts_where_there_are_rules() {
    let (store, accounts) = pair().await;
    accounts.add_repository(ADMIN, &repository("us"), None).await.unwrap();
    let alone = NewMerchant {
        repository: None,
        ..shopper("SHOP", false, "EU")
    };
    assert_eq!(field(accounts.add_merchant(ADMIN, alone).await), "repository");
    let without = shopper("SHOP", false, "us");
    assert_eq!(field(accounts.add_merchant(ADMIN, without).await), "repository");
    accounts
        .add_merchant(ADMIN, shopper("SHOP", false, "EU"))
        .await
        .unwrap();
    let moved = accounts
        .grant_repository(ADMIN, &repository("us"), &merchant("SHOP"), true)
        .await;
    assert_eq!(field(moved), "repository");
    let long = "a".repeat(41);
    for (id, test) in [
        ("shop.eu", false),
        (long.as_str(), false),
        ("TESTSHOP", false),
        ("SHOP2", true),
        ("testshop", true),
    ] {
        assert_eq!(
            field(accounts.add_merchant(ADMIN, shopper(id, test, "EU")).await),
            "id",
            "{id}"
        );
    }
    let id = format!("TEST_a-Z9{}", "x".repeat(31));
    accounts.add_merchant(ADMIN, shopper(&id, true, "EU")).await.unwrap();
    assert_in_step(&store, &accounts).await;
}

#[tokio::test]
async fn a_twin_goes_with_its_repository() {
    let (store, accounts) = pair().await;
    let statuses = || (row(&accounts, "EU").status, row(&accounts, "TESTEU").status);
    accounts.suspend_repository(ADMIN, &repository("TESTEU")).await.unwrap();
    assert_eq!(statuses(), (AccountStatus::Active, AccountStatus::Suspended));
    accounts.suspend_repository(ADMIN, &repository("EU")).await.unwrap();
    assert_eq!(statuses(), (AccountStatus::Suspended, AccountStatus::Suspended));
    accounts.resume_repository(ADMIN, &repository("EU")).await.unwrap();
    assert_eq!(statuses(), (AccountStatus::Active, AccountStatus::Active));
    assert_in_step(&store, &accounts).await;

    let alone = accounts.remove_repository(ADMIN, &repository("TESTEU")).await;
    assert!(matches!(alone, Err(AccountError::InUse(text)) if text.contains("EU")));
    accounts
        .add_merchant(ADMIN, shopper("TESTSHOP", true, "EU"))
        .await
        .unwrap();
    let used = accounts.remove_repository(ADMIN, &repository("EU")).await;
    assert_eq!(
        used,
        Err(AccountError::InUse("merchant TESTSHOP may act in it".to_owned()))
    );
    accounts.remove_merchant(ADMIN, &merchant("TESTSHOP")).await.unwrap();
    let test = RepositoryId(row(&accounts, "TESTEU").id);
    put_token(&*store, test, Some(RULES)).await;
    let full = accounts.remove_repository(ADMIN, &repository("EU")).await;
    assert_eq!(
        full,
        Err(AccountError::InUse("repository TESTEU holds tokens".to_owned()))
    );
    drop_token(&*store, test).await;
    accounts.remove_repository(ADMIN, &repository("EU")).await.unwrap();
    assert_eq!(accounts.repositories(), []);
    assert_in_step(&store, &accounts).await;
}

#[tokio::test]
async fn rules_change_where_that_breaks_nothing() {
    let (store, accounts) = pair().await;
    let set = async |name: &str, change| accounts.set_rules(ADMIN, &repository(name), change).await;
    let preserve = RulesChange {
        generation: Some(Generation::Preserve64),
        ..change(Verification::None)
    };
    let changed = set("EU", preserve).await.unwrap().rules.unwrap();
    assert_eq!(
        (changed.management, changed.generation, changed.verification),
        (Management::UniqueToken, Generation::Preserve64, Verification::None)
    );
    assert_eq!(row(&accounts, "TESTEU").rules, Some(changed));
    let before = events(&*store).await.len();
    set("EU", preserve).await.unwrap();
    assert_eq!(events(&*store).await.len(), before, "nothing to do");

    let test = RepositoryId(row(&accounts, "TESTEU").id);
    let late = put_token(&*store, test, Some(RULES)).await;
    assert!(matches!(late, Outcome::CondFailed { .. }), "by the old rules");
    let next = put_token(&*store, test, Some(changed)).await;
    assert!(matches!(next, Outcome::Done { .. }), "by the new ones");
    for new in [
        RulesChange {
            management: Some(Management::UniqueAccountIdentifier),
            ..change(Verification::None)
        },
        RulesChange {
            generation: Some(Generation::MerchantProvided),
            ..change(Verification::Acquirer)
        },
    ] {
        assert!(matches!(set("EU", new).await, Err(AccountError::InUse(_))));
    }
    assert_eq!(row(&accounts, "EU").rules, Some(changed));
    let changed = set("EU", change(Verification::Acquirer)).await.unwrap().rules.unwrap();
    assert_eq!(changed.verification, Verification::Acquirer);
    assert_in_step(&store, &accounts).await;

    accounts.suspend_repository(ADMIN, &repository("EU")).await.unwrap();
    drop_token(&*store, test).await;
    let back = RulesChange {
        generation: Some(Generation::RandomWithLuhn),
        ..change(Verification::Basic)
    };
    let back = set("EU", back).await.unwrap().rules;
    assert!(!has(&*store, &gate_key(test, back)).await, "a suspended one stays shut");
    assert!(matches!(set("TESTEU", preserve).await, Err(AccountError::InUse(_))));
    accounts.add_repository(ADMIN, &repository("us"), None).await.unwrap();
    assert!(matches!(set("us", preserve).await, Err(AccountError::InUse(_))));
    assert_in_step(&store, &accounts).await;
}

#[tokio::test]
async fn a_third_password_is_refused_and_says_which_to_remove() {
    let (_, accounts) = pair().await;
    accounts
        .add_merchant(ADMIN, shopper("SHOP", false, "EU"))
        .await
        .unwrap();
    let new = NewCredential {
        dialect: Dialect::Mastercard,
        kind: CredentialKind::Password,
        ..new_key("SHOP")
    };
    let add = async |new: &NewCredential| accounts.add_credential(ADMIN, new.clone()).await;
    let (first, second) = (add(&new).await.unwrap().credential, add(&new).await.unwrap().credential);
    let held = accounts.current().credential(&first.id).unwrap().clone();
    accounts.note_use(&held, UnixMillis(1_800_000_059_999));
    let refused = add(&new).await.err().unwrap();
    assert_eq!(
        refused,
        AccountError::Live {
            kind: CredentialKind::Password,
            idle: second.id.clone(),
            used_last: first.id.clone(),
        }
    );
    assert!(
        refused
            .to_string()
            .ends_with(&format!("{} is the one not used for longest", second.id))
    );
    // certificates are counted apart
    let digest = CertificateDigest::try_from("00".repeat(32)).unwrap();
    let certificate = NewCredential {
        kind: CredentialKind::Certificate,
        certificate: Some(digest),
        ..new.clone()
    };
    assert!(add(&certificate).await.unwrap().secret.is_none());
    accounts.remove_credential(ADMIN, &second.id).await.unwrap();
    add(&new).await.unwrap();

    let kinds = [
        (
            NewCredential {
                kind: CredentialKind::ApiKey,
                ..new.clone()
            },
            "kind",
        ),
        (
            NewCredential {
                certificate: None,
                public_key: None,
                ..certificate.clone()
            },
            "certificate",
        ),
        (
            NewCredential {
                certificate: Some(digest),
                ..new.clone()
            },
            "certificate",
        ),
    ];
    for (new, wrong) in kinds {
        let refused = add(&new).await.map(|issued| issued.credential);
        assert_eq!(field(refused), wrong);
    }
}
