//! What the daemon and its operators do beside the verbs, put on record one by one.

use std::sync::{Arc, PoisonError};

use super::Vault;
use super::events::{Repeated, grouped};
use super::types::{Error, Peer};
use crate::audit::Event;
use crate::card::BinTable;

impl Vault {
    /// Makes an event durable that comes with no change.
    ///
    /// # Errors
    /// The store does not work: what the event stands for must not happen then.
    pub async fn note(&self, event: Event) -> Result<(), Error> {
        self.access.events().note(event).await
    }

    /// The daemon starts, with this configuration (its SHA-256, hex) and the policy in force.
    ///
    /// A store that takes no writes now keeps no daemon from starting: inspect and search work on a full disk too. The
    /// start is then put on record, without the digests, once there is room.
    pub async fn note_start(&self, config_digest: &str) {
        let detail = format!(
            "version {}, configuration sha256 {}, policy sha256 {}",
            env!("CARGO_PKG_VERSION"),
            grouped(config_digest),
            grouped(&self.access.policy_digest())
        );
        let event = Event {
            detail: Some(detail),
            ..Event::new(START, "ok")
        };
        if let Err(error) = self.note(event).await {
            tracing::error!(%error, "the start is not in the audit trail yet");
            self.access.events().count(Repeated {
                action: START,
                outcome: "ok",
                caller: None,
                dialect: None,
                merchant: None,
                repository: None,
            });
        }
    }

    /// The daemon stops in order. To be called when nothing else writes any more.
    pub async fn note_stop(&self) {
        if let Err(error) = self.note(Event::new("daemon-stop", "ok")).await {
            tracing::error!(%error, "the stop could not be audited");
        }
    }

    /// Uses `table` from now on.
    ///
    /// # Errors
    /// The change could not be put on record, and so was not made.
    pub async fn replace_bins(&self, table: BinTable, asked_by: Option<Peer>) -> Result<(), Error> {
        let event = Event {
            peer: asked_by,
            detail: Some(format!("{} rows", table.rows_from_file())),
            ..Event::new("bin-table-reload", "ok")
        };
        self.note(event).await?;
        *self.bins.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(table);
        Ok(())
    }
}

const START: &str = "daemon-start";
