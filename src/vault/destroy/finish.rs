//! The last steps of a destruction, and those of one that was cut.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::{DestroyError, Destruction, Shredded};
use crate::audit::{Event, Statement};
use crate::hsm::{Epoch, KekObject, KekReport};
use crate::id::UnixMillis;
use crate::keys::{EpochState, Keys, NotMoved};
use crate::store::Commit;
use crate::vault::Vault;
use crate::vault::events::grouped;
use crate::vault::types::Error;

/// Before it is tried again where HSM or store do not work.
const PAUSE: Duration = Duration::from_secs(5);

impl Vault {
    /// The shred certificate of an epoch, where there is one.
    ///
    /// # Errors
    /// The store's.
    pub async fn shred_certificate(&self, epoch: u32) -> Result<Option<String>, Error> {
        let held = Destruction::read(self.store.as_ref(), epoch).await?;
        Ok(held.and_then(|destruction| destruction.certificate))
    }

    /// Certificates that this vault gave out in a later history than the store's, which was restored from a backup: they are
    /// stored by the background.
    pub fn learn_destructions(&self, certificates: Vec<(Shredded, String)>) {
        *self.learnt() = certificates;
    }

    fn learnt(&self) -> std::sync::MutexGuard<'_, Vec<(Shredded, String)>> {
        self.destructions.learnt.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything of the KEK is destroyed, or the report says what is not: certificate, audit record and keyring.
    pub(super) async fn finish_destroying(
        &self,
        keys: &Keys,
        epoch: u32,
        report: KekReport,
    ) -> Result<String, DestroyError> {
        if !report.there.is_empty() {
            return Err(DestroyError::Kept(told(&report.there)));
        }
        let begun = Destruction::read(self.store.as_ref(), epoch).await?;
        let mut destruction = match begun {
            Some(destruction) => destruction,
            // a store that was restored from before, beside a keyring from after
            None => Destruction {
                epoch,
                id: keys.kek_id(Epoch(epoch)).await?,
                asked_by: None,
                begun_at: UnixMillis::now(),
                backup: None,
                objects: Vec::new(),
                certificate: None,
            },
        };
        for object in &report.destroyed {
            if !destruction.objects.contains(object) {
                destruction.objects.push(object.clone());
            }
        }
        let (text, at) = match &destruction.certificate {
            // cut between the store's word and the keyring's
            Some(text) => {
                let read = Statement::parse(text.as_bytes()).and_then(|held| Shredded::of(&held, &self.id));
                (text.clone(), read.map_or_else(|_| UnixMillis::now(), |held| held.at))
            }
            None => {
                let at = UnixMillis::now();
                let text = self.certify(keys, &destruction, &report.token, at).await?;
                destruction.certificate = Some(text.clone());
                let event = Event {
                    peer: destruction.asked_by,
                    count: u64::try_from(destruction.objects.len()).ok(),
                    detail: Some(format!("KEK epoch {epoch}, CKA_ID {}", grouped(&destruction.id))),
                    ..Event::new("kek-destroy", "ok")
                };
                let commit = Commit {
                    writes: vec![destruction.write()?],
                    event: Some(event.encode()),
                    ..Commit::default()
                };
                self.store.commit(commit).await.map_err(Error::from)?;
                (text, at)
            }
        };
        keys.end_destroying(Epoch(epoch), at).await?;
        self.show_epoch();
        tracing::warn!(epoch, objects = destruction.objects.len(), "the KEK is destroyed");
        Ok(text)
    }

