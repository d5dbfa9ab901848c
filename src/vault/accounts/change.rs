//! One change of the accounts: gathered, committed with its audit event, then seen by all.

use std::sync::Arc;

use tokio::sync::OwnedMutexGuard;

use super::row::{Credential, Merchant, Repository, Row, last_use_key};
use super::snapshot::{Held, Snapshot};
use super::types::{AccountStatus, AdminActor};
use super::{Accounts, Inner, Trust, to_its_end};
use crate::audit::Event;
use crate::id::{CredentialId, MerchantId, RepositoryId, RepositoryName};
use crate::store::{Commit, Cond, Key, Outcome, Write};
use crate::vault::types::{DependencyError, Dialect, Error};

/// A change in the making. Dropped without [`Self::commit`] nothing happens.
pub(super) struct Change {
    pub(super) inner: Arc<Inner>,
    pub(super) trust: OwnedMutexGuard<Trust>,
    pub(super) next: Snapshot,
    conds: Vec<Cond>,
    pub(super) writes: Vec<Write>,
}

/// What is audited of a change.
pub(super) struct Act<'a> {
    pub(super) admin: AdminActor,
    pub(super) action: &'static str,
    pub(super) merchant: Option<&'a MerchantId>,
    pub(super) repository: Option<&'a RepositoryName>,
    pub(super) dialect: Option<Dialect>,
    pub(super) detail: Option<String>,
}

impl Accounts {
    /// Begins a change; the next one waits until this is done.
    pub(super) async fn begin(&self) -> Result<Change, Error> {
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

impl Change {
    pub(super) fn put_merchant(&mut self, row: Merchant) -> Result<(), Error> {
        let there = self.next.merchants.contains_key(&row.id);
        self.put(&row, there)?;
        self.next.merchants.insert(row.id.clone(), Arc::new(row));
        Ok(())
    }

    /// Puts the row and opens or shuts its gate for new tokens.
    pub(super) fn put_repository(&mut self, row: Repository) -> Result<(), Error> {
        let there = self.next.repositories.contains_key(&row.id);
        self.put(&row, there)?;
        self.writes.push(match row.status {
            AccountStatus::Active => Write::Put(row.gate(), Vec::new()),
            AccountStatus::Suspended => Write::Del(row.gate()),
        });
        self.next.put_repository(row);
        Ok(())
    }

    pub(super) fn put_credential(&mut self, row: Credential) -> Result<(), Error> {
        let there = self.next.credentials.get(&row.id).cloned();
        self.put(&row, there.is_some())?;
        self.next.put_credential(match there {
            Some(held) => held.with(row),
            None => Held::new(row, 0),
        });
        Ok(())
    }

    pub(super) fn remove_merchant(&mut self, id: &MerchantId) {
        if let Some(row) = self.next.merchants.remove(id) {
            self.remove(row.key());
        }
    }

    pub(super) fn remove_repository(&mut self, id: RepositoryId) {
        if let Some(row) = self.next.repositories.remove(&id) {
            self.next.numbers.remove(&row.name);
            self.remove(row.key());
            self.writes.push(Write::Del(row.gate()));
        }
    }

    pub(super) fn remove_credential(&mut self, id: &CredentialId) {
        if let Some(held) = self.next.remove_credential(id) {
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
    pub(super) async fn commit(self, act: Act<'_>) -> Result<Arc<Snapshot>, Error> {
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
    pub(super) fn new(admin: AdminActor, action: &'static str) -> Self {
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
