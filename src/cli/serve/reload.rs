//! SIGHUP: configuration, policy, BIN table and log filter are read again, and come into force together or not at all.

use super::standing::Teller;
use crate::card::BinTable;
use crate::config::Config;
use crate::server::ServerHandle;
use crate::server::systemd::{Standing, tell};
use crate::telemetry::logs::{Filter, Logs};
use crate::vault::{Reconfigured, Vault};

/// What a reload changes.
pub(super) struct Reloader<'a> {
    /// As the daemon started with it: where the files are stays.
    pub(super) config: &'a Config,
    pub(super) logs: Logs,
    pub(super) vault: &'a Vault,
    pub(super) server: &'a mut ServerHandle,
    pub(super) teller: &'a Teller,
}

/// Files that have no fault.
struct Fresh {
    config: Config,
    filter: Filter,
    bins: Option<BinTable>,
}

impl Reloader<'_> {
    /// Reads the files again. What was in force stays, all of it, where one of them has a fault, and whoever asks systemd for
    /// the daemon's status is told.
    pub(super) async fn reload(&mut self) {
        tell(&Standing::Reloading);
        let refused = self.replace().await.err();
        match &refused {
            None => tracing::info!("configuration and policy were read again"),
            Some(fault) => tracing::error!(fault, "the reload is refused"),
        }
        self.teller
            .remark(refused.map(|fault| format!("the last reload was refused: {fault}")));
        tell(&Standing::Ready);
    }

    async fn replace(&mut self) -> Result<(), String> {
        let access = self.vault.access();
        let (file, bin_table) = (self.config.file.clone(), self.config.bin_table.clone());
        // names of users and groups may be looked up over the network
        let read = tokio::task::spawn_blocking(move || {
            let config = Config::load(&file).map_err(|error| error.to_string())?;
            let filter = Filter::parse(&config.log_filter).map_err(|error| error.to_string())?;
            let read = |file| BinTable::read(file).map_err(|error| error.to_string());
            let bins = bin_table.as_deref().map(read).transpose()?;
            Ok(Fresh { config, filter, bins })
        });
        let read = read.await.unwrap_or_else(|error| Err(error.to_string()));
        let Fresh { config, filter, bins } = match read {
            Ok(fresh) => fresh,
            Err(fault) => {
                if let Err(error) = access.note_refused_reload(fault.clone()).await {
                    tracing::error!(%error, "the refused reload is not in the audit trail");
                }
                return Err(fault);
            }
        };
        if config.digest != self.config.digest {
            tracing::info!(
                "of a changed configuration caps, listen.max_connections, listen.drain_s and log.filter are in force from now \
                 on; all else is after a restart"
            );
        }
        let caps = config.caps;
        let digest = config.digest;
        access
            .reconfigure(&self.config.policy, Reconfigured { caps, digest })
            .await
            .map_err(|error| error.to_string())?;
        self.server
            .set_limits(config.limits.max_connections, config.limits.drain);
        self.logs.set_filter(filter).map_err(|error| error.to_string())?;
        match bins {
            Some(table) => self
                .vault
                .replace_bins(table, None)
                .await
                .map_err(|error| format!("all is in force but the BIN table: {error}")),
            None => Ok(()),
        }
    }
}
