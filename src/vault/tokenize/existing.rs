//! A card that is there already: its token is the answer, or the refusal.

use super::making::Making;
use crate::id::{RepositoryId, UnixMillis};
use crate::store::{Commit, Cond, Outcome};
use crate::vault::record::Record;
use crate::vault::types::{CallerError, Error, IntegrityError, Operation, Reuse, Status, Tokenized};
use crate::vault::{Held, Vault, event, tables};

impl Vault {
    /// The record that the value of a reuse key of `repository` names; `None`: removed just now, together with the key.
    pub(in crate::vault) async fn holder_of(
        &self,
        repository: RepositoryId,
        value: &[u8],
    ) -> Result<Option<Held>, Error> {
        let (named, token) = tables::parse_reuse(value).ok_or(IntegrityError::Damaged)?;
        if named != repository {
            // the fingerprint in the key is the repository's own, so nothing honest leads elsewhere
            return Err(IntegrityError::Tampered.into());
        }
        match self.load(repository, &token).await {
            Ok(held) => Ok(Some(held)),
            Err(Error::Caller(CallerError::UnknownToken)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The card is there: its token is the answer, or the refusal.
    pub(super) async fn give_existing(&self, making: &Making<'_>, held: Held) -> Result<Option<Tokenized>, Error> {
        if self.is_over(&held.record, UnixMillis::now()) {
            self.expire(&held).await?;
            return Ok(None);
        }
        let refuse = matches!(making.new.reuse, Reuse::Refuse { .. });
        // who stores a card wants a token to use; somebody took this one out of use, and only an update brings it back
        if !refuse && held.record.status == Status::Inactive {
            return Err(CallerError::Inactive.into());
        }
        let outcome = if refuse { "exists" } else { "reused" };
        let mut commit = Commit {
            conds: vec![Cond::Rev(held.record.key(), held.rev)],
            event: Some(event(making.actor, Operation::Tokenize, outcome, Some(&held.record.token)).encode()),
            ..Commit::default()
        };
        if let (false, Some(claim)) = (refuse, &making.claim) {
            commit.conds.extend_from_slice(claim.conds());
            commit.writes.push(claim.result(false, &held.record.token)?);
        }
        match self.store.commit(commit).await? {
            Outcome::CondFailed { .. } => Ok(None),
            Outcome::Done { .. } if refuse => Err(CallerError::CardExists {
                token: held.record.token,
            }
            .into()),
            Outcome::Done { .. } => Ok(Some(Tokenized::Reused(self.view(&held.record).await?))),
        }
    }

    /// The supplied token is there. It serves if it stands for the same card in the same namespace and the caller takes
    /// what is there; where that card opens nowhere any more it is stored anew under it, whatever the caller takes.
    pub(super) async fn supplied_clash(
        &self,
        making: &mut Making<'_>,
        record: &Record,
    ) -> Result<Option<Tokenized>, Error> {
        let held = match self.load(record.repository, &record.token).await {
            Ok(held) => held,
            Err(Error::Caller(CallerError::UnknownToken)) => return Ok(None),
            Err(error) => return Err(error),
        };
        let there = &held.record;
        let over = self.is_over(there, UnixMillis::now());
        let same_person = match making.is_personal() {
            true => there.reuse == making.reuse(there.generation),
            false => !there.is_personal(),
        };
        let same = there.status != Status::Spent
            && making.prints.is(there.generation, there.pan)
            && there.namespace == record.namespace
            && same_person;
        if same && !over && self.is_dead(there)? {
            making.give_up(held);
            return Ok(None);
        }
        if over || (same && making.scope.is_some()) {
            return self.give_existing(making, held).await;
        }
        Err(CallerError::TokenTaken.into())
    }
}
