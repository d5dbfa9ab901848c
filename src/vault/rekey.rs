//! The step to the next audit key and to the next transport key. Nothing that is stored has to be moved for them.

use super::types::{Error, Peer};
use super::{RotationError, Vault, tables};
use crate::audit::Event;
use crate::hsm::{Handover, KeyFingerprint, Rotated};
use crate::keys::KeyState;
use crate::store::{Commit, Part, Store, Write};

impl Vault {
    /// The keys of a role with their states.
    pub fn key_states(&self, role: Rotated) -> Vec<KeyState> {
        self.sealer.states(role)
    }

    /// The fingerprint of the audit key that signs: what people keep.
    pub fn audit_pin(&self) -> Option<KeyFingerprint> {
        self.sealer.audit_public().fingerprint().ok()
    }

    /// Goes on to the next transport key. The one that was in use opens what comes in for some time more.
    ///
    /// # Errors
    /// [`RotationError`]: nothing has changed.
    pub async fn rotate_transport(&self, asked_by: Peer) -> Result<u32, RotationError> {
        let before = self.sealer.generation(Rotated::Transport).0;
        let event = |outcome: &str, detail: String| told("transport-rotate", asked_by, outcome, detail);
        let asked = event("asked", format!("transport key {before} is to be deactivated"));
        self.note(asked).await.map_err(RotationError::Audit)?;
        let to = match self.sealer.next_transport().await {
            Ok(to) => to.0,
            Err(error) => {
                let refused = event("refused", error.to_string());
                self.note(refused).await.map_err(RotationError::Audit)?;
                return Err(error.into());
            }
        };
        let states = self.sealer.states(Rotated::Transport);
        let until = states.iter().filter_map(|key| key.until).max();
        let until = until.map_or_else(String::new, |until| format!(" and opens until {until}"));
        let detail = format!("transport key {before} is deactivated{until}, {to} is active");
        self.note(event("ok", detail)).await.map_err(RotationError::Audit)?;
        Ok(to)
    }

    /// Goes on to the next audit key. The one that was in use signs the trail's end once more, and then a statement that
    /// names the next one, which is a record of the trail; heads behind it are the next one's.
    ///
    /// # Errors
    /// [`RotationError`]. [`RotationError::Audit`] after the step: what is missing on record is put there with the next head.
    pub async fn rotate_audit(&self, asked_by: Peer) -> Result<u32, RotationError> {
        let before = self.sealer.generation(Rotated::Audit).0;
        let event = |outcome: &str, detail: String| told("audit-rotate", asked_by, outcome, detail);
        let asked = event("asked", format!("audit key {before} is to be deactivated"));
        self.note(asked).await.map_err(RotationError::Audit)?;
        let turn = self.heads_turn().await;
        // a step before may have been cut before its handover was on record: no head of the key that it went to comes before that
        self.record_handovers().await.map_err(RotationError::Audit)?;
        let signed = self.sign_end(&turn).await;
        signed.map_err(RotationError::Audit)?;
        let to = match self.sealer.next_audit().await {
            Ok(to) => to.0,
            Err(error) => {
                let refused = event("refused", error.to_string());
                self.note(refused).await.map_err(RotationError::Audit)?;
                return Err(error.into());
            }
        };
        self.record_handovers().await.map_err(RotationError::Audit)?;
        let detail = format!("audit key {before} is deactivated, {to} is active");
        self.note(event("ok", detail)).await.map_err(RotationError::Audit)?;
        self.sign_end(&turn).await.map_err(RotationError::Audit)?;
        Ok(to)
    }

    /// Puts the statements of the keyring on record that are not there yet: a step may have been cut short. The turn of the
    /// heads is the caller's.
    ///
    /// # Errors
    /// The store's.
    pub(super) async fn record_handovers(&self) -> Result<(), Error> {
        let handovers = self.sealer.handovers();
        if handovers.is_empty() {
            return Ok(());
        }
        let on_record = handovers_on_record(self.store.as_ref()).await?;
        for (number, handover) in (1_u32..).zip(&handovers).skip(on_record) {
            record_handover(self.store.as_ref(), number, handover).await?;
        }
        Ok(())
    }
}

/// How many of them the trail has.
pub(super) async fn handovers_on_record(store: &dyn Store) -> Result<usize, Error> {
    let held = store.get(Part::default(), &tables::handovers()).await?;
    let number = held.and_then(|held| held.value.as_slice().try_into().ok());
    Ok(usize::try_from(number.map_or(0, u32::from_be_bytes)).unwrap_or(usize::MAX))
}

/// Puts one on record: the `number`-th, from 1.
pub(super) async fn record_handover(store: &dyn Store, number: u32, handover: &Handover) -> Result<(), Error> {
    let commit = Commit {
        writes: vec![Write::Put(tables::handovers(), number.to_be_bytes().to_vec())],
        event: Some(Event::handover(handover.clone()).encode()),
        ..Commit::default()
    };
    store.commit(commit).await?;
    Ok(())
}

fn told(action: &str, asked_by: Peer, outcome: &str, detail: String) -> Event {
    Event {
        peer: Some(asked_by),
        detail: Some(detail),
        ..Event::new(action, outcome)
    }
}
