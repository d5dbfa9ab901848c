//! What ends a serving daemon or changes it while it runs.

use std::path::Path;
use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};

use crate::card::BinTable;
use crate::cli::Exit;
use crate::config::Config;
use crate::hsm::{self, StartFault};
use crate::server::systemd::{Standing, tell};
use crate::telemetry::logs::{Filter, Logs};
use crate::vault::Vault;

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
    pub(super) async fn wait(&mut self, config: &Config, logs: &Logs, vault: &Vault, client: &hsm::Client) -> Exit {
        let refused = refusal(client);
        tokio::pin!(refused);
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return Exit::Ok,
                _ = self.interrupt.recv() => return Exit::Ok,
                _ = self.hangup.recv() => {
                    tell(&Standing::Reloading);
                    reload(config, logs, vault).await;
                    tell(&Standing::Ready);
                }
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

/// Reads policy, BIN table and log filter again; each that has a fault stays as it was.
async fn reload(config: &Config, logs: &Logs, vault: &Vault) {
    match vault.access().reload_policy(&config.policy, None).await {
        Ok(()) => tracing::info!("policy read again"),
        Err(error) => tracing::error!(%error, "the policy stays as it was"),
    }
    if let Some(file) = &config.bin_table {
        let replaced = match BinTable::read(file) {
            Ok(table) => vault.replace_bins(table, None).await.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        if let Err(error) = replaced {
            tracing::error!(error, "the BIN table stays as it was");
        }
    }
    let filter = Config::load(&config.file)
        .map_err(anyhow::Error::from)
        .and_then(|fresh| {
            logs.set_filter(Filter::parse(&fresh.log_filter)?)?;
            Ok(())
        });
    if let Err(error) = filter {
        tracing::error!(%error, "the log filter stays as it was");
    }
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