    /// At the start: finishes what was cut, and destroys again what came back with a backup of the token.
    pub(in crate::vault) async fn finish_destructions_until(self: Arc<Self>, mut stopped: watch::Receiver<bool>) {
        let Some(keys) = self.sealer.keys().cloned() else {
            return;
        };
        loop {
            match self.finish_destructions(&keys).await {
                Ok(()) => return,
                Err(error @ DestroyError::Kept(_)) => {
                    tracing::error!(%error, "the destruction of a KEK is not finished");
                    return;
                }
                Err(error) => tracing::warn!(%error, "the destruction of a KEK waits"),
            }
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => {}
                // an error: whoever could stop this is gone
                _ = stopped.wait_for(|stop| *stop) => return,
            }
        }
    }

    async fn finish_destructions(&self, keys: &Keys) -> Result<(), DestroyError> {
        let _turn = self.destructions.turn.lock().await;
        self.store_learnt(keys).await?;
        let mut kept = None;
        for (epoch, state) in keys.epochs() {
            let done = match state {
                EpochState::Destroying => {
                    let report = keys.destroy_again(epoch).await.map_err(NotMoved::Keys)?;
                    self.finish_destroying(keys, epoch.0, report).await.map(|_| ())
                }
                EpochState::Destroyed => {
                    let report = keys.destroy_again(epoch).await.map_err(NotMoved::Keys)?;
                    self.came_back(epoch, &report).await
                }
                EpochState::PreActive
                | EpochState::Active
                | EpochState::Deactivated
                | EpochState::Compromised
                | EpochState::Left => Ok(()),
            };
            // what the token keeps of one epoch is no reason to leave the others
            match done {
                Err(error @ DestroyError::Kept(_)) => kept = Some(error),
                other => other?,
            }
        }
        kept.map_or(Ok(()), Err)
    }

    /// A destroyed KEK was there again.
    async fn came_back(&self, epoch: Epoch, report: &KekReport) -> Result<(), DestroyError> {
        if !report.destroyed.is_empty() {
            let objects = told(&report.destroyed);
            tracing::error!(
                epoch = epoch.0,
                objects,
                "a destroyed KEK had come back to the token, and was destroyed again"
            );
            let event = Event {
                count: u64::try_from(report.destroyed.len()).ok(),
                detail: Some(format!("KEK epoch {}: objects had come back to the token", epoch.0)),
                ..Event::new("kek-destroy", "again")
            };
            self.note(event).await?;
        }
        if report.there.is_empty() {
            Ok(())
        } else {
            Err(DestroyError::Kept(told(&report.there)))
        }
    }

    /// What certificates say that were put beside the keyring: the keyring says so itself from now on, and the store has them.
    async fn store_learnt(&self, keys: &Keys) -> Result<(), DestroyError> {
        let learnt = self.learnt().clone();
        if learnt.is_empty() {
            return Ok(());
        }
        keys.persist().await?;
        for (shredded, text) in learnt {
            if Destruction::read(self.store.as_ref(), shredded.epoch)
                .await?
                .is_some_and(|held| held.certificate.is_some())
            {
                continue;
            }
            let destruction = Destruction {
                epoch: shredded.epoch,
                id: shredded.id.clone(),
                asked_by: None,
                begun_at: shredded.at,
                backup: None,
                objects: Vec::new(),
                certificate: Some(text),
            };
            let event = Event {
                detail: Some(format!(
                    "KEK epoch {}, CKA_ID {}, was destroyed on {}, as its certificate says",
                    shredded.epoch,
                    grouped(&shredded.id),
                    shredded.at
                )),
                ..Event::new("kek-destroy", "learnt")
            };
            let commit = Commit {
                writes: vec![destruction.write()?],
                event: Some(event.encode()),
                ..Commit::default()
            };
            self.store.commit(commit).await.map_err(Error::from)?;
        }
        self.learnt().clear();
        Ok(())
    }
}

/// Objects, for people.
fn told(objects: &[KekObject]) -> String {
    let told = objects.iter().map(|object| {
        let why = object
            .kept
            .as_deref()
            .map(|why| format!(" ({why})"))
            .unwrap_or_default();
        format!("'{}' CKA_ID {}{why}", object.label, object.id)
    });
    told.collect::<Vec<_>>().join(", ")
}
