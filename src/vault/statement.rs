//! Statements for others to keep, signed by the audit key.

use serde_json::{Map, Value};

use super::Vault;
use super::types::{Error, IntegrityError};
use crate::audit::{Statement, StatementFault, StatementKind};
use crate::hsm::PublicKey;

impl Vault {
    /// A signed statement of this vault. It is of use to nobody before the commit that it speaks of: sign first, commit
    /// then, and hand it out last.
    ///
    /// # Errors
    /// The HSM does not sign.
    pub async fn state(&self, kind: StatementKind, says: Map<String, Value>) -> Result<Statement, Error> {
        let by = self.sealer.audit_public();
        self.signed(Statement::unsigned(kind, &self.id, says, by), by).await
    }

    /// With the signature of the key that it names.
    pub(super) async fn signed(
        &self,
        unsigned: Result<Statement, StatementFault>,
        by: &PublicKey,
    ) -> Result<Statement, Error> {
        let statement = unsigned.map_err(|fault| {
            tracing::error!(%fault, "the audit key's public half is no key");
            IntegrityError::Damaged
        })?;
        let domain = statement.kind().domain();
        let signature = self.sealer.sign(domain, &statement.signed_bytes(), by).await?;
        Ok(statement.with_signature(signature))
    }
}
