//! Reading the policy file again while the daemon serves.

use std::path::Path;
use std::sync::{Arc, PoisonError};

use super::Access;
use crate::audit::Event;
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

impl Access {
    /// Reads the policy file again. A file with a fault changes nothing: the policy that was in force stays. The reload
    /// is in the audit trail, with the file's SHA-256, before it takes effect.
    ///
    /// # Errors
    /// [`ReloadError`].
    pub async fn reload_policy(&self, path: &Path, asked_by: Option<Peer>) -> Result<(), ReloadError> {
        // one after another, so that the last one in the trail is the one in force
        let _turn = self.reloading.lock().await;
        let file = path.to_owned();
        // names of users and groups may be looked up over the network
        let read = tokio::task::spawn_blocking(move || Policy::load(&file)).await;
        let read = read.unwrap_or_else(|error| Err(BadPolicy::File(error.to_string())));
        let (outcome, detail) = match &read {
            Ok(policy) => ("ok", format!("sha256 {}", grouped(policy.digest()))),
            Err(fault) => ("refused", fault.to_string()),
        };
        let event = Event {
            peer: asked_by,
            detail: Some(detail),
            ..Event::new("policy-reload", outcome)
        };
        let noted = self.events.note(event).await;
        let policy = read.map_err(ReloadError::Policy)?;
        noted.map_err(ReloadError::Audit)?;
        *self.policy.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(policy);
        Ok(())
    }
}
