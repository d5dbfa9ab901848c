//! What the daemon and its operators do beside the verbs, put on record one by one.

use std::sync::{Arc, PoisonError};

use super::Vault;
use super::clock::step_since;
use super::events::{Repeated, grouped};
use super::types::{Error, Peer};
use crate::audit::Event;
use crate::card::BinTable;
use crate::id::UnixMillis;

impl Vault {
    /// Makes an event durable that comes with no change.
    ///
    /// # Errors
    /// The store does not work: what the event stands for must not happen then.
    pub async fn note(&self, event: Event) -> Result<(), Error> {
        self.access.events().note(event).await
    }

    /// The number of the last audit record.
    pub fn audit_seq(&self) -> u64 {
        self.store.health().audit_seq
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
        // before the start itself is the last record
        let step = match self.last_record_at().await {
            Ok(last) => last.and_then(|last| step_since(last, UnixMillis::now())),
            Err(error) => {
                tracing::warn!(%error, "the time of the last audit record was not read");
                None
            }
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
        if let Some(step) = step
            && let Err(error) = self.note(step.clone()).await
        {
            tracing::error!(%error, detail = step.detail, "a clock that was set back is not in the audit trail");
        }
    }

    /// The time of the last audit record.
    async fn last_record_at(&self) -> Result<Option<UnixMillis>, Error> {
        #[derive(serde::Deserialize)]
        struct Line {
            event: Timed,
        }
        #[derive(serde::Deserialize)]
        struct Timed {
            at: UnixMillis,
        }
        let lines = self.store.audit(self.store.health().audit_seq.max(1), 1).await?;
        let last = lines.last().map(|line| serde_json::from_slice::<Line>(&line.line));
        Ok(last.and_then(Result::ok).map(|line| line.event.at))
    }

    /// Counts what came over the operators' socket and changed nothing: `admin-read`, or `admin` where the caller is
    /// none of its users. It is on record some seconds later.
    pub fn count_admin(&self, action: &'static str, outcome: &'static str, peer: Peer) {
        self.access.events().count(Repeated {
            action,
            outcome,
            caller: Some((peer.uid, peer.gid)),
            dialect: None,
            merchant: None,
            repository: None,
        });
    }

    /// The daemon stops in order.
    pub(super) async fn note_stop(&self) {
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
