//! The documents of a repository that is erased: those sealed in it, and all of merchants that act nowhere else.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use super::{Run, Target};
use crate::audit::Event;
use crate::id::{MerchantId, RepositoryName};
use crate::keys::Sealed;
use crate::store::{Commit, Cond, Key, Outcome, Part, Versioned, Write};
use crate::vault::accounts::AccountError;
use crate::vault::documents::{Address, Row};
use crate::vault::types::{Document, DocumentKind, Error};
use crate::vault::{Vault, records, tables};

/// Documents read and removed at once.
const PAGE: u32 = 64;

/// A document that goes.
struct Going {
    key: Key,
    rev: u64,
    kind: DocumentKind,
    epoch: Option<u32>,
    /// Itself, its entry in the expiry index, and what is of no use without it.
    writes: Vec<Write>,
}

impl Vault {
    /// Once through all documents. How many were removed.
    pub(super) async fn erase_documents(&self, target: &Target, run: &mut Run) -> Result<u64, AccountError> {
        let (mut from, end) = all();
        let mut removed = 0;
        loop {
            self.check_shut(target)?;
            let page = self.store.scan(Part::default(), from, end.clone(), PAGE).await;
            let page = page.map_err(Error::from)?;
            let only_there = self.only_there(target);
            let going: Vec<_> = page
                .items
                .into_iter()
                .filter_map(|entry| going(target, &only_there, entry))
                .collect();
            let count = self.remove_documents(target, run, going).await?;
            removed += count;
            run.pace(count).await;
            match page.next {
                Some(last) => from = Bound::Excluded(last),
                None => return Ok(removed),
            }
        }
    }

    /// In one commit; what changed since it was read is left for the next time.
    async fn remove_documents(
        &self,
        target: &Target,
        run: &mut Run,
        mut going: Vec<Going>,
    ) -> Result<u64, AccountError> {
        while !going.is_empty() {
            let count = u64::try_from(going.len()).unwrap_or(u64::MAX);
            let event = Event {
                action: "documents-remove".to_owned(),
                count: Some(count),
                ..target.event("erased")
            };
            let unchanged = going.iter().map(|one| Cond::Rev(one.key.clone(), one.rev));
            let commit = Commit {
                conds: target.cond().into_iter().chain(unchanged).collect(),
                writes: going.iter().flat_map(|one| one.writes.iter().cloned()).collect(),
                event: Some(event.encode()),
                ..Commit::default()
            };
            match self.store.commit(commit).await.map_err(Error::from)? {
                Outcome::Done { .. } => {
                    for one in &going {
                        *run.erased.documents.entry(one.kind.name()).or_default() += 1;
                        run.epochs.extend(one.epoch);
                    }
                    return Ok(count);
                }
                Outcome::CondFailed { key, .. } => {
                    if let Some(refusal) = target.refusal(&key) {
                        return Err(refusal);
                    }
                    going.retain(|one| one.key != key);
                }
            }
        }
        Ok(0)
    }

    /// How many there are now.
    pub(super) async fn documents_left(&self, target: &Target) -> Result<BTreeMap<&'static str, u64>, Error> {
        let (mut from, end) = all();
        let only_there = self.only_there(target);
        let mut counts = BTreeMap::new();
        loop {
            let page = self.store.scan(Part::default(), from, end.clone(), PAGE).await?;
            for entry in page.items {
                if let Some(one) = going(target, &only_there, entry) {
                    *counts.entry(one.kind.name()).or_default() += 1;
                }
            }
            match page.next {
                Some(last) => from = Bound::Excluded(last),
                None => return Ok(counts),
            }
            tokio::task::yield_now().await;
        }
    }

    /// Whether a document of a merchant goes with the repository.
    pub fn goes_with(&self, repository: &RepositoryName, document: &Document) -> bool {
        let accounts = self.access.accounts().current();
        let Ok(row) = accounts.known_repository(repository) else {
            return false;
        };
        let sealed_there = document
            .sealed
            .as_ref()
            .is_some_and(|sealed| sealed.repository == row.id);
        let merchant = accounts.merchant(&document.merchant);
        sealed_there || merchant.is_some_and(|merchant| merchant.repositories.iter().eq([&row.id]))
    }

    /// The merchants that may act there and nowhere else: whatever is theirs belongs there.
    fn only_there(&self, target: &Target) -> BTreeSet<MerchantId> {
        let accounts = self.access.accounts().current();
        let only = |row: &&crate::vault::accounts::Merchant| row.repositories.iter().eq([&target.id]);
        accounts.merchants().filter(only).map(|row| row.id.clone()).collect()
    }
}

/// What removes a document, if it is one of those that go. One that cannot be read goes with its merchant's others.
fn going(target: &Target, only_there: &BTreeSet<MerchantId>, (key, found): (Key, Versioned)) -> Option<Going> {
    let address = Address::parse(&key)?;
    let row = Row::decode(&found.value, &address).ok();
    let sealed = row.as_ref().and_then(|row| row.sealed.as_ref());
    if !only_there.contains(&address.merchant) && sealed.is_none_or(|sealed| sealed.repository != target.id) {
        return None;
    }
    let mut writes = vec![Write::Del(key.clone())];
    if let Some(row) = &row {
        writes.extend(row.expires_at.map(|at| Write::Del(address.expiry_key(at))));
        if address.kind == DocumentKind::Record {
            let of_merchant = |(kind, name): (DocumentKind, String)| {
                let merchant = address.merchant.clone();
                Write::Del(Address { merchant, kind, name }.key())
            };
            writes.extend(records::companions_of(&row.clear).into_iter().map(of_merchant));
        }
    }
    let sealed = sealed.and_then(|sealed| Sealed::decode(&sealed.sealed).ok());
    Some(Going {
        key,
        rev: found.rev,
        kind: address.kind,
        epoch: sealed.map(|sealed| sealed.epoch.0),
        writes,
    })
}

fn all() -> (Bound<Key>, Bound<Key>) {
    let first = tables::key(tables::DOCUMENT, &[]);
    let end = tables::end_of(&first);
    (Bound::Included(first), end)
}
