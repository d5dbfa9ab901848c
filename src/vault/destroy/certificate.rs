//! The shred certificate: what was destroyed, where, on what grounds, and what that cannot reach.

use serde_json::{Map, Value, json};

use super::Destruction;
use crate::audit::{Statement, StatementFault, StatementKind};
use crate::hsm::TokenWords;
use crate::id::{UnixMillis, VaultId};
use crate::keys::Keys;
use crate::store::AuditLine;
use crate::vault::Vault;
use crate::vault::epochs::by_epoch;
use crate::vault::types::{Error, IntegrityError};

/// What a destruction cannot reach; every certificate says it.
pub const LIMITS: [&str; 4] = [
    "objects of this key were looked for in the token that is named, and in no other: copies in other tokens, in other members of \
     a cluster or in backups of a token, by whatever tool they were made, are not reached and must be destroyed where they are",
    "a holder of the user PIN could have copied the key inside the token before; identical copies were looked for by CKA_ID, and \
     other secret keys by trying them on a ciphertext of this key's",
    "a token in software leaves the bytes of a destroyed object on its disk until they are overwritten",
    "cards that were revealed, and data keys that were unwrapped while the key was there, are not taken back",
];

/// Which KEK a certificate says was destroyed, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shredded {
    /// Its epoch.
    pub epoch: u32,
    /// CKA_ID, hex.
    pub id: String,
    /// When.
    pub at: UnixMillis,
}

impl Shredded {
    /// What a certificate of `vault` says. Its signature is the caller's to verify.
    ///
    /// # Errors
    /// [`StatementFault::Member`]: it is no shred certificate, or of another vault.
    pub fn of(statement: &Statement, vault: &VaultId) -> Result<Self, StatementFault> {
        if statement.kind() != StatementKind::Shred {
            return Err(StatementFault::Member("kind"));
        }
        if statement.member("vault")? != vault.as_str() {
            return Err(StatementFault::Member("vault"));
        }
        Ok(Self {
            epoch: u32::try_from(statement.number("kek_epoch")?).map_err(|_| StatementFault::Member("kek_epoch"))?,
            id: statement.member("cka_id")?.to_owned(),
            at: UnixMillis::parse(statement.member("destroyed_at")?).ok_or(StatementFault::Member("destroyed_at"))?,
        })
    }
}

impl Vault {
    /// The signed certificate.
    pub(super) async fn certify(
        &self,
        keys: &Keys,
        destruction: &Destruction,
        token: &TokenWords,
        at: UnixMillis,
    ) -> Result<String, Error> {
        let life = keys.lifecycle();
        let mark = life.marks().get(&crate::hsm::Epoch(destruction.epoch));
        let mut says = Map::new();
        let mut set = |name: &str, value: Value| says.insert(name.to_owned(), value);
        set("kek_epoch", destruction.epoch.into());
        set("cka_id", destruction.id.as_str().into());
        set("token", json!(token));
        set("objects_destroyed", destruction.objects.len().into());
        let objects = destruction.objects.iter().map(|object| {
            json!({
                "cka_id": object.id, "label": object.label, "trusted": object.trusted, "proved": object.proved,
                "check_value": object.check_value,
            })
        });
        set("objects", objects.collect());
        set("begun_at", destruction.begun_at.to_string().into());
        set("destroyed_at", at.to_string().into());
        if let Some(since) = mark.and_then(|mark| mark.compromised) {
            set("compromised_since", since.to_string().into());
        }
        let under = by_epoch(self.store.as_ref()).await?.remove(&destruction.epoch);
        set("records_under_it", under.unwrap_or_default().all().into());
        if let Some(backup) = &destruction.backup {
            let made_at = backup.made_at.to_string();
            set(
                "backup",
                json!({
                    "manifest_sha256": backup.sha256, "made_at": made_at, "revision": backup.revision,
                    "records": backup.records, "audit_head": backup.head,
                }),
            );
        }
        set("audit_head", self.head_now().await?.into());
        set("limits", json!(LIMITS));
        Ok(self.state(StatementKind::Shred, says).await?.to_json())
    }

    /// The end of the audit trail, which has that the destruction began.
    async fn head_now(&self) -> Result<String, Error> {
        let seq = self.store.health().audit_seq;
        let lines = self.store.audit(seq, 1).await?;
        let last: Option<&AuditLine> = lines.iter().find(|line| line.seq == seq);
        Ok(crate::audit::Head::after(last.ok_or(IntegrityError::Damaged)?).to_string())
    }
}
