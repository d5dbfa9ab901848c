//! Signed requests that came: none is done twice, also after a restart.

use super::ids::hashed;
use crate::id::UnixMillis;
use crate::payment::{Error, Payments};
use crate::vault::types::{Actor, DocumentEvent, DocumentKind, DocumentWrite, Expect, Secret, Written};

impl Payments {
    /// Keeps in mind until `until` that a request with this nonce came. `false`: one came before.
    ///
    /// # Errors
    /// The store's.
    pub async fn note_nonce(&self, actor: &Actor, nonce: &str, until: UnixMillis) -> Result<bool, Error> {
        let write = DocumentWrite {
            kind: DocumentKind::Nonce,
            name: hashed("n", nonce),
            expect: Expect::Absent,
            clear: Vec::new(),
            secret: Secret::Nothing,
            expires_at: Some(until),
        };
        let event = DocumentEvent {
            action: "signed-request",
            outcome: "accepted",
            token: None,
            detail: None,
        };
        let written = self.vault.write_documents(actor, vec![write], event).await?;
        Ok(matches!(written, Written::Done { .. }))
    }
}
