//! The anchor of a verification: the audit key's fingerprint, as `init` printed it or as the instance's keyring has it.

use std::path::PathBuf;

use clap::Args;

use super::{DEFAULT_CONFIG, Which};
use crate::cli::instance::{self, Instance};
use crate::hsm::KeyFingerprint;

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
    /// The fingerprint that was given, or those of the audit keys that signed for the instance that was named; none where
    /// neither was.
    pub(super) fn fingerprints(&self) -> anyhow::Result<Vec<KeyFingerprint>> {
        if let Some(text) = &self.key {
            return Ok(vec![KeyFingerprint::parse(text)?]);
        }
        if self.config.is_none() && self.dir.is_none() {
            return Ok(Vec::new());
        }
        pins(&Instance::find(&self.which())?)
    }

    /// The instance that was named, or the default one.
    pub(super) fn which(&self) -> Which {
        Which {
            config: self.config.clone().unwrap_or_else(|| DEFAULT_CONFIG.into()),
            dir: self.dir.clone(),
        }
    }

    /// The fingerprint that was given, or else those of this instance.
    pub(super) fn fingerprints_of(&self, instance: &Instance) -> anyhow::Result<Vec<KeyFingerprint>> {
        match &self.key {
            Some(text) => Ok(vec![KeyFingerprint::parse(text)?]),
            None => pins(instance),
        }
    }
}

/// The fingerprints of the audit keys that signed for an instance, by its keyring, which the last of them signed; each named
/// the next.
pub(super) fn pins(instance: &Instance) -> anyhow::Result<Vec<KeyFingerprint>> {
    let keyring = instance::keyring(&instance.config)?;
    Ok(keyring.audit_history()?)
}
