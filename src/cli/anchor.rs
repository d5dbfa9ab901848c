//! The anchor of a receipt's offline verification: the audit key's fingerprint, as `init` printed it.

use std::path::PathBuf;

use clap::Args;

use super::{Exit, Which};
use crate::cli::instance::Instance;
use crate::hsm::KeyFingerprint;
use crate::keys::Keyring;

/// Whose signature is expected.
#[derive(Debug, Args)]
pub(crate) struct Anchor {
    /// The audit key's fingerprint, as `init` printed it
    #[arg(long, value_name = "SHA256:…")]
    key: Option<String>,
    /// The instance whose audit key it must be
    #[arg(long, value_name = "FILE", conflicts_with = "key")]
    config: Option<PathBuf>,
    /// The dev instance whose audit key it must be
    #[arg(long, value_name = "DIR", conflicts_with_all = ["key", "config"])]
    dir: Option<PathBuf>,
}

impl Anchor {
    /// The fingerprint, where one was given or an instance was named.
    pub(super) fn fingerprint(&self) -> anyhow::Result<Option<KeyFingerprint>> {
        if let Some(text) = &self.key {
            return Ok(Some(KeyFingerprint::parse(text)?));
        }
        if self.config.is_none() && self.dir.is_none() {
            return Ok(None);
        }
        let which = Which {
            config: self.config.clone().unwrap_or_default(),
            dir: self.dir.clone(),
        };
        let instance = Instance::find(&which)?;
        let keyring =
            Keyring::load(&instance.config.keyring_path()).map_err(|error| Exit::Refused.because(error.to_string()))?;
        Ok(Some(keyring.audit_fingerprint()?))
    }
}
