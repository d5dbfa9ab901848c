//! What a patch makes of a record.

use crate::card::{BinTable, Pan};
use crate::id::{Revision, Token, UnixMillis};
use crate::keys::{Compartment, SecretBytes};
use crate::vault::record::{Record, Shown, Strategy};
use crate::vault::refingerprint::CardPrints;
use crate::vault::screen::{self, METADATA_MAX};
use crate::vault::tables::PanIndex;
use crate::vault::tokenize::{check_expires_at, check_hides, check_profile, reuse_hash};
use crate::vault::types::{Actor, Author, CallerError, Change, Error, Patch, Profile, Status, UpdateLimit};

/// A number that is not the one that is there.
#[derive(Clone, Copy)]
pub(super) struct NewNumber<'a> {
    pub(super) pan: &'a Pan,
    pub(super) prints: &'a CardPrints,
}

impl Patch {
    /// The names of what it changes.
    pub(super) fn changed(&self, number: Option<NewNumber<'_>>) -> Vec<&'static str> {
        [
            ("number", number.is_some()),
            ("expiry", self.expiry != Change::Keep),
            ("holder", self.holder != Change::Keep),
            ("profile", self.extra != Change::Keep || !self.members.is_empty()),
            ("metadata", self.metadata != Change::Keep),
            ("expires_at", self.expires_at != Change::Keep),
            ("status", self.status.is_some()),
            ("verification", self.verification.is_some()),
            ("replacement", self.replacement != Change::Keep),
        ]
        .into_iter()
        .filter_map(|(name, changed)| changed.then_some(name))
        .collect()
    }

    /// Whether the profile must be sealed anew. Where there is none, there is nothing to clear.
    pub(super) fn touches_profile(&self, record: &Record) -> Result<bool, Error> {
        let sets = matches!(self.holder, Change::Set(_))
            || matches!(self.extra, Change::Set(_))
            || self.members.values().any(Option::is_some);
        let clears = self.holder == Change::Clear || self.extra == Change::Clear || !self.members.is_empty();
        Ok(sets || (clears && record.sealed()?.compartment(Compartment::Profile).is_some()))
    }
}

/// Refuses what cannot be stored.
pub(super) fn check(patch: &Patch, token: &Token, now: UnixMillis, bins: &BinTable) -> Result<(), Error> {
    if let Some(pan) = &patch.pan {
        check_hides(token, pan)?;
    }
    if patch.replacement == Change::Set(token.clone()) {
        return Err(screen::refused("replacement", "is the token itself"));
    }
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

/// All but number and sealed part.
pub(in crate::vault) fn patched(old: &Record, patch: &Patch, actor: &Actor) -> Record {
    Record {
        expiry: merged(old.expiry, &patch.expiry),
        metadata: merged(old.metadata.clone(), &patch.metadata),
        expires_at: merged(old.expires_at, &patch.expires_at),
        status: patch.status.unwrap_or(old.status),
        verification: patch.verification.or(old.verification),
        replacement: merged(old.replacement.clone(), &patch.replacement),
        revision: Revision(old.revision.0.saturating_add(1)),
        // a clock that was set back does not bring a change out of sight of `updated_since`
        updated_at: UnixMillis::now().max(old.updated_at),
        updated_by: match patch.author {
            Author::Merchant => Some(actor.merchant.clone()),
            Author::Updater => None,
        },
        ..old.clone()
    }
}

/// The patched record with another number: what is shown of it, and the keys that lead from it.
pub(super) fn numbered(
    record: Record,
    author: Author,
    number: NewNumber<'_>,
    scope: Option<SecretBytes>,
    bins: &BinTable,
) -> Result<Record, Error> {
    let replaced = record.replacement.is_some();
    if record.strategy == Strategy::Preserve64 && !(replaced && author == Author::Updater) {
        return Err(CallerError::CardFixed.into());
    }
    // the scope's one token of the new number is the replacement
    let scope = scope.filter(|_| !replaced);
    let (generation, fingerprint) = number.prints.newest()?;
    Ok(Record {
        shown: Shown::of(number.pan, bins),
        pan: PanIndex::of(&fingerprint),
        reuse: scope
            .as_ref()
            .map(|scope| reuse_hash(&fingerprint, scope.expose(), record.uses)),
        generation,
        scope: record.scope.filter(|_| !replaced),
        ..record
    })
}

/// The changes that count against `limit`, with one more now.
pub(super) fn counted(before: &[UnixMillis], limit: UpdateLimit, now: UnixMillis) -> Result<Vec<UnixMillis>, Error> {
    let mut recent: Vec<_> = before
        .iter()
        .copied()
        .filter(|at| at.plus(limit.within) > now)
        .collect();
    if recent.len() >= usize::from(limit.changes) {
        let free = recent.first().map_or(now, |first| first.plus(limit.within));
        let retry_after_s = free.0.saturating_sub(now.0).div_ceil(1_000).max(1);
        return Err(CallerError::TooManyUpdates { retry_after_s }.into());
    }
    recent.push(now);
    Ok(recent)
}

pub(super) fn merged<T: Clone>(before: Option<T>, change: &Change<T>) -> Option<T> {
    match change {
        Change::Keep => before,
        Change::Clear => None,
        Change::Set(value) => Some(value.clone()),
    }
}
