//! Measuring: what the token can do by itself, and what the daemon makes of it.

mod api;
mod client;
mod cpu;
mod hsm;
mod latency;
mod load;

use clap::Subcommand;

use super::Exit;

pub(crate) use hsm::{BenchWorkerArgs, worker};

#[derive(Debug, Subcommand)]
pub(crate) enum BenchCommand {
    /// Raw rates of the configured token, by processes and sessions (the daemon may serve meanwhile, but shares the HSM)
    Hsm(hsm::HsmArgs),
    /// Closed-loop load on a running daemon
    Api(api::ApiArgs),
}

/// Runs a benchmark.
pub(super) fn run(command: &BenchCommand) -> anyhow::Result<Exit> {
    match command {
        BenchCommand::Hsm(args) => hsm::run(args),
        BenchCommand::Api(args) => api::run(args),
    }
}
