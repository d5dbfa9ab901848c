//! The token maintenance service: cards that are charged again and again are held against the account updater before the
//! next charge, so that it does not fail on a card that was replaced.
//!
//! A merchant marks such a charge as recurring. The next one is expected after as much time as lay between the last two;
//! after one, a month later. A token is due from [`MaintenanceConfig::look_ahead`] before that day on, and is asked about
//! once for that charge; where the updater does not answer, once a day until it does or the charge comes. What it knows
//! takes effect as in [`Payments::save_token`], with nobody as the last author. A token that is not charged for 13 months
//! is forgotten.

mod plan;
mod run;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use self::plan::Plan;
use super::{Error, Payments};
use crate::id::{Token, UnixMillis};
use crate::vault::types::{
    Actor, CallerError, DocumentEvent, DocumentKind, DocumentWrite, Error as CoreError, Expect, Peer, Secret, Written,
};

/// How often a plan is looked at again because others changed it.
const ATTEMPTS: u32 = 8;

/// The service at work. To be shut down before the vault.
pub struct Maintenance {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Maintenance {
    /// Ends the work; the card that a run is at is brought to its end.
    pub async fn shutdown(self) {
        self.stop.send_replace(true);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "token maintenance died");
        }
    }
}

/// When cards are asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaintenanceConfig {
    /// So long before the next charge is expected.
    pub look_ahead: Duration,
    /// How often it is looked what is due.
    pub every: Duration,
}

impl Default for MaintenanceConfig {
    /// 7 days ahead, looked every hour.
    fn default() -> Self {
        Self {
            look_ahead: Duration::from_secs(7 * 24 * 3_600),
            every: Duration::from_secs(3_600),
        }
    }
}

/// What a run came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Maintained {
    /// Cards that were asked about.
    pub asked: u64,
    /// Of these, with another number or expiry now.
    pub changed: u64,
    /// Of these, whose account is closed: their tokens are invalid now.
    pub closed: u64,
    /// Of these, without an answer.
    pub unavailable: u64,
    /// Cards that could not be asked about or changed; the log says why. They are due again.
    pub failed: u64,
}

impl Payments {
    /// Keeps in mind that `token` was charged with the intent to do so again. Charges less than a day apart are one. For
    /// a merchant without an account updater nothing is kept.
    ///
    /// # Errors
    /// The store's; [`CallerError::Contended`].
    pub(super) async fn note_recurring_use(&self, actor: &Actor, token: &Token, at: UnixMillis) -> Result<(), Error> {
        if self.updater(actor).is_err() {
            return Ok(());
        }
        for _ in 0..ATTEMPTS {
            let name = token.as_str();
            let there = self.vault.document(actor, DocumentKind::Maintenance, name).await?;
            let (expect, plan) = match &there {
                None => (Expect::Absent, Plan::first(at)),
                Some(there) => match Plan::decode(&there.clear)?.used(at) {
                    Some(plan) => (Expect::Rev(there.rev), plan),
                    None => return Ok(()),
                },
            };
            let event = DocumentEvent {
                action: "recurring-use",
                outcome: "ok",
                token: Some(token.clone()),
                detail: None,
            };
            if self.write_plan(actor, name, expect, Some(&plan), event).await? {
                return Ok(());
            }
        }
        Err(Error::Core(CoreError::Caller(CallerError::Contended)))
    }

    /// Starts the service on the runtime of the caller; `own` is the daemon's process.
    pub fn start_maintenance(self: &Arc<Self>, own: Peer, config: MaintenanceConfig) -> Maintenance {
        let (stop, stopped) = watch::channel(false);
        let payments = Arc::clone(self);
        let task = tokio::spawn(async move { payments.maintain_until(own, config, stopped).await });
        Maintenance { stop, task }
    }

    async fn maintain_until(&self, own: Peer, config: MaintenanceConfig, mut stopped: watch::Receiver<bool>) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(config.every) => {}
                // an error: whoever could stop this is gone
                _ = stopped.wait_for(|stop| *stop) => return,
            }
            match self.maintain(own, config.look_ahead, UnixMillis::now(), &stopped).await {
                Ok(Maintained {
                    asked: 0, failed: 0, ..
                }) => {}
                Ok(done) => tracing::info!(
                    asked = done.asked,
                    changed = done.changed,
                    closed = done.closed,
                    unavailable = done.unavailable,
                    failed = done.failed,
                    "stored cards were held against the account updater"
                ),
                Err(error) => tracing::warn!(%error, "token maintenance waits for its next run"),
            }
        }
    }

    /// Writes the plan of a token, or removes it. `false`: it was changed in between.
    async fn write_plan(
        &self,
        actor: &Actor,
        name: &str,
        expect: Expect,
        plan: Option<&Plan>,
        event: DocumentEvent,
    ) -> Result<bool, Error> {
        let write = DocumentWrite {
            kind: DocumentKind::Maintenance,
            name: name.to_owned(),
            expect,
            clear: plan.map(Plan::encode).transpose()?.unwrap_or_default(),
            secret: Secret::Nothing,
            // a time that is past removes it
            expires_at: Some(plan.map_or(UnixMillis(1), Plan::forgotten_at)),
        };
        let written = self.vault.write_documents(actor, vec![write], event).await?;
        Ok(matches!(written, Written::Done { .. }))
    }
}
