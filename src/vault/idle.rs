//! For tests of the floors above: a whole vault on a store in memory, with a merchant and its API key, whose HSM never
//! comes up.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use secrecy::ExposeSecret;

use super::accounts::{Accounts, AdminActor, CredentialKind, NewCredential, NewMerchant};
use super::events::Events;
use super::policy::Policy;
use super::types::{Dialect, Peer};
use super::{Access, AccessConfig, SharedBins, Vault};
use crate::card::BinTable;
use crate::hsm::{
    Canary, Client, Config, Epoch, KekMode, KekRef, Keyset, PinSource, PublicKey, SealedPart, WrappedKey,
};
use crate::id::{MerchantId, VaultId};
use crate::keys::Keys;
use crate::store::Store;
use crate::store::memory::MemoryStore;
use crate::telemetry::Metrics;

/// The vault and what belongs to it.
pub(crate) struct Idle {
    pub(crate) vault: Arc<Vault>,
    pub(crate) hsm: Client,
    pub(crate) keys: Keys,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) metrics: Metrics,
    /// A process of this user may do everything.
    pub(crate) peer: Peer,
    /// `Bearer …`
    pub(crate) authorization: String,
}

impl Idle {
    pub(crate) async fn start() -> Self {
        let metrics = Metrics::new().unwrap();
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let hsm = Client::start(no_hsm(), no_keys(), metrics.clone()).unwrap();
        let keys = Keys::new(hsm.clone(), &no_keys(), Epoch(1)).unwrap();
        let bins: SharedBins = Arc::new(RwLock::new(Arc::new(BinTable::built_in())));
        let peer = Peer {
            uid: 4711,
            gid: 4711,
            pid: None,
        };
        let accounts = Accounts::load(Arc::clone(&store)).await.unwrap();
        let events = Arc::new(Events::new(Arc::clone(&store)));
        let policy = Policy::dev(peer.uid);
        let access = Access::new(accounts, policy, AccessConfig::default(), events, metrics.clone()).unwrap();
        let id = VaultId::parse("vault_1").unwrap();
        let vault = Vault::open(id, Arc::clone(&store), keys.clone(), access, bins, metrics.clone());
        let authorization = add_merchant(&vault, peer).await;
        Self {
            vault,
            hsm,
            keys,
            store,
            metrics,
            peer,
            authorization,
        }
    }
}

async fn add_merchant(vault: &Vault, peer: Peer) -> String {
    let accounts = vault.access().accounts();
    let admin = AdminActor { peer };
    let merchant = NewMerchant {
        id: MerchantId::parse("TEST_shop").unwrap(),
        name: "Shop".to_owned(),
        dialects: BTreeSet::from([Dialect::Native]),
        repository: None,
        test: true,
    };
    let merchant = accounts.add_merchant(admin, merchant).await.unwrap().id;
    let credential = NewCredential {
        merchant,
        dialect: Dialect::Native,
        kind: CredentialKind::ApiKey,
        certificate: None,
        public_key: None,
        expires_at: None,
    };
    let issued = accounts.add_credential(admin, credential).await.unwrap();
    format!("Bearer {}", issued.secret.unwrap().expose_secret())
}

fn no_hsm() -> Config {
    let nowhere = PathBuf::from("/nonexistent");
    Config {
        module: nowhere.join("module.so"),
        environment: BTreeMap::new(),
        token_label: "none".to_owned(),
        token_serial: None,
        pin: PinSource::File(nowhere.join("pin")),
        workers: 1,
        sessions: 1,
        queue: 64,
        deadline: Duration::from_millis(200),
        recycle_after: 0,
        strict: true,
        pregenerate: 0,
        deferred_destroy: false,
        address_families: Vec::new(),
        open_rate: 0,
        state_dir: nowhere.clone(),
        program: nowhere.join("panvault"),
    }
}

fn no_keys() -> Keyset {
    let part = SealedPart {
        iv: vec![0; 12],
        text: vec![0; 32],
    };
    Keyset {
        mode: KekMode::NoTrusted,
        token_label: "none".to_owned(),
        token_serial: "0".to_owned(),
        keks: vec![KekRef {
            epoch: Epoch(1),
            id: "01".to_owned(),
            canary: Canary {
                dek: WrappedKey(vec![0; 40]),
                part,
            },
        }],
        shredded: Vec::new(),
        fingerprint_id: "02".to_owned(),
        fingerprint_check: "00".repeat(32),
        audit_id: "03".to_owned(),
        audit_public: PublicKey::Ed25519 { x: "A".repeat(43) },
        transport_id: "04".to_owned(),
        transport_public: PublicKey::Rsa {
            n: "AQAB".to_owned(),
            e: "AQAB".to_owned(),
        },
        locker: None,
        platform: None,
        later: crate::hsm::Later::default(),
        former: crate::hsm::Former::default(),
    }
}
