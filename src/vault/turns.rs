//! Writers of one record go one after another.
//!
//! The conditions of the commits keep a record right without this. It is for those who would look again and again: of
//! many unconditional changes at once one wins each round, and the last would run out of rounds.

use std::hash::{BuildHasher, RandomState};

use tokio::sync::{Mutex, MutexGuard};

use crate::id::{RepositoryId, Token};

/// Records are spread over this many locks; two that meet under one only wait for each other.
const LOCKS: u64 = 1_024;

/// The turns of all records, or of whatever else has names like theirs.
pub struct Turns {
    locks: Vec<Mutex<()>>,
    /// Keyed, so that nobody can choose tokens that meet.
    spread: RandomState,
}

impl Turns {
    /// Waits until those before have written. The turn ends when the answer is dropped; who holds one must not wait for
    /// another.
    pub async fn wait(&self, repository: RepositoryId, token: &Token) -> Option<MutexGuard<'_, ()>> {
        let at = self.spread.hash_one((repository, token)) % LOCKS;
        let lock = usize::try_from(at).ok().and_then(|at| self.locks.get(at))?;
        Some(lock.lock().await)
    }
}

impl Default for Turns {
    fn default() -> Self {
        Self {
            locks: (0..LOCKS).map(|_| Mutex::default()).collect(),
            spread: RandomState::new(),
        }
    }
}
