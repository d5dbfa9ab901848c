//! Measuring: what the token can do by itself, and what the daemon makes of it.

mod api;
mod client;
mod cpu;
mod hsm;
mod latency;
mod load;
mod locker;
mod numbers;
mod op;

use clap::Subcommand;

use super::Exit;

pub(crate) use hsm::{BenchWorkerArgs, worker};

#[derive(Debug, Subcommand)]
pub(crate) enum BenchCommand {
    /// Raw rates of the configured token, by processes and sessions (the daemon may serve meanwhile, but shares the HSM)
    Hsm(hsm::HsmArgs),
    /// Closed-loop load on a running daemon; the tokens that it makes stay
    Api(api::ApiArgs),
}

/// A length of time in seconds, up to a day.
fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if seconds > 0.0 && seconds <= 86_400.0 {
        Ok(seconds)
    } else {
        Err("must be more than 0 and at most 86400".to_owned())
    }
}

/// Runs a benchmark.
pub(super) fn run(command: &BenchCommand) -> anyhow::Result<Exit> {
    match command {
        BenchCommand::Hsm(args) => hsm::run(args),
        BenchCommand::Api(args) => api::run(args),
    }
}
