//! What keeps the supervisor from starting workers for the time being, how long it waits, and what it publishes.

use std::time::{Duration, Instant};

use super::{REAP, Supervisor};
use crate::hsm::keeper::Keeper;
use crate::hsm::pool::ending::Reason;
use crate::hsm::pool::launch::Launch;
use crate::hsm::pool::status::Status;
use crate::hsm::{Health, WorkerState};

impl<L: Launch> Supervisor<L> {
    /// Whether the vault is sealed: then no worker would get the PIN, and who waits for one is told at once.
    pub(super) fn held(&mut self) -> bool {
        let hold = self.launch.keeper().and_then(Keeper::hold);
        if hold != self.held {
            self.dispatch
                .down(hold.as_deref().unwrap_or("unsealed: the first worker starts"));
            if hold.is_some() || self.reason == self.held {
                self.reason.clone_from(&hold);
            }
            self.held = hold;
        }
        self.held.is_some()
    }

    /// No worker keeps what it has of the PIN: all end, with the jobs that they have, and others come after custodians have.
    pub(super) fn seal(&mut self) {
        let why = "the vault was sealed by an operator";
        tracing::warn!("{why}");
        if let Some(starting) = self.roster.starting.take() {
            self.endings.push(starting.worker, Reason::Stopped);
        }
        for worker in self.roster.take_all() {
            self.dispatch.close(worker.id, why);
            self.endings.push(worker, Reason::Stopped);
        }
        self.dispatch.down(why);
    }

    /// The token refused the PIN that the keeper gave: custodians bring another one.
    pub(super) fn pin_refused(&mut self, text: String) {
        tracing::error!("the vault is sealed again: {text}");
        if let Some(keeper) = self.launch.keeper() {
            keeper.refused(&text);
        }
        self.dispatch.down(&text);
        self.reason = Some(text);
    }

    /// How long to wait for the next event.
    pub(super) fn pause(&self) -> Duration {
        if !self.endings.is_empty() || self.stopping || self.renewals.wait() {
            return REAP;
        }
        let look = (self.hello.config.deadline / 8).clamp(REAP, Duration::from_millis(250));
        let start = self.next_start.saturating_duration_since(Instant::now());
        if start.is_zero() { look } else { look.min(start) }
    }

    pub(super) fn publish(&self, ended: bool) {
        let workers = self.roster.states();
        self.status.publish(Status {
            health: Health {
                ready: workers.contains(&WorkerState::Up),
                workers,
                pids: self.roster.pids().chain(self.endings.pids()).collect(),
                reason: self.reason.clone(),
                seal: self.launch.keeper().map(Keeper::seal),
            },
            refused: self.refused.clone(),
            ended,
        });
    }
}
