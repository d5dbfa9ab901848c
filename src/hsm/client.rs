//! The server's side: a handle that hands jobs to worker processes.

use super::{Config, Error, Health, Job, Keyset, Reply};
use crate::telemetry::Metrics;

/// A handle on the worker processes; clones share them.
#[derive(Clone)]
pub struct Client {}

impl Client {
    /// Starts the supervisor. Returns at once: workers come up behind it, the first alone, the others after it is up.
    ///
    /// # Errors
    /// Nothing could be started at all (no thread, no socketpair).
    pub fn start(_config: Config, _keyset: Keyset, _metrics: Metrics) -> Result<Self, Error> {
        unimplemented!()
    }

    /// Does one job.
    ///
    /// # Errors
    /// As [`Error`] lists them.
    pub async fn call(&self, _job: Job) -> Result<Reply, Error> {
        unimplemented!()
    }

    /// What the supervisor sees; cheap.
    pub fn health(&self) -> Health {
        unimplemented!()
    }

    /// Waits until a worker is up, or until the first one was refused for good (policy gap, keys missing or swapped,
    /// refused PIN), which is the error's text.
    ///
    /// # Errors
    /// [`Error::Down`] with the reason.
    pub async fn ready(&self) -> Result<(), Error> {
        unimplemented!()
    }

    /// Lets accepted jobs finish, then ends the workers in order (close sessions, C_Finalize).
    pub async fn shutdown(&self) {
        unimplemented!()
    }
}
