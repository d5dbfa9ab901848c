//! Metrics and logs.

pub mod logs;
mod metrics;

pub use metrics::Metrics;
