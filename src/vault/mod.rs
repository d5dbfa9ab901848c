//! The core: repositories that own tokens, who may do what, and the verbs. It knows no HTTP, no PKCS#11 and no sled.
//!
//! Every change is one commit: the writes, the conditions that make it right, and its audit event, together or not at
//! all. What a verb read before is only a guess until the conditions hold; where they do not, it looks again.

mod access;
pub mod accounts;
mod basic;
mod batch;
pub mod caps;
mod certificate;
pub mod check;
mod clock;
mod compare;
pub(crate) mod credential;
mod cursor;
mod delete;
mod describe;
pub mod destroy;
mod diagnose;
mod documents;
mod entities;
pub mod epochs;
mod erase;
pub mod events;
mod export;
mod faults;
mod find;
mod fingerprints;
mod format;
mod forward;
mod heads;
mod idempotency;
mod identity;
#[cfg(test)]
pub(crate) mod idle;
mod inspect;
mod jwe;
mod keeper;
mod kek_ops;
mod last_used;
mod login;
mod look;
mod members;
mod moving;
mod notes;
pub mod owner;
mod pay;
mod persons;
pub mod policy;
mod profile;
mod put;
mod record;
mod records;
mod refingerprint;
mod rekey;
pub mod replay;
mod retention;
mod reveal;
mod rotation;
mod screen;
mod sealer;
mod search;
#[cfg(test)]
pub(crate) mod soft;
mod statement;
mod sweeper;
mod tables;
#[cfg(test)]
pub(crate) mod tests;
mod to_its_end;
mod tokenize;
mod turns;
pub mod types;
mod update;
mod walk;

use std::sync::{Arc, PoisonError, RwLock};

pub use access::{Access, AccessConfig, Admitting, Gate, Reconfigured, ReloadError};
pub use basic::BasicLogin;
pub use certificate::{BadCertificate, CertificateDigest};
pub use diagnose::Diagnosis;
pub use erase::{CardToErase, Erasable, Erasure, Linked, LinkedFut};
pub use export::{ExportPage, LeftOut};
pub use forward::Forwarder;
pub use keeper::{TrailConfig, TrailKeeper};
pub use login::LoginLimits;
pub use refingerprint::{FingerprintStatus, GenerationStatus, RefingerprintStatus};
pub use rotation::{Compromised, EpochStatus, KeyStatus, Relocated, Relocation, RotationError, RotationStatus};
pub use sweeper::Background;
pub use tables::RECORD as RECORD_TABLE;
pub(crate) use to_its_end::to_its_end;

use self::destroy::Destructions;
use self::find::CursorKey;
use self::heads::Heads;
use self::idempotency::InFlight;
use self::last_used::LastUsed;
use self::persons::Persons;
use self::record::Record;
use self::refingerprint::Refingerprint;
use self::rotation::Rotation;
use self::sealer::Sealer;
pub use self::turns::Turns;
use self::types::{Actor, CallerError, Error, IntegrityError, Operation, View};
use crate::audit::Event;
use crate::card::BinTable;
use crate::id::{RepositoryId, RequestId, Token, UnixMillis, VaultId};
use crate::keys::Keys;
use crate::store::{Commit, Cond, Outcome, Part, Store, Versioned, Write};
use crate::telemetry::Metrics;

/// How often a verb looks again because others changed what it read.
const ATTEMPTS: u32 = 16;

/// The BIN table in use; a reload replaces it for all who hold this.
pub type SharedBins = Arc<RwLock<Arc<BinTable>>>;

/// The vault: the verbs that the dialects call.
pub struct Vault {
    id: VaultId,
    store: Arc<dyn Store>,
    sealer: Arc<dyn Sealer>,
    access: Access,
    bins: SharedBins,
    metrics: Metrics,
    last_used: LastUsed,
    in_flight: InFlight,
    turns: Turns,
    cursors: CursorKey,
    persons: Persons,
    heads: Heads,
    rotation: Rotation,
    refingerprint: Refingerprint,
    destructions: Destructions,
}

/// A record as it was read, and which commit wrote it.
struct Held {
    rev: u64,
    record: Record,
}

impl Vault {
    /// A vault over these parts; `id` names it in receipts. [`Vault::start_background`] starts what works by itself.
    pub fn open(
        id: VaultId,
        store: Arc<dyn Store>,
        keys: Keys,
        access: Access,
        bins: SharedBins,
        metrics: Metrics,
    ) -> Arc<Self> {
        Self::assemble(id, store, Arc::new(keys), access, bins, metrics)
    }

