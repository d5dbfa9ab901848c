//! Erasing all tokens of a namespace or of a repository: each with a receipt, all of it with a signed summary.
//!
//! What is gone is gone at once and for good, token by token, so an erasure that was interrupted is run again and goes on
//! with what is left. A repository must be suspended: nothing comes in then, and each removal is on the condition that it
//! still is. Of a namespace all goes that was there when the erasure began; what is made meanwhile stays and is counted.

mod cards;
mod documents;
mod summary;
mod tokens;

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use data_encoding::HEXLOWER;
use tokio::sync::mpsc;

pub use self::cards::CardToErase;
use super::accounts::{AccountError, AccountStatus, AdminActor};
use super::events::grouped;
use super::types::{CallerError, DependencyError, Error};
use super::{Vault, tables};
use crate::audit::{Event, Receipts, Statement, StatementKind};
use crate::hsm::framed;
use crate::id::{Namespace, RepositoryId, RepositoryName, UnixMillis};
use crate::keys::SecretBytes;
use crate::store::{Commit, Cond, Key, Outcome};

/// What is to be erased.
#[derive(Debug, Clone)]
pub struct Erasure {
    /// Where.
    pub repository: RepositoryName,
    /// One namespace of it, as the store has it; without one everything.
    pub namespace: Option<Namespace>,
    /// The most tokens in a second, so that callers are served meanwhile; 0: as many as the HSM signs.
    pub per_second: u32,
}

/// Documents that were removed, by their kind; or why not all were, for people.
pub type LinkedFut<'a> = Pin<Box<dyn Future<Output = Result<BTreeMap<&'static str, u64>, String>> + Send + 'a>>;

/// Who looks after what hangs on the tokens that are erased, for floors above that know what that is.
pub trait Linked: Send + Sync {
    /// Removes what hangs on them, and ends what others have of them, while they are still there.
    fn before(&self) -> LinkedFut<'_>;

    /// Removes what was hung on them meanwhile. They are gone, so nothing is any more.
    fn after(&self) -> LinkedFut<'_>;
}

/// Nothing hangs on them.
impl Linked for () {
    fn before(&self) -> LinkedFut<'_> {
        Box::pin(async { Ok(BTreeMap::new()) })
    }

    fn after(&self) -> LinkedFut<'_> {
        Box::pin(async { Ok(BTreeMap::new()) })
    }
}

/// What there is to erase, or was erased.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Erasable {
    /// Tokens: cards and all that leads to them.
    pub tokens: u64,
    /// Documents by their kind.
    pub documents: BTreeMap<&'static str, u64>,
}

/// What is erased, looked up.
struct Target {
    id: RepositoryId,
    name: RepositoryName,
    /// What must not be there while a repository is erased: it takes new tokens then.
    gate: Option<Key>,
    namespace: Option<Namespace>,
    /// How the namespace is told to others: by a keyed MAC, hexadecimal.
    label: Option<String>,
    admin: AdminActor,
}

/// An erasure under way.
struct Run {
    per_second: u32,
    begun_at: UnixMillis,
    /// The revision of the store when it began.
    since: u64,
    /// The audit record before its first.
    audit_before: u64,
    erased: Erasable,
    epochs: BTreeSet<u32>,
    receipts: Receipts,
    /// The first token that cannot be read, and why.
    unreadable: Option<String>,
}

impl Vault {
    /// What an erasure would remove now, linked documents of a namespace apart.
    ///
    /// # Errors
    /// There is no such repository; the store's.
    pub async fn erasable(&self, admin: AdminActor, what: &Erasure) -> Result<Erasable, AccountError> {
        let target = self.target(admin, what).await?;
        Ok(self.left(&target).await?)
    }

    /// Erases, with what `linked` says hangs on it. Each receipt goes to `to`, a line without its end, as soon as its token is gone, and is durable before;
    /// what comes last is the summary. It ends where nobody takes the receipts any more.
    ///
    /// # Errors
    /// [`AccountError::InUse`]: the repository is not suspended, or is no longer; there is no such; something is left that
    /// cannot be read; the HSM's; the store's. What was erased until then is gone.
    pub async fn erase(
        self: &Arc<Self>,
        admin: AdminActor,
        what: Erasure,
        linked: &dyn Linked,
        to: mpsc::Sender<String>,
    ) -> Result<Statement, AccountError> {
        self.check_erasure(&what)?;
        let target = Arc::new(self.target(admin, &what).await?);
        let mut run = self.begin_erasure(&target, &what).await?;
        let done = self.erase_all(&target, &mut run, linked, &to).await;
        if let Err(error) = &done {
            let event = Event {
                count: Some(run.erased.tokens),
                detail: Some(format!("{}: {error}", target.told())),
                ..target.event("stopped")
            };
            if let Err(error) = self.note(event).await {
                tracing::warn!(%error, "that an erasure stopped is not in the audit trail");
            }
        }
        done
    }

    async fn erase_all(
        self: &Arc<Self>,
        target: &Arc<Target>,
        run: &mut Run,
        linked: &dyn Linked,
        to: &mpsc::Sender<String>,
    ) -> Result<Statement, AccountError> {
        run.removed(linked.before().await)?;
        while self.erase_tokens(target, run, to).await? > 0 {}
        run.removed(linked.after().await)?;
        if target.namespace.is_none() {
            while self.erase_documents(target, run).await? > 0 {}
            self.persons.forget_entered();
        }
        if let Some(what) = &run.unreadable {
            return Err(AccountError::InUse(format!(
                "{what}; all the others are gone: `panvault check store` says more"
            )));
        }
        let left = self.left(target).await?;
        if target.namespace.is_none() && left != Erasable::default() {
            return Err(AccountError::InUse(format!(
                "{} tokens and {} documents are left: run it again",
                left.tokens,
                left.documents.values().sum::<u64>()
            )));
        }
        let says = self.summary(target, run, left.tokens);
        // signed first: none is missing because the HSM went away after the end was on record
        let statement = self.state(StatementKind::Erasure, says).await?;
        self.note(Event {
            count: Some(run.erased.tokens),
            detail: Some(target.told()),
            ..target.event("ok")
        })
        .await?;
        Ok(statement)
    }

