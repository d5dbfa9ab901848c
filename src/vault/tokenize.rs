//! Storing a card under a token.
//!
//! Whether the card is there already is decided by the commit's conditions: of any number of callers with one card and
//! one scope, one makes the token and the others come back with it.

mod fields;
mod making;
mod personal;
mod places;

use self::fields::check;
pub(super) use self::fields::{check_expires_at, check_hides, check_profile, check_rules};
pub(super) use self::making::reuse_hash;
use self::making::{Draft, Making, compartments};
pub(super) use self::personal::{PERSON, is_of};
use super::accounts::gate_key;
use super::format::Candidates;
use super::idempotency::Claim;
use super::identity;
use super::record::{Record, Strategy};
use super::refingerprint::CardPrints;
use super::tables;
use super::types::{
    Actor, CallerError, Error, Format, Idempotency, IntegrityError, NewToken, Operation, PolicyError, Reuse, Status,
    Tokenized,
};
use super::{ATTEMPTS, Held, Vault, event};
use crate::card::{BinTable, Pan};
use crate::hsm::Generation;
use crate::id::{RepositoryId, Token, UnixMillis};
use crate::keys::{Fingerprint, Place, SecretBytes};
use crate::store::{Commit, Cond, Outcome, Part};

impl Vault {
    /// Stores a card and gives its token, new or reused.
    ///
    /// A replay under an idempotency key answers as the first time, with the view as it is now.
    ///
    /// # Errors
    /// Not granted; a field that cannot be taken; [`CallerError::CardExists`], [`CallerError::Inactive`] for the token
    /// that is there, [`CallerError::TokenTaken`], [`CallerError::FormatExhausted`], [`CallerError::IdempotencyMismatch`]; the HSM or the store does not work.
    pub async fn tokenize(&self, actor: &Actor, new: NewToken) -> Result<Tokenized, Error> {
        self.tokenize_item(actor, new, None).await
    }

    /// As [`Vault::tokenize`], of a card that may have to be stored again under another name; its idempotency key is not
    /// looked at.
    ///
    /// # Errors
    /// As [`Vault::tokenize`].
    pub async fn tokenize_again(&self, actor: &Actor, new: &NewToken) -> Result<Tokenized, Error> {
        self.tokenize_once(actor, new, None, None).await
    }

    /// As [`Vault::tokenize`]; `item` numbers the items of a batch under its one idempotency key.
    pub(super) async fn tokenize_item(
        &self,
        actor: &Actor,
        mut new: NewToken,
        item: Option<usize>,
    ) -> Result<Tokenized, Error> {
        let idempotency = new.idempotency.take();
        self.tokenize_once(actor, &new, idempotency, item).await
    }

    /// As [`Vault::tokenize`], of a request that may be needed again; its own idempotency key is not looked at.
    pub(super) async fn tokenize_once(
        &self,
        actor: &Actor,
        new: &NewToken,
        idempotency: Option<Idempotency>,
        item: Option<usize>,
    ) -> Result<Tokenized, Error> {
        let result = self.store_card(actor, new, idempotency, item).await;
        let outcome = match &result {
            Ok(Tokenized::Created(_)) => "created",
            Ok(Tokenized::Reused(_)) | Err(_) => "reused",
        };
        self.conclude(actor, Operation::Tokenize, None, outcome, result).await
    }

    async fn store_card(
        &self,
        actor: &Actor,
        new: &NewToken,
        idempotency: Option<Idempotency>,
        item: Option<usize>,
    ) -> Result<Tokenized, Error> {
        self.access.permit(actor, Operation::Tokenize, 1)?;
        let bins = self.bins();
        check_rules(new, actor.rules)?;
        check(new, UnixMillis::now(), &bins)?;
        let mut claim = match idempotency {
            Some(idempotency) => Some(self.claim(actor, idempotency, item, &bins).await?),
            None => None,
        };
        if let Some(claim) = &mut claim
            && let Some(done) = self.done_before(actor, claim).await?
        {
            return Ok(done);
        }
        let mut making = self.prepare(actor, new, claim, &bins).await?;
        for _ in 0..ATTEMPTS {
            if let Some(done) = self.attempt(&mut making).await? {
                return Ok(done);
            }
            if let Some(claim) = &mut making.claim
                && let Some(done) = self.done_before(actor, claim).await?
            {
                return Ok(done);
            }
        }
        Err(CallerError::Contended.into())
    }

