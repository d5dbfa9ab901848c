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

use serde::Serialize;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use self::plan::Plan;
use super::{Error, Payments};
use crate::id::{Token, UnixMillis};
use crate::vault::types::{
    Actor, CallerError, DocumentEvent, DocumentKind, DocumentWrite, Error as CoreError, Expect, Peer, Secret, Written,
};

/// How often a plan is looked at again because others changed it.
const ATTEMPTS: u32 = 8;
/// Runs that were asked for and wait; who asks for more waits for a place.
const WAITING_RUNS: usize = 4;

/// The service at work. To be shut down before the vault.
pub struct Maintenance {
    runs: MaintenanceRuns,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// For who asks for runs.
#[derive(Debug, Clone)]
pub struct MaintenanceRuns(mpsc::Sender<oneshot::Sender<Result<Maintained, Error>>>);

impl Maintenance {
    /// For who asks for runs.
    pub fn runs(&self) -> MaintenanceRuns {
        self.runs.clone()
    }

    /// Ends the work; the card that a run is at is brought to its end.
    pub async fn shutdown(self) {
        self.stop.send_replace(true);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "token maintenance died");
        }
    }
}

impl MaintenanceRuns {
    /// One run now, after one that is under way. It is brought to its end though nobody waits for it. None: the service
    /// has ended, or ends now.
    ///
    /// # Errors
    /// No random bytes.
    pub async fn run(&self) -> Option<Result<Maintained, Error>> {
        let (answer, answered) = oneshot::channel();
        self.0.send(answer).await.ok()?;
        answered.await.ok()
    }
}

/// When cards are asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaintenanceConfig {
    /// Whether it is looked without being asked for.
    pub enabled: bool,
    /// So long before the next charge is expected.
    pub look_ahead: Duration,
    /// How often it is looked what is due.
    pub every: Duration,
}

impl Default for MaintenanceConfig {
    /// 7 days ahead, looked every hour.
    fn default() -> Self {
        Self {
            enabled: true,
            look_ahead: Duration::from_secs(7 * 24 * 3_600),
            every: Duration::from_secs(3_600),
        }
    }
}

/// What a run came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Maintained {
    /// Tokens that are charged again and again, due or not. The others here were due; one that is out of use since is in
    /// none of them.
    pub looked_at: u64,
    /// The updater knew nothing newer.
    pub current: u64,
    /// Tokens with another number or expiry now.
    pub updated: u64,
    /// Tokens that another one has taken over from, with the new number: they keep digits of the old one, or the card has
    /// its one token already.
    pub replaced: u64,
    /// The account is closed: these tokens are invalid now.
    pub closed: u64,
    /// The updater did not answer. They are due again a day later.
    pub unavailable: u64,
    /// They could not be asked about or changed, or a whole merchant's could not be read; the log says why. They are due
    /// again.
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
            match self.write_plan(actor, name, expect, Some(&plan), event).await {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                // there is nothing to look ahead to
                Err(Error::Core(CoreError::Caller(CallerError::UnknownToken))) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Err(Error::Core(CoreError::Caller(CallerError::Contended)))
    }

    /// Starts the service on the runtime of the caller; `own` is the daemon's process.
    pub fn start_maintenance(self: &Arc<Self>, own: Peer, config: MaintenanceConfig) -> Maintenance {
        let (stop, stopped) = watch::channel(false);
        let (runs, asked) = mpsc::channel(WAITING_RUNS);
        let payments = Arc::clone(self);
        let task = tokio::spawn(async move {
            tokio::join!(
                payments.maintain_until(own, config, asked, stopped.clone()),
                payments.retain_network_tokens_until(own, stopped)
            );
        });
        Maintenance {
            runs: MaintenanceRuns(runs),
            stop,
            task,
        }
    }

    async fn maintain_until(
        &self,
        own: Peer,
        config: MaintenanceConfig,
        mut asked: mpsc::Receiver<oneshot::Sender<Result<Maintained, Error>>>,
        mut stopped: watch::Receiver<bool>,
    ) {
        let mut next = Instant::now() + config.every;
        loop {
            let answer = tokio::select! {
                // an error: whoever could stop this is gone
                _ = stopped.wait_for(|stop| *stop) => return,
                () = tokio::time::sleep_until(next), if config.enabled => None,
                Some(answer) = asked.recv() => Some(answer),
            };
            let done = self.maintain(own, config.look_ahead, UnixMillis::now(), &stopped).await;
            match &done {
                Ok(done) if done.asked() + done.failed == 0 => {}
                Ok(done) => tracing::info!(
                    looked_at = done.looked_at,
                    current = done.current,
                    updated = done.updated,
                    replaced = done.replaced,
                    closed = done.closed,
                    unavailable = done.unavailable,
                    failed = done.failed,
                    "stored cards were held against the account updater"
                ),
                Err(error) => tracing::warn!(%error, "token maintenance waits for its next run"),
            }
            match answer {
                // who asked may have left
                Some(answer) => drop(answer.send(done)),
                None => next = Instant::now() + config.every,
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
