//! Requests that may be repeated under a key of the caller's. What such a request made is kept for a day: the token, how
//! it ended, and a MAC of the request. The entry is part of the commit that makes the token, so one never exists
//! without the other. A replay answers as the first time, with the view as it is now.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use ring::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};
use tokio::sync::OwnedMutexGuard;

use super::tables;
use super::types::{Actor, CallerError, DependencyError, Error, Idempotency, IntegrityError, Tokenized};
use super::{Vault, screen};
use crate::card::BinTable;
use crate::hsm::Generation;
use crate::id::{IdempotencyKey, Token, UnixMillis};
use crate::keys::SecretBytes;
use crate::store::{Cond, Key, Part, Versioned, Write};

/// How long a key is remembered, milliseconds.
const KEPT: u64 = DAY;
const DAY: u64 = 24 * 60 * 60 * 1000;

/// Keys in flight at once; more are refused as busy.
const IN_FLIGHT_MAX: usize = 10_000;

const VERSION: u8 = 1;

/// What the MACs of requests are separated by from all others.
const DOMAIN: &str = "panvault idempotent request v1";

/// What a request made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    at: UnixMillis,
    /// MAC of the request.
    request: [u8; 32],
    created: bool,
    token: Token,
}

/// Whose key it is: repository, merchant, user and key, hashed.
pub(super) type Scope = [u8; 16];

/// The keys at work in this process. A second request under a key waits for the first.
#[derive(Default)]
pub(super) struct InFlight(Arc<Mutex<HashMap<Scope, Arc<tokio::sync::Mutex<()>>>>>);

/// The right to work under a key; the next in line gets it when this is dropped.
struct Turn {
    keys: InFlight,
    scope: Scope,
    held: Option<OwnedMutexGuard<()>>,
}

/// A caller's turn under its key, and what the commit needs so that no other result came before it.
pub(super) struct Claim {
    scope: Scope,
    request: SecretBytes,
    /// Its MAC, and under which fingerprint key.
    mac: [u8; 32],
    under: Generation,
    at: UnixMillis,
    conds: Vec<Cond>,
    _turn: Turn,
}

impl Vault {
    /// Waits for the turn under the key. `item` numbers the items of a batch. [`Vault::done_before`] comes next.
    ///
    /// # Errors
    /// The key cannot be taken, or what is needed for it does not work.
    pub(super) async fn claim(
        &self,
        actor: &Actor,
        idempotency: Idempotency,
        item: Option<usize>,
        bins: &BinTable,
    ) -> Result<Claim, Error> {
        let Idempotency { key, request } = idempotency;
        screen::no_card("idempotency_key", key.as_str(), bins)?;
        let scope = scope(actor, &key, item);
        let turn = self.in_flight.enter(scope).await?;
        let active = self.generations().await?.active();
        let mac = self.sealer.mac_under(active, DOMAIN, &request).await?;
        Ok(Claim {
            scope,
            request,
            under: active,
            mac,
            at: UnixMillis::now(),
            conds: Vec::new(),
            _turn: turn,
        })
    }

    /// The result that stands under the key already, if there is one.
    ///
    /// # Errors
    /// [`CallerError::IdempotencyMismatch`], or the token that was made is gone.
    pub(super) async fn done_before(&self, actor: &Actor, claim: &mut Claim) -> Result<Option<Tokenized>, Error> {
        claim.at = UnixMillis::now();
        claim.conds.clear();
        for key in keys_around(claim.at, &claim.scope) {
            let found = self.store.get(Part::default(), &key).await?;
            if let Some(entry) = found.as_ref().map(Entry::read).transpose()?
                && entry.at.plus(KEPT) > claim.at
                && let Some(done) = self.replay(actor, &entry, claim).await?
            {
                return Ok(Some(done));
            }
            claim.conds.push(match found {
                None => Cond::Absent(key),
                // too old, or of a card that opens nowhere any more
                Some(past) => Cond::Rev(key, past.rev),
            });
        }
        Ok(None)
    }

