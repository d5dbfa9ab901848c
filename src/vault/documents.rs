//! Documents: kept for the floors above, one commit and one audit event per write. The verbs ask no right: who calls them
//! has asked for the one that fits what it does.
//!
//! They are a merchant's. None is written for a merchant that is not there, and they go with it: a merchant that is later
//! added under the same id finds nothing.

mod removal;
mod row;

use std::collections::BTreeSet;
use std::ops::Bound;

pub(in crate::vault) use removal::remove_all_of;
pub(in crate::vault) use row::{Address, Row};

use super::accounts::merchant_key;
use super::types::{
    Actor, CallerError, Document, DocumentEvent, DocumentKind, DocumentWrite, Error, Expect, IntegrityError,
    PolicyError, SealedSecret, Secret, Written,
};
use super::{ATTEMPTS, Vault, event_of, identity, tables};
use crate::audit::Event;
use crate::id::UnixMillis;
use crate::keys::{Compartment, Place, Sealed, SecretBytes};
use crate::store::{Commit, Cond, Outcome, Part, Versioned, Write};

/// Documents read at once.
const CHUNK: u32 = 64;

/// A document to be written, sealed.
struct Planned {
    address: Address,
    row: Row,
}

/// What stands under a document's key before it is written.
struct There {
    rev: u64,
    expires_at: Option<UnixMillis>,
}

impl Vault {
    /// The actor's document of that kind and name; none past its time.
    ///
    /// # Errors
    /// The store's; integrity.
    pub async fn document(&self, actor: &Actor, kind: DocumentKind, name: &str) -> Result<Option<Document>, Error> {
        if !row::fits(name) {
            return Ok(None);
        }
        let address = Address::new(actor, kind, name);
        let read = async {
            let found = self.store.get(Part::default(), &address.key()).await?;
            let document = found.map(|found| live(address, found)).transpose()?;
            Ok(document.flatten())
        };
        self.watched(actor, read.await).await
    }

