//! Changing a record. What is sealed is sealed anew under the record's own DEK; the PAN that is there is never opened
//! for it.

mod patch;

use std::collections::BTreeMap;

pub(super) use self::patch::patched;
use self::patch::{NewNumber, check, counted, merged, numbered};
use super::destroy::not_ended;
use super::documents::Removal;
use super::record::Record;
use super::refingerprint::CardPrints;
use super::tables;
use super::tokenize::{PERSON, check_profile, compartments};
use super::types::{Actor, Author, CallerError, Change, Error, Operation, Patch, Profile, Status, View};
use super::{ATTEMPTS, Held, Vault, event, members, screen};
use crate::card::Pan;
use crate::hsm::Epoch;
use crate::id::{Token, UnixMillis};
use crate::keys::{Compartment, Sealed, SecretBytes};
use crate::store::{Commit, Cond, Key, Outcome};

/// What a record is to become.
struct Becoming<'a> {
    record: &'a Record,
    /// The names of what changes.
    changed: &'a [&'a str],
    number: Option<NewNumber<'a>>,
    /// The epoch that it was sealed under just now, where it is not the one of what it was.
    sealed_under: Option<Epoch>,
    /// A document that goes in the same commit.
    removal: Option<&'a Removal>,
}

impl Vault {
    /// Changes what `patch` names. A patch that changes nothing answers the view as it is, unaudited.
    ///
    /// # Errors
    /// Not granted; a field that cannot be taken; no such token, expired, spent; [`CallerError::Replaced`],
    /// [`CallerError::Revision`], [`CallerError::CardFixed`], [`CallerError::CardExists`],
    /// [`CallerError::TooManyUpdates`]; tampered with; the HSM or
    /// the store does not work.
    pub async fn update(&self, actor: &Actor, token: &Token, patch: Patch) -> Result<View, Error> {
        let result = self.update_record(actor, token, &patch).await;
        self.conclude(actor, Operation::Update, Some(token), "ok", result).await
    }

    /// As [`Vault::update`], in one commit with the removal of a document; [`CallerError::UnknownToken`] where that is gone.
    pub(super) async fn update_with(
        &self,
        actor: &Actor,
        token: &Token,
        patch: Patch,
        removal: Removal,
    ) -> Result<View, Error> {
        let result = self.update_along(actor, token, &patch, Some(&removal)).await;
        self.conclude(actor, Operation::Update, Some(token), "ok", result).await
    }

    pub(super) async fn update_record(&self, actor: &Actor, token: &Token, patch: &Patch) -> Result<View, Error> {
        self.update_along(actor, token, patch, None).await
    }

    async fn update_along(
        &self,
        actor: &Actor,
        token: &Token,
        patch: &Patch,
        removal: Option<&Removal>,
    ) -> Result<View, Error> {
        self.access.permit(actor, Operation::Update, 1)?;
        check(patch, token, UnixMillis::now(), &self.bins())?;
        let mut prints = self.prints_of(actor, patch).await?;
        let _turn = self.turns.wait(actor.repository, token).await;
        for _ in 0..ATTEMPTS {
            let now = self.generations().await?;
            if prints.as_ref().is_some_and(|prints| prints.generations != now) {
                prints = self.prints_of(actor, patch).await?;
            }
            let held = self.load_live(actor, token).await?;
            let old = &held.record;
            if let Some(now) = Some(old.revision).filter(|now| patch.if_revision.is_some_and(|wanted| wanted != *now)) {
                return Err(CallerError::Revision { now }.into());
            }
            if old.status == Status::Spent {
                return Err(CallerError::Spent.into());
            }
            if old.replacement.is_some() && patch.author == Author::Merchant {
                return Err(CallerError::Replaced.into());
            }
            let number = patch.pan.as_ref().zip(prints.as_ref());
            let number = number.map(|(pan, prints)| NewNumber { pan, prints });
            let dead = self.is_dead(old)?;
            // whose a card is stands in the part that does not open
            let anew = match old.is_personal() {
                true => None,
                false => number.filter(|_| dead),
            };
            let number = number.filter(|number| !number.prints.is(old.generation, old.pan));
            let changed = patch.changed(anew.or(number));
            if changed.is_empty() {
                return self.view(old).await;
            }
            let mut record = patched(old, patch, actor);
            if let Some(limit) = patch.limit {
                record.limited_updates = counted(&old.limited_updates, limit, UnixMillis::now())?;
            }
            if let Some(number) = number {
                let scope = self.scope_of(&record).await?;
                record = numbered(record, patch.author, number, scope, &self.bins())?;
            }
            let mut sealed_under = None;
            if let Some(NewNumber { pan, .. }) = anew {
                let (sealed, holder) = self.seal_anew(&record, pan, patch).await?;
                sealed_under = Some(sealed.epoch);
                record.sealed = Some(sealed.encode());
                record.holder = holder;
            } else if let Some(number) = number {
                record.sealed = Some(self.reseal_pan(&record, number.pan).await?.encode());
            }
            if anew.is_none() && patch.touches_profile(&record)? {
                let (sealed, holder) = self.reseal_profile(&record, patch).await?;
                record.sealed = Some(sealed.encode());
                record.holder = holder;
            }
            let becoming = Becoming {
                record: &record,
                changed: &changed,
                number,
                sealed_under,
                removal,
            };
            if self.replace(actor, &held, patch, &becoming).await? {
                return self.view(&record).await;
            }
        }
        Err(CallerError::Contended.into())
    }

