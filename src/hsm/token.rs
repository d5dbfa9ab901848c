//! The token inside a worker: module loaded, logged in once, keys found and proved.

use serde::{Deserialize, Serialize};

use super::{Config, Fault, Job, Keyset, ProbeReport, Reply};

/// Why a worker cannot start to work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum StartFault {
    /// Keys missing, weak or swapped, by name. Not tried again by itself.
    #[error("keys: {0}")]
    Keys(String),
    /// The token holds no vault key at all: `panvault init` was not run on it. Not tried again by itself.
    #[error("the token holds no vault keys: {0}")]
    NotInitialised(String),
    /// The token refused the PIN, or refused it before and the PIN has not changed since. Never tried again.
    #[error("the token refused the PIN: {0}")]
    PinRefused(String),
    /// Policy gaps under `strict`. Not tried again by itself.
    #[error("policy gap: {0}")]
    Policy(String),
    /// The HSM, the module or the PIN file cannot be reached now. Tried again with back-off.
    #[error("the HSM is not available: {0}")]
    Unavailable(String),
}

/// A token that is ready: anchor session open, logged in, keys found and proved.
pub(crate) struct Token {}

/// One session and its hot path; one thread owns it.
pub(crate) struct Engine {}

impl Token {
    /// Loads the module, logs in, finds and proves the keys, runs the start-up check, all under the start-up lock.
    pub(crate) fn start(_config: &Config, _keyset: &Keyset) -> Result<(Self, ProbeReport), StartFault> {
        unimplemented!()
    }

    /// Opens a session for a thread.
    pub(crate) fn engine(&self) -> Result<Engine, StartFault> {
        unimplemented!()
    }

    /// Closes all sessions and finalizes the module. All engines must be gone.
    pub(crate) fn finish(self) {
        unimplemented!()
    }
}

impl Engine {
    /// Does a job. [`Fault::Token`] means that this process is of no more use.
    pub(crate) fn execute(&mut self, _job: Job) -> Result<Reply, Fault> {
        unimplemented!()
    }
}
