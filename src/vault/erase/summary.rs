//! What the summary of an erasure says.

use serde_json::{Map, Value, json};

use super::{Run, Target};
use crate::id::UnixMillis;
use crate::vault::Vault;

/// What is not erased with it.
const RESIDUE: &str = "old pages of the store's files and backups made before may hold sealed bytes; they open until the KEKs of \
                       these epochs are destroyed";

/// What stays of a customer.
const KEPT: &str = "orders and payments, with what is personal in them sealed";

impl Vault {
    pub(super) fn summary(&self, target: &Target, run: &Run, left: u64) -> Map<String, Value> {
        let mut says = Map::new();
        let mut set = |name: &str, value: Value| says.insert(name.to_owned(), value);
        set("repository", target.name.as_str().into());
        if let Some(label) = &target.label {
            // whose it is is known to who keeps the names, and to the vault's key
            set("namespace_mac", label.as_str().into());
            set("created_meanwhile", left.into());
            set("kept", KEPT.into());
        } else {
            set("remaining", left.into());
        }
        set("tokens", run.erased.tokens.into());
        set("documents", json!(run.erased.documents));
        set("receipts_sha256", run.receipts.digest().into());
        set("kek_epochs", json!(run.epochs));
        set("begun_at", run.begun_at.to_string().into());
        set("ended_at", UnixMillis::now().to_string().into());
        set("audit_from", run.audit_before.saturating_add(1).into());
        set("audit_to", self.store.health().audit_seq.into());
        set("residue", RESIDUE.into());
        says
    }
}