    async fn prints_of(&self, actor: &Actor, patch: &Patch) -> Result<Option<CardPrints>, Error> {
        match &patch.pan {
            Some(pan) => Ok(Some(self.card_prints(actor.repository, pan).await?)),
            None => Ok(None),
        }
    }

    /// One commit that turns the record into another, if nothing stands against it. `false`: look again.
    async fn replace(&self, actor: &Actor, held: &Held, patch: &Patch, becoming: &Becoming<'_>) -> Result<bool, Error> {
        let Becoming {
            record,
            changed,
            number,
            sealed_under,
            removal,
        } = *becoming;
        let old = &held.record;
        let mut event = event(actor, Operation::Update, "ok", Some(&record.token));
        let by = match patch.author {
            Author::Merchant => "",
            Author::Updater => ", by the account updater",
        };
        event.detail = Some(format!("{}{by}", changed.join(", ")));
        let mut conds = vec![Cond::Rev(old.key(), held.rev)];
        conds.extend(sealed_under.map(not_ended));
        let mut reuse: Vec<Key> = Vec::new();
        if let Some(number) = number {
            conds.push(number.prints.generations.cond());
            if let Some(scope) = self.scope_of(record).await?.filter(|_| record.reuse.is_some()) {
                let (repository, personal) = (record.repository, record.is_personal());
                reuse = number.prints.one_token(repository, &scope, record.uses, personal);
            }
        }
        conds.extend(reuse.iter().cloned().map(Cond::Absent));
        let replacement = match &patch.replacement {
            Change::Set(other) => Some(tables::record(record.repository, other)),
            Change::Keep | Change::Clear => None,
        };
        conds.extend(replacement.clone().map(Cond::Exists));
        let mut writes = record.replacement(old)?;
        if let Some(removal) = removal {
            conds.push(removal.cond());
            writes.extend(removal.writes());
        }
        let commit = Commit {
            conds,
            writes,
            event: Some(event.encode()),
            ..Commit::default()
        };
        match self.store.commit(commit).await? {
            Outcome::Done { .. } => Ok(true),
            Outcome::CondFailed { key, now: Some(there) } if reuse.contains(&key) => {
                match self.holder_of(record.repository, &there.value).await? {
                    Some(other) if self.is_over(&other.record, UnixMillis::now()) => {
                        self.expire(&other).await?;
                        Ok(false)
                    }
                    Some(other) if self.is_dead(&other.record)? => {
                        self.remove_dead(&other).await?;
                        Ok(false)
                    }
                    Some(other) => {
                        let token = other.record.token;
                        Err(CallerError::CardExists { token }.into())
                    }
                    None => Ok(false),
                }
            }
            Outcome::CondFailed { key, .. } if removal.is_some_and(|removal| removal.is_of(&key)) => {
                Err(CallerError::UnknownToken.into())
            }
            Outcome::CondFailed { key, .. } if Some(&key) == replacement.as_ref() => {
                Err(screen::refused("replacement", "is no token of this repository"))
            }
            Outcome::CondFailed { key, .. } => {
                self.outdated(&key);
                Ok(false)
            }
        }
    }

    async fn reseal_pan(&self, record: &Record, pan: &Pan) -> Result<Sealed, Error> {
        let text = SecretBytes::new(pan.expose().as_bytes().to_vec());
        let sealed = record.sealed()?;
        Ok(self
            .sealer
            .reseal(record.place(), &sealed, Compartment::Pan, text)
            .await?)
    }

    /// As of a new record: number and profile under a DEK of its own, for one whose card opens nowhere any more. Of the profile
    /// there is what the patch gives.
    async fn seal_anew(&self, record: &Record, pan: &Pan, patch: &Patch) -> Result<(Sealed, bool), Error> {
        let profile = Profile {
            holder: merged(None, &patch.holder),
            extra: members::changed(merged(None, &patch.extra), &patch.members)?,
        };
        check_profile(&profile, &self.bins())?;
        let holder = profile.holder.is_some();
        let parts = compartments(pan, &profile)?;
        let (_, sealed) = self.sealer.seal(record.place(), None, parts).await?;
        Ok((sealed, holder))
    }

    /// The record's sealed part with the patched profile, and whether that has a holder. What is there is opened only if
    /// some of it stays. A profile that is cleared becomes an empty one, so that its revision still counts up.
    pub(super) async fn reseal_profile(&self, record: &Record, patch: &Patch) -> Result<(Sealed, bool), Error> {
        let sealed = record.sealed()?;
        // whose it is, no change of the profile changes
        let keeps = patch.holder == Change::Keep || patch.extra == Change::Keep || record.is_personal();
        let before = match keeps {
            true => self.profile_of(record).await?,
            false => Profile::default(),
        };
        let person = match record.is_personal() {
            true => members::only(before.extra.as_ref(), PERSON)?,
            false => BTreeMap::new(),
        };
        let extra = members::changed(merged(before.extra, &patch.extra), &patch.members)?;
        let profile = Profile {
            holder: merged(before.holder, &patch.holder),
            extra: members::changed(extra, &person)?,
        };
        check_profile(&profile, &self.bins())?;
        let text = profile.encode()?;
        let resealed = self
            .sealer
            .reseal(record.place(), &sealed, Compartment::Profile, text)
            .await?;
        Ok((resealed, profile.holder.is_some()))
    }
}
