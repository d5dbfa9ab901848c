//! What must hold before a KEK is destroyed, and the first steps of it.
//!
//! Whether anything is under an epoch is only looked for once nothing can come under it any more: whatever is sealed commits on
//! the condition that its epoch has no end on record ([`not_ended`]), so a seal that was on its way when the epoch was
//! deactivated, however long ago, is found by the look or is not committed.

use super::{Backup, DestroyError, Destruction, Evidence};
use crate::audit::{Event, Head};
use crate::hsm::Epoch;
use crate::id::UnixMillis;
use crate::keys::{Keys, NotMoved, Refused};
use crate::store::{Commit, Cond, Outcome, Write};
use crate::vault::epochs::by_epoch;
use crate::vault::events::grouped;
use crate::vault::types::{CallerError, Error, Peer};
use crate::vault::{Vault, tables};

/// What must hold when something is committed that was sealed under the epoch. Where it does not, it is sealed again.
pub(in crate::vault) fn not_ended(epoch: Epoch) -> Cond {
    Cond::Absent(tables::kek_end(epoch.0))
}

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
        let _turn = self.rotation.turn.lock().await;
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
        let fence = self.fence(&destruction).await?;
        let holds = async {
            let rotated_at = self.unused(epoch).await?;
            self.suffices(epoch, rotated_at, &evidence).await
        };
        if let Err(refused) = holds.await {
            // one that is left behind by a fault here does no harm: the epoch is deactivated, and for good
            self.lift(epoch, fence).await?;
            return Err(refused);
        }
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
            conds: vec![Cond::Rev(tables::kek_end(epoch), fence)],
            writes: vec![destruction.write()?],
            event: Some(event.encode()),
            ..Commit::default()
        };
        match self.store.commit(commit).await.map_err(Error::from)? {
            Outcome::Done { .. } => {}
            Outcome::CondFailed { .. } => return Err(Error::from(CallerError::Contended).into()),
        }
        keys.begin_destroying(Epoch(epoch)).await?;
        self.show_epoch();
        tracing::warn!(epoch, "the KEK is being destroyed");
        Ok(())
    }

    /// From now on nothing is committed that was sealed under the epoch. Gives the revision that says so.
    pub(in crate::vault) async fn fence(&self, destruction: &Destruction) -> Result<u64, Error> {
        let event = Event {
            peer: destruction.asked_by,
            detail: Some(format!(
                "KEK epoch {}: nothing comes under it any more, while it is looked whether anything is",
                destruction.epoch
            )),
            ..Event::new("kek-destroy", "fenced")
        };
        let commit = Commit {
            writes: vec![destruction.write()?],
            event: Some(event.encode()),
            ..Commit::default()
        };
        match self.store.commit(commit).await? {
            Outcome::Done { rev } => Ok(rev),
            Outcome::CondFailed { .. } => Err(CallerError::Contended.into()),
        }
    }

    /// It is not destroyed. That it was refused is put on record by who asked.
    async fn lift(&self, epoch: u32, fence: u64) -> Result<(), Error> {
        let key = tables::kek_end(epoch);
        let commit = Commit {
            conds: vec![Cond::Rev(key.clone(), fence)],
            writes: vec![Write::Del(key)],
            ..Commit::default()
        };
        self.store.commit(commit).await?;
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
        let lines = self.store.audit(seq.max(1), 1).await.map_err(Error::from)?;
        let ours = lines.iter().find(|line| line.seq == seq).map(Head::after);
        if ours != Some(evidence.head) {
            return Err(DestroyError::Backup(
                "the backup's audit trail is not this store's: it is of another history of this vault".to_owned(),
            ));
        }
        Ok(())
    }
}
