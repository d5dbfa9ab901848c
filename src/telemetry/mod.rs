//! Metrics, logs, and the system's journal.

pub mod journal;
pub mod logs;
mod metrics;

pub use metrics::Metrics;
