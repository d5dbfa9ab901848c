//! The tokens of an erasure, and their receipts.

use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::{Run, Target, contended, left_alone};
use crate::audit::Event;
use crate::hsm::Epoch;
use crate::id::{Token, UnixMillis};
use crate::store::{Commit, Cond, Key, Outcome, Part};
use crate::vault::accounts::AccountError;
use crate::vault::batch::each;
use crate::vault::record::Record;
use crate::vault::types::{CallerError, DependencyError, Error, IntegrityError};
use crate::vault::{ATTEMPTS, Held, Vault, tables};

/// Tokens that are erased at once: so many receipts are lost where the daemon is killed or the caller goes.
const PAGE: u32 = 32;
/// A busy HSM is asked again so often, after so long.
const ROUNDS: u32 = 100;
const PAUSE: Duration = Duration::from_millis(100);
/// Entries that are counted at once.
const COUNTED: u32 = 1_000;

/// What came of a token.
enum Gone {
    /// It is gone, and this is its receipt.
    Erased { receipt: String, epoch: Option<Epoch> },
    /// It went meanwhile, or came after the erasure began.
    NotOurs,
    /// The repository was resumed.
    Refused(AccountError),
}

impl Vault {
    /// Once through all that is there. How many were erased.
    pub(super) async fn erase_tokens(
        self: &Arc<Self>,
        target: &Arc<Target>,
        run: &mut Run,
        to: &mpsc::Sender<String>,
    ) -> Result<u64, AccountError> {
        let first = target.index();
        let end = tables::end_of(&first);
        let length = first.0.len();
        let mut from = Bound::Included(first);
        let mut erased = 0;
        loop {
            self.check_shut(target)?;
            let page = self.store.scan(Part::default(), from, end.clone(), PAGE).await;
            let page = page.map_err(Error::from)?;
            let named = |(key, _): (Key, _)| {
                let token = key.0.get(length..).and_then(tables::parse_token);
                token.ok_or(Error::Integrity(IntegrityError::Damaged))
            };
            let tokens: Vec<Result<Token, Error>> = page.items.into_iter().map(named).collect();
            let names: Vec<_> = tokens.iter().map(|token| token.as_ref().ok().cloned()).collect();
            let (begun_at, since) = (run.begun_at, run.since);
            let gone = each(tokens, |_, token: Token| {
                let (vault, target) = (Arc::clone(self), Arc::clone(target));
                async move { vault.erase_patiently(&target, &token, begun_at, since).await }
            });
            let (mut count, mut stopped) = (0, None);
            // all of them are done by now: whatever stops the run, each receipt is handed out
            for (name, result) in names.into_iter().zip(gone.await) {
                match result {
                    Ok(Gone::Erased { receipt, epoch }) => {
                        run.took(&receipt, epoch);
                        count += 1;
                        if to.send(receipt).await.is_err() {
                            stopped.get_or_insert_with(left_alone);
                        }
                    }
                    Ok(Gone::NotOurs) => {}
                    Ok(Gone::Refused(refusal)) => {
                        stopped.get_or_insert(refusal);
                    }
                    // one bad record must not keep the others; it is told in the end
                    Err(error @ Error::Integrity(_)) => self.not_read(target, run, name, &error).await,
                    Err(error) => {
                        stopped.get_or_insert(error.into());
                    }
                }
            }
            if let Some(stopped) = stopped {
                return Err(stopped);
            }
            erased += count;
            run.pace(count).await;
            if to.is_closed() {
                return Err(left_alone());
            }
            match page.next {
                Some(last) => from = Bound::Excluded(last),
                None => return Ok(erased),
            }
        }
    }

    /// Raises the alarm for a record that cannot be read, once for the first.
    async fn not_read(&self, target: &Target, run: &mut Run, token: Option<Token>, error: &Error) {
        if run.unreadable.is_none() {
            let name = token.as_ref().map_or("one without a name", Token::as_str);
            run.unreadable = Some(format!("token {name} cannot be read, {error}, and stays"));
            let event = Event {
                token,
                ..target.event("tampered")
            };
            self.alarm(event).await;
        }
    }

