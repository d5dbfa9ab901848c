//! The connectors that are configured, made ready: keys read, authorities loaded, addresses checked. Nobody is spoken to.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::secret_file::ApiKey;
use super::stripe::Stripe;
use super::{BaseUrl, Connectors, Owner};
use crate::id::ConnectorId;
use crate::payment::trust::Trust;

/// One connector as it is configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PspConfig {
    /// What merchants call it.
    pub connector_id: ConnectorId,
    /// Whose it is.
    pub owner: Owner,
    /// Which provider's interface it speaks.
    pub kind: PspKind,
    /// Where the provider is.
    pub base_url: BaseUrl,
    /// Holds the account's key; only its owner may read it.
    pub api_key_file: PathBuf,
    /// PEM of the authorities that may vouch for the provider; without it those that browsers trust.
    pub ca_file: Option<PathBuf>,
    /// A tokenization takes no longer.
    pub timeout: Duration,
}

/// A provider's interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PspKind {
    /// Stripe's payment methods.
    Stripe,
}

/// Why a connector cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("psp {connector_id}: {reason}")]
pub struct BadConnector {
    /// Which.
    pub connector_id: ConnectorId,
    /// Why; names key and file.
    pub reason: String,
}

impl Connectors {
    /// Makes the configured connectors ready. Keys are read now and not again.
    ///
    /// # Errors
    /// [`BadConnector`], the first one.
    pub fn open(configured: &[PspConfig]) -> Result<Self, BadConnector> {
        let mut connectors = Self::default();
        for config in configured {
            let added = connector(config)
                .and_then(|ready| Ok(connectors.add(config.connector_id.clone(), config.owner.clone(), ready)?));
            added.map_err(|reason| BadConnector {
                connector_id: config.connector_id.clone(),
                reason,
            })?;
        }
        Ok(connectors)
    }
}

fn connector(config: &PspConfig) -> Result<Arc<Stripe>, String> {
    let at = |key: &str, path: &Path, reason: &str| format!("{key} {}: {reason}", path.display());
    let key = ApiKey::read(&config.api_key_file).map_err(|why| at("api_key_file", &config.api_key_file, &why))?;
    let trust = Trust::open(config.ca_file.as_deref())?;
    match config.kind {
        PspKind::Stripe => Ok(Arc::new(Stripe::new(
            config.base_url.clone(),
            &key,
            trust,
            config.timeout,
        )?)),
    }
}
