//! What callers are told of the workers.

use super::Supervisor;
use crate::hsm::pool::launch::Launch;
use crate::hsm::pool::status::Status;
use crate::hsm::{Health, WorkerState};

impl<L: Launch> Supervisor<L> {
    pub(super) fn publish(&self, ended: bool) {
        let workers = self.roster.states();
        self.status.publish(Status {
            health: Health {
                ready: workers.contains(&WorkerState::Up),
                workers,
                pids: self.roster.pids().chain(self.endings.pids()).collect(),
                reason: self.reason.clone(),
            },
            refused: self.refused.clone(),
            ended,
        });
    }
}
