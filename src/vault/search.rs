//! Finding tokens by what the masked view shows, and by PAN for those who may.
//!
//! One index serves a search, the narrowest that fits: PAN, namespace, time of the last change, or all records. The rest
//! is filtered, over a bounded number of entries per page; a page may hold fewer tokens than asked for, or none, and
//! still have a `next`.

use std::ops::Bound;

use super::cursor::Check;
use super::record::Record;
use super::tables::{self, PanIndex};
use super::types::{Actor, CallerError, Error, Found, Operation, Query};
use super::{Held, Vault, event, screen};
use crate::id::{RepositoryId, UnixMillis};
use crate::keys::Fingerprint;
use crate::store::{Key, Part, Versioned};

/// The most that one page may ask for.
const LIMIT_MAX: u32 = 1_000;
/// Index entries looked at for one page.
const EXAMINED_MAX: usize = 10_000;
/// Index entries looked at that count as one record against the caps.
const EXAMINED_PER_RECORD: usize = 100;
/// Index entries read at once.
const CHUNK: u32 = 256;

/// The index that serves a search.
struct Plan {
    /// What all its keys begin with; the rest of a key is the position.
    prefix: Key,
    from: Bound<Key>,
    /// Its values are the records themselves.
    records: bool,
    /// A time stands before the token.
    timed: bool,
}

impl Vault {
    /// A page of the tokens that fit. A search by PAN is audited; it is a right of its own.
    ///
    /// A change becomes visible to `updated_since` a little after the time it carries: whoever follows changes asks from
    /// a few seconds before the last one seen.
    ///
    /// # Errors
    /// Not granted, capped; a field that cannot be taken; [`CallerError::BadCursor`]; the HSM (by PAN) or the store does
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
        let fingerprint = match &query.pan {
            Some(pan) => Some(self.sealer.fingerprint(actor.repository, pan).await?),
            None => None,
        };
        let plan = plan(actor.repository, query, fingerprint.as_ref());
        let token = Check::of(actor.repository, query, fingerprint.as_ref());
        let (found, examined) = self.page(actor.repository, query, plan, token).await?;
        match query.pan {
            Some(_) => {
                let mut event = event(actor, op, "ok", None);
                event.count = u64::try_from(found.tokens.len()).ok();
                self.note(event).await?;
            }
            // by PAN one card is asked about, whatever is found; otherwise what was shown counts, or the work it took
            None => {
                let volume = found.tokens.len().max(examined / EXAMINED_PER_RECORD);
                let paid = u64::try_from(volume).unwrap_or(u64::MAX).saturating_sub(1);
                self.access.charge(actor, op, paid);
            }
        }
        Ok(found)
    }

    /// The page, and how many entries were looked at for it.
    async fn page(
        &self,
        repository: RepositoryId,
        query: &Query,
        plan: Plan,
        check: Check,
    ) -> Result<(Found, usize), Error> {
        let limit = usize::try_from(query.limit).unwrap_or(usize::MAX);
        let now = UnixMillis::now();
        let mut from = match &query.cursor {
            Some(text) => Bound::Excluded(joined(&plan.prefix, &check.position(text, plan.timed)?)),
            None => plan.from.clone(),
        };
        let to = tables::end_of(&plan.prefix);
        let (mut tokens, mut examined) = (Vec::new(), 0);
        loop {
            let chunk = self.store.scan(Part::default(), from, to.clone(), CHUNK).await?;
            let mut entries = chunk.items.into_iter().peekable();
            while let Some((key, value)) = entries.next() {
                examined += 1;
                let position = key.0.get(plan.prefix.0.len()..).unwrap_or_default();
                if let Some(record) = self.entry(repository, &plan, position, value).await?
                    && !record.expired(now)
                    && fits(&record, query)
                {
                    tokens.push(self.view(&record).await?);
                }
                let more = entries.peek().is_some() || chunk.next.is_some();
                if more && (tokens.len() >= limit || examined >= EXAMINED_MAX) {
                    let next = Some(check.cursor(position));
                    return Ok((Found { tokens, next }, examined));
                }
            }
            match chunk.next {
                Some(last) => from = Bound::Excluded(last),
                None => return Ok((Found { tokens, next: None }, examined)),
            }
            // a scan may never wait for anything: without this, one search keeps a thread to itself to its end
            tokio::task::yield_now().await;
        }
    }

    /// The record behind an index entry; `None` where it went, or changed, since the entry was read.
    async fn entry(
        &self,
        repository: RepositoryId,
        plan: &Plan,
        position: &[u8],
        value: Versioned,
    ) -> Result<Option<Record>, Error> {
        let (time, token) = match plan.timed {
            true => position
                .split_first_chunk::<8>()
                .map(|(time, token)| (Some(*time), token)),
            false => Some((None, position)),
        }
        .and_then(|(time, token)| Some((time, tables::parse_token(token)?)))
        .ok_or(super::IntegrityError::Damaged)?;
        if plan.records {
            return Ok(Some(Record::decode(&value.value, repository, &token)?));
        }
        match self.load(repository, &token).await {
            // changed since: it stands in the index once more, further on
            Ok(Held { record, .. }) if time.is_some_and(|time| u64::from_be_bytes(time) != record.updated_at.0) => {
                Ok(None)
            }
            Ok(Held { record, .. }) => Ok(Some(record)),
            Err(Error::Caller(CallerError::UnknownToken)) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn check(query: &Query) -> Result<(), Error> {
    let digits =
        |text: &str, lengths: &[usize]| lengths.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if !(1..=LIMIT_MAX).contains(&query.limit) {
        return Err(screen::refused("limit", "is not 1 to 1000"));
    }
    if query.bin.as_ref().is_some_and(|bin| !digits(bin, &[6, 8])) {
        return Err(screen::refused("bin", "is not 6 or 8 digits"));
    }
    if query.last4.as_ref().is_some_and(|last4| !digits(last4, &[4])) {
        return Err(screen::refused("last4", "is not 4 digits"));
    }
    Ok(())
}

fn plan(repository: RepositoryId, query: &Query, fingerprint: Option<&Fingerprint>) -> Plan {
    let (prefix, records, timed) = match (fingerprint, &query.namespace, query.updated_since) {
        (Some(fingerprint), ..) => (tables::pan_prefix(repository, PanIndex::of(fingerprint)), false, false),
        (None, Some(namespace), _) => (tables::namespace_prefix(repository, namespace), false, false),
        (None, None, Some(_)) => (tables::updated_prefix(repository), false, true),
        (None, None, None) => (tables::record_prefix(repository), true, false),
    };
    let from = match query.updated_since.filter(|_| timed) {
        Some(since) => joined(&prefix, &since.0.to_be_bytes()),
        None => prefix.clone(),
    };
    Plan {
        prefix,
        from: Bound::Included(from),
        records,
        timed,
    }
}

fn joined(prefix: &Key, position: &[u8]) -> Key {
    Key([prefix.0.as_slice(), position].concat())
}

/// Whether a record is what the query asks for. The PAN was the index.
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
