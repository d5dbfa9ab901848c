use std::collections::BTreeSet;
use std::io::Write;

use secrecy::{ExposeSecret, SecretString};

use super::*;
use crate::audit::Event;
use crate::id::{MerchantId, RepositoryName};
use crate::store::Store;
use crate::store::memory::MemoryStore;
use crate::vault::accounts::{AdminActor, CredentialKind, NewCredential, NewMerchant};
use crate::vault::caps::Cap;

const PEER: Peer = Peer {
    uid: 1000,
    gid: 50,
    pid: Some(42),
};
const ADMIN: AdminActor = AdminActor { peer: PEER };

struct Bench {
    store: Arc<MemoryStore>,
    access: Access,
    key: SecretString,
}

impl Bench {
    async fn new(policy: Policy, caps: CapTable) -> Self {
        let store = Arc::new(MemoryStore::new());
        let accounts = Accounts::load(store.clone()).await.unwrap();
        let new = NewMerchant {
            id: shop(),
            name: "Shop".to_owned(),
            dialects: BTreeSet::from([Dialect::Native]),
            repository: None,
            test: true,
        };
        accounts.add_merchant(ADMIN, new).await.unwrap();
        let config = AccessConfig {
            caps,
            ..AccessConfig::default()
        };
        let events = Arc::new(Events::new(store.clone()));
        let access = Access::new(accounts, policy, config, events, Metrics::new().unwrap()).unwrap();
        let key = issue(&access, None).await;
        Self { store, access, key }
    }

    async fn dev() -> Self {
        Self::new(Policy::dev(PEER.uid), CapTable::default()).await
    }

    fn log_in(&self, header: &str) -> Result<Actor, PolicyError> {
        log_in(&self.access, PEER, Some(header))
    }

    fn good_header(&self) -> String {
        format!("Bearer {}", self.key.expose_secret())
    }

    fn actor(&self) -> Actor {
        self.log_in(&self.good_header()).unwrap()
    }

    fn permit(&self, op: Operation, volume: u64) -> Result<(), PolicyError> {
        self.access.permit(&self.actor(), op, volume).map_err(policy_error)
    }

    /// The events that were counted, after a flush.
    async fn counted(&self) -> Vec<(String, String, u64)> {
        #[derive(serde::Deserialize)]
        struct Line {
            event: Event,
        }
        self.access.events.flush().await.unwrap();
        let lines = self.store.audit(1, 1_000).await.unwrap();
        let mut counted: Vec<_> = lines
            .iter()
            .map(|line| serde_json::from_slice::<Line>(&line.line).unwrap().event)
            .filter_map(|event| event.count.map(|count| (event.action, event.outcome, count)))
            .collect();
        counted.sort();
        counted
    }
}

fn shop() -> MerchantId {
    MerchantId::parse("shop").unwrap()
}

fn policy_error(error: Error) -> PolicyError {
    match error {
        Error::Policy(error) => error,
        other => panic!("{other}"),
    }
}

fn log_in(access: &Access, peer: Peer, header: Option<&str>) -> Result<Actor, PolicyError> {
    let request = RequestId::parse("req_1").unwrap();
    access
        .authenticate_bearer(peer, Dialect::Native, request, header)
        .map_err(policy_error)
}

async fn issue(access: &Access, expires_at: Option<UnixMillis>) -> SecretString {
    let new = NewCredential {
        merchant: shop(),
        dialect: Dialect::Native,
        kind: CredentialKind::ApiKey,
        expires_at,
    };
    access.accounts().add_credential(ADMIN, new).await.unwrap().secret
}

fn counted(action: &str, outcome: &str, count: u64) -> (String, String, u64) {
    (action.to_owned(), outcome.to_owned(), count)
}

#[tokio::test]
async fn a_good_key_acts_for_its_merchant() {
    let bench = Bench::dev().await;
    let actor = bench.actor();
    assert_eq!((actor.merchant, actor.repository_name.as_str()), (shop(), "shop"));
    let lower = bench.good_header().replacen("Bearer", "bearer", 1);
    assert!(bench.log_in(&lower).is_ok());
    bench.access.accounts().flush_uses().await.unwrap();
    assert!(bench.access.accounts().credentials(None)[0].last_used_at.is_some());
}

