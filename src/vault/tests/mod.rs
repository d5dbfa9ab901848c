//! The verbs over a store in memory and keys in software. The HSM itself is tested where it runs. [`Rig`] also serves the
//! tests of the floors above.

mod audited;
mod batch;
mod check;
mod compare;
mod dead;
mod documents;
mod erase;
mod faults;
mod fence;
mod find;
mod idempotency;
mod jwe;
mod lifecycle;
mod number;
mod personal;
mod put;
mod records;
mod refingerprint;
mod retention;
mod reveal;
mod rotation;
mod rules;
mod search;
mod search_cost;
pub(crate) mod soft_sealer;
mod terms;
pub(crate) mod test_store;
mod tokenize;
mod whose;

use std::collections::BTreeSet;

use secrecy::ExposeSecret;
use zeroize::Zeroizing;

use self::soft_sealer::SoftSealer;
use self::test_store::{Fault, TestStore};
use super::accounts::{AccountStatus, Accounts, AdminActor, CredentialKind, NewCredential, NewMerchant};
use super::events::Events;
use super::policy::Policy;
use super::types::{Dialect, Format, NewToken, Peer, Profile, Reuse, Status, Terms, Tokenized, Uses};
use super::*;
use crate::card::{Expiry, Pan};
use crate::id::{MerchantId, RequestId, Revision};
use crate::keys::Compartment;
use crate::store::{self, Key};

pub(super) const VISA: &str = "4111111111111111";
pub(super) const MASTERCARD: &str = "5555555555554444";
pub(super) const AMEX: &str = "378282246310005";

/// A vault, and the parts a test looks behind.
pub(crate) struct Rig {
    pub(crate) vault: Arc<Vault>,
    pub(crate) actor: Actor,
    pub(crate) store: Arc<TestStore>,
    pub(crate) sealer: Arc<SoftSealer>,
}

impl Rig {
    pub(crate) async fn new() -> Self {
        Self::with(Arc::new(SoftSealer::new())).await
    }

    /// With a store of its own.
    pub(crate) async fn with(sealer: Arc<SoftSealer>) -> Self {
        let store = Arc::new(TestStore::default());
        let metrics = Metrics::new().unwrap();
        let accounts = Accounts::load(store.clone()).await.unwrap();
        let peer = Peer {
            uid: 1000,
            gid: 1000,
            pid: None,
        };
        let admin = AdminActor { peer };
        let merchant = MerchantId::parse("shop").unwrap();
        let new = NewMerchant {
            id: merchant.clone(),
            name: "Shop".to_owned(),
            dialects: BTreeSet::from([Dialect::Native]),
            repository: None,
            test: true,
        };
        assert_eq!(
            accounts.add_merchant(admin, new).await.unwrap().status,
            AccountStatus::Active
        );
        let credential = NewCredential {
            merchant,
            dialect: Dialect::Native,
            kind: CredentialKind::ApiKey,
            certificate: None,
            public_key: None,
            expires_at: None,
        };
        let secret = accounts
            .add_credential(admin, credential)
            .await
            .unwrap()
            .secret
            .unwrap();
        let events = Arc::new(Events::new(store.clone()));
        let access = Access::new(
            accounts,
            Policy::dev(1000),
            AccessConfig::default(),
            events,
            metrics.clone(),
        )
        .unwrap();
        let header = format!("Bearer {}", secret.expose_secret());
        let request = RequestId::parse("req_test").unwrap();
        let actor = access
            .authenticate_bearer(peer, Dialect::Native, request, Some(&header))
            .unwrap();
        let bins = Arc::new(RwLock::new(Arc::new(BinTable::built_in())));
        let vault = Vault::assemble(
            VaultId::random().unwrap(),
            store.clone(),
            sealer.clone(),
            access,
            bins,
            metrics,
        );
        Self {
            vault,
            actor,
            store,
            sealer,
        }
    }

    /// The same store and keys after a restart: nothing of the old process is left.
    pub(crate) async fn restarted(&self) -> Self {
        let fresh = Self::new().await;
        let bins = Arc::new(RwLock::new(Arc::new(BinTable::built_in())));
        let Ok(parts) = Arc::try_unwrap(fresh.vault) else {
            panic!("a new vault is shared")
        };
        let vault = Vault::assemble(
            self.vault.id.clone(),
            self.store.clone(),
            self.sealer.clone(),
            parts.access,
            bins,
            parts.metrics,
        );
        Self {
            vault,
            actor: self.actor.clone(),
            store: Arc::clone(&self.store),
            sealer: Arc::clone(&self.sealer),
        }
    }

    pub(crate) async fn create(&self, new: NewToken) -> View {
        match self.vault.tokenize(&self.actor, new).await.unwrap() {
            Tokenized::Created(view) => view,
            Tokenized::Reused(view) => panic!("reused {}", view.token),
        }
    }

    /// `action outcome` of all audit events of the verbs, oldest first.
    pub(crate) async fn events(&self) -> Vec<String> {
        let all = crate::vault::soft::events(&*self.store).await;
        all.into_iter()
            .filter(|event| !event.starts_with("merchant") && !event.starts_with("credential"))
            .collect()
    }

    /// All keys of the verbs' tables.
    pub(crate) async fn keys(&self) -> Vec<Key> {
        let from = std::ops::Bound::Included(Key(vec![RECORD_TABLE]));
        let to = std::ops::Bound::Excluded(Key(vec![0x20]));
        let page = self.store.scan(Part::default(), from, to, 10_000).await.unwrap();
        assert!(page.next.is_none());
        page.items.into_iter().map(|(key, _)| key).collect()
    }
}

pub(super) fn token(text: &str) -> Token {
    Token::parse(text).unwrap()
}

/// A card as the simplest caller hands it in.
pub(crate) fn card(pan: &str) -> NewToken {
    NewToken {
        pan: Pan::parse(pan).unwrap(),
        expiry: Some(Expiry::new(12, 2030).unwrap()),
        profile: profile(Some("Ada Lovelace"), None),
        format: Format::Opaque,
        reuse: Reuse::Never,
        namespace: None,
        metadata: None,
        expires_at: None,
        uses: Uses::Multi,
        idempotency: None,
        verification: None,
        terms: Terms::default(),
    }
}

pub(super) fn profile(holder: Option<&str>, extra: Option<&str>) -> Profile {
    let text = |text: &str| Zeroizing::new(text.to_owned());
    Profile {
        holder: holder.map(text),
        extra: extra.map(text),
    }
}

pub(super) fn return_within(scope: &str) -> Reuse {
    Reuse::Return {
        scope: scope.as_bytes().to_vec(),
    }
}

/// The error of a result whose value cannot be printed.
pub(super) fn error<T>(result: Result<T, Error>) -> Error {
    match result {
        Ok(_) => panic!("it was done"),
        Err(error) => error,
    }
}

pub(super) fn field(result: Result<impl Sized, Error>) -> &'static str {
    match error(result) {
        Error::Caller(CallerError::Field { field, .. }) => field,
        other => panic!("{other}"),
    }
}
