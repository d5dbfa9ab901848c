//! Walking through one index: what every search is made of. A walk looks at a bounded number of entries and says where
//! it stopped.

use std::ops::Bound;

use super::record::Record;
use super::tables::{self, PanIndex};
use super::types::{CallerError, Error, IntegrityError, View};
use super::{Held, Vault};
use crate::id::{Namespace, RepositoryId, UnixMillis};
use crate::store::{Key, Part, Versioned};

/// Index entries looked at for one page.
const EXAMINED_MAX: usize = 10_000;
/// Index entries read at once.
const CHUNK: u32 = 256;

/// An index of one repository.
pub(super) struct Index {
    repository: RepositoryId,
    /// What all its keys begin with; the rest of a key is the position.
    prefix: Key,
    /// Its values are the records themselves.
    records: bool,
    /// A time stands before the token.
    pub(super) timed: bool,
}

impl Index {
    /// All tokens of one PAN.
    pub(super) fn pan(repository: RepositoryId, pan: PanIndex) -> Self {
        Self::of(repository, tables::pan_prefix(repository, pan))
    }

    /// All tokens of a namespace.
    pub(super) fn namespace(repository: RepositoryId, namespace: &Namespace) -> Self {
        Self::of(repository, tables::namespace_prefix(repository, namespace))
    }

    /// All tokens, by their last change: a position begins with eight bytes of milliseconds.
    pub(super) fn updated(repository: RepositoryId) -> Self {
        Self {
            timed: true,
            ..Self::of(repository, tables::updated_prefix(repository))
        }
    }

    /// All tokens, by name.
    pub(super) fn records(repository: RepositoryId) -> Self {
        Self {
            records: true,
            ..Self::of(repository, tables::record_prefix(repository))
        }
    }

    fn of(repository: RepositoryId, prefix: Key) -> Self {
        Self {
            repository,
            prefix,
            records: false,
            timed: false,
        }
    }

    fn key(&self, position: &[u8]) -> Key {
        Key([self.prefix.0.as_slice(), position].concat())
    }
}

/// What is left for a page.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    pub(super) tokens: usize,
    pub(super) entries: usize,
}

impl Room {
    /// All that a page of `limit` tokens may take.
    pub(super) fn for_page(limit: u32) -> Self {
        Self {
            tokens: usize::try_from(limit).unwrap_or(usize::MAX),
            entries: EXAMINED_MAX,
        }
    }

    pub(super) fn is_used_up(self) -> bool {
        self.tokens == 0 || self.entries == 0
    }

    pub(super) fn less(self, walked: &Walked) -> Self {
        Self {
            tokens: self.tokens.saturating_sub(walked.tokens.len()),
            entries: self.entries.saturating_sub(walked.examined),
        }
    }
}

/// What a walk found.
#[derive(Default)]
pub(super) struct Walked {
    pub(super) tokens: Vec<View>,
    /// How many entries were looked at.
    pub(super) examined: usize,
    /// The position of the last one, where there are more behind it.
    pub(super) stopped: Option<Vec<u8>>,
}

impl Vault {
    /// The tokens that fit, from a position on. `room` has some of both.
    pub(super) async fn walk(
        &self,
        index: &Index,
        from: Bound<Vec<u8>>,
        room: Room,
        fits: &(dyn Fn(&Record) -> bool + Sync),
    ) -> Result<Walked, Error> {
        let now = UnixMillis::now();
        let mut from = match from {
            Bound::Unbounded => Bound::Included(index.prefix.clone()),
            Bound::Included(position) => Bound::Included(index.key(&position)),
            Bound::Excluded(position) => Bound::Excluded(index.key(&position)),
        };
        let to = tables::end_of(&index.prefix);
        let mut walked = Walked::default();
        loop {
            let chunk = self.store.scan(Part::default(), from, to.clone(), CHUNK).await?;
            let mut entries = chunk.items.into_iter().peekable();
            while let Some((key, value)) = entries.next() {
                walked.examined += 1;
                let position = key.0.get(index.prefix.0.len()..).unwrap_or_default();
                if let Some(record) = self.entry(index, position, value).await?
                    && !self.is_over(&record, now)
                    && fits(&record)
                {
                    walked.tokens.push(self.view(&record).await?);
                }
                let more = entries.peek().is_some() || chunk.next.is_some();
                if more && room.less(&walked).is_used_up() {
                    walked.stopped = Some(position.to_vec());
                    return Ok(walked);
                }
            }
            match chunk.next {
                Some(last) => from = Bound::Excluded(last),
                None => return Ok(walked),
            }
            // a scan may never wait for anything: without this, one search keeps a thread to itself to its end
            tokio::task::yield_now().await;
        }
    }

    /// The record behind an index entry; `None` where it went, or changed, since the entry was read.
    async fn entry(&self, index: &Index, position: &[u8], value: Versioned) -> Result<Option<Record>, Error> {
        let (time, token) = match index.timed {
            true => position
                .split_first_chunk::<8>()
                .map(|(time, token)| (Some(*time), token)),
            false => Some((None, position)),
        }
        .ok_or(IntegrityError::Damaged)?;
        if index.records {
            let token = tables::parse_token(token).ok_or(IntegrityError::Damaged)?;
            return Ok(Some(Record::decode(&value.value, index.repository, &token)?));
        }
        let token = match value.value.as_slice() {
            [] => tables::parse_token(token),
            named => tables::parse_reuse(named).map(|(_, token)| token),
        };
        let token = token.ok_or(IntegrityError::Damaged)?;
        match self.load(index.repository, &token).await {
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
