//! Fingerprints that callers ask for: an id for a text under a key of theirs. The store knows both by a MAC of the HSM's
//! only, so nobody finds out from the disk what they are of.
//!
//! The id is made of the same MAC, so a text has the same id again also after it was forgotten, unless the caller named
//! the id.

use ring::digest::{Context, SHA256};

use super::records::gone;
use super::types::{
    Actor, CallerError, DocumentEvent, DocumentKind, DocumentWrite, Error, Expect, IntegrityError, Operation, Person,
    Secret, Written,
};
use super::{ATTEMPTS, Vault};
use crate::id::Namespace;

/// Characters of an id.
const LENGTH: usize = 20;

impl Vault {
    /// The id of `what`: key and text. One that is new gets the id `wanted`, where one is given: 20 ASCII letters and
    /// digits.
    ///
    /// # Errors
    /// Not granted to tokenize; the HSM or the store does not work.
    pub async fn fingerprint_id(&self, actor: &Actor, what: &Person, wanted: Option<&str>) -> Result<String, Error> {
        let found = async {
            self.access.permit(actor, Operation::Tokenize, 1)?;
            let (name, mac) = self.secret_name(actor, what).await?;
            for _ in 0..ATTEMPTS {
                if let Some(there) = self.document(actor, DocumentKind::Fingerprint, name.as_str()).await? {
                    return String::from_utf8(there.clear).map_err(|_| IntegrityError::Damaged.into());
                }
                let id = wanted.map_or_else(|| made_of(&mac), str::to_owned);
                let write = DocumentWrite {
                    kind: DocumentKind::Fingerprint,
                    name: name.as_str().to_owned(),
                    expect: Expect::Absent,
                    clear: id.clone().into_bytes(),
                    secret: Secret::Nothing,
                    expires_at: None,
                };
                let event = DocumentEvent {
                    action: "fingerprint",
                    outcome: "created",
                    token: None,
                    detail: None,
                };
                if let Written::Done { .. } = self.write_documents(actor, vec![write], event).await? {
                    return Ok(id);
                }
            }
            Err(CallerError::Contended.into())
        };
        self.counted(Operation::Tokenize, "fingerprint", found.await)
    }

    /// What removes the fingerprint of that name, where there is one.
    pub(super) async fn fingerprint_removal(
        &self,
        actor: &Actor,
        name: &Namespace,
    ) -> Result<Option<DocumentWrite>, Error> {
        let there = self.document(actor, DocumentKind::Fingerprint, name.as_str()).await?;
        Ok(there.map(|there| gone(DocumentKind::Fingerprint, name.as_str(), there.rev)))
    }
}

/// Letters and digits out of a MAC, each as likely as the other; a hash, so that the id tells nothing of the name.
fn made_of(mac: &[u8; 32]) -> String {
    const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut id = String::with_capacity(LENGTH);
    let mut round = 0_u8;
    while id.len() < LENGTH {
        let mut hash = Context::new(&SHA256);
        hash.update(b"panvault fingerprint id v1\0");
        hash.update(&[round]);
        hash.update(mac);
        // bytes from 248 on would make the first characters likelier
        let bytes = hash.finish();
        let even = bytes.as_ref().iter().filter(|byte| **byte < 248);
        let characters = even.filter_map(|byte| ALPHABET.get(usize::from(byte % 62)));
        let missing = LENGTH - id.len();
        id.extend(characters.take(missing).copied().map(char::from));
        round = round.wrapping_add(1);
    }
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_letters_and_digits_and_stay() {
        let id = made_of(&[7; 32]);
        assert_eq!(id.len(), LENGTH);
        assert!(id.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        assert_eq!(id, made_of(&[7; 32]));
        assert_ne!(id, made_of(&[8; 32]));
    }
}
