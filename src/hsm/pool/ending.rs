//! Workers whose end was ordered or noticed: waits for their processes, kills those that take too long, counts why.

use std::time::{Duration, Instant};

use super::launch::{Exit, Process};
use super::supervisor::Worker;
use crate::telemetry::Metrics;

/// A worker that should end and has not after so long is killed.
const LIMIT: Duration = Duration::from_secs(10);

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
    /// `None` once it was killed.
    kill_at: Option<Instant>,
}

impl<P: Process> Endings<P> {
    pub(super) fn new(metrics: Metrics) -> Self {
        Self {
            list: Vec::new(),
            metrics,
        }
    }

    pub(super) fn push(&mut self, worker: Worker<P>, reason: Reason) {
        self.list.push(Ending {
            worker,
            reason,
            kill_at: Some(Instant::now() + LIMIT),
        });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(super) fn pids(&self) -> impl Iterator<Item = u32> {
        self.list.iter().map(|ending| ending.worker.process.id())
    }

    /// Forgets those that have ended.
    pub(super) fn reap(&mut self) {
        let now = Instant::now();
        let metrics = &self.metrics;
        self.list.retain_mut(|ending| match ending.worker.process.ended() {
            Some(exit) => {
                let reason = reason(ending.reason, &exit);
                let (worker, pid) = (ending.worker.id.0, ending.worker.process.id());
                tracing::info!(worker, pid, reason, ?exit, "an HSM worker ended");
                metrics.hsm_worker_ends.with_label_values(&[reason]).inc();
                false
            }
            None => {
                if ending.kill_at.take_if(|at| *at <= now).is_some() {
                    tracing::warn!(worker = ending.worker.id.0, "an HSM worker does not end and is killed");
                    ending.worker.process.kill();
                }
                true
            }
        });
    }
}

fn reason(reason: Reason, exit: &Exit) -> &'static str {
    match (reason, exit) {
        (Reason::Itself, Exit::TokenLost) => "token",
        (Reason::Itself, Exit::Orderly | Exit::Other(_)) => "crashed",
        (Reason::Recycled, _) => "recycled",
        (Reason::Refused, _) => "refused",
        (Reason::Stopped, _) => "stopped",
        (Reason::Stuck, _) => "stuck",
        (Reason::Unavailable, _) => "unavailable",
    }
}
