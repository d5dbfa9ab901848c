//! Finding tokens by what the masked view shows, and by PAN for those who may.
//!
//! One index serves a search, the narrowest that fits: PAN, namespace, time of the last change, or all records. The rest
//! is filtered, over a bounded number of entries per page; a page may hold fewer tokens than asked for, or none, and
//! still have a `next`.

use std::ops::Bound;

use super::cursor::Check;
use super::record::Record;
use super::refingerprint::CardPrints;
use super::tables::PanIndex;
use super::types::{Actor, CallerError, Error, Found, Operation, Query, View};
use super::walk::{Index, Room};
use super::{Vault, event, screen};
use crate::card::Pan;
use crate::id::RepositoryId;
use crate::keys::Fingerprint;

/// The most that one page may ask for.
const LIMIT_MAX: u32 = 1_000;
/// Index entries looked at that count as one record against the caps.
const EXAMINED_PER_RECORD: usize = 100;

impl Vault {
    /// A page of the tokens that fit. A search by PAN is audited; it is a right of its own.
    ///
    /// A change becomes visible to `updated_since` a little after the time it carries: whoever follows changes asks from
    /// a few seconds before the last one seen.
    ///
    /// # Errors
    /// Not granted, capped; a field that cannot be taken; [`BadCursor`](super::types::CallerError::BadCursor); the HSM (by PAN) or the store does
    /// not work.
    pub async fn search(&self, actor: &Actor, query: Query) -> Result<Found, Error> {
        let op = match query.pan {
            Some(_) => Operation::SearchByPan,
            None => Operation::Search,
        };
        let result = self.find(actor, op, &query).await;
        self.conclude(actor, op, None, "ok", result).await
    }

    async fn find(&self, actor: &Actor, op: Operation, query: &Query) -> Result<Found, Error> {
        check(query)?;
        self.access.permit(actor, op, 1)?;
        if let Some(pan) = &query.pan {
            // one card is asked about, whatever is found
            let found = self.find_card(actor, query, pan).await?;
            let mut event = event(actor, op, "ok", None);
            event.count = u64::try_from(found.tokens.len()).ok();
            self.note(event).await?;
            return Ok(found);
        }
        let (index, start) = plan(actor.repository, query);
        let check_value = Check::of(actor.repository, query, None);
        let from = match &query.cursor {
            Some(text) => Bound::Excluded(check_value.position(text, index.timed)?),
            None => start,
        };
        let room = Room::for_page(query.limit);
        let walked = self.walk(&index, from, room, &|record| fits(record, query)).await?;
        // what was shown counts, or the work it took
        self.charge_page(actor, walked.tokens.len(), walked.examined);
        Ok(Found {
            tokens: walked.tokens,
            next: walked.stopped.map(|position| check_value.cursor(&position)),
        })
    }

    /// A page of a card's tokens: of those under older fingerprint keys first, so that one that is moved meanwhile is seen
    /// late or twice, and never missed.
    async fn find_card(&self, actor: &Actor, query: &Query, pan: &Pan) -> Result<Found, Error> {
        let repository = actor.repository;
        let prints = self.card_prints(repository, pan).await?;
        let check_of = |fingerprint: &Fingerprint| Check::of(repository, query, Some(fingerprint));
        let (mut at, mut from) = (0, Bound::Unbounded);
        if let Some(text) = &query.cursor {
            let mut oldest_first = prints.made.iter().rev().enumerate();
            let given = oldest_first.find_map(|(at, (_, fingerprint))| {
                let position = check_of(fingerprint).position(text, false).ok()?;
                Some((at, Bound::Excluded(position)))
            });
            (at, from) = match given {
                Some(given) => given,
                None => {
                    self.begun_before(repository, pan, &prints, |fingerprint| {
                        check_of(fingerprint).position(text, false).is_ok()
                    })
                    .await?
                }
            };
        }
        let mut room = Room::for_page(query.limit);
        let mut tokens: Vec<View> = Vec::new();
        for (_, fingerprint) in prints.made.iter().rev().skip(at) {
            if room.is_used_up() {
                let next = Some(check_of(fingerprint).cursor(&[]));
                return Ok(Found { tokens, next });
            }
            let index = Index::pan(repository, PanIndex::of(fingerprint));
            let from = std::mem::replace(&mut from, Bound::Unbounded);
            let walked = self.walk(&index, from, room, &|record| fits(record, query)).await?;
            room = room.less(&walked);
            let new = walked.tokens.into_iter();
            let new: Vec<View> = new
                .filter(|view| tokens.iter().all(|there| there.token != view.token))
                .collect();
            tokens.extend(new);
            if let Some(position) = walked.stopped {
                let next = Some(check_of(fingerprint).cursor(&position));
                return Ok(Found { tokens, next });
            }
        }
        Ok(Found { tokens, next: None })
    }

