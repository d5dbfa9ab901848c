//! Which vault a store belongs to: another vault's keys open none of its cards, so the two must never meet.

use super::tables;
use super::types::{Error, IntegrityError};
use crate::id::VaultId;
use crate::store::{Commit, Cond, Outcome, Part, Store, Write};

/// Writes the vault's id into a store that has none yet. `false`: another vault's is there.
///
/// # Errors
/// The store's.
pub async fn claim(store: &dyn Store, id: &VaultId) -> Result<bool, Error> {
    let commit = Commit {
        conds: vec![Cond::Absent(tables::owner())],
        writes: vec![Write::Put(tables::owner(), id.as_str().as_bytes().to_vec())],
        ..Commit::default()
    };
    match store.commit(commit).await? {
        Outcome::Done { .. } => Ok(true),
        Outcome::CondFailed { now, .. } => Ok(now.is_some_and(|held| held.value == id.as_str().as_bytes())),
    }
}

/// Whose store it is.
///
/// # Errors
/// The store's; [`IntegrityError::Damaged`] where no vault has claimed it.
pub async fn owner(store: &dyn Store) -> Result<VaultId, Error> {
    let held = store.get(Part::default(), &tables::owner()).await?;
    held.and_then(|held| String::from_utf8(held.value).ok())
        .and_then(|text| VaultId::parse(&text).ok())
        .ok_or(Error::Integrity(IntegrityError::Damaged))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::memory::MemoryStore;

    #[tokio::test]
    async fn a_store_has_one_owner() {
        let store = MemoryStore::default();
        assert!(owner(&store).await.is_err());
        let (one, other) = (VaultId::random().unwrap(), VaultId::random().unwrap());
        assert!(claim(&store, &one).await.unwrap());
        assert!(claim(&store, &one).await.unwrap());
        assert!(!claim(&store, &other).await.unwrap());
        assert_eq!(owner(&store).await.unwrap(), one);
    }
}
