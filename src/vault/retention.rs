//! The longest life that a repository allows: no token is there longer after it was made, whatever its own end says and
//! however often it was renewed.
//!
//! The rule is the repository's and is looked at whenever a token is: one past it is gone at once, like one past its own end.
//! The sweep finds what to remove by looking through the repository once an hour, where it notes in memory what falls due
//! within the hour: the shortest rule is a day, so nothing that is made meanwhile is missed. Nothing of it is stored with
//! a token, so a rule that is relaxed in time takes nothing away.

use std::collections::{BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::batch::each;
use super::record::Record;
use super::types::{CallerError, Document, Error, IntegrityError, View};
use super::{ATTEMPTS, Vault, tables};
use crate::id::{RepositoryId, Token, UnixMillis};
use crate::store::Part;

/// How often it is looked what is due.
const SWEEP_EVERY: Duration = Duration::from_secs(1);
/// So far ahead a look through a repository notes what falls due, milliseconds.
const AHEAD: u64 = 60 * 60 * 1_000;
/// Tokens noted for one repository: some 10 MB. Where more fall due within the hour, it is looked again sooner.
const NOTED: usize = 50_000;
/// Records read at once.
const CHUNK: u32 = 256;

/// What falls due in a repository.
struct Noted {
    /// The rule that it was noted by.
    life: u64,
    /// Up to then all is noted.
    until: UnixMillis,
    /// When each was made.
    made: BTreeSet<(UnixMillis, Token)>,
}

impl Vault {
    /// When a token ends: by itself, or by its repository's rule.
    pub(super) fn ends_at(&self, record: &Record) -> Option<UnixMillis> {
        let longest = self.access.longest_life(record.repository);
        let latest = longest.map(|life| record.created_at.plus(life));
        [record.expires_at, latest].into_iter().flatten().min()
    }

    /// How long what is sealed in a document may be kept by the rule of the repository that it is sealed in, milliseconds.
    pub fn longest_life_of(&self, document: &Document) -> Option<u64> {
        self.access.longest_life(document.sealed.as_ref()?.repository)
    }

    /// Whether it is past that.
    pub(super) fn is_over(&self, record: &Record, now: UnixMillis) -> bool {
        self.ends_at(record).is_some_and(|at| at <= now)
    }

    /// The masked view, with the end that counts.
    pub(super) fn shown(&self, record: &Record, last_used: Option<UnixMillis>) -> View {
        View {
            expires_at: self.ends_at(record),
            ..record.view(last_used)
        }
    }

    pub(super) async fn retain_until(self: Arc<Self>, mut stopped: watch::Receiver<bool>) {
        let mut noted = HashMap::new();
        loop {
            if let Err(error) = self.sweep_retention(&mut noted, &stopped).await {
                tracing::warn!(%error, "tokens past their repository's retention wait to be removed");
            }
            tokio::select! {
                () = tokio::time::sleep(SWEEP_EVERY) => {}
                // an error: whoever could stop this is gone
                _ = stopped.wait_for(|stop| *stop) => return,
            }
        }
    }

    async fn sweep_retention(
        self: &Arc<Self>,
        noted: &mut HashMap<RepositoryId, Noted>,
        stopped: &watch::Receiver<bool>,
    ) -> Result<(), Error> {
        let limited = self.access.limited_repositories();
        noted.retain(|id, _| limited.iter().any(|(limited, _)| limited == id));
        let mut bad = None;
        for (id, life) in limited {
            let now = UnixMillis::now();
            if !noted
                .get(&id)
                .is_some_and(|there| there.life == life && now < there.until)
            {
                noted.remove(&id);
                let Some(there) = self.note_due(id, life, now, stopped).await? else {
                    return Ok(());
                };
                noted.insert(id, there);
            }
            let Some(there) = noted.get_mut(&id) else { continue };
            if let Err(error) = self.remove_due(id, there, stopped).await {
                match error {
                    // the others would fare no better
                    Error::Dependency(_) => return Err(error),
                    // one bad record must not keep the others
                    Error::Caller(_) | Error::Integrity(_) | Error::Policy(_) => bad = Some(error),
                }
            }
        }
        bad.map_or(Ok(()), Err)
    }

    /// Looks through a repository for what falls due within the hour; what is due already is among it. `None`: it was
    /// stopped.
    async fn note_due(
        &self,
        id: RepositoryId,
        life: u64,
        now: UnixMillis,
        stopped: &watch::Receiver<bool>,
    ) -> Result<Option<Noted>, Error> {
        let mut noted = Noted {
            life,
            until: now.plus(AHEAD),
            made: BTreeSet::new(),
        };
        let first = tables::record_prefix(id);
        let (length, end) = (first.0.len(), tables::end_of(&first));
        let mut from = Bound::Included(first);
        loop {
            if *stopped.borrow() {
                return Ok(None);
            }
            let page = self.store.scan(Part::default(), from, end.clone(), CHUNK).await?;
            for (key, found) in page.items {
                let token = key.0.get(length..).and_then(tables::parse_token);
                let record = token.and_then(|token| Record::decode(&found.value, id, &token).ok());
                // one that cannot be read is told by the checks of the store
                let Some(record) = record else { continue };
                if record.created_at.plus(life) < noted.until {
                    noted.made.insert((record.created_at, record.token));
                }
                if noted.made.len() > NOTED
                    && let Some((made, _)) = noted.made.pop_last()
                {
                    noted.until = made.plus(life);
                }
            }
            match page.next {
                Some(last) => from = Bound::Excluded(last),
                None => return Ok(Some(noted)),
            }
            tokio::task::yield_now().await;
        }
    }

    /// Removes what is due, many at a time: the store makes them durable together.
    async fn remove_due(
        self: &Arc<Self>,
        id: RepositoryId,
        noted: &mut Noted,
        stopped: &watch::Receiver<bool>,
    ) -> Result<(), Error> {
        let mut bad = None;
        while !*stopped.borrow() {
            let now = UnixMillis::now();
            let is_due = |entry: &&(UnixMillis, Token)| entry.0.plus(noted.life) <= now;
            let due: Vec<_> = noted.made.iter().take_while(is_due).take(256).cloned().collect();
            if due.is_empty() {
                break;
            }
            let tokens = due.iter().map(|(_, token)| Ok(token.clone())).collect();
            let removed = each(tokens, |_, token: Token| {
                let vault = Arc::clone(self);
                async move { vault.end_of_life(id, &token).await }
            });
            for (entry, result) in due.iter().zip(removed.await) {
                match result {
                    Err(error @ Error::Dependency(_)) => return Err(error),
                    Err(error) => bad = Some(error),
                    Ok(()) => {}
                }
                // one that cannot be removed is met again with the next look
                noted.made.remove(entry);
            }
        }
        bad.map_or(Ok(()), Err)
    }

    async fn end_of_life(&self, id: RepositoryId, token: &Token) -> Result<(), Error> {
        for _ in 0..ATTEMPTS {
            match self.load(id, token).await {
                Ok(held) if !self.is_over(&held.record, UnixMillis::now()) || self.expire(&held).await? => {
                    return Ok(());
                }
                // changed in between
                Ok(_) => {}
                Err(Error::Caller(CallerError::UnknownToken)) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Err(IntegrityError::Damaged.into())
    }
}
