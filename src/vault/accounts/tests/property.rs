//! Any run of changes, in any order, with whatever is refused on the way.

use proptest::prelude::*;

use super::pairs::RULES;
use super::*;
use crate::vault::types::Generation;

/// A change of one of three merchants or repositories, or of whatever credential is there.
#[derive(Debug, Clone)]
enum Step {
    AddCredential(usize),
    AddMerchant(usize, Option<usize>),
    AddRepository(usize, bool),
    Grant(usize, usize, bool),
    RemoveCredential(usize),
    RemoveMerchant(usize),
    RemoveRepository(usize),
    Revoke(usize, usize),
    SetRules(usize, Generation),
    SuspendCredential(usize, bool),
    SuspendMerchant(usize, bool),
    SuspendRepository(usize, bool),
}

/// All but the last are for tests.
const MERCHANTS: [&str; 3] = ["a", "b", "c"];
/// The first is also the name of a merchant's own, the last that of a twin.
const REPOSITORIES: [&str; 3] = ["a", "eu", "TESTeu"];

fn step() -> impl Strategy<Value = Step> {
    let one = 0..3_usize;
    prop_oneof![
        3 => one.clone().prop_map(Step::AddCredential),
        3 => (one.clone(), prop::option::of(one.clone())).prop_map(|(a, b)| Step::AddMerchant(a, b)),
        2 => (one.clone(), any::<bool>()).prop_map(|(a, b)| Step::AddRepository(a, b)),
        3 => (one.clone(), one.clone(), any::<bool>()).prop_map(|(a, b, c)| Step::Grant(a, b, c)),
        1 => one.clone().prop_map(Step::RemoveCredential),
        1 => one.clone().prop_map(Step::RemoveMerchant),
        1 => one.clone().prop_map(Step::RemoveRepository),
        2 => (one.clone(), one.clone()).prop_map(|(a, b)| Step::Revoke(a, b)),
        1 => (one.clone(), any::<bool>()).prop_map(|(a, preserve)| Step::SetRules(a, match preserve {
            true => Generation::Preserve64,
            false => Generation::RandomWithLuhn,
        })),
        2 => (one.clone(), any::<bool>()).prop_map(|(a, b)| Step::SuspendCredential(a, b)),
        1 => (one.clone(), any::<bool>()).prop_map(|(a, b)| Step::SuspendMerchant(a, b)),
        1 => (one, any::<bool>()).prop_map(|(a, b)| Step::SuspendRepository(a, b)),
    ]
}

async fn run(accounts: &Accounts, step: &Step) -> Result<(), AccountError> {
    let merchant = |which: &usize| merchant(MERCHANTS[*which]);
    let repository = |which: &usize| repository(REPOSITORIES[*which]);
    let credential = |which: &usize| {
        let there = accounts.credentials(None);
        there
            .get(*which)
            .map_or_else(|| CredentialId::parse("none").unwrap(), |view| view.id.clone())
    };
    match step {
        Step::AddCredential(m) => accounts.add_credential(ADMIN, new_key(MERCHANTS[*m])).await.map(drop),
        Step::AddMerchant(m, r) => {
            let new = NewMerchant {
                repository: r.as_ref().map(repository),
                test: *m < 2,
                ..new_merchant(MERCHANTS[*m])
            };
            accounts.add_merchant(ADMIN, new).await.map(drop)
        }
        Step::AddRepository(r, ruled) => {
            let rules = ruled.then_some(RULES);
            accounts.add_repository(ADMIN, &repository(r), rules).await.map(drop)
        }
        Step::SetRules(r, generation) => {
            let change = RulesChange {
                management: None,
                generation: Some(*generation),
                verification: None,
            };
            accounts.set_rules(ADMIN, &repository(r), change).await.map(drop)
        }
        Step::Grant(r, m, default) => {
            let granted = accounts
                .grant_repository(ADMIN, &repository(r), &merchant(m), *default)
                .await;
            granted.map(drop)
        }
        Step::RemoveCredential(c) => accounts.remove_credential(ADMIN, &credential(c)).await,
        Step::RemoveMerchant(m) => accounts.remove_merchant(ADMIN, &merchant(m)).await,
        Step::RemoveRepository(r) => accounts.remove_repository(ADMIN, &repository(r)).await,
        Step::Revoke(r, m) => accounts
            .revoke_repository(ADMIN, &repository(r), &merchant(m))
            .await
            .map(drop),
        Step::SuspendCredential(c, true) => accounts.suspend_credential(ADMIN, &credential(c)).await.map(drop),
        Step::SuspendCredential(c, false) => accounts.resume_credential(ADMIN, &credential(c)).await.map(drop),
        Step::SuspendMerchant(m, true) => accounts.suspend_merchant(ADMIN, &merchant(m)).await.map(drop),
        Step::SuspendMerchant(m, false) => accounts.resume_merchant(ADMIN, &merchant(m)).await.map(drop),
        Step::SuspendRepository(r, true) => accounts.suspend_repository(ADMIN, &repository(r)).await.map(drop),
        Step::SuspendRepository(r, false) => accounts.resume_repository(ADMIN, &repository(r)).await.map(drop),
    }
}

async fn check(store: &Arc<MemoryStore>, accounts: &Accounts) {
    // loading also checks that every reference leads somewhere
    assert_in_step(store, accounts).await;
    for row in accounts.repositories() {
        let open = has(&**store, &gate_key(RepositoryId(row.id), row.rules)).await;
        assert_eq!(open, row.status == AccountStatus::Active, "the gate of {}", row.name);
    }
    let repositories = accounts.repositories();
    for merchant in accounts.merchants().unwrap() {
        let wrong_side = |row: &&RepositoryView| row.twin.is_some() && row.test != merchant.test;
        let wrong = repositories
            .iter()
            .filter(wrong_side)
            .find(|row| row.merchants.contains(&merchant.id));
        assert_eq!(wrong, None, "tests and business never meet");
        let credentials = accounts.credentials(Some(&merchant.id));
        let live = credentials.iter().filter(|view| view.status == AccountStatus::Active);
        assert!(live.count() <= 2);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn memory_and_store_stay_in_step_and_a_refusal_changes_nothing(steps in prop::collection::vec(step(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (store, accounts) = empty().await;
            for step in &steps {
                let before = (accounts.merchants().unwrap(), accounts.repositories(), accounts.credentials(None));
                let events_before = store.health().audit_seq;
                let done = run(&accounts, step).await;
                let after = (accounts.merchants().unwrap(), accounts.repositories(), accounts.credentials(None));
                let events = store.health().audit_seq - events_before;
                assert_eq!(events, u64::from(before != after), "{step:?}: one event for each change, none without");
                assert!(done.is_ok() || before == after, "{step:?}");
                check(&store, &accounts).await;
            }
        });
    }
}
