//! Documents: kept for the floors above, one commit and one audit event per write. The verbs ask no right: who calls them
//! has asked for the one that fits what it does.
//!
//! They are a merchant's. None is written for a merchant that is not there, and they go with it: a merchant that is later
//! added under the same id finds nothing.

mod removal;
mod row;
mod write;

use std::ops::Bound;
use std::sync::Arc;

pub(in crate::vault) use removal::{Removal, has_records, remove_all_of};
pub(in crate::vault) use row::{Address, Row};

use super::types::{Actor, Document, DocumentKind, Error, IntegrityError, SealedSecret};
use super::{Vault, batch, event_of, identity, tables};
use crate::audit::Event;
use crate::id::UnixMillis;
use crate::keys::{Compartment, Place, Sealed, SecretBytes};
use crate::store::{Part, Versioned};

/// Documents read at once.
const CHUNK: u32 = 64;

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

    /// The sealed parts of many documents, in their order: each takes the HSM a round trip, so a few are opened at a time.
    ///
    /// # Errors
    /// As [`Vault::document_secret`], each for itself.
    pub async fn document_secrets(
        self: &Arc<Self>,
        documents: Vec<Document>,
    ) -> Vec<Result<Option<SecretBytes>, Error>> {
        let vault = Arc::clone(self);
        let documents = documents.into_iter().map(Ok).collect();
        batch::each(documents, move |_, document: Document| {
            let vault = Arc::clone(&vault);
            async move { vault.document_secret(&document).await }
        })
        .await
    }

    /// Whether what is sealed in a document opens nowhere any more: its KEK is destroyed, or is being.
    ///
    /// # Errors
    /// It is damaged.
    pub fn is_dead_document(&self, document: &Document) -> Result<bool, Error> {
        match &document.sealed {
            Some(secret) => Ok(self.sealer.is_destroyed(Sealed::decode(&secret.sealed)?.epoch)),
            None => Ok(false),
        }
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

impl Row {
    /// Where its sealed part belongs, and that part.
    ///
    /// # Errors
    /// It is damaged, or another document's.
    pub(in crate::vault) fn secret(&self, address: &Address) -> Result<Option<(Place, Sealed)>, Error> {
        let Some(secret) = &self.sealed else {
            return Ok(None);
        };
        if !identity::belongs_to(secret.record, address) {
            return Err(IntegrityError::Tampered.into());
        }
        Ok(Some((secret.place(), Sealed::decode(&secret.sealed)?)))
    }
}

impl SealedSecret {
    pub(super) fn place(&self) -> Place {
        Place {
            repository: self.repository,
            record: self.record,
        }
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
