//! All accounts at one moment, in memory: what requests are held against.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::row::{
    Credential, DAMAGED, GATE, LAST_USE, Merchant, Repository, Row, Twin, counter_key, key, parse_last_use,
};
use super::types::{AccountError, AccountStatus, CredentialKind, CredentialView, Kind, MerchantView, RepositoryView};
use crate::id::{CredentialId, MerchantId, RepositoryId, RepositoryName, UnixMillis};
use crate::jose::RsaPublicKey;
use crate::store::{Commit, Key, Part, Store, Versioned, Write};
use crate::vault::types::Error;

/// All accounts. Never changed: a change makes the next one, which shares what stayed the same.
#[derive(Clone, Default)]
pub(in crate::vault) struct Snapshot {
    pub(super) merchants: BTreeMap<MerchantId, Arc<Merchant>>,
    pub(super) repositories: BTreeMap<RepositoryId, Arc<Repository>>,
    pub(super) numbers: BTreeMap<RepositoryName, RepositoryId>,
    pub(super) credentials: BTreeMap<CredentialId, Held>,
    /// Whose they are.
    holders: BTreeMap<MerchantId, BTreeSet<CredentialId>>,
    /// Above every repository number ever given.
    pub(super) next_repository: u32,
}

/// A credential and its last use, which goes on through changes of the rest.
#[derive(Clone)]
pub(in crate::vault) struct Held {
    pub(in crate::vault) row: Arc<Credential>,
    /// Milliseconds, to the minute; 0: never.
    last_use: Arc<AtomicU64>,
}

impl Snapshot {
    /// Reads all accounts.
    pub(super) async fn load(store: &dyn Store) -> Result<Self, Error> {
        let mut snapshot = Self::default();
        for (_, value) in table(store, Merchant::TABLE).await? {
            let row = Merchant::decode(&value.value)?;
            snapshot.merchants.insert(row.id.clone(), Arc::new(row));
        }
        for (_, value) in table(store, Repository::TABLE).await? {
            snapshot.put_repository(Repository::decode(&value.value)?);
        }
        for (_, value) in table(store, Credential::TABLE).await? {
            let row = Credential::decode(&value.value)?;
            snapshot.put_credential(Held::new(row, 0));
        }
        for (key, value) in table(store, LAST_USE).await? {
            let id = parse_last_use(&key).ok_or(DAMAGED)?;
            let at = value.value.try_into().map(u64::from_be_bytes).map_err(|_| DAMAGED)?;
            if let Some(held) = snapshot.credentials.get(&id) {
                held.last_use.store(at, Ordering::Relaxed);
            }
        }
        let counter = store.get(Part::default(), &counter_key()).await?;
        snapshot.next_repository = match counter {
            None => 1,
            Some(there) => there.value.try_into().map(u32::from_be_bytes).map_err(|_| DAMAGED)?,
        };
        snapshot.check()?;
        Ok(snapshot)
    }

    /// Opens the repositories that a removal shut and did not come to its end.
    pub(super) async fn mend_gates(&self, store: &dyn Store) -> Result<(), Error> {
        let open = table(store, GATE).await?;
        let is_open = |row: &Repository| open.binary_search_by(|(key, _)| key.cmp(&row.gate())).is_ok();
        let writes: Vec<_> = self
            .repositories
            .values()
            .filter(|row| row.status == AccountStatus::Active && !is_open(row))
            .map(|row| Write::Put(row.gate(), Vec::new()))
            .collect();
        for writes in writes.chunks(WRITES) {
            let commit = Commit {
                writes: writes.to_vec(),
                ..Commit::default()
            };
            store.commit(commit).await?;
        }
        Ok(())
    }