#[tokio::test]
async fn whatever_is_wrong_with_a_credential_the_answer_is_one() {
    let bench = Bench::dev().await;
    let key = bench.key.expose_secret().to_owned();
    let secret = key.rsplit('_').next().unwrap();
    let wrong_secret = if secret.starts_with('a') { "b" } else { "a" }.to_owned() + &secret[1..];
    for header in [
        String::new(),
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
        key.clone(),
        format!("Basic {key}"),
        "Bearer pv_é_é".to_owned(),
        format!("Bearer {}", key.replace(secret, &wrong_secret)),
        format!("Bearer {}", &key[..key.len() - 1]),
        format!("Bearer pv_unknown_{secret}"),
    ] {
        assert_eq!(
            bench.log_in(&header).unwrap_err(),
            PolicyError::BadCredential,
            "{header:?}"
        );
        assert!(
            bench.log_in(&bench.good_header()).is_ok(),
            "a success forgets the failure"
        );
    }
    assert_eq!(
        bench.counted().await,
        [
            counted("auth-failed", "malformed", 7),
            counted("auth-failed", "wrong", 2)
        ]
    );
    assert_eq!(
        bench.access.metrics.auth_failures.with_label_values(&["native"]).get(),
        9
    );
}

#[tokio::test]
async fn suspended_expired_and_removed_keys_are_bad() {
    let bench = Bench::dev().await;
    let accounts = bench.access.accounts();
    let id = accounts.credentials(None)[0].id.clone();
    accounts.suspend_credential(ADMIN, &id).await.unwrap();
    assert_eq!(
        bench.log_in(&bench.good_header()).unwrap_err(),
        PolicyError::BadCredential
    );
    accounts.resume_credential(ADMIN, &id).await.unwrap();
    assert!(bench.log_in(&bench.good_header()).is_ok());
    accounts.remove_credential(ADMIN, &id).await.unwrap();
    assert_eq!(
        bench.log_in(&bench.good_header()).unwrap_err(),
        PolicyError::BadCredential
    );

    let short = issue(&bench.access, Some(UnixMillis::now().plus(300))).await;
    let short = format!("Bearer {}", short.expose_secret());
    assert!(bench.log_in(&short).is_ok());
    tokio::time::sleep(Duration::from_millis(350)).await;
    assert_eq!(bench.log_in(&short).unwrap_err(), PolicyError::BadCredential);
    assert_eq!(
        bench.counted().await,
        [
            counted("auth-failed", "expired", 1),
            counted("auth-failed", "suspended", 1),
            counted("auth-failed", "wrong", 1)
        ]
    );
}

#[tokio::test]
async fn ten_failures_pause_a_caller_and_no_other() {
    let bench = Bench::dev().await;
    for _ in 0..50 {
        assert_eq!(
            log_in(&bench.access, PEER, None).unwrap_err(),
            PolicyError::NoCredential,
            "not counted"
        );
    }
    for _ in 0..10 {
        assert_eq!(bench.log_in("Bearer x").unwrap_err(), PolicyError::BadCredential);
    }
    assert_eq!(
        bench.log_in(&bench.good_header()).unwrap_err(),
        PolicyError::LoginThrottled { retry_after_s: 30 }
    );
    let other = Peer { uid: 1001, ..PEER };
    assert!(log_in(&bench.access, other, Some(&bench.good_header())).is_ok());
    assert_eq!(
        bench.counted().await,
        [
            counted("auth-failed", "malformed", 10),
            counted("auth-failed", "throttled", 1)
        ]
    );
}

#[tokio::test]
async fn the_policy_decides_and_refusals_are_counted() {
    let policy = Policy::parse(
        "version = 1\n[[grant]]\nuid = 1000\ndialects = [\"native\"]\nrepositories = [\"shop\"]\n\
         operations = [\"tokenize\", \"inspect\"]",
    )
    .unwrap();
    let bench = Bench::new(policy, CapTable::default()).await;
    for op in Operation::ALL {
        let granted = matches!(op, Operation::Tokenize | Operation::Inspect);
        let expected = if granted { Ok(()) } else { Err(PolicyError::Denied) };
        assert_eq!(bench.permit(op, 1), expected, "{op:?}");
    }
    assert_eq!(bench.permit(Operation::Reveal, 1), Err(PolicyError::Denied));
    let refusals = &bench.access.metrics.refusals;
    assert_eq!(refusals.with_label_values(&["reveal", "denied"]).get(), 2);
    let counted_events = bench.counted().await;
    assert_eq!(counted_events.len(), 6);
    assert!(counted_events.contains(&counted("reveal", "denied", 2)));
}