    fn assemble(
        id: VaultId,
        store: Arc<dyn Store>,
        sealer: Arc<dyn Sealer>,
        access: Access,
        bins: SharedBins,
        metrics: Metrics,
    ) -> Arc<Self> {
        Arc::new(Self {
            id,
            store,
            sealer,
            access,
            bins,
            metrics,
            last_used: LastUsed::default(),
            in_flight: InFlight::default(),
            turns: Turns::default(),
            cursors: CursorKey::default(),
            persons: Persons::default(),
            heads: Heads::default(),
            rotation: Rotation::default(),
            refingerprint: Refingerprint::default(),
            destructions: Destructions::default(),
        })
    }

    /// Who may do what.
    pub fn access(&self) -> &Access {
        &self.access
    }

    fn bins(&self) -> Arc<BinTable> {
        Arc::clone(&self.bins.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The record of `token`, whatever its state.
    async fn load(&self, repository: RepositoryId, token: &Token) -> Result<Held, Error> {
        let key = tables::record(repository, token);
        let Some(Versioned { rev, value }) = self.store.get(Part::default(), &key).await? else {
            return Err(CallerError::UnknownToken.into());
        };
        let record = Record::decode(&value, repository, token)?;
        Ok(Held { rev, record })
    }

    /// The record of a token that is not past its time, and that the actor's dialect knows.
    async fn load_live(&self, actor: &Actor, token: &Token) -> Result<Held, Error> {
        let held = self.load(actor.repository, token).await?;
        if actor.dialect.names_twice() && held.record.alias.is_none() {
            return Err(CallerError::UnknownToken.into());
        }
        if self.is_over(&held.record, UnixMillis::now()) {
            return Err(CallerError::Expired.into());
        }
        Ok(held)
    }

    async fn view(&self, record: &Record) -> Result<View, Error> {
        let last_used = self.last_used_at(record.repository, &record.token).await?;
        Ok(self.shown(record, last_used))
    }

    /// One commit of `writes` and `event`, if the record is still as it was read. `false`: it is not.
    async fn commit_if_unchanged(&self, held: &Held, writes: Vec<Write>, event: Event) -> Result<bool, Error> {
        let commit = Commit {
            conds: vec![Cond::Rev(held.record.key(), held.rev)],
            writes,
            event: Some(event.encode()),
            ..Commit::default()
        };
        match self.store.commit(commit).await? {
            Outcome::Done { .. } => Ok(true),
            Outcome::CondFailed { .. } => Ok(false),
        }
    }

    /// Counts how a verb ended, and raises the alarm where stored data was changed by another hand.
    async fn conclude<T>(
        &self,
        actor: &Actor,
        op: Operation,
        token: Option<&Token>,
        outcome: &str,
        result: Result<T, Error>,
    ) -> Result<T, Error> {
        let label = match &result {
            Ok(_) => outcome,
            Err(error) => error.class(),
        };
        self.metrics.operations.with_label_values(&[op.as_str(), label]).inc();
        if matches!(result, Err(Error::Integrity(IntegrityError::Tampered))) {
            self.alarm(event(actor, op, "tampered", token)).await;
        }
        result
    }

    /// Stored data was changed by another hand.
    async fn alarm(&self, event: Event) {
        self.metrics.tampered.inc();
        let request = event.request.as_ref().map(RequestId::as_str);
        tracing::error!(op = event.action, request, "a record was tampered with");
        if let Err(error) = self.note(event.clone()).await {
            tracing::error!(%error, request, "the alarm could not be audited");
        }
    }
}

/// The event of a verb.
fn event(actor: &Actor, op: Operation, outcome: &str, token: Option<&Token>) -> Event {
    Event {
        token: token.cloned(),
        ..event_of(actor, op.as_str(), outcome)
    }
}

/// The event of what an actor did.
fn event_of(actor: &Actor, action: &str, outcome: &str) -> Event {
    Event {
        peer: Some(actor.peer),
        dialect: Some(actor.dialect.as_str().to_owned()),
        merchant: Some(actor.merchant.clone()),
        repository: Some(actor.repository_name.clone()),
        request: Some(actor.request.clone()),
        ..Event::new(action, outcome)
    }
}
