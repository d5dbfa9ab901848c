//! The server's side of the workers: which has which job, how each is reached, and who replaces one that ends.

mod backoff;
mod dispatch;
mod ending;
mod lanes;
mod launch;
mod link;
mod roster;
mod status;
mod supervisor;

pub(super) use dispatch::Dispatch;
pub(super) use launch::{Launch, Program};
pub(super) use status::Status;
pub(super) use supervisor::Supervisor;

use super::{Keyset, ProbeReport, StartFault};

/// A worker process, unique within a `Client`'s life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct WorkerId(u64);

/// What the supervisor is told.
#[derive(Debug)]
pub(super) enum Event {
    /// Who asks wants to know that events are worked on.
    Beat(tokio::sync::oneshot::Sender<()>),
    /// A draining worker answered its last job.
    Drained(WorkerId),
    /// A worker cannot start.
    Failed(WorkerId, StartFault),
    /// The connection to a worker ended.
    Gone(WorkerId),
    /// A worker said that its token works no more; it ends.
    Lost(WorkerId, String),
    /// A worker started.
    Ready(WorkerId, ProbeReport),
    /// A worker did as many jobs as it may.
    Recycle(WorkerId),
    /// All workers are to be replaced by ones with these keys; who asks hears when they are.
    Renew(Box<Keyset>, tokio::sync::oneshot::Sender<()>),
    /// End all workers: the PIN was forgotten.
    Seal,
    /// Finish accepted jobs, end all workers, and end.
    Stop,
}

#[cfg(test)]
pub(super) mod fake;
#[cfg(test)]
mod tests;