#[tokio::test]
async fn suspension_holds_at_once() {
    let bench = Bench::dev().await;
    let accounts = bench.access.accounts();
    let actor = bench.actor();
    let permit = || {
        bench
            .access
            .permit(&actor, Operation::Tokenize, 1)
            .map_err(policy_error)
    };
    permit().unwrap();
    accounts.suspend_merchant(ADMIN, &shop()).await.unwrap();
    assert_eq!(permit(), Err(PolicyError::Suspended));
    accounts.resume_merchant(ADMIN, &shop()).await.unwrap();
    let own = RepositoryName::parse("shop").unwrap();
    accounts.suspend_repository(ADMIN, &own).await.unwrap();
    assert_eq!(permit(), Err(PolicyError::Suspended));
    accounts.resume_repository(ADMIN, &own).await.unwrap();
    permit().unwrap();
    let eu = RepositoryName::parse("eu").unwrap();
    accounts.add_repository(ADMIN, &eu).await.unwrap();
    accounts.grant_repository(ADMIN, &eu, &shop(), true).await.unwrap();
    accounts.revoke_repository(ADMIN, &own, &shop()).await.unwrap();
    assert_eq!(
        permit(),
        Err(PolicyError::Denied),
        "an actor from before the revocation"
    );
    assert_eq!(bench.actor().repository_name, eu);
    accounts.remove_merchant(ADMIN, &shop()).await.unwrap();
    assert_eq!(permit(), Err(PolicyError::Denied));
}

#[tokio::test]
async fn caps_refuse_with_a_time_and_raise_the_alarm() {
    let caps = CapTable {
        reveal: Cap {
            per_day: 5,
            ..Cap::default()
        },
        ..CapTable::default()
    };
    let policy = "version = 1\n[[grant]]\nuid = 1000\ndialects = [\"*\"]\nrepositories = [\"*\"]\noperations = [\"*\"]";
    let bench = Bench::new(Policy::parse(policy).unwrap(), caps).await;
    bench.permit(Operation::Reveal, 5).unwrap();
    let Err(PolicyError::Capped { retry_after_s }) = bench.permit(Operation::Reveal, 1) else {
        panic!("over the cap")
    };
    assert!((1..=86_400).contains(&retry_after_s));
    bench.permit(Operation::Inspect, 1_000).unwrap();
    assert_eq!(
        bench.access.metrics.cap_refusals.with_label_values(&["reveal"]).get(),
        1
    );
    assert_eq!(bench.counted().await, [counted("reveal", "capped", 1)]);
}

#[tokio::test]
async fn a_bad_policy_file_changes_nothing() {
    let bench = Bench::dev().await;
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"version = 1\n[[grant]]\nuser = 5\n").unwrap();
    assert!(bench.access.reload_policy(file.path(), Some(PEER)).is_err());
    bench.permit(Operation::Reveal, 1).unwrap();
    file.as_file().set_len(0).unwrap();
    std::fs::write(file.path(), "version = 1\n").unwrap();
    bench.access.reload_policy(file.path(), Some(PEER)).unwrap();
    assert_eq!(bench.permit(Operation::Reveal, 1), Err(PolicyError::Denied));
    assert!(!bench.access.explain(&PEER, Operation::Reveal).allowed);
    let events = bench.counted().await;
    assert!(events.contains(&counted("policy-reload", "refused", 1)));
    assert!(events.contains(&counted("policy-reload", "ok", 1)));
}

#[tokio::test]
async fn the_end_writes_what_was_counted() {
    let bench = Bench::dev().await;
    let before = bench.store.health().audit_seq;
    bench.log_in("Bearer x").unwrap_err();
    bench.access.run(std::future::ready(())).await;
    assert_eq!(bench.store.health().audit_seq, before + 1);
}
