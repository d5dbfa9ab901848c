//! Reading the policy file again while the daemon serves.

use std::path::Path;
use std::sync::{Arc, PoisonError};

use super::{Access, Rules};
use crate::audit::Event;
use crate::vault::caps::CapTable;
use crate::vault::events::grouped;
use crate::vault::policy::{BadPolicy, Policy};
use crate::vault::types::{Error, Peer};

/// Why the policy stays as it was.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ReloadError {
    /// The change could not be put on record, and so was not made.
    #[error("the reload cannot be audited: {0}")]
    Audit(Error),
    /// The file has a fault.
    #[error("{0}")]
    Policy(BadPolicy),
}

/// What comes into force with a policy that is read again, where the configuration was too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reconfigured {
    /// Caps where a grant has none of its own.
    pub caps: CapTable,
    /// SHA-256 of the configuration file, hex.
    pub digest: String,
}

impl Access {
    /// Reads the policy file again. A file with a fault changes nothing: the policy that was in force stays. The reload
    /// is in the audit trail, with the file's SHA-256, before it takes effect.
    ///
    /// # Errors
    /// [`ReloadError`].
    pub async fn reload_policy(&self, path: &Path, asked_by: Option<Peer>) -> Result<(), ReloadError> {
        self.replace_rules(path, None, asked_by).await
    }

    /// As [`Self::reload_policy`], and `config` comes into force with the policy or not at all.
    ///
    /// # Errors
    /// [`ReloadError`].
    pub async fn reconfigure(&self, path: &Path, config: Reconfigured) -> Result<(), ReloadError> {
        self.replace_rules(path, Some(config), None).await
    }

    /// Puts into the audit trail that a reload was refused for a fault outside the policy.
    ///
    /// # Errors
    /// The trail takes nothing.
    pub async fn note_refused_reload(&self, fault: String) -> Result<(), Error> {
        self.note_reload("refused", fault, None).await
    }

    async fn replace_rules(
        &self,
        path: &Path,
        config: Option<Reconfigured>,
        asked_by: Option<Peer>,
    ) -> Result<(), ReloadError> {
        // one after another, so that the last one in the trail is the one in force
        let _turn = self.reloading.lock().await;
        let file = path.to_owned();
        // names of users and groups may be looked up over the network
        let read = tokio::task::spawn_blocking(move || Policy::load(&file)).await;
        let read = read.unwrap_or_else(|error| Err(BadPolicy::File(error.to_string())));
        let (outcome, detail) = match (&read, &config) {
            (Ok(policy), None) => ("ok", format!("sha256 {}", grouped(policy.digest()))),
            (Ok(policy), Some(config)) => (
                "ok",
                format!(
                    "sha256 {}, configuration sha256 {}",
                    grouped(policy.digest()),
                    grouped(&config.digest)
                ),
            ),
            (Err(fault), _) => ("refused", fault.to_string()),
        };
        let noted = self.note_reload(outcome, detail, asked_by).await;
        let policy = read.map_err(ReloadError::Policy)?;
        noted.map_err(ReloadError::Audit)?;
        let mut rules = self.rules.write().unwrap_or_else(PoisonError::into_inner);
        let caps = config.map_or(rules.caps, |config| config.caps);
        *rules = Arc::new(Rules { policy, caps });
        Ok(())
    }

    async fn note_reload(&self, outcome: &str, detail: String, asked_by: Option<Peer>) -> Result<(), Error> {
        let event = Event {
            peer: asked_by,
            detail: Some(detail),
            ..Event::new("policy-reload", outcome)
        };
        self.events.note(event).await
    }
}
