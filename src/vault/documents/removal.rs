//! What is removed without being asked for: documents past their time, and those of merchants that are gone.

use std::ops::Bound;

use tokio::sync::watch;

use super::row::{self, Address, Row};
use crate::audit::Event;
use crate::id::{MerchantId, Namespace, UnixMillis};
use crate::store::{Commit, Cond, Key, Outcome, Part, Store, Versioned, Write};
use crate::vault::accounts::merchant_key;
use crate::vault::types::{Document, DocumentKind, Error, IntegrityError};
use crate::vault::{Vault, records, tables};

/// Documents read and removed at once.
const CHUNK: u32 = 64;

/// Whether a merchant has records: they are cards, or as good as cards, and do not go unasked.
///
/// # Errors
/// The store's.
pub(in crate::vault) async fn has_records(store: &dyn Store, merchant: &MerchantId) -> Result<bool, Error> {
    let now = UnixMillis::now();
    let first = row::of_kind(merchant, DocumentKind::Record);
    let to = tables::end_of(&first);
    let mut from = Bound::Included(first);
    loop {
        let page = store.scan(Part::default(), from, to.clone(), CHUNK).await?;
        let lives = |(key, found): &(Key, Versioned)| {
            let row = Address::parse(key).and_then(|address| Row::decode(&found.value, &address).ok());
            // one that cannot be read may be one
            row.is_none_or(|row| !row.expired(now))
        };
        if page.items.iter().any(lives) {
            return Ok(true);
        }
        match page.next {
            Some(last) => from = Bound::Excluded(last),
            None => return Ok(false),
        }
    }
}

/// Removes all documents of a merchant that is not there. Once it is there, nothing is removed any more.
///
/// # Errors
/// The store's.
pub(in crate::vault) async fn remove_all_of(store: &dyn Store, merchant: &MerchantId) -> Result<(), Error> {
    let first = row::of_merchant(merchant);
    loop {
        let from = Bound::Included(first.clone());
        let page = store.scan(Part::default(), from, tables::end_of(&first), CHUNK).await?;
        if page.items.is_empty() {
            return Ok(());
        }
        let mut event = Event::new("documents-remove", "merchant-removed");
        event.merchant = Some(merchant.clone());
        event.count = u64::try_from(page.items.len()).ok();
        let commit = Commit {
            // documents are written on the condition that it exists, so none comes in between
            conds: vec![Cond::Absent(merchant_key(merchant))],
            writes: page.items.into_iter().flat_map(removal).collect(),
            event: Some(event.encode()),
            ..Commit::default()
        };
        if let Outcome::CondFailed { .. } = store.commit(commit).await? {
            return Ok(());
        }
    }
}

/// What removes a document as it was read, as part of another commit.
pub(in crate::vault) struct Removal {
    address: Address,
    rev: u64,
    expires_at: Option<UnixMillis>,
}

impl Removal {
    /// That it is still as it was read.
    pub(in crate::vault) fn cond(&self) -> Cond {
        Cond::Rev(self.address.key(), self.rev)
    }

    /// Whether a condition's key is this document's.
    pub(in crate::vault) fn is_of(&self, key: &Key) -> bool {
        self.address.key() == *key
    }

    /// The document and its index entry go.
    pub(in crate::vault) fn writes(&self) -> impl Iterator<Item = Write> {
        let entry = self.expires_at.map(|at| self.address.expiry_key(at));
        [Some(self.address.key()), entry].into_iter().flatten().map(Write::Del)
    }
}

impl Document {
    /// What removes it.
    pub(in crate::vault) fn removal(&self) -> Removal {
        Removal {
            address: Address {
                merchant: self.merchant.clone(),
                kind: self.kind,
                name: self.name.clone(),
            },
            rev: self.rev,
            expires_at: self.expires_at,
        }
    }
}

/// The document and its index entry. An entry that is left because the document cannot be read goes when it is due.
fn removal((key, found): (Key, Versioned)) -> impl Iterator<Item = Write> {
    let entry = Address::parse(&key).and_then(|address| {
        let at = Row::decode(&found.value, &address).ok()?.expires_at?;
        Some(address.expiry_key(at))
    });
    [Some(key), entry].into_iter().flatten().map(Write::Del)
}

