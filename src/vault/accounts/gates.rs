//! Shutting repositories for new tokens, for changes that only empty ones allow.

use std::ops::Bound;

use super::{AccountError, AccountStatus, Change, Trust};
use crate::id::RepositoryId;
use crate::store::{Commit, Part, Write};
use crate::vault::tables;
use crate::vault::types::Error;

impl Change {
    /// Makes sure that the repositories are empty and stay so: shuts them for new tokens, those under way too, and
    /// looks. Where one holds a token, all are opened again and the change is refused.
    pub(super) async fn shut_empty(&mut self, ids: &[RepositoryId]) -> Result<(), AccountError> {
        // most refusals end here, with nothing shut
        self.check_empty(ids).await?;
        // until the removal is committed or all is open again
        *self.trust = Trust::Unknown;
        let rows = ids.iter().filter_map(|id| self.next.repository(*id));
        let gates = rows.map(|row| Write::Del(row.gate())).collect();
        self.write(gates).await?;
        let empty = self.check_empty(ids).await;
        if empty.is_err() {
            let gates = ids.iter().filter_map(|id| self.open_gate(*id)).collect();
            self.write(gates).await?;
            *self.trust = Trust::Known;
        }
        empty
    }

    /// Opens a repository that was shut and is not removed.
    pub(super) fn reopen(&mut self, id: RepositoryId) {
        let gate = self.open_gate(id);
        self.writes.extend(gate);
    }

    async fn check_empty(&self, ids: &[RepositoryId]) -> Result<(), AccountError> {
        for id in ids {
            let from = tables::record_prefix(*id);
            let to = tables::end_of(&from);
            let store = &self.inner.store;
            let page = store
                .scan(Part::default(), Bound::Included(from), to, 1)
                .await
                .map_err(Error::from)?;
            if !page.items.is_empty() {
                let name = self
                    .next
                    .repository(*id)
                    .map(|row| row.name.as_str())
                    .unwrap_or_default();
                return Err(AccountError::InUse(format!("repository {name} holds tokens")));
            }
        }
        Ok(())
    }

    fn open_gate(&self, id: RepositoryId) -> Option<Write> {
        let row = self.next.repository(id)?;
        (row.status == AccountStatus::Active).then(|| Write::Put(row.gate(), Vec::new()))
    }

    /// Writes that are no change of an account and have no event.
    async fn write(&self, writes: Vec<Write>) -> Result<(), Error> {
        if writes.is_empty() {
            return Ok(());
        }
        let commit = Commit {
            writes,
            ..Commit::default()
        };
        self.inner.store.commit(commit).await?;
        Ok(())
    }
}
