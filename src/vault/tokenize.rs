//! Storing a card under a token.
//!
//! Whether the card is there already is decided by the commit's conditions: of any number of callers with one card and
//! one scope, one makes the token and the others come back with it. A card that opens nowhere any more, because the KEK that
//! it is under was destroyed, is not there: the one that is made takes its place, in the same commit.

mod dead;
mod existing;
mod fields;
mod making;
mod personal;
mod places;

use self::fields::check;
pub(super) use self::fields::{check_expires_at, check_hides, check_profile, check_rules};
use self::making::{Draft, Making};
pub(super) use self::making::{compartments, reuse_hash};
pub(super) use self::personal::{PERSON, is_of};
use super::accounts::gate_key;
use super::destroy::not_ended;
use super::format::Candidates;
use super::idempotency::Claim;
use super::identity;
use super::record::Strategy;
use super::refingerprint::CardPrints;
use super::tables;
use super::types::{
    Actor, CallerError, Error, Format, Idempotency, IntegrityError, NewToken, Operation, PolicyError, Reuse, Tokenized,
};
use super::{ATTEMPTS, Vault, event};
use crate::card::{BinTable, Pan};
use crate::hsm::Generation;
use crate::id::{Token, UnixMillis};
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
            dead: Vec::new(),
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
        let (fingerprint, sealed) = self
            .sealer
            .seal(place, pan, compartments(&new.pan, &new.profile)?)
            .await?;
        Ok((fingerprint, Draft { token, place, sealed }))
    }

    /// `None`: others were faster, look again.
    async fn attempt(&self, making: &mut Making<'_>) -> Result<Option<Tokenized>, Error> {
        let look = std::mem::replace(&mut making.look_first, true);
        let one_token = making.reuse_keys();
        for key in one_token.iter().filter(|_| look) {
            let Some(found) = self.store.get(Part::default(), key).await? else {
                continue;
            };
            match self.holder_of(making.actor.repository, &found.value).await? {
                Some(held) if self.is_dead(&held.record)? => making.give_up(held),
                Some(held) => return self.give_existing(making, held).await,
                None => return Ok(None),
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
        let unended = not_ended(draft.sealed.epoch);
        let gate = gate_key(record.repository, making.actor.rules);
        let mut event = event(making.actor, Operation::Tokenize, "ok", Some(&record.token));
        event.detail = making.told_of_dead();
        let mut commit = Commit {
            conds: vec![
                Cond::Exists(gate.clone()),
                making.prints.generations.cond(),
                unended.clone(),
            ],
            // what was there goes first: some of its entries come again
            writes: making.removal_of_dead(),
            event: Some(event.encode()),
            records: 1 - making.count_of_dead(),
            ..Commit::default()
        };
        commit.writes.extend(record.insertion()?);
        if let Some(claim) = &making.claim {
            commit.conds.extend_from_slice(claim.conds());
            commit.writes.push(claim.result(true, &record.token)?);
        }
        // also under older fingerprint keys: the background may not have come by yet
        let places = [Some(record.key()), record.alias_key(), record.slot_key()];
        let unique = one_token.into_iter().chain(places.into_iter().flatten());
        commit.conds.extend(making.conds_of(unique));
        match self.store.commit(commit).await? {
            Outcome::Done { .. } => Ok(Some(Tokenized::Created(self.shown(&record, None)))),
            Outcome::CondFailed { key, .. } if key == gate => Err(match self.access.rules_hold(making.actor) {
                // suspended or being removed since it was permitted
                true => Error::Policy(PolicyError::Suspended),
                false => CallerError::Contended.into(),
            }),
            // the KEK that it was sealed under is about to be destroyed: another one is in use
            Outcome::CondFailed { key, .. } if unended == Cond::Absent(key.clone()) => Ok(None),
            // it changed or went meanwhile
            Outcome::CondFailed { key, .. } if making.is_given_up(&key) => {
                making.dead.clear();
                making.draft = Some(draft);
                Ok(None)
            }
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
