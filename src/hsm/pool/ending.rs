//! Workers whose end was ordered or noticed: waits for their processes, kills those that take too long, counts why.

use std::time::{Duration, Instant};

use super::WorkerId;
use super::launch::{Exit, Process};
use super::roster::Worker;
use crate::telemetry::Metrics;

/// A worker that should end and has not after so long is killed; after twice as long it is left behind.
const LIMIT: Duration = Duration::from_secs(10);

/// What [`reason`] says.
const REASONS: [&str; 7] = [
    "crashed",
    "recycled",
    "refused",
    "stopped",
    "stuck",
    "token",
    "unavailable",
];

/// Why a worker ends, as the server sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// By itself: its exit code tells a lost token from a crash.
    Itself,
    /// Its successor took over.
    Recycled,
    /// The start was refused for good.
    Refused,
    /// The server ends.
    Stopped,
    /// A job or the start took too long, or it fell silent.
    Stuck,
    /// The HSM could not be reached.
    Unavailable,
}

/// Processes that are not reaped yet.
pub(super) struct Endings<P> {
    list: Vec<Ending<P>>,
    metrics: Metrics,
}

struct Ending<P> {
    worker: Worker<P>,
    reason: Reason,
    since: Instant,
    killed: bool,
}

impl<P: Process> Endings<P> {
    pub(super) fn new(metrics: Metrics) -> Self {
        // there from the start, at zero: a counter that comes with its first event has not risen, and alarms watch that
        for reason in REASONS {
            metrics.hsm_worker_ends.with_label_values(&[reason]);
        }
        Self {
            list: Vec::new(),
            metrics,
        }
    }

    pub(super) fn push(&mut self, worker: Worker<P>, reason: Reason) {
        self.list.push(Ending {
            worker,
            reason,
            since: Instant::now(),
            killed: false,
        });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(super) fn pids(&self) -> impl Iterator<Item = u32> {
        self.list.iter().map(|ending| ending.worker.process.id())
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = WorkerId> {
        self.list.iter().map(|ending| ending.worker.id)
    }

    /// Forgets those that have ended, and those that cannot even be killed.
    pub(super) fn reap(&mut self) {
        let Self { list, metrics } = self;
        list.retain_mut(|ending| {
            let (worker, pid) = (ending.worker.id.0, ending.worker.process.id());
            let waited = ending.since.elapsed();
            if let Some(exit) = ending.worker.process.ended() {
                let reason = reason(ending.reason, ending.killed, &exit);
                tracing::info!(worker, pid, reason, ?exit, "an HSM worker ended");
                metrics.hsm_worker_ends.with_label_values(&[reason]).inc();
                return false;
            }
            if waited > LIMIT && !ending.killed {
                tracing::warn!(worker, pid, "an HSM worker does not end and is killed");
                ending.worker.process.kill();
                ending.killed = true;
            }
            if waited > LIMIT * 2 {
                tracing::error!(worker, pid, "an HSM worker cannot be killed and is left behind");
            }
            waited <= LIMIT * 2
        });
    }
}

fn reason(reason: Reason, killed: bool, exit: &Exit) -> &'static str {
    match (reason, exit) {
        _ if killed => "stuck",
        (Reason::Itself, Exit::TokenLost) => "token",
        (Reason::Itself, Exit::Orderly | Exit::Other(_)) => "crashed",
        (Reason::Recycled, Exit::Orderly) => "recycled",
        (Reason::Stopped, Exit::Orderly) => "stopped",
        // Closing sessions and C_Finalize did not go well.
        (Reason::Recycled | Reason::Stopped, Exit::TokenLost | Exit::Other(_)) => "crashed",
        (Reason::Refused, _) => "refused",
        (Reason::Stuck, _) => "stuck",
        (Reason::Unavailable, _) => "unavailable",
    }
}
