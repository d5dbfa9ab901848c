//! Merchants, repositories and credentials: kept in the store, all of them in memory for look-ups.
//!
//! Each change is one commit with its audit event. Changes happen one after another; requests see the accounts as they
//! were before or after a change, never between.

mod change;
mod credentials;
mod gates;
mod merchants;
mod pairs;
mod repositories;
mod retention;
mod row;
mod snapshot;
mod types;

use std::collections::HashMap;
use std::mem;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

pub use types::{
    AccountError, AccountStatus, AdminActor, CredentialKind, CredentialView, IssuedCredential, Kind, MerchantView,
    NewCredential, NewMerchant, RepositoryView, RulesChange,
};

pub(in crate::vault) use credentials::MAX_LIVE;
pub(in crate::vault) use row::{Merchant, Repository, gate_key, merchant_key};
pub(in crate::vault) use snapshot::{Held, Snapshot};

use self::change::{Act, Change};
use self::row::last_use_key;
use super::to_its_end;
use super::types::Error;
use crate::id::{CredentialId, UnixMillis};
use crate::store::{Commit, Store, Write};

/// The accounts.
#[derive(Clone)]
pub struct Accounts {
    inner: Arc<Inner>,
}

struct Inner {
    store: Arc<dyn Store>,
    current: RwLock<Arc<Snapshot>>,
    /// Held through a change.
    changing: Arc<tokio::sync::Mutex<Trust>>,
    /// Last uses not written yet.
    uses: Mutex<HashMap<CredentialId, UnixMillis>>,
}

/// Whether memory is known to hold what the store holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trust {
    Known,
    /// A commit began and its end was not seen: read all anew before the next change.
    Unknown,
}

impl Accounts {
    /// Reads all accounts from the store.
    ///
    /// # Errors
    /// The store's; [`Error::Integrity`] where what it holds is not what was written.
    pub async fn load(store: Arc<dyn Store>) -> Result<Self, Error> {
        let snapshot = Snapshot::load(&*store).await?;
        snapshot.mend_gates(&*store).await?;
        Ok(Self {
            inner: Arc::new(Inner {
                store,
                current: RwLock::new(Arc::new(snapshot)),
                changing: Arc::new(tokio::sync::Mutex::new(Trust::Known)),
                uses: Mutex::default(),
            }),
        })
    }

    /// All accounts as they are now.
    pub(in crate::vault) fn current(&self) -> Arc<Snapshot> {
        self.inner.current()
    }

    /// Notes that a credential was used; written by [`Self::flush_uses`].
    pub(super) fn note_use(&self, held: &Held, now: UnixMillis) {
        if let Some(minute) = held.used(now) {
            let mut uses = self.inner.uses.lock().unwrap_or_else(PoisonError::into_inner);
            uses.insert(held.row.id.clone(), minute);
        }
    }

    /// Writes the last uses noted since the last time.
    ///
    /// # Errors
    /// The store's; what was not written then is forgotten until the next use.
    pub(super) async fn flush_uses(&self) -> Result<(), Error> {
        let uses = mem::take(&mut *self.inner.uses.lock().unwrap_or_else(PoisonError::into_inner));
        if uses.is_empty() {
            return Ok(());
        }
        // no credential is removed meanwhile, so no last use stays behind
        let _changing = self.inner.changing.lock().await;
        let current = self.current();
        let writes: Vec<Write> = uses
            .iter()
            .filter(|(id, _)| current.credential(id).is_some())
            .map(|(id, at)| Write::Put(last_use_key(id), at.0.to_be_bytes().to_vec()))
            .collect();
        for writes in writes.chunks(USES_PER_COMMIT) {
            let commit = Commit {
                writes: writes.to_vec(),
                ..Commit::default()
            };
            self.inner.store.commit(commit).await?;
        }
        Ok(())
    }
}

impl Inner {
    fn current(&self) -> Arc<Snapshot> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn replace(&self, next: Arc<Snapshot>) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = next;
    }

    async fn reload(&self) -> Result<(), Error> {
        let snapshot = Snapshot::load(&*self.store).await?;
        snapshot.mend_gates(&*self.store).await?;
        self.replace(Arc::new(snapshot));
        Ok(())
    }
}

const USES_PER_COMMIT: usize = 500;

#[cfg(test)]
mod tests;