    /// As [`Vault::erase_token`]; callers who fill the HSM's queue make it slower and do not end it.
    async fn erase_patiently(
        &self,
        target: &Target,
        token: &Token,
        begun_at: UnixMillis,
        since: u64,
    ) -> Result<Gone, Error> {
        let mut rounds = 0;
        loop {
            match self.erase_token(target, token, begun_at, since).await {
                Err(Error::Dependency(DependencyError::HsmBusy)) if rounds < ROUNDS => {
                    rounds += 1;
                    tokio::time::sleep(PAUSE).await;
                }
                other => return other,
            }
        }
    }

    async fn erase_token(
        &self,
        target: &Target,
        token: &Token,
        begun_at: UnixMillis,
        since: u64,
    ) -> Result<Gone, Error> {
        let mut turn = None;
        for _ in 0..ATTEMPTS {
            let held = match self.load(target.id, token).await {
                Ok(held) => held,
                Err(Error::Caller(CallerError::UnknownToken)) => return Ok(Gone::NotOurs),
                Err(error) => return Err(error),
            };
            let record = &held.record;
            if target.namespace.is_some() && came_later(&held, begun_at, since) {
                return Ok(Gone::NotOurs);
            }
            let event = Event {
                token: Some(token.clone()),
                merchant: Some(record.merchant.clone()),
                detail: Some("erased".to_owned()),
                action: "delete".to_owned(),
                ..target.event("ok")
            };
            let receipt = self
                .sign_receipt((&target.name, &record.merchant), record, event.at)
                .await?;
            let commit = Commit {
                conds: target
                    .cond()
                    .into_iter()
                    .chain([Cond::Rev(record.key(), held.rev)])
                    .collect(),
                writes: record.removal(),
                event: Some(event.encode()),
                records: -1,
                ..Commit::default()
            };
            match self.store.commit(commit).await? {
                Outcome::Done { .. } => {
                    return Ok(Gone::Erased {
                        receipt: receipt.0,
                        epoch: epoch_of(record)?,
                    });
                }
                Outcome::CondFailed { key, .. } => {
                    if let Some(refusal) = target.refusal(&key) {
                        return Ok(Gone::Refused(refusal));
                    }
                }
            }
            // changed in between: from now on in line with those who change it
            if turn.is_none() {
                turn = self.turns.wait(target.id, token).await;
            }
        }
        Err(contended())
    }

    /// How many there are now.
    pub(super) async fn tokens_left(&self, target: &Target) -> Result<u64, Error> {
        let first = target.index();
        let end = tables::end_of(&first);
        let (mut from, mut count) = (Bound::Included(first), 0);
        loop {
            let page = self.store.scan(Part::default(), from, end.clone(), COUNTED).await?;
            count += u64::try_from(page.items.len()).unwrap_or(u64::MAX);
            match page.next {
                Some(last) => from = Bound::Excluded(last),
                None => return Ok(count),
            }
            tokio::task::yield_now().await;
        }
    }
}

impl Run {
    fn took(&mut self, receipt: &str, epoch: Option<Epoch>) {
        self.receipts.add(receipt.as_bytes());
        self.erased.tokens += 1;
        self.epochs.extend(epoch.map(|epoch| epoch.0));
    }
}

/// Whether a token was made after the erasure began. A change of an old one gives it a newer revision of the store, and a
/// clock that was set back a later time; only what is newer by both is new.
fn came_later(held: &Held, begun_at: UnixMillis, since: u64) -> bool {
    held.rev > since && held.record.created_at > begun_at
}

fn epoch_of(record: &Record) -> Result<Option<Epoch>, Error> {
    match &record.sealed {
        Some(_) => Ok(Some(record.sealed()?.epoch)),
        None => Ok(None),
    }
}
