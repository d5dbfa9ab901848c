//! For tests of the floors above: a whole vault on a store in memory, with keys in software that bind and detect as the
//! HSM's do, and merchants of the Mastercard gateway's dialect.

use std::collections::BTreeSet;
use std::sync::{Arc, RwLock};

use super::accounts::{Accounts, AdminActor, NewMerchant};
use super::events::Events;
use super::policy::Policy;
use super::tests::soft_sealer::SoftSealer;
use super::types::{Actor, Dialect, Generation, Management, Peer, TokenRules, Verification};
use super::{Access, AccessConfig, Vault};
use crate::card::BinTable;
use crate::id::{MerchantId, RepositoryName, VaultId};
use crate::store::Store;
use crate::store::memory::MemoryStore;
use crate::telemetry::Metrics;

/// The vault and what belongs to it.
pub(crate) struct Soft {
    pub(crate) vault: Arc<Vault>,
    pub(crate) store: Arc<dyn Store>,
    sealer: Arc<SoftSealer>,
}

/// A process of this user may do everything.
pub(crate) const OWN: Peer = Peer {
    uid: 4711,
    gid: 4711,
    pid: None,
};

impl Soft {
    pub(crate) async fn start() -> Self {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let metrics = Metrics::new().unwrap();
        let accounts = Accounts::load(Arc::clone(&store)).await.unwrap();
        let events = Arc::new(Events::new(Arc::clone(&store)));
        let policy = Policy::dev(OWN.uid);
        let access = Access::new(accounts, policy, AccessConfig::default(), events, metrics.clone()).unwrap();
        let sealer = Arc::new(SoftSealer::new());
        let bins = Arc::new(RwLock::new(Arc::new(BinTable::built_in())));
        let id = VaultId::random().unwrap();
        let vault = Vault::assemble(id, Arc::clone(&store), sealer.clone(), access, bins, metrics);
        Self { vault, store, sealer }
    }

    /// A merchant `TEST…` or not, in a repository of its own with these rules; checks are BASIC by default.
    pub(crate) async fn merchant(&self, name: &str, management: Management, generation: Generation) -> Actor {
        let accounts = self.vault.access().accounts();
        let admin = AdminActor { peer: OWN };
        let rules = TokenRules {
            management,
            generation,
            verification: Verification::Basic,
        };
        let id = MerchantId::parse(name).unwrap();
        let repository =
            RepositoryName::parse(&format!("R{}", name.trim_start_matches("TEST").to_uppercase())).unwrap();
        accounts.add_repository(admin, &repository, Some(rules)).await.unwrap();
        let new = NewMerchant {
            id: id.clone(),
            name: name.to_owned(),
            dialects: BTreeSet::from([Dialect::Mastercard]),
            repository: Some(repository),
            test: name.starts_with("TEST"),
        };
        accounts.add_merchant(admin, new).await.unwrap();
        let actors = self.vault.access().own_actors(OWN, Dialect::Mastercard).unwrap();
        let mut actor = actors.into_iter().find(|actor| actor.merchant == id).unwrap();
        actor.daemon = false;
        actor
    }

    /// The HSM fails from now on, or works again.
    pub(crate) fn set_down(&self, down: bool) {
        self.sealer.set_down(down);
    }

    /// Whether a card number was opened since this was last asked.
    pub(crate) fn opened_a_number(&self) -> bool {
        self.sealer.opened().contains(&crate::keys::Compartment::Pan)
    }

    /// `action outcome` of all audit events, oldest first.
    pub(crate) async fn events(&self) -> Vec<String> {
        events(&*self.store).await
    }
}

/// `action outcome` of all audit events in `store`, oldest first.
pub(crate) async fn events(store: &dyn Store) -> Vec<String> {
    let lines = store.audit(1, 10_000).await.unwrap();
    lines
        .iter()
        .map(|line| serde_json::from_slice::<serde_json::Value>(&line.line).unwrap())
        .map(|line| {
            let text = |name: &str| line["event"][name].as_str().unwrap().to_owned();
            format!("{} {}", text("action"), text("outcome"))
        })
        .collect()
}
