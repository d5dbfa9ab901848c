//! Composed searches.

use super::Vault;
use super::types::{Actor, Error, Found, Search};

impl Vault {
    /// A page of the tokens that fit, in the order of the index that served it. Tokens that come and go in between shift
    /// nothing. A filter with a card number is the right `search-by-pan`, audited; any other is `search`.
    ///
    /// # Errors
    /// As [`Vault::search`].
    pub async fn find_tokens(&self, actor: &Actor, search: Search) -> Result<Found, Error> {
        let _ = (actor, search);
        unimplemented!()
    }
}
