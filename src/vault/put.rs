//! Storing a card under a token that the caller names: made if it is not there, else the card behind it changes.

use super::Vault;
use super::types::{Actor, Error, NewToken, Put};

impl Vault {
    /// Stores `new`, whose format is `Supplied`, whatever stands under that token.
    ///
    /// # Errors
    /// As [`Vault::tokenize`] and [`Vault::update`]; [`CallerError::CardExists`](super::types::CallerError::CardExists)
    /// where the reuse scope has the card under another token.
    pub async fn put(&self, actor: &Actor, new: NewToken) -> Result<Put, Error> {
        let _ = (actor, new);
        unimplemented!()
    }
}