    /// A search that began under a key that is not looked for any more begins anew: all that was there is elsewhere now.
    async fn begun_before(
        &self,
        repository: RepositoryId,
        pan: &Pan,
        prints: &CardPrints,
        began: impl Fn(&Fingerprint) -> bool,
    ) -> Result<(usize, Bound<Vec<u8>>), Error> {
        for generation in prints.generations.gone() {
            if began(&self.sealer.fingerprint(generation, repository, pan).await?) {
                return Ok((0, Bound::Unbounded));
            }
        }
        Err(CallerError::BadCursor.into())
    }

    /// Charges a page of a search: one record was taken when it was permitted.
    pub(super) fn charge_page(&self, actor: &Actor, shown: usize, examined: usize) {
        let volume = shown.max(examined / EXAMINED_PER_RECORD);
        let paid = u64::try_from(volume).unwrap_or(u64::MAX).saturating_sub(1);
        self.access.charge(actor, Operation::Search, paid);
    }
}

pub(super) fn check_limit(limit: u32) -> Result<(), Error> {
    if !(1..=LIMIT_MAX).contains(&limit) {
        return Err(screen::refused("limit", "is not 1 to 1000"));
    }
    Ok(())
}

fn check(query: &Query) -> Result<(), Error> {
    let digits =
        |text: &str, lengths: &[usize]| lengths.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    check_limit(query.limit)?;
    if query.bin.as_ref().is_some_and(|bin| !digits(bin, &[6, 8])) {
        return Err(screen::refused("bin", "is not 6 or 8 digits"));
    }
    if query.last4.as_ref().is_some_and(|last4| !digits(last4, &[4])) {
        return Err(screen::refused("last4", "is not 4 digits"));
    }
    Ok(())
}

/// The index that serves a search without a PAN, and where it begins in it.
fn plan(repository: RepositoryId, query: &Query) -> (Index, Bound<Vec<u8>>) {
    match (&query.namespace, query.updated_since) {
        (Some(namespace), _) => (Index::namespace(repository, namespace), Bound::Unbounded),
        (None, Some(since)) => {
            let from = since.0.to_be_bytes().to_vec();
            (Index::updated(repository), Bound::Included(from))
        }
        (None, None) => (Index::records(repository), Bound::Unbounded),
    }
}

/// Whether a record is what the query asks for. A PAN was the index.
fn fits(record: &Record, query: &Query) -> bool {
    let Query {
        pan: _,
        namespace,
        bin,
        last4,
        expiry_from,
        expiry_to,
        updated_since,
        status,
        limit: _,
        cursor: _,
    } = query;
    namespace
        .as_ref()
        .is_none_or(|name| record.namespace.as_ref() == Some(name))
        && bin.as_ref().is_none_or(|bin| record.shown.bin.starts_with(bin))
        && last4.as_ref().is_none_or(|last4| record.shown.last4 == *last4)
        && expiry_from.is_none_or(|from| record.expiry.is_some_and(|at| at >= from))
        && expiry_to.is_none_or(|to| record.expiry.is_some_and(|at| at <= to))
        && updated_since.is_none_or(|since| record.updated_at >= since)
        && status.is_none_or(|status| record.status == status)
}