    /// The HSM's first part: fingerprint and ciphertexts in one job, or, where the card may be there already, the
    /// fingerprint alone.
    async fn prepare<'a>(
        &self,
        actor: &'a Actor,
        new: &'a NewToken,
        claim: Option<Claim>,
        bins: &'a BinTable,
    ) -> Result<Making<'a>, Error> {
        let mut candidates = Candidates::new(&new.format, &new.pan, bins);
        let (prints, draft) = match &new.reuse {
            Reuse::Never => {
                let generations = self.generations().await?;
                let active = generations.active();
                let mac = Some((active, &new.pan));
                let (fingerprint, draft) = self.draft(actor, new, &mut candidates, mac).await?;
                let mut made = vec![(active, fingerprint.ok_or(IntegrityError::Damaged)?)];
                made.extend(self.older_prints(generations, actor.repository, &new.pan).await?);
                (CardPrints { generations, made }, Some(draft))
            }
            Reuse::Return { .. } | Reuse::Refuse { .. } => (self.card_prints(actor.repository, &new.pan).await?, None),
        };
        Ok(Making {
            actor,
            new,
            bins,
            candidates,
            claim,
            prints,
            scope: new.reuse.scope().map(|scope| SecretBytes::new(scope.to_vec())),
            draft,
            look_first: true,
        })
    }

    /// A token that is free now, and the card sealed for it; with `pan` its fingerprint as well, in the same job.
    async fn draft(
        &self,
        actor: &Actor,
        new: &NewToken,
        candidates: &mut Candidates<'_>,
        pan: Option<(Generation, &Pan)>,
    ) -> Result<(Option<Fingerprint>, Draft), Error> {
        let token = self.free_token(actor, new, candidates).await?;
        let place = Place {
            repository: actor.repository,
            record: identity::fresh(actor.repository, &token)?,
        };
        let (fingerprint, sealed) = self.sealer.seal(place, pan, compartments(new)?).await?;
        Ok((fingerprint, Draft { token, place, sealed }))
    }

    /// `None`: others were faster, look again.
    async fn attempt(&self, making: &mut Making<'_>) -> Result<Option<Tokenized>, Error> {
        let look = std::mem::replace(&mut making.look_first, true);
        let one_token = making.reuse_keys();
        for key in one_token.iter().filter(|_| look) {
            if let Some(found) = self.store.get(Part::default(), key).await? {
                return match self.holder_of(making.actor.repository, &found.value).await? {
                    Some(held) => self.give_existing(making, held).await,
                    None => Ok(None),
                };
            }
        }
        let draft = match making.draft.take() {
            Some(draft) => draft,
            None => {
                self.draft(making.actor, making.new, &mut making.candidates, None)
                    .await?
                    .1
            }
        };
        let Some(names) = self.names_for(making).await? else {
            making.draft = Some(draft);
            return Ok(None);
        };
        let record = making.record(&draft, names)?;
        let gate = gate_key(record.repository, making.actor.rules);
        let mut commit = Commit {
            conds: vec![Cond::Exists(gate.clone()), making.prints.generations.cond()],
            writes: record.insertion()?,
            event: Some(event(making.actor, Operation::Tokenize, "ok", Some(&record.token)).encode()),
            records: 1,
            ..Commit::default()
        };
        if let Some(claim) = &making.claim {
            commit.conds.extend_from_slice(claim.conds());
            commit.writes.push(claim.result(true, &record.token)?);
        }
        // also under older fingerprint keys: the background may not have come by yet
        commit.conds.extend(one_token.into_iter().map(Cond::Absent));
        commit.conds.push(Cond::Absent(record.key()));
        let places = [record.alias_key(), record.slot_key()].into_iter().flatten();
        commit.conds.extend(places.map(Cond::Absent));
        match self.store.commit(commit).await? {
            Outcome::Done { .. } => Ok(Some(Tokenized::Created(self.shown(&record, None)))),
            Outcome::CondFailed { key, .. } if key == gate => Err(match self.access.rules_hold(making.actor) {
                // suspended or being removed since it was permitted
                true => Error::Policy(PolicyError::Suspended),
                false => CallerError::Contended.into(),
            }),
            Outcome::CondFailed { key, .. } if self.outdated(&key) => {
                making.prints = self.card_prints(record.repository, &making.new.pan).await?;
                making.draft = Some(draft);
                Ok(None)
            }
            Outcome::CondFailed { key, .. } if key == record.key() && record.strategy == Strategy::Supplied => {
                self.supplied_clash(making, &record).await
            }
            Outcome::CondFailed { key, .. } => {
                making.draft = Some(draft).filter(|_| key != record.key());
                Ok(None)
            }
        }
    }

    /// The record that the value of a reuse key of `repository` names; `None`: removed just now, together with the key.
    pub(super) async fn holder_of(&self, repository: RepositoryId, value: &[u8]) -> Result<Option<Held>, Error> {
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
    async fn give_existing(&self, making: &Making<'_>, held: Held) -> Result<Option<Tokenized>, Error> {
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
    /// what is there.
    async fn supplied_clash(&self, making: &Making<'_>, record: &Record) -> Result<Option<Tokenized>, Error> {
        let held = match self.load(record.repository, &record.token).await {
            Ok(held) => held,
            Err(Error::Caller(CallerError::UnknownToken)) => return Ok(None),
            Err(error) => return Err(error),
        };
        let there = &held.record;
        let same_person = match making.is_personal() {
            true => there.reuse == making.reuse(there.generation),
            false => !there.is_personal(),
        };
        let same = there.status != Status::Spent
            && making.prints.is(there.generation, there.pan)
            && there.namespace == record.namespace
            && same_person;
        if self.is_over(there, UnixMillis::now()) || (same && making.scope.is_some()) {
            return self.give_existing(making, held).await;
        }
        Err(CallerError::TokenTaken.into())
    }

    /// The next candidate. In a format that may run out, those that are taken are passed over here; in the others the
    /// commit finds the one clash in a lifetime.
    async fn free_token(&self, actor: &Actor, new: &NewToken, candidates: &mut Candidates<'_>) -> Result<Token, Error> {
        loop {
            let token = candidates.next()?;
            if !matches!(new.format, Format::Preserve64) {
                return Ok(token);
            }
            let key = tables::record(actor.repository, &token);
            if self.store.get(Part::default(), &key).await?.is_none() {
                return Ok(token);
            }
        }
    }
}
