//! When tokens were last revealed: kept in memory, written behind the requests' backs at most about once a minute per
//! token. A crash loses up to that minute; nothing else depends on it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::{Vault, tables};
use crate::id::{RepositoryId, Token, UnixMillis};
use crate::store::{Commit, Cond, Error, Key, Outcome, Part, Write};

/// How often the times are written.
pub(super) const FLUSH_EVERY: Duration = Duration::from_secs(60);

/// Tokens kept in memory; when so many wait, they are written early, and while that goes on no more are taken.
const WAITING_MAX: usize = 100_000;

/// Times per commit.
const PER_COMMIT: usize = 64;

type Times = HashMap<(RepositoryId, Token), UnixMillis>;

/// The times not yet written.
#[derive(Default)]
pub(super) struct LastUsed {
    times: Mutex<Waiting>,
    full: Notify,
}

#[derive(Default)]
struct Waiting {
    new: Times,
    /// Being written; still answers, until it is on disk.
    leaving: Times,
}

impl LastUsed {
    /// `token` was used now.
    pub(super) fn touch(&self, repository: RepositoryId, token: &Token) {
        let mut waiting = self.waiting();
        if waiting.new.len() < WAITING_MAX {
            waiting.new.insert((repository, token.clone()), UnixMillis::now());
        }
        if waiting.new.len() >= WAITING_MAX {
            self.full.notify_one();
        }
    }

    /// Waits until the times should be written.
    pub(super) async fn due(&self) {
        tokio::select! {
            () = tokio::time::sleep(FLUSH_EVERY) => {}
            () = self.full.notified() => {}
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn of(&self, key: &(RepositoryId, Token)) -> Option<UnixMillis> {
        let waiting = self.waiting();
        waiting.new.get(key).or_else(|| waiting.leaving.get(key)).copied()
    }
}

impl Vault {
    /// When `token` was last used, as far as known.
    pub(super) async fn last_used_at(
        &self,
        repository: RepositoryId,
        token: &Token,
    ) -> Result<Option<UnixMillis>, Error> {
        if let Some(at) = self.last_used.of(&(repository, token.clone())) {
            return Ok(Some(at));
        }
        let stored = self
            .store
            .get(Part::default(), &tables::last_used(repository, token))
            .await?;
        let bytes = stored.and_then(|found| <[u8; 8]>::try_from(found.value).ok());
        Ok(bytes.map(|bytes| UnixMillis(u64::from_be_bytes(bytes))))
    }

    /// Writes the times that wait. Those that could not be written wait on.
    pub(super) async fn flush_last_used(&self) {
        let leaving: Vec<_> = {
            let mut waiting = self.last_used.waiting();
            waiting.leaving = std::mem::take(&mut waiting.new);
            waiting.leaving.iter().map(|(key, at)| (key.clone(), *at)).collect()
        };
        let mut fault = None;
        for chunk in leaving.chunks(PER_COMMIT) {
            if let Err(error) = self.write_last_used(chunk).await {
                fault = Some(error);
                break;
            }
        }
        let mut waiting = self.last_used.waiting();
        let leaving = std::mem::take(&mut waiting.leaving);
        if let Some(error) = fault {
            tracing::warn!(%error, "the times of last use could not be written");
            for (key, at) in leaving {
                waiting.new.entry(key).or_insert(at);
            }
        }
    }

    /// One commit, without the tokens that are gone in the meantime: a time must not outlive its token.
    async fn write_last_used(&self, times: &[((RepositoryId, Token), UnixMillis)]) -> Result<(), Error> {
        let mut gone: Vec<Key> = Vec::new();
        loop {
            let mut commit = Commit::default();
            for ((repository, token), at) in times {
                let record = tables::record(*repository, token);
                if !gone.contains(&record) {
                    let key = tables::last_used(*repository, token);
                    commit.writes.push(Write::Put(key, at.0.to_be_bytes().to_vec()));
                    commit.conds.push(Cond::Exists(record));
                }
            }
            if commit.writes.is_empty() {
                return Ok(());
            }
            match self.store.commit(commit).await? {
                Outcome::Done { .. } => return Ok(()),
                Outcome::CondFailed { key, .. } => gone.push(key),
            }
        }
    }
}