    /// The actor's documents of that kind whose names begin with `prefix`, in the order of their names, after the name
    /// `after`; at most `limit` (1 to 1,000; another number is taken as the nearest).
    ///
    /// # Errors
    /// The store's; integrity.
    pub async fn documents(
        &self,
        actor: &Actor,
        kind: DocumentKind,
        prefix: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Document>, Error> {
        let read = self.list(actor, kind, prefix, after, limit.clamp(1, 1_000)).await;
        self.watched(actor, read).await
    }

    /// The document's sealed part, opened in the HSM.
    ///
    /// # Errors
    /// The HSM's; tampered with.
    pub async fn document_secret(&self, document: &Document) -> Result<Option<SecretBytes>, Error> {
        let Some(sealed) = &document.sealed else {
            return Ok(None);
        };
        let opened = self.open_secret(document, sealed).await;
        if matches!(opened, Err(Error::Integrity(IntegrityError::Tampered))) {
            let mut event = Event::new("document", "tampered");
            event.merchant = Some(document.merchant.clone());
            self.alarm(event).await;
        }
        opened.map(Some)
    }

    /// Writes documents and the event together or not at all; no documents: the event alone.
    ///
    /// # Errors
    /// A name or size that cannot be taken; the merchant was removed; the HSM's; the store's.
    pub async fn write_documents(
        &self,
        actor: &Actor,
        writes: Vec<DocumentWrite>,
        event: DocumentEvent,
    ) -> Result<Written, Error> {
        check(&writes)?;
        let written = self.write(actor, writes, &event).await;
        self.watched(actor, written).await
    }

    /// A keyed MAC of a request, for telling a repetition from another request under the same id: an unkeyed hash of a
    /// body with a PAN is forbidden.
    ///
    /// # Errors
    /// The HSM's.
    pub async fn request_mac(&self, request: SecretBytes) -> Result<[u8; 32], Error> {
        Ok(self.sealer.mac("panvault repeated request v1", request).await?)
    }

    async fn list(
        &self,
        actor: &Actor,
        kind: DocumentKind,
        prefix: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Document>, Error> {
        let first = Address::new(actor, kind, prefix).key();
        let to = tables::end_of(&first);
        let after = after.map(|name| Address::new(actor, kind, name).key());
        let mut from = match after.filter(|after| *after >= first) {
            Some(after) => Bound::Excluded(after),
            None => Bound::Included(first),
        };
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut documents = Vec::new();
        loop {
            let page = self.store.scan(Part::default(), from, to.clone(), CHUNK).await?;
            for (key, found) in page.items {
                let address = Address::parse(&key).ok_or(IntegrityError::Damaged)?;
                documents.extend(live(address, found)?);
                if documents.len() == limit {
                    return Ok(documents);
                }
            }
            match page.next {
                Some(last) => from = Bound::Excluded(last),
                None => return Ok(documents),
            }
        }
    }

    async fn open_secret(&self, document: &Document, sealed: &SealedSecret) -> Result<SecretBytes, Error> {
        let address = Address {
            merchant: document.merchant.clone(),
            kind: document.kind,
            name: document.name.clone(),
        };
        if !identity::belongs_to(sealed.record, &address) {
            return Err(IntegrityError::Tampered.into());
        }
        let parts = Sealed::decode(&sealed.sealed)?;
        let texts = self
            .sealer
            .open(sealed.place(), &parts, &[Compartment::Profile])
            .await?;
        texts
            .into_iter()
            .next()
            .flatten()
            .ok_or(Error::Integrity(IntegrityError::Damaged))
    }

    async fn write(&self, actor: &Actor, writes: Vec<DocumentWrite>, event: &DocumentEvent) -> Result<Written, Error> {
        let wanted: Vec<_> = writes
            .iter()
            .map(|write| (Address::new(actor, write.kind, &write.name), write.expect))
            .collect();
        // nothing is sealed for what cannot be written
        let Some(mut there) = self.as_expected(&wanted).await? else {
            return Ok(Written::Changed);
        };
        let mut planned = Vec::with_capacity(writes.len());
        for (write, (address, _)) in writes.into_iter().zip(&wanted) {
            let row = Row {
                expires_at: write.expires_at,
                sealed: self.seal_secret(actor, address, write.secret).await?,
                clear: write.clear,
            };
            planned.push(Planned {
                address: address.clone(),
                row,
            });
        }
        for _ in 0..ATTEMPTS {
            if let Some(rev) = self.commit_documents(actor, &planned, &there, event).await? {
                return Ok(Written::Done { rev });
            }
            there = match self.as_expected(&wanted).await? {
                Some(there) => there,
                None => return Ok(Written::Changed),
            };
        }
        Err(CallerError::Contended.into())
    }

    /// What stands where documents are to be written; `None` where it is not as expected.
    async fn as_expected(&self, wanted: &[(Address, Expect)]) -> Result<Option<Vec<Option<There>>>, Error> {
        let now = UnixMillis::now();
        let mut all = Vec::with_capacity(wanted.len());
        for (address, expect) in wanted {
            let found = self.store.get(Part::default(), &address.key()).await?;
            let there = match found {
                Some(Versioned { rev, value }) => Some((rev, Row::decode(&value, address)?)),
                None => None,
            };
            let holds = match (expect, &there) {
                (Expect::Absent, None) => true,
                (Expect::Absent, Some((_, row))) => row.expired(now),
                (Expect::Rev(wanted), Some((rev, row))) => rev == wanted && !row.expired(now),
                (Expect::Rev(_), None) => false,
            };
            if !holds {
                return Ok(None);
            }
            all.push(there.map(|(rev, row)| There {
                rev,
                expires_at: row.expires_at,
            }));
        }
        Ok(Some(all))
    }

    async fn seal_secret(
        &self,
        actor: &Actor,
        address: &Address,
        secret: Secret,
    ) -> Result<Option<SealedSecret>, Error> {
        let text = match secret {
            Secret::Nothing | Secret::Keep(None) => return Ok(None),
            Secret::Keep(Some(sealed)) if identity::belongs_to(sealed.record, address) => return Ok(Some(sealed)),
            Secret::Keep(Some(_)) => {
                tracing::error!("a document was to keep the sealed part of another");
                return Err(IntegrityError::Damaged.into());
            }
            Secret::Seal(text) => text,
        };
        let mut secret = SealedSecret {
            repository: actor.repository,
            record: identity::fresh_for(address)?,
            sealed: Vec::new(),
        };
        let (_, sealed) = self
            .sealer
            .seal(secret.place(), None, vec![(Compartment::Profile, text)])
            .await?;
        secret.sealed = sealed.encode();
        Ok(Some(secret))
    }

    /// The revision of what was written; `None`: something changed since `there` was read.
    async fn commit_documents(
        &self,
        actor: &Actor,
        planned: &[Planned],
        there: &[Option<There>],
        event: &DocumentEvent,
    ) -> Result<Option<u64>, Error> {
        let merchant = merchant_key(&actor.merchant);
        let event = Event {
            token: event.token.clone(),
            detail: event.detail.clone(),
            ..event_of(actor, event.action, event.outcome)
        };
        let mut commit = Commit {
            conds: vec![Cond::Exists(merchant.clone())],
            event: Some(event.encode()),
            ..Commit::default()
        };
        for (document, there) in planned.iter().zip(there) {
            document.put(there.as_ref(), &mut commit)?;
        }
        match self.store.commit(commit).await? {
            Outcome::Done { rev } => Ok(Some(rev)),
            // removed since the request was let in
            Outcome::CondFailed { key, .. } if key == merchant => Err(Error::Policy(PolicyError::Suspended)),
            Outcome::CondFailed { .. } => Ok(None),
        }
    }

    /// Raises the alarm where a document was changed by another hand.
    async fn watched<T>(&self, actor: &Actor, result: Result<T, Error>) -> Result<T, Error> {
        if matches!(result, Err(Error::Integrity(IntegrityError::Tampered))) {
            self.alarm(event_of(actor, "document", "tampered")).await;
        }
        result
    }
}

impl Address {
    fn new(actor: &Actor, kind: DocumentKind, name: &str) -> Self {
        Self {
            merchant: actor.merchant.clone(),
            kind,
            name: name.to_owned(),
        }
    }
}

impl SealedSecret {
    fn place(&self) -> Place {
        Place {
            repository: self.repository,
            record: self.record,
        }
    }
}

impl Planned {
    fn put(&self, there: Option<&There>, commit: &mut Commit) -> Result<(), Error> {
        let key = self.address.key();
        commit.conds.push(match there {
            None => Cond::Absent(key.clone()),
            Some(there) => Cond::Rev(key.clone(), there.rev),
        });
        commit.writes.push(Write::Put(key, self.row.encode()?));
        let entry = |at| self.address.expiry_key(at);
        let before = there.and_then(|there| there.expires_at).map(entry);
        let after = self.row.expires_at.map(entry);
        if before != after {
            commit.writes.extend(before.map(Write::Del));
            commit.writes.extend(after.map(|entry| Write::Put(entry, Vec::new())));
        }
        Ok(())
    }
}

/// The document, unless it is past its time.
fn live(address: Address, found: Versioned) -> Result<Option<Document>, IntegrityError> {
    let row = Row::decode(&found.value, &address)?;
    if row.expired(UnixMillis::now()) {
        return Ok(None);
    }
    let Address { merchant, kind, name } = address;
    Ok(Some(Document {
        kind,
        merchant,
        name,
        rev: found.rev,
        clear: row.clear,
        expires_at: row.expires_at,
        sealed: row.sealed,
    }))
}

/// Refuses what cannot be stored.
fn check(writes: &[DocumentWrite]) -> Result<(), Error> {
    let refused = |field, reason: &str| CallerError::Field {
        field,
        reason: reason.to_owned(),
    };
    if writes.len() > Document::WRITES_MAX {
        return Err(refused("body", "changes too much at once").into());
    }
    let mut names = BTreeSet::new();
    for write in writes {
        if !row::fits(&write.name) {
            return Err(refused("name", "has 1 to 200 bytes").into());
        }
        if !names.insert((write.kind, write.name.as_str())) {
            return Err(refused("name", "is there twice").into());
        }
        let secret = match &write.secret {
            Secret::Seal(text) => text.expose().len(),
            Secret::Keep(_) | Secret::Nothing => 0,
        };
        if write.clear.len() > Document::CLEAR_MAX || secret > Document::SECRET_MAX {
            return Err(refused("body", "is too large to be stored").into());
        }
    }
    Ok(())
}
