//! What the supervisor publishes for callers and metrics.

use tokio::sync::watch;

use crate::hsm::{Health, StartFault, WorkerState};
use crate::telemetry::Metrics;

/// The pool as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::hsm) struct Status {
    /// For everybody.
    pub(in crate::hsm) health: Health,
    /// Why no worker is started any more: nothing changes by waiting.
    pub(in crate::hsm) refused: Option<StartFault>,
    /// Every worker has ended, and none is started any more.
    pub(in crate::hsm) ended: bool,
}

/// Where the status is published.
pub(super) struct Board {
    status: watch::Sender<Status>,
    metrics: Metrics,
}

impl Board {
    /// For so many workers, none of them started.
    pub(super) fn new(workers: usize, metrics: Metrics) -> Self {
        let status = Status {
            health: Health {
                ready: false,
                workers: vec![WorkerState::Down; workers],
                pids: Vec::new(),
                reason: None,
                seal: None,
            },
            refused: None,
            ended: false,
        };
        Self {
            status: watch::Sender::new(status),
            metrics,
        }
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }

    /// Wakes those who wait, if anything changed.
    pub(super) fn publish(&self, next: Status) {
        if *self.status.borrow() == next {
            return;
        }
        for state in [
            WorkerState::Draining,
            WorkerState::Down,
            WorkerState::Starting,
            WorkerState::Up,
        ] {
            let n = next.health.workers.iter().filter(|worker| **worker == state).count();
            self.metrics
                .hsm_workers
                .with_label_values(&[name(state)])
                .set(i64::try_from(n).unwrap_or(i64::MAX));
        }
        self.status.send_replace(next);
    }
}

fn name(state: WorkerState) -> &'static str {
    match state {
        WorkerState::Draining => "draining",
        WorkerState::Down => "down",
        WorkerState::Starting => "starting",
        WorkerState::Up => "up",
    }
}
