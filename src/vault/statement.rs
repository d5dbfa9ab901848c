//! Statements for others to keep, signed by the audit key.

use serde_json::{Map, Value};

use super::Vault;
use super::types::{Error, IntegrityError};
use crate::audit::{Statement, StatementFault, StatementKind};

impl Vault {
    /// A signed statement of this vault. It is of use to nobody before the commit that it speaks of: sign first, commit
    /// then, and hand it out last.
    ///
    /// # Errors
    /// The HSM does not sign.
    pub async fn state(&self, kind: StatementKind, says: Map<String, Value>) -> Result<Statement, Error> {
        self.signed(Statement::unsigned(kind, &self.id, says, self.sealer.audit_public()))
            .await
    }

    /// Its signature put to it.
    pub(super) async fn signed(&self, unsigned: Result<Statement, StatementFault>) -> Result<Statement, Error> {
        let statement = unsigned.map_err(|fault| {
            tracing::error!(%fault, "the audit key's public half is no key");
            IntegrityError::Damaged
        })?;
        let domain = statement.kind().domain();
        let signature = self.sealer.sign(domain, &statement.signed_bytes()).await?;
        Ok(statement.with_signature(signature))
    }
}
