//! What the audit trail says was deleted or spent, done again in a store that is older than that: a restored one.
//!
//! Only tokens are named in the trail, so only they can be found again. What else was taken back (locker records,
//! customers, accounts) is counted, so that an operator knows.

use std::sync::Arc;

use super::record::Record;
use super::reveal::spent;
use super::types::{Error, IntegrityError, Operation, Status, Uses};
use super::{Held, tables};
use crate::audit::Event;
use crate::hsm::Handover;
use crate::id::{RepositoryId, Token};
use crate::store::{Commit, Cond, Outcome, Part, Store, Write};
use crate::vault::accounts::Accounts;

/// What was done again, and what could not be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Replayed {
    /// Tokens that were deleted, or had expired, and are gone again.
    pub deleted: u64,
    /// Single-use tokens that were used, and are used again.
    pub spent: u64,
    /// Tokens that were made after the backup: they are not there.
    pub lost: u64,
    /// Deletions of what the trail does not name: it is back.
    pub returning: u64,
    /// Accounts that were suspended or removed, and work again as they did.
    pub accounts: u64,
    /// Handovers of the audit key that the keyring knows.
    pub handovers: u64,
    /// Handovers that it does not know: it has not the later key, or they are forged.
    pub strange_handovers: u64,
}

/// Does it.
pub struct Replay {
    store: Arc<dyn Store>,
    accounts: Accounts,
    replayed: Replayed,
    handovers: Vec<Handover>,
}

/// What becomes of a token.
enum Fate {
    Deleted,
    Used,
}

impl Replay {
    /// In this store, which nobody serves, with the handovers of the keyring that will be used with it.
    ///
    /// # Errors
    /// The store's.
    pub async fn new(store: Arc<dyn Store>, handovers: Vec<Handover>) -> Result<Self, Error> {
        Ok(Self {
            accounts: Accounts::load(store.clone()).await?,
            store,
            replayed: Replayed::default(),
            handovers,
        })
    }

    /// Takes the next event, in order.
    ///
    /// # Errors
    /// The store's, or a record that cannot be read.
    pub async fn event(&mut self, event: &Event) -> Result<(), Error> {
        let action = event.action.as_str();
        let done = event.outcome == "ok";
        let is = |op: Operation| action == op.as_str();
        let count = event.count.unwrap_or(1);
        match action {
            "credential-remove" | "credential-suspend" | "merchant-remove" | "merchant-suspend"
            | "repository-remove" | "repository-suspend" => self.replayed.accounts += count,
            // who may agree to something, and to which files
            "operator-remove" | "operator-reset" | "operators-replace" | "file-approve" | "dual-control-off" => {
                self.replayed.accounts += count;
            }
            "audit-handover" => self.handover(event).await?,
            "documents-remove" | "payment-method-delete" => self.replayed.returning += count,
            _ if !done => {}
            "expire" => self.fate(event, Fate::Deleted).await?,
            _ if is(Operation::Delete) => self.fate(event, Fate::Deleted).await?,
            _ if is(Operation::Reveal) || is(Operation::Pay) => self.fate(event, Fate::Used).await?,
            _ if is(Operation::Tokenize) => self.replayed.lost += 1,
            _ => {}
        }
        Ok(())
    }

    /// It is on record, and is not put there again.
    async fn handover(&mut self, event: &Event) -> Result<(), Error> {
        let named = event.handover.as_deref();
        let mut known = (1_u32..).zip(&self.handovers);
        let Some((number, _)) = known.find(|(_, known)| Some(*known) == named) else {
            self.replayed.strange_handovers += 1;
            return Ok(());
        };
        let commit = Commit {
            writes: vec![Write::Put(tables::handovers(), number.to_be_bytes().to_vec())],
            ..Commit::default()
        };
        self.store.commit(commit).await?;
        self.replayed.handovers += 1;
        Ok(())
    }

    /// What came of it.
    pub fn end(self) -> Replayed {
        self.replayed
    }

    async fn fate(&mut self, event: &Event, fate: Fate) -> Result<(), Error> {
        let deleted = matches!(fate, Fate::Deleted);
        let Some((token, repository)) = event.token.as_ref().zip(event.repository.as_ref()) else {
            self.replayed.returning += u64::from(deleted);
            return Ok(());
        };
        let repositories = self.accounts.current();
        let Ok(repository) = repositories.known_repository(repository) else {
            // made after the backup, and all in it
            return Ok(());
        };
        let Some(held) = self.held(repository.id, token).await? else {
            // the trail masks a token that could be a card number, and then it is not found
            self.replayed.returning += u64::from(deleted && token.as_str().contains('*'));
            return Ok(());
        };
        let writes = match fate {
            Fate::Deleted => held.record.removal(),
            Fate::Used if held.record.uses == Uses::Multi || held.record.status == Status::Spent => return Ok(()),
            Fate::Used => spent(&held.record, event.merchant.as_ref()).replacement(&held.record)?,
        };
        self.commit(&held, writes, event, deleted).await
    }

    async fn commit(&mut self, held: &Held, writes: Vec<Write>, of: &Event, deleted: bool) -> Result<(), Error> {
        let event = Event {
            token: of.token.clone(),
            repository: of.repository.clone(),
            merchant: of.merchant.clone(),
            ..Event::new(&of.action, "replayed")
        };
        let commit = Commit {
            conds: vec![Cond::Rev(held.record.key(), held.rev)],
            writes,
            event: Some(event.encode()),
            records: -i64::from(deleted),
            ..Commit::default()
        };
        match self.store.commit(commit).await? {
            Outcome::Done { .. } if deleted => self.replayed.deleted += 1,
            Outcome::Done { .. } => self.replayed.spent += 1,
            // nobody else writes there
            Outcome::CondFailed { .. } => return Err(IntegrityError::Damaged.into()),
        }
        Ok(())
    }

    async fn held(&self, repository: RepositoryId, token: &Token) -> Result<Option<Held>, Error> {
        let key = tables::record(repository, token);
        let Some(found) = self.store.get(Part::default(), &key).await? else {
            return Ok(None);
        };
        let record = Record::decode(&found.value, repository, token)?;
        Ok(Some(Held { rev: found.rev, record }))
    }
}
