//! Dual control of a daemon that starts.

use std::sync::Arc;

use crate::cli::Exit;
use crate::config::Config;
use crate::custody::{Custody, Files};
use crate::store::Store;
use crate::vault::{Gate, Vault};

/// Policy and configuration come into force only as it lets them, now and when they are read again.
pub(super) async fn start(config: &Config, store: &Arc<dyn Store>, vault: &Arc<Vault>) -> anyhow::Result<Arc<Custody>> {
    let custody = Custody::new(store.clone(), vault.clone(), config.dual_control.clone())?;
    let files = Files {
        configuration: Some(config.digest.clone()),
        policy: Some(vault.access().policy_digest()),
    };
    custody
        .admit_at_start(&files)
        .await?
        .map_err(|fault| Exit::Refused.because(fault.to_string()))?;
    let custody = Arc::new(custody);
    let gate: Arc<dyn Gate> = custody.clone();
    vault.access().guard(Arc::downgrade(&gate));
    Ok(custody)
}
