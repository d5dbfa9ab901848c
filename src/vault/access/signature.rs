//! Who asks, by a signature: a credential on top of what let the request in.

use super::Access;
use crate::id::UnixMillis;
use crate::jose::RsaPublicKey;
use crate::vault::accounts::CredentialKind;
use crate::vault::types::{Actor, Error, PolicyError};

impl Access {
    /// The live public key of the actor's merchant under which `verifies` holds.
    ///
    /// # Errors
    /// [`PolicyError::NoCredential`] where the merchant has none; [`PolicyError::BadCredential`] where none verifies, which is
    /// counted. A signature cannot be guessed, so there are no pauses.
    pub fn authenticate_signature(
        &self,
        actor: &Actor,
        verifies: impl Fn(&RsaPublicKey) -> bool,
    ) -> Result<RsaPublicKey, Error> {
        let (accounts, now) = (self.accounts.current(), UnixMillis::now());
        let live = accounts.credentials_of(&actor.merchant).filter(|held| {
            let row = &held.row;
            row.dialect == actor.dialect && row.kind == CredentialKind::PublicKey && row.is_live(now)
        });
        let mut none = true;
        for held in live {
            none = false;
            if let Some(key) = held.row.public_key.as_ref().filter(|key| verifies(key)) {
                self.accounts.note_use(held, now);
                return Ok(key.clone());
            }
        }
        if none {
            return Err(Error::Policy(PolicyError::NoCredential));
        }
        self.count_auth_failure(actor.peer, actor.dialect, "wrong-signature");
        Err(Error::Policy(PolicyError::BadCredential))
    }
}