    /// Whether it can begin.
    ///
    /// # Errors
    /// As [`Vault::erase`] before anything is erased.
    pub fn check_erasure(&self, what: &Erasure) -> Result<(), AccountError> {
        let accounts = self.access.accounts().current();
        let row = accounts.known_repository(&what.repository)?;
        if what.namespace.is_none() && row.status == AccountStatus::Active {
            return Err(AccountError::InUse(format!(
                "repository {name} is in use: `panvault repository suspend {name}` first, so that nothing comes in while \
                 it is erased",
                name = row.name
            )));
        }
        Ok(())
    }

    /// That a repository is still suspended, by whatever rules it takes tokens.
    fn check_shut(&self, target: &Target) -> Result<(), AccountError> {
        let accounts = self.access.accounts().current();
        let status = accounts.repository(target.id).map(|row| row.status);
        match (target.gate.is_some(), status) {
            (true, Some(AccountStatus::Active)) => Err(target.resumed()),
            _ => Ok(()),
        }
    }

    async fn target(&self, admin: AdminActor, what: &Erasure) -> Result<Target, AccountError> {
        let accounts = self.access.accounts().current();
        let row = accounts.known_repository(&what.repository)?;
        let whole = what.namespace.is_none();
        let label = match &what.namespace {
            Some(namespace) => {
                let named = framed(&[&row.id.0.to_be_bytes(), namespace.as_str().as_bytes()]);
                let mac = self.sealer.mac("panvault erased namespace v1", SecretBytes::new(named));
                Some(HEXLOWER.encode(&mac.await.map_err(Error::from)?))
            }
            None => None,
        };
        Ok(Target {
            id: row.id,
            name: row.name.clone(),
            gate: whole.then(|| row.gate()),
            namespace: what.namespace.clone(),
            label,
            admin,
        })
    }

    async fn begin_erasure(&self, target: &Target, what: &Erasure) -> Result<Run, Error> {
        let audit_before = self.store.health().audit_seq;
        let begun_at = UnixMillis::now();
        let event = Event {
            detail: Some(target.told()),
            ..target.event("begun")
        };
        let commit = Commit {
            event: Some(event.encode()),
            ..Commit::default()
        };
        let Outcome::Done { rev } = self.store.commit(commit).await? else {
            return Err(Error::Dependency(DependencyError::StoreUnavailable));
        };
        Ok(Run {
            per_second: what.per_second,
            begun_at,
            since: rev,
            audit_before,
            erased: Erasable {
                tokens: 0,
                documents: BTreeMap::new(),
            },
            epochs: BTreeSet::new(),
            receipts: Receipts::default(),
            unreadable: None,
        })
    }

    /// What is there now.
    async fn left(&self, target: &Target) -> Result<Erasable, Error> {
        Ok(Erasable {
            tokens: self.tokens_left(target).await?,
            documents: match target.namespace {
                None => self.documents_left(target).await?,
                Some(_) => BTreeMap::new(),
            },
        })
    }
}

impl Target {
    /// The first entry of what leads to its tokens, and what its keys begin with.
    fn index(&self) -> Key {
        match &self.namespace {
            Some(namespace) => tables::namespace_prefix(self.id, namespace),
            None => tables::record_prefix(self.id),
        }
    }

    /// What must hold beside that something is as it was read.
    fn cond(&self) -> Option<Cond> {
        self.gate.clone().map(Cond::Absent)
    }

    /// Why a removal did not happen, if it is not that something changed.
    fn refusal(&self, key: &Key) -> Option<AccountError> {
        (self.gate.as_ref() == Some(key)).then(|| self.resumed())
    }

    fn resumed(&self) -> AccountError {
        AccountError::InUse(format!("repository {} was resumed while it was erased", self.name))
    }

    fn event(&self, outcome: &str) -> Event {
        Event {
            peer: Some(self.admin.peer),
            repository: Some(self.name.clone()),
            ..Event::new("erase", outcome)
        }
    }

    /// For the audit trail: nobody is named in clear.
    fn told(&self) -> String {
        match &self.label {
            Some(mac) => format!("namespace mac {}", grouped(mac)),
            None => "repository".to_owned(),
        }
    }
}

impl Run {
    /// Counts what was removed for it elsewhere.
    fn removed(&mut self, linked: Result<BTreeMap<&'static str, u64>, String>) -> Result<(), AccountError> {
        for (kind, count) in linked.map_err(AccountError::InUse)? {
            *self.erased.documents.entry(kind).or_default() += count;
        }
        Ok(())
    }

    /// Waits so long that no more than the rate are erased.
    async fn pace(&self, count: u64) {
        if self.per_second > 0 && count > 0 {
            let took = Duration::from_secs(1).saturating_mul(u32::try_from(count).unwrap_or(u32::MAX));
            tokio::time::sleep(took / self.per_second).await;
        } else {
            tokio::task::yield_now().await;
        }
    }
}

/// The caller went: nobody would have the receipts.
fn left_alone() -> AccountError {
    AccountError::InUse("who asked for it went away: run it again".to_owned())
}

fn contended() -> Error {
    CallerError::Contended.into()
}
