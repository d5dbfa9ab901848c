//! Documents: kept for the floors above, one commit and one audit event per write. The verbs ask no right: who calls them
//! has asked for the one that fits what it does.

use super::Vault;
use super::types::{Actor, Document, DocumentEvent, DocumentKind, DocumentWrite, Error, Written};
use crate::keys::SecretBytes;

impl Vault {
    /// The actor's document of that kind and name; none past its time.
    ///
    /// # Errors
    /// The store's; integrity.
    pub async fn document(&self, actor: &Actor, kind: DocumentKind, name: &str) -> Result<Option<Document>, Error> {
        let _ = (actor, kind, name);
        unimplemented!()
    }

    /// The actor's documents of that kind whose names begin with `prefix`, in the order of their names, after the name
    /// `after`; at most `limit` (1 to 1,000).
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
        let _ = (actor, kind, prefix, after, limit);
        unimplemented!()
    }

    /// The document's sealed part, opened in the HSM.
    ///
    /// # Errors
    /// The HSM's; tampered with.
    pub async fn document_secret(&self, document: &Document) -> Result<Option<SecretBytes>, Error> {
        let _ = document;
        unimplemented!()
    }

    /// Writes documents and the event together or not at all.
    ///
    /// # Errors
    /// A name or size that cannot be taken; the HSM's; the store's.
    pub async fn write_documents(
        &self,
        actor: &Actor,
        writes: Vec<DocumentWrite>,
        event: DocumentEvent,
    ) -> Result<Written, Error> {
        let _ = (actor, writes, event);
        unimplemented!()
    }

    /// A keyed MAC of a request, for telling a repetition from another request under the same id: an unkeyed hash of a
    /// body with a PAN is forbidden.
    ///
    /// # Errors
    /// The HSM's.
    pub async fn request_mac(&self, request: SecretBytes) -> Result<[u8; 32], Error> {
        let _ = request;
        unimplemented!()
    }
}