/// A document past its time.
struct Due {
    key: Key,
    rev: u64,
    /// What goes with it.
    fingerprints: Vec<Key>,
}

impl Vault {
    /// Removes documents past their time: those read at once in one commit, with one audit event that counts them.
    pub(in crate::vault) async fn sweep_documents(&self, stopped: &watch::Receiver<bool>) -> Result<(), Error> {
        let index = Key(vec![tables::DOCUMENT_EXPIRY]);
        let now = UnixMillis::now();
        let to = tables::key(tables::DOCUMENT_EXPIRY, &[&now.plus(1).0.to_be_bytes()]);
        let mut from = Bound::Included(index);
        let mut bad = None;
        while !*stopped.borrow() {
            let to = Bound::Excluded(to.clone());
            let page = self.store.scan(Part::default(), from, to, CHUNK).await?;
            let mut commit = Commit::default();
            let mut documents = 0_u64;
            for (entry, found) in page.items {
                match self.due(&entry).await {
                    Ok(Some(due)) => {
                        documents += 1;
                        commit.conds.push(Cond::Rev(due.key.clone(), due.rev));
                        commit.writes.push(Write::Del(due.key));
                        commit.writes.extend(due.fingerprints.into_iter().map(Write::Del));
                    }
                    // left behind by a document that is gone
                    Ok(None) => commit.conds.push(Cond::Rev(entry.clone(), found.rev)),
                    Err(error @ Error::Dependency(_)) => return Err(error),
                    // one bad document must not keep the others
                    Err(error) => {
                        bad = Some(error);
                        continue;
                    }
                }
                commit.writes.push(Write::Del(entry));
            }
            if documents > 0 {
                let mut event = Event::new("documents-remove", "expired");
                event.count = Some(documents);
                commit.event = Some(event.encode());
            }
            if !commit.writes.is_empty() {
                // what was changed in between is looked at again the next time
                self.store.commit(commit).await?;
            }
            match page.next {
                Some(last) => from = Bound::Excluded(last),
                None => break,
            }
        }
        bad.map_or(Ok(()), Err)
    }

    /// The document that an entry of the expiry index is about, if that is when it expires.
    async fn due(&self, entry: &Key) -> Result<Option<Due>, Error> {
        let (at, address) = Address::parse_expiry(entry).ok_or(IntegrityError::Damaged)?;
        let key = address.key();
        let Some(Versioned { rev, value }) = self.store.get(Part::default(), &key).await? else {
            return Ok(None);
        };
        let row = Row::decode(&value, &address)?;
        if row.expires_at != Some(at) {
            return Ok(None);
        }
        let fingerprints = match address.kind {
            DocumentKind::Record => records::fingerprints_of(&row.clear),
            _ => Vec::new(),
        };
        let of_merchant = |name: Namespace| {
            Address {
                merchant: address.merchant.clone(),
                kind: DocumentKind::Fingerprint,
                name: name.as_str().to_owned(),
            }
            .key()
        };
        Ok(Some(Due {
            key,
            rev,
            fingerprints: fingerprints.into_iter().map(of_merchant).collect(),
        }))
    }

    /// Removes the documents of merchants that are not there: a removal was interrupted.
    pub(in crate::vault) async fn sweep_orphaned_documents(
        &self,
        stopped: &watch::Receiver<bool>,
    ) -> Result<(), Error> {
        let first = Key(vec![tables::DOCUMENT]);
        let to = tables::end_of(&first);
        let mut from = Bound::Included(first);
        while !*stopped.borrow() {
            let page = self.store.scan(Part::default(), from, to.clone(), 1).await?;
            let Some((key, _)) = page.items.into_iter().next() else {
                break;
            };
            let Some(address) = Address::parse(&key) else {
                from = Bound::Excluded(key);
                continue;
            };
            let merchant = merchant_key(&address.merchant);
            if self.store.get(Part::default(), &merchant).await?.is_none() {
                remove_all_of(&*self.store, &address.merchant).await?;
            }
            from = match tables::end_of(&row::of_merchant(&address.merchant)) {
                Bound::Excluded(next) => Bound::Included(next),
                Bound::Included(_) | Bound::Unbounded => break,
            };
        }
        Ok(())
    }
}
