//! The server's side of the workers: which has which job, how each is reached, and who replaces one that ends.

mod backoff;
mod dispatch;
mod ending;
mod launch;
mod link;
mod status;
mod supervisor;

pub(super) use dispatch::Dispatch;
pub(super) use launch::{Launch, Program};
pub(super) use status::Status;
pub(super) use supervisor::{Event, Supervisor};

/// A worker process, unique within a `Client`'s life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct WorkerId(u64);

#[cfg(test)]
pub(super) mod fake;
#[cfg(test)]
mod tests;
