//! What ends a serving daemon or changes it while it runs.

use std::path::Path;
use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};

use super::reload::Reloader;
use crate::card::BinTable;
use crate::cli::Exit;
use crate::hsm::{self, StartFault};

/// The signals that the daemon obeys.
pub(super) struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
}

impl Signals {
    pub(super) fn new() -> anyhow::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Serves until told to stop, or until the HSM is refused for a reason that only people can mend.
    pub(super) async fn wait(&mut self, mut reloader: Reloader<'_>, client: &hsm::Client) -> Exit {
        let refused = refusal(client);
        tokio::pin!(refused);
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return Exit::Ok,
                _ = self.interrupt.recv() => return Exit::Ok,
                _ = self.hangup.recv() => reloader.reload().await,
                fault = &mut refused => {
                    tracing::error!(%fault, "the HSM is not used");
                    return Exit::Refused;
                }
            }
        }
    }
}

/// Ends when the workers' start was refused for a policy gap or for keys that are missing, weak or swapped. A PIN that
/// was refused, or a token without any vault key, is waited out: `/readyz` tells.
async fn refusal(client: &hsm::Client) -> StartFault {
    if client.ready().await.is_err() {
        match client.refusal() {
            Some(fault @ (StartFault::Keys(_) | StartFault::Policy(_))) => return fault,
            Some(fault) => tracing::error!(%fault, "the HSM is not used"),
            None => {}
        }
    }
    std::future::pending().await
}

/// The configured BIN table, or the built-in one.
pub(super) fn bins(file: Option<&Path>) -> anyhow::Result<Arc<BinTable>> {
    let table = match file {
        Some(file) => {
            BinTable::read(file).map_err(|error| Exit::Config.because(format!("{}: {error}", file.display())))?
        }
        None => BinTable::built_in(),
    };
    Ok(Arc::new(table))
}
