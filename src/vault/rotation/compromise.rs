//! A KEK epoch that is not to be trusted any more.

use super::{Progress, RotationError};
use crate::audit::Event;
use crate::hsm::Epoch;
use crate::keys::{EpochState, NotMoved, Refused};
use crate::store::Commit;
use crate::vault::Vault;
use crate::vault::types::Peer;

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Compromised {
    /// It was the one in use, and this one seals now; everything is put under it.
    pub moved_to: Option<u32>,
    /// It was the one in use, and none is prepared: nothing is sealed until one is.
    pub sealing_stopped: bool,
}

impl Vault {
    /// Marks an epoch as compromised, for ever. Where it is the one in use the vault moves on to the next one at once, as
    /// [`Vault::rotate`] does.
    ///
    /// # Errors
    /// [`RotationError`]: nothing has changed.
    pub async fn compromise(
        &self,
        epoch: u32,
        reason: Option<String>,
        asked_by: Peer,
    ) -> Result<Compromised, RotationError> {
        let _turn = self.rotation.turn.lock().await;
        let keys = self.sealer.keys().ok_or(NotMoved::Refused(Refused::NoneLeft))?;
        let event = |outcome: &str, detail: String| Event {
            peer: Some(asked_by),
            detail: Some(detail),
            ..Event::new("kek-compromise", outcome)
        };
        let why = reason.as_deref().unwrap_or("no reason given");
        self.note(event("asked", format!("KEK epoch {epoch}: {why}")))
            .await
            .map_err(RotationError::Audit)?;
        let before = keys.active_epoch();
        let in_use = match keys.compromise(Epoch(epoch), reason.clone()).await {
            Ok(in_use) => in_use,
            Err(error) => {
                let refused = event("refused", error.to_string());
                self.note(refused).await.map_err(RotationError::Audit)?;
                return Err(error.into());
            }
        };
        self.show_epoch();
        let moved = in_use != before;
        let stopped = keys.lifecycle().state(in_use) == Some(EpochState::Compromised);
        let detail = match (moved, stopped) {
            (true, _) => format!("KEK epoch {epoch} is compromised, {} is active", in_use.0),
            (false, true) => format!("KEK epoch {epoch} is compromised, and nothing is sealed: none is prepared"),
            (false, false) => format!("KEK epoch {epoch} is compromised"),
        };
        tracing::error!(epoch, reason, "{detail}");
        let mut commit = Commit {
            event: Some(event("ok", detail).encode()),
            ..Commit::default()
        };
        let progress = moved.then(|| Progress::new(in_use));
        if let Some(progress) = &progress {
            commit.writes = vec![progress.write().map_err(RotationError::Audit)?];
        }
        let committed = self.store.commit(commit).await;
        if let Some(progress) = &progress {
            self.show(progress);
            self.rotation.wake.notify_one();
        }
        committed.map_err(|error| RotationError::Audit(error.into()))?;
        Ok(Compromised {
            moved_to: moved.then_some(in_use.0),
            sealing_stopped: stopped,
        })
    }
}