    /// Whether the entry was made of the same request; perhaps under a fingerprint key that was in use a day ago.
    async fn is_repeated(&self, entry: &Entry, claim: &Claim) -> Result<bool, Error> {
        if entry.request == claim.mac {
            return Ok(true);
        }
        let before = (1..claim.under.0).rev().map(Generation);
        // one that was made while the key was changed
        let after = Some(self.generations().await?.active()).filter(|active| *active > claim.under);
        for generation in after.into_iter().chain(before) {
            if entry.request == self.sealer.mac_under(generation, DOMAIN, &claim.request).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// `None`: the KEK of the card was destroyed since, so nothing was done that counts.
    async fn replay(&self, actor: &Actor, entry: &Entry, claim: &Claim) -> Result<Option<Tokenized>, Error> {
        if !self.is_repeated(entry, claim).await? {
            return Err(CallerError::IdempotencyMismatch.into());
        }
        let held = self.load_live(actor, &entry.token).await?;
        if self.is_dead(&held.record)? {
            return Ok(None);
        }
        let view = self.view(&held.record).await?;
        Ok(Some(if entry.created {
            Tokenized::Created(view)
        } else {
            Tokenized::Reused(view)
        }))
    }
}

impl Claim {
    /// What must hold when the result is committed.
    pub(super) fn conds(&self) -> &[Cond] {
        &self.conds
    }

    /// Remembers the result.
    pub(super) fn result(&self, created: bool, token: &Token) -> Result<Write, IntegrityError> {
        let entry = Entry {
            at: self.at,
            request: self.mac,
            created,
            token: token.clone(),
        };
        let value = postcard::to_extend(&entry, vec![VERSION]).map_err(|_| IntegrityError::Damaged)?;
        Ok(Write::Put(tables::idempotency(day(self.at), &self.scope), value))
    }
}

impl Entry {
    fn read(found: &Versioned) -> Result<Self, IntegrityError> {
        match found.value.split_first() {
            Some((&VERSION, body)) => postcard::from_bytes(body).map_err(|_| IntegrityError::Damaged),
            Some((newer, _)) if *newer > VERSION => Err(IntegrityError::NewerFormat),
            _ => Err(IntegrityError::Damaged),
        }
    }
}

impl InFlight {
    /// Keys at work.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    async fn enter(&self, scope: Scope) -> Result<Turn, Error> {
        let lock = {
            let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if keys.len() >= IN_FLIGHT_MAX && !keys.contains_key(&scope) {
                return Err(Error::Dependency(DependencyError::HsmBusy));
            }
            Arc::clone(keys.entry(scope).or_default())
        };
        // made first, so that a request that goes away while it waits cleans up too
        let mut turn = Turn {
            keys: Self(Arc::clone(&self.0)),
            scope,
            held: None,
        };
        turn.held = Some(lock.lock_owned().await);
        Ok(turn)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.held = None;
        let mut keys = self.keys.0.lock().unwrap_or_else(PoisonError::into_inner);
        // those who wait hold the lock too; the map's own is the last one
        if keys.get(&self.scope).is_some_and(|lock| Arc::strong_count(lock) == 1) {
            keys.remove(&self.scope);
        }
    }
}

/// Days before the one that this returns hold only entries that are too old.
pub(super) fn oldest_day(now: UnixMillis) -> u32 {
    day(now).saturating_sub(1)
}

fn day(at: UnixMillis) -> u32 {
    u32::try_from(at.0 / DAY).unwrap_or(u32::MAX)
}

/// Where an entry of the last 24 hours stands: today, yesterday, or tomorrow by a clock a little ahead of this one.
fn keys_around(at: UnixMillis, scope: &Scope) -> [Key; 3] {
    let today = day(at);
    [today, today.saturating_sub(1), today.saturating_add(1)].map(|day| tables::idempotency(day, scope))
}

pub(super) fn scope(actor: &Actor, key: &IdempotencyKey, item: Option<usize>) -> Scope {
    let mut hash = Context::new(&SHA256);
    hash.update(b"panvault idempotency scope v1");
    hash.update(&actor.repository.0.to_be_bytes());
    hash.update(&actor.peer.uid.to_be_bytes());
    // a merchant's name has no slash, so no two pairs read alike
    hash.update(actor.merchant.as_str().as_bytes());
    hash.update(b"/");
    hash.update(key.as_str().as_bytes());
    if let Some(item) = item {
        hash.update(format!("/{item}").as_bytes());
    }
    tables::half(hash.finish().as_ref())
}