    /// That every reference leads somewhere.
    fn check(&self) -> Result<(), Error> {
        let merchants_whole = self.merchants.values().all(|merchant| {
            merchant.repositories.contains(&merchant.repository)
                && merchant
                    .repositories
                    .iter()
                    .all(|id| self.repositories.contains_key(id))
        });
        let credentials_whole = self
            .credentials
            .values()
            .all(|held| self.merchants.contains_key(&held.row.merchant));
        // of a pair each leads to the other, with the same rules
        let pairs_whole = self.repositories.values().all(|row| match row.twin {
            None => row.rules.is_none(),
            Some(twin) => self.repository(twin.id()).is_some_and(|other| {
                row.rules.is_some() && row.rules == other.rules && other.twin == Some(twin.seen_from(row.id))
            }),
        });
        let numbers_fresh = self
            .repositories
            .last_key_value()
            .is_none_or(|(id, _)| id.0 < self.next_repository);
        let names_whole = self.numbers.len() == self.repositories.len();
        if merchants_whole && credentials_whole && pairs_whole && numbers_fresh && names_whole {
            Ok(())
        } else {
            Err(DAMAGED)
        }
    }

    pub(super) fn put_credential(&mut self, held: Held) {
        let of_merchant = self.holders.entry(held.row.merchant.clone()).or_default();
        of_merchant.insert(held.row.id.clone());
        self.credentials.insert(held.row.id.clone(), held);
    }

    pub(super) fn remove_credential(&mut self, id: &CredentialId) -> Option<Held> {
        let held = self.credentials.remove(id)?;
        if let Some(of_merchant) = self.holders.get_mut(&held.row.merchant) {
            of_merchant.remove(id);
            if of_merchant.is_empty() {
                self.holders.remove(&held.row.merchant);
            }
        }
        Some(held)
    }

    pub(super) fn put_repository(&mut self, row: Repository) {
        self.numbers.insert(row.name.clone(), row.id);
        self.repositories.insert(row.id, Arc::new(row));
    }

    pub(in crate::vault) fn merchants(&self) -> impl Iterator<Item = &Merchant> {
        self.merchants.values().map(Arc::as_ref)
    }

    pub(in crate::vault) fn merchant(&self, id: &MerchantId) -> Option<&Merchant> {
        self.merchants.get(id).map(Arc::as_ref)
    }

    pub(in crate::vault) fn repositories(&self) -> impl Iterator<Item = &Repository> {
        self.repositories.values().map(Arc::as_ref)
    }

    pub(in crate::vault) fn repository(&self, id: RepositoryId) -> Option<&Repository> {
        self.repositories.get(&id).map(Arc::as_ref)
    }

    pub(in crate::vault) fn credential(&self, id: &CredentialId) -> Option<&Held> {
        self.credentials.get(id)
    }

    pub(super) fn known_merchant(&self, id: &MerchantId) -> Result<&Merchant, AccountError> {
        self.merchant(id).ok_or(AccountError::Unknown(Kind::Merchant))
    }

    pub(in crate::vault) fn known_repository(&self, name: &RepositoryName) -> Result<&Repository, AccountError> {
        self.numbers
            .get(name)
            .and_then(|id| self.repository(*id))
            .ok_or(AccountError::Unknown(Kind::Repository))
    }

    /// The repository of that name for a merchant: of a pair, TEST merchants act in the one for tests and no others do.
    pub(super) fn repository_for(&self, name: &RepositoryName, test: bool) -> Result<&Repository, AccountError> {
        let named = self.known_repository(name)?;
        match named.twin {
            Some(Twin::TestedIn(twin)) if test => Ok(self.repository(twin).ok_or(DAMAGED)?),
            Some(Twin::TestOf(_)) if !test => Err(AccountError::Field {
                field: "repository",
                reason: "it is for TEST merchants: name the one that it is the twin of",
            }),
            Some(_) | None => Ok(named),
        }
    }

    /// The merchants that may act in a repository.
    pub(super) fn merchants_of(&self, id: RepositoryId) -> impl Iterator<Item = &MerchantId> {
        self.merchants
            .values()
            .filter(move |merchant| merchant.repositories.contains(&id))
            .map(|merchant| &merchant.id)
    }

    pub(in crate::vault) fn credentials_of(&self, id: &MerchantId) -> impl Iterator<Item = &Held> {
        let ids = self.holders.get(id).into_iter().flatten();
        ids.filter_map(|id| self.credentials.get(id))
    }

