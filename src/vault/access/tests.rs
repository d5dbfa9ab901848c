mod authenticate;
mod gateway;

use std::collections::BTreeSet;

use secrecy::{ExposeSecret, SecretString};

use super::*;
use crate::audit::Event;
use crate::id::{MerchantId, RepositoryName, RequestId, UnixMillis};
use crate::store::Store;
use crate::store::memory::MemoryStore;
use crate::vault::accounts::{AdminActor, CredentialKind, NewCredential, NewMerchant};
use crate::vault::caps::Cap;
use crate::vault::types::Dialect;

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

    async fn last_event(&self) -> Event {
        let last = self.store.audit(self.store.health().audit_seq, 1).await.unwrap();
        let line: serde_json::Value = serde_json::from_slice(&last[0].line).unwrap();
        serde_json::from_value(line["event"].clone()).unwrap()
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
        certificate: None,
        public_key: None,
        expires_at,
    };
    access
        .accounts()
        .add_credential(ADMIN, new)
        .await
        .unwrap()
        .secret
        .unwrap()
}

fn counted(action: &str, outcome: &str, count: u64) -> (String, String, u64) {
    (action.to_owned(), outcome.to_owned(), count)
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
    assert_eq!(counted_events.len(), Operation::ALL.len() - 2, "all but the granted");
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
    accounts.add_repository(ADMIN, &eu, None).await.unwrap();
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
async fn a_bad_policy_file_changes_nothing_and_a_good_one_is_on_record_first() {
    let bench = Bench::dev().await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "version = 1\n[[grant]]\nuser = 5\n").unwrap();
    let reload = || bench.access.reload_policy(file.path(), Some(PEER));
    assert!(matches!(reload().await, Err(ReloadError::Policy(_))));
    let refused = bench.last_event().await;
    assert_eq!(
        (refused.action.as_str(), refused.outcome.as_str()),
        ("policy-reload", "refused")
    );
    bench.permit(Operation::Reveal, 1).unwrap();

    std::fs::write(file.path(), "version = 1\n").unwrap();
    reload().await.unwrap();
    let event = bench.last_event().await;
    assert_eq!((event.action.as_str(), event.outcome.as_str()), ("policy-reload", "ok"));
    assert_eq!(event.peer, Some(PEER));
    // printf 'version = 1\n' | sha256sum, in groups of eight
    let sha256 = "dbab1266:5d98aef0:21ba6495:3c61b0ed:8a908cfb:56a1c01e:2fcb4b05:2b71a2a1";
    assert_eq!(event.detail.unwrap(), format!("sha256 {sha256}"));
    assert_eq!(bench.permit(Operation::Reveal, 1), Err(PolicyError::Denied));
    assert!(!bench.access.explain(&PEER, Operation::Reveal).allowed);
}

#[tokio::test]
async fn a_reload_that_cannot_be_audited_changes_nothing() {
    let bench = Bench::dev().await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "version = 1\n").unwrap();
    bench.store.close().await.unwrap();
    let reload = bench.access.reload_policy(file.path(), Some(PEER));
    assert!(matches!(reload.await, Err(ReloadError::Audit(_))));
    bench.permit(Operation::Reveal, 1).unwrap();
}

#[tokio::test]
async fn the_end_writes_what_was_counted() {
    let bench = Bench::dev().await;
    let before = bench.store.health().audit_seq;
    bench.log_in("Bearer x").unwrap_err();
    bench.access.run(std::future::ready(())).await;
    assert_eq!(bench.store.health().audit_seq, before + 1);
}
