//! Changing a record. A change of the profile seals that compartment anew under the record's own DEK; the PAN is never
//! opened for it.

use super::record::Record;
use super::screen::{self, METADATA_MAX};
use super::tokenize::{check_expires_at, check_profile};
use super::types::{Actor, CallerError, Change, Error, Operation, Patch, Profile, Status, View};
use super::{ATTEMPTS, Vault, event};
use crate::card::BinTable;
use crate::id::{Revision, Token, UnixMillis};
use crate::keys::{Compartment, Sealed};

impl Vault {
    /// Changes what `patch` names. A patch that changes nothing answers the view as it is, unaudited.
    ///
    /// # Errors
    /// Not granted; a field that cannot be taken; no such token, expired, spent; [`CallerError::Revision`]; tampered
    /// with; the HSM or the store does not work.
    pub async fn update(&self, actor: &Actor, token: &Token, patch: Patch) -> Result<View, Error> {
        let result = self.update_record(actor, token, &patch).await;
        self.conclude(actor, Operation::Update, Some(token), "ok", result).await
    }

    async fn update_record(&self, actor: &Actor, token: &Token, patch: &Patch) -> Result<View, Error> {
        self.access.permit(actor, Operation::Update, 1)?;
        check(patch, UnixMillis::now(), &self.bins())?;
        let _turn = self.turns.wait(actor.repository, token).await;
        for _ in 0..ATTEMPTS {
            let held = self.load_live(actor, token).await?;
            let old = &held.record;
            if let Some(now) = Some(old.revision).filter(|now| patch.if_revision.is_some_and(|wanted| wanted != *now)) {
                return Err(CallerError::Revision { now }.into());
            }
            if old.status == Status::Spent {
                return Err(CallerError::Spent.into());
            }
            let changed = patch.changed();
            if changed.is_empty() {
                return self.view(old).await;
            }
            let mut record = patched(old, patch);
            if patch.touches_profile() {
                let (sealed, holder) = self.reseal_profile(old, patch).await?;
                record.sealed = Some(sealed.encode());
                record.holder = holder;
            }
            let mut event = event(actor, Operation::Update, "ok", Some(token));
            event.detail = Some(changed.join(", "));
            if self.commit_if_unchanged(&held, record.replacement(old)?, event).await? {
                return self.view(&record).await;
            }
        }
        Err(CallerError::Contended.into())
    }

    /// The record's sealed part with the patched profile, and whether that has a holder. What is there is opened only if
    /// some of it stays. A profile that is cleared becomes an empty one, so that its revision still counts up.
    async fn reseal_profile(&self, old: &Record, patch: &Patch) -> Result<(Sealed, bool), Error> {
        let sealed = old.sealed()?;
        let keeps = matches!(patch.holder, Change::Keep) || matches!(patch.extra, Change::Keep);
        let before = match keeps {
            true => self.sealer.open(old.place(), &sealed, &[Compartment::Profile]).await?,
            false => Vec::new(),
        };
        let before = match before.into_iter().next().flatten() {
            Some(text) => Profile::decode(&text)?,
            None => Profile::default(),
        };
        let profile = Profile {
            holder: merged(before.holder, &patch.holder),
            extra: merged(before.extra, &patch.extra),
        };
        check_profile(&profile, &self.bins())?;
        let text = profile.encode()?;
        let resealed = self
            .sealer
            .reseal(old.place(), &sealed, Compartment::Profile, text)
            .await?;
        Ok((resealed, profile.holder.is_some()))
    }
}

impl Patch {
    /// The names of what it changes.
    fn changed(&self) -> Vec<&'static str> {
        [
            ("expiry", self.expiry != Change::Keep),
            ("holder", self.holder != Change::Keep),
            ("profile", self.extra != Change::Keep),
            ("metadata", self.metadata != Change::Keep),
            ("expires_at", self.expires_at != Change::Keep),
            ("status", self.status.is_some()),
        ]
        .into_iter()
        .filter_map(|(name, changed)| changed.then_some(name))
        .collect()
    }

    fn touches_profile(&self) -> bool {
        self.holder != Change::Keep || self.extra != Change::Keep
    }
}

/// Refuses what cannot be stored.
fn check(patch: &Patch, now: UnixMillis, bins: &BinTable) -> Result<(), Error> {
    if let Change::Set(metadata) = &patch.metadata {
        screen::object("metadata", metadata, METADATA_MAX, Some(bins))?;
    }
    if let Change::Set(at) = patch.expires_at {
        check_expires_at(Some(at), now)?;
    }
    if patch.status == Some(Status::Spent) {
        return Err(screen::refused("status", "is set by a reveal only"));
    }
    let profile = Profile {
        holder: merged(None, &patch.holder),
        extra: merged(None, &patch.extra),
    };
    check_profile(&profile, bins)
}

/// All but the sealed part.
fn patched(old: &Record, patch: &Patch) -> Record {
    Record {
        expiry: merged(old.expiry, &patch.expiry),
        metadata: merged(old.metadata.clone(), &patch.metadata),
        expires_at: merged(old.expires_at, &patch.expires_at),
        status: patch.status.unwrap_or(old.status),
        revision: Revision(old.revision.0.saturating_add(1)),
        // a clock that was set back does not bring a change out of sight of `updated_since`
        updated_at: UnixMillis::now().max(old.updated_at),
        ..old.clone()
    }
}

fn merged<T: Clone>(before: Option<T>, change: &Change<T>) -> Option<T> {
    match change {
        Change::Keep => before,
        Change::Clear => None,
        Change::Set(value) => Some(value.clone()),
    }
}
