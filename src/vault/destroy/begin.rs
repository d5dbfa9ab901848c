//! What must hold before a KEK is destroyed, and the first steps of it.

use std::time::Duration;

use super::{Backup, DestroyError, Destruction, Evidence};
use crate::audit::{Event, Head};
use crate::hsm::Epoch;
use crate::id::UnixMillis;
use crate::keys::{Keys, NotMoved, Refused};
use crate::store::Commit;
use crate::vault::Vault;
use crate::vault::epochs::by_epoch;
use crate::vault::events::grouped;
use crate::vault::types::Peer;

/// What was sealed under an epoch before it was deactivated is committed by then: a seal waits up to 5 s for its turn and twice
/// the HSM's deadline (5 s by default), a commit for one flush, and then as much again.
const QUIET: Duration = Duration::from_secs(40);

impl Vault {
    /// Destroys the KEK of an epoch, on the grounds of a verified backup that does not need it; gives the shred certificate. One
    /// whose destruction has begun is finished, and needs no backup any more.
    ///
    /// # Errors
    /// [`DestroyError`], which says what has changed.
    pub async fn destroy_epoch(
        &self,
        epoch: u32,
        evidence: Option<Evidence>,
        asked_by: Peer,
    ) -> Result<String, DestroyError> {
        let _turn = self.destructions.turn.lock().await;
        let done = self.destroy(epoch, evidence, asked_by).await;
        if let Err(error) = &done {
            let event = Event {
                peer: Some(asked_by),
                detail: Some(format!("KEK epoch {epoch}: {error}")),
                ..Event::new("kek-destroy", "refused")
            };
            if let Err(error) = self.note(event).await {
                tracing::warn!(%error, "that a KEK was not destroyed is not in the audit trail");
            }
        }
        done
    }

    async fn destroy(&self, epoch: u32, evidence: Option<Evidence>, asked_by: Peer) -> Result<String, DestroyError> {
        let keys = self.sealer.keys().ok_or(NotMoved::Refused(Refused::NoneLeft))?;
        match keys.lifecycle().may_destroy(Epoch(epoch)) {
            Ok(()) => self.begin(keys, epoch, evidence, asked_by).await?,
            Err(Refused::Destroying(_)) => {}
            Err(refused) => return Err(NotMoved::Refused(refused).into()),
        }
        let report = keys.destroy_kek(Epoch(epoch)).await?;
        self.finish_destroying(keys, epoch, report).await
    }

    async fn begin(
        &self,
        keys: &Keys,
        epoch: u32,
        evidence: Option<Evidence>,
        asked_by: Peer,
    ) -> Result<(), DestroyError> {
        let rotated_at = self.unused(epoch).await?;
        let evidence = evidence.ok_or_else(|| {
            DestroyError::Backup("every record of older backups dies with the KEK, so a newer one is wanted".to_owned())
        })?;
        self.suffices(epoch, rotated_at, &evidence).await?;
        let quiet_at = keys
            .lifecycle()
            .since()
            .plus(QUIET.as_millis().try_into().unwrap_or(u64::MAX));
        let wait = quiet_at.0.saturating_sub(UnixMillis::now().0);
        // a clock that was set back is no reason to wait for ever
        tokio::time::sleep(Duration::from_millis(wait).min(QUIET)).await;
        let _turn = self.rotation.turn.lock().await;
        let rotated_at = self.unused(epoch).await?;
        self.suffices(epoch, rotated_at, &evidence).await?;
        let found = keys.find_kek(Epoch(epoch)).await.map_err(NotMoved::Keys)?;
        let id = keys.kek_id(Epoch(epoch)).await?;
        let destruction = Destruction {
            epoch,
            id: id.clone(),
            asked_by: Some(asked_by),
            begun_at: UnixMillis::now(),
            backup: Some(Backup {
                sha256: evidence.sha256.clone(),
                made_at: evidence.made_at,
                revision: evidence.revision,
                records: evidence.records,
                head: evidence.head.to_string(),
            }),
            objects: found.there,
            certificate: None,
        };
        let event = Event {
            peer: Some(asked_by),
            count: u64::try_from(destruction.objects.len()).ok(),
            detail: Some(format!(
                "KEK epoch {epoch}, CKA_ID {}; nothing is under it; backup of {}, revision {}, manifest sha256 {}",
                grouped(&id),
                evidence.made_at,
                evidence.revision,
                grouped(&evidence.sha256)
            )),
            ..Event::new("kek-destroy", "begun")
        };
        let commit = Commit {
            writes: vec![destruction.write()?],
            event: Some(event.encode()),
            ..Commit::default()
        };
        self.store
            .commit(commit)
            .await
            .map_err(crate::vault::types::Error::from)?;
        keys.begin_destroying(Epoch(epoch)).await?;
        self.show_epoch();
        tracing::warn!(epoch, "the KEK is being destroyed");
        Ok(())
    }

    /// Whether nothing of the store needs it. Gives the revision from which on that was so, at the latest.
    async fn unused(&self, epoch: u32) -> Result<u64, DestroyError> {
        let rotated_at = self.rotated_at().await?.ok_or(DestroyError::UnderWay)?;
        let under = by_epoch(self.store.as_ref()).await?.remove(&epoch).unwrap_or_default();
        if under.all() > 0 {
            return Err(DestroyError::Used { epoch, under });
        }
        Ok(rotated_at)
    }

    /// Whether the backup is of this vault's own history, was made when everything was under the epoch in use, and has nothing
    /// under the one that goes.
    async fn suffices(&self, epoch: u32, rotated_at: u64, evidence: &Evidence) -> Result<(), DestroyError> {
        if evidence.revision < rotated_at {
            return Err(DestroyError::Backup(format!(
                "the backup is of {} (revision {}) and so from before everything was put under another epoch (revision {rotated_at})",
                evidence.made_at, evidence.revision
            )));
        }
        if evidence.under.all() > 0 {
            return Err(DestroyError::Backup(format!(
                "the backup has {} records under KEK epoch {epoch}",
                evidence.under.all()
            )));
        }
        let seq = evidence.head.seq;
        let lines = self
            .store
            .audit(seq.max(1), 1)
            .await
            .map_err(crate::vault::types::Error::from)?;
        let ours = lines.iter().find(|line| line.seq == seq).map(Head::after);
        if ours != Some(evidence.head) {
            return Err(DestroyError::Backup(
                "the backup's audit trail is not this store's: it is of another history of this vault".to_owned(),
            ));
        }
        Ok(())
    }
}
