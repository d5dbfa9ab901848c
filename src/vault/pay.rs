//! Taking a card out for a payment: the caller never sees it.

use super::Vault;
use super::types::{Actor, Error, Operation, Revealed};
use crate::id::Token;

impl Vault {
    /// The card of `token`, for an acquirer and nobody else. Audited as `pay` before it is given; a right of its own. It
    /// is a use like a reveal: a single-use token is spent by it.
    ///
    /// # Errors
    /// As [`Vault::reveal`].
    pub async fn card_for_payment(&self, actor: &Actor, token: &Token) -> Result<Revealed, Error> {
        self.take_out(actor, Operation::Pay, token, false).await
    }
}
