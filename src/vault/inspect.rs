//! The masked view of one token. Counted, not audited one by one.

use super::Vault;
use super::types::{Actor, Error, Operation, View};
use crate::id::Token;

impl Vault {
    /// The masked view.
    ///
    /// # Errors
    /// Not granted, no such token, or it has expired.
    pub async fn inspect(&self, actor: &Actor, token: &Token) -> Result<View, Error> {
        let result = self.inspect_one(actor, token).await;
        self.conclude(actor, Operation::Inspect, Some(token), "ok", result)
            .await
    }

    async fn inspect_one(&self, actor: &Actor, token: &Token) -> Result<View, Error> {
        self.access.permit(actor, Operation::Inspect, 1)?;
        let held = self.load_live(actor, token).await?;
        self.view(&held.record).await
    }
}
