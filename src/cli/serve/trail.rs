//! What looks after the audit trail while the daemon serves.

use std::sync::Arc;

use crate::config::Config;
use crate::telemetry::journal::Journal;
use crate::vault::{Forwarder, TrailKeeper, Vault};

/// Who has heads signed, and who copies records to the journal where that is wanted.
pub(super) struct Trail {
    keeper: TrailKeeper,
    forwarder: Option<Forwarder>,
}

impl Trail {
    pub(super) fn start(vault: &Arc<Vault>, config: &Config) -> std::io::Result<Self> {
        let forwarder = match config.audit_journal {
            true => Some(vault.start_forward(Journal::of_system()?, config.journal_mark_path())),
            false => None,
        };
        Ok(Self {
            keeper: vault.start_trail(config.audit),
            forwarder,
        })
    }

    /// The stop goes on record, is covered by a head, and is copied. To be called when nothing else writes any more, and
    /// before the HSM's workers end.
    pub(super) async fn conclude(self, vault: &Vault) {
        self.keeper.shutdown().await;
        vault.conclude_trail().await;
        if let Some(forwarder) = self.forwarder {
            forwarder.shutdown().await;
        }
    }
}