    pub(super) fn view_merchant(&self, row: &Merchant) -> Result<MerchantView, AccountError> {
        let name = |id: &RepositoryId| self.repository(*id).map(|row| row.name.clone()).ok_or(DAMAGED);
        Ok(MerchantView {
            id: row.id.clone(),
            name: row.name.clone(),
            dialects: row.dialects.clone(),
            repository: name(&row.repository)?,
            repositories: row.repositories.iter().map(name).collect::<Result<_, _>>()?,
            status: row.status,
            test: row.test,
            created_at: row.created_at.to_string(),
        })
    }

    /// The repository of which this one is the TEST twin.
    pub(super) fn tested_by(&self, row: &Repository) -> Option<&RepositoryName> {
        match row.twin? {
            Twin::TestOf(live) => self.repository(live).map(|live| &live.name),
            Twin::TestedIn(_) => None,
        }
    }

    pub(super) fn view_now(&self, row: &Repository) -> RepositoryView {
        self.view_repository(row, self.merchants_of(row.id).cloned().collect())
    }

    /// A repository, in which these merchants may act.
    pub(super) fn view_repository(&self, row: &Repository, merchants: Vec<MerchantId>) -> RepositoryView {
        let twin = row.twin.and_then(|twin| self.repository(twin.id()));
        RepositoryView {
            id: row.id.0,
            name: row.name.clone(),
            rules: row.rules,
            retention_days: row.retention_days,
            twin: twin.map(|twin| twin.name.clone()),
            test: matches!(row.twin, Some(Twin::TestOf(_))),
            merchants,
            status: row.status,
            created_at: row.created_at.to_string(),
        }
    }
}

impl Held {
    pub(super) fn new(row: Credential, last_use: u64) -> Self {
        Self {
            row: Arc::new(row),
            last_use: Arc::new(AtomicU64::new(last_use)),
        }
    }

    /// The same credential, otherwise.
    pub(super) fn with(&self, row: Credential) -> Self {
        Self {
            row: Arc::new(row),
            last_use: Arc::clone(&self.last_use),
        }
    }

    /// Notes a use; gives the minute when it is the first in it.
    pub(super) fn used(&self, now: UnixMillis) -> Option<UnixMillis> {
        let minute = now.0 - now.0 % MINUTE_MS;
        (self.last_use.fetch_max(minute, Ordering::Relaxed) < minute).then_some(UnixMillis(minute))
    }

    /// Milliseconds, to the minute; 0: never.
    pub(super) fn last_use(&self) -> u64 {
        self.last_use.load(Ordering::Relaxed)
    }

    pub(super) fn view(&self, now: UnixMillis) -> CredentialView {
        let row = &self.row;
        let last_use = self.last_use();
        CredentialView {
            id: row.id.clone(),
            kind: row.kind,
            merchant: row.merchant.clone(),
            dialect: row.dialect,
            status: row.status,
            certificate: (row.kind == CredentialKind::Certificate).then(|| row.hash.into()),
            public_key: row.public_key.as_ref().and_then(RsaPublicKey::fingerprint),
            expired: row.expires_at.is_some_and(|end| end <= now),
            created_at: row.created_at.to_string(),
            expires_at: row.expires_at.map(|at| at.to_string()),
            last_used_at: (last_use > 0).then(|| UnixMillis(last_use).to_string()),
        }
    }
}

/// Everything in a table.
async fn table(store: &dyn Store, table: u8) -> Result<Vec<(Key, Versioned)>, Error> {
    let end = Bound::Excluded(key(table + 1, &[]));
    let mut from = Bound::Included(key(table, &[]));
    let mut entries = Vec::new();
    loop {
        let page = store.scan(Part::default(), from, end.clone(), PAGE).await?;
        entries.extend(page.items);
        match page.next {
            Some(next) => from = Bound::Excluded(next),
            None => return Ok(entries),
        }
    }
}

const MINUTE_MS: u64 = 60_000;
const PAGE: u32 = 1_000;
/// Of one commit.
const WRITES: usize = 500;
