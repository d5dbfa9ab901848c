//! Merchants, repositories and credentials: kept in the store, all of them in memory for look-ups.
//!
//! Each change is one commit with its audit event. Changes happen one after another; requests see the accounts as they
//! were before or after a change, never between.

mod credentials;
mod merchants;
mod repositories;
mod row;
mod snapshot;
mod types;

use std::collections::HashMap;
use std::mem;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use tokio::sync::OwnedMutexGuard;

pub use types::{
    AccountError, AccountStatus, AdminActor, CredentialKind, CredentialView, IssuedCredential, Kind, MerchantView,
    NewCredential, NewMerchant, RepositoryView,
};

pub(in crate::vault) use row::gate_key;
pub(in crate::vault) use snapshot::{Held, Snapshot};

use self::row::{Credential, Merchant, Repository, Row, last_use_key};
use super::types::{DependencyError, Dialect, Error};
use crate::audit::Event;
use crate::id::{CredentialId, MerchantId, RepositoryId, RepositoryName, UnixMillis};
use crate::store::{Commit, Cond, Key, Outcome, Store, Write};

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

/// A change in the making. Dropped without [`Change::commit`] nothing happens.
struct Change {
    inner: Arc<Inner>,
    trust: OwnedMutexGuard<Trust>,
    next: Snapshot,
    conds: Vec<Cond>,
    writes: Vec<Write>,
}

/// What is audited of a change.
struct Act<'a> {
    admin: AdminActor,
    action: &'static str,
    merchant: Option<&'a MerchantId>,
    repository: Option<&'a RepositoryName>,
    dialect: Option<Dialect>,
    detail: Option<String>,
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
    pub(super) fn current(&self) -> Arc<Snapshot> {
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

    async fn begin(&self) -> Result<Change, Error> {
        let mut trust = Arc::clone(&self.inner.changing).lock_owned().await;
        if *trust == Trust::Unknown {
            self.inner.reload().await?;
            *trust = Trust::Known;
        }
        Ok(Change {
            inner: Arc::clone(&self.inner),
            trust,
            next: Snapshot::clone(&self.current()),
            conds: Vec::new(),
            writes: Vec::new(),
        })
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

impl Change {
    fn put_merchant(&mut self, row: Merchant) -> Result<(), Error> {
        let there = self.next.merchants.contains_key(&row.id);
        self.put(&row, there)?;
        self.next.merchants.insert(row.id.clone(), Arc::new(row));
        Ok(())
    }

    /// Puts the row and opens or shuts its gate for new tokens.
    fn put_repository(&mut self, row: Repository) -> Result<(), Error> {
        let there = self.next.repositories.contains_key(&row.id);
        self.put(&row, there)?;
        self.writes.push(match row.status {
            AccountStatus::Active => Write::Put(gate_key(row.id), Vec::new()),
            AccountStatus::Suspended => Write::Del(gate_key(row.id)),
        });
        self.next.put_repository(row);
        Ok(())
    }

    fn put_credential(&mut self, row: Credential) -> Result<(), Error> {
        let there = self.next.credentials.get(&row.id).cloned();
        self.put(&row, there.is_some())?;
        let id = row.id.clone();
        let held = there.map_or_else(|| Held::new(row.clone(), 0), |held| held.with(row.clone()));
        self.next.credentials.insert(id, held);
        Ok(())
    }

    fn remove_merchant(&mut self, id: &MerchantId) {
        if let Some(row) = self.next.merchants.remove(id) {
            self.remove(row.key());
        }
    }

    fn remove_repository(&mut self, id: RepositoryId) {
        if let Some(row) = self.next.repositories.remove(&id) {
            self.next.numbers.remove(&row.name);
            self.remove(row.key());
            self.writes.push(Write::Del(gate_key(id)));
        }
    }

    fn remove_credential(&mut self, id: &CredentialId) {
        if let Some(held) = self.next.credentials.remove(id) {
            self.remove(held.row.key());
            self.writes.push(Write::Del(last_use_key(id)));
        }
    }

    fn put<R: Row>(&mut self, row: &R, there: bool) -> Result<(), Error> {
        let key = row.key();
        self.conds.push(match there {
            true => Cond::Exists(key.clone()),
            false => Cond::Absent(key.clone()),
        });
        self.writes.push(Write::Put(key, row.encode()?));
        Ok(())
    }

    fn remove(&mut self, key: Key) {
        self.conds.push(Cond::Exists(key.clone()));
        self.writes.push(Write::Del(key));
    }

    /// Makes it happen: in the store with its audit event, then in memory. Runs to its end even where the caller does
    /// not wait for it.
    async fn commit(self, act: Act<'_>) -> Result<Arc<Snapshot>, Error> {
        let event = Some(act.event().encode());
        let Self {
            inner,
            mut trust,
            next,
            conds,
            writes,
        } = self;
        to_its_end(async move {
            let commit = Commit {
                conds,
                writes,
                event,
                ..Commit::default()
            };
            *trust = Trust::Unknown;
            let outcome = inner.store.commit(commit).await;
            if let Ok(Outcome::Done { .. }) = outcome {
                let next = Arc::new(next);
                inner.replace(Arc::clone(&next));
                *trust = Trust::Known;
                return Ok(next);
            }
            inner.reload().await?;
            *trust = Trust::Known;
            match outcome {
                Err(error) => Err(error.into()),
                // nobody else writes these tables, so memory was wrong; now it is right
                Ok(_) => Err(Error::Dependency(DependencyError::StoreUnavailable)),
            }
        })
        .await
    }
}

impl<'a> Act<'a> {
    fn new(admin: AdminActor, action: &'static str) -> Self {
        Self {
            admin,
            action,
            merchant: None,
            repository: None,
            dialect: None,
            detail: None,
        }
    }

    fn event(&self) -> Event {
        Event {
            peer: Some(self.admin.peer),
            dialect: self.dialect.map(|dialect| dialect.as_str().to_owned()),
            merchant: self.merchant.cloned(),
            repository: self.repository.cloned(),
            detail: self.detail.clone(),
            ..Event::new(self.action, "ok")
        }
    }
}

/// Runs `work` to its end even where the caller stops waiting for it.
async fn to_its_end<T, E>(work: impl Future<Output = Result<T, E>> + Send + 'static) -> Result<T, E>
where
    T: Send + 'static,
    E: From<Error> + Send + 'static,
{
    tokio::spawn(work)
        .await
        .unwrap_or_else(|_| Err(Error::Dependency(DependencyError::StoreUnavailable).into()))
}

const USES_PER_COMMIT: usize = 500;

#[cfg(test)]
mod tests;
