//! Who has things in the vault, on record since when: for protocols that know their shops and customers before, or because,
//! they store something.

use std::sync::Arc;

use super::types::{
    Actor, CallerError, DocumentEvent, DocumentKind, DocumentWrite, Error, Expect, IntegrityError, Operation, Person,
    Secret, Written,
};
use super::{ATTEMPTS, Vault};

impl Vault {
    /// Since when `person` is on record, RFC 3339 with nanoseconds; from now on where it was not.
    ///
    /// # Errors
    /// Not granted to tokenize; the HSM or the store does not work.
    pub async fn enter_person(&self, actor: &Actor, person: &Person) -> Result<Arc<str>, Error> {
        self.access.permit(actor, Operation::Tokenize, 0)?;
        if let Some(since) = self.known_since(actor, person) {
            return Ok(since);
        }
        let name = self.person_name(actor, person).await?;
        for _ in 0..ATTEMPTS {
            if let Some(there) = self.document(actor, DocumentKind::Person, name.as_str()).await? {
                let since = std::str::from_utf8(&there.clear).map_err(|_| IntegrityError::Damaged)?;
                return Ok(self.keep_in_mind(actor, person, since));
            }
            let now = format!("{:.9}", jiff::Timestamp::now());
            let write = DocumentWrite {
                kind: DocumentKind::Person,
                name: name.as_str().to_owned(),
                expect: Expect::Absent,
                clear: now.clone().into_bytes(),
                secret: Secret::Nothing,
                expires_at: None,
            };
            let event = DocumentEvent {
                action: "person-add",
                outcome: "ok",
                token: None,
                detail: None,
            };
            if let Written::Done { .. } = self.write_documents(actor, vec![write], event).await? {
                return Ok(self.keep_in_mind(actor, person, &now));
            }
        }
        Err(CallerError::Contended.into())
    }

    /// Whether `person` is on record, for who may do `op`.
    ///
    /// # Errors
    /// Not granted; the HSM or the store does not work.
    pub async fn knows_person(&self, actor: &Actor, op: Operation, person: &Person) -> Result<bool, Error> {
        self.access.permit(actor, op, 0)?;
        let name = self.person_name(actor, person).await?;
        Ok(self
            .document(actor, DocumentKind::Person, name.as_str())
            .await?
            .is_some())
    }
}
