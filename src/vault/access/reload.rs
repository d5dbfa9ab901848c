//! Reading the policy file again while the daemon serves.

use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, PoisonError, Weak};

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
    /// The gate does not let it in.
    #[error("{0}")]
    NotAdmitted(String),
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

/// Asked before files that were read again come into force: whether those of these SHA-256 (hex) may.
pub trait Gate: Send + Sync {
    /// Why they may not, for people.
    fn admit<'a>(&'a self, configuration: Option<&'a str>, policy: &'a str) -> Admitting<'a>;
}

/// A gate's answer.
pub type Admitting<'a> = Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'a>>;

impl Access {
    /// From now on nothing comes into force that `gate` does not let in; nothing at all once it is gone. The first one stays.
    pub fn guard(&self, gate: Weak<dyn Gate>) {
        let _ = self.gate.set(gate);
    }

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
        let admitted = match &read {
            Ok(policy) => self.admitted(config.as_ref(), policy.digest()).await,
            Err(_) => Ok(()),
        };
        let (outcome, detail) = match (&read, &config) {
            (Ok(_), _) if admitted.is_err() => ("denied", admitted.clone().err().unwrap_or_default()),
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
        admitted.map_err(ReloadError::NotAdmitted)?;
        noted.map_err(ReloadError::Audit)?;
        let mut rules = self.rules.write().unwrap_or_else(PoisonError::into_inner);
        let caps = config.map_or(rules.caps, |config| config.caps);
        *rules = Arc::new(Rules { policy, caps });
        Ok(())
    }

    async fn admitted(&self, config: Option<&Reconfigured>, policy: &str) -> Result<(), String> {
        let Some(gate) = self.gate.get() else {
            return Ok(());
        };
        match gate.upgrade() {
            Some(gate) => gate.admit(config.map(|config| config.digest.as_str()), policy).await,
            None => Err("the daemon is stopping".to_owned()),
        }
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
