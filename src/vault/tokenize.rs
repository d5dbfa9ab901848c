//! Storing a card under a token.
//!
//! Whether the card is there already is decided by the commit's conditions: of any number of callers with one card and
//! one scope, one makes the token and the others come back with it.

use ring::digest::{Context, SHA256};

use super::accounts::gate_key;
use super::format::{self, Candidates};
use super::idempotency::Claim;
use super::record::{Record, Strategy};
use super::screen::{self, METADATA_MAX, PROFILE_MAX};
use super::tables::{self, PanIndex};
use super::types::{
    Actor, CallerError, Error, Format, IntegrityError, NewToken, Operation, PolicyError, Profile, Reuse, Status,
    Tokenized, Uses,
};
use super::{ATTEMPTS, Held, Vault, event};
use crate::card::{BinTable, Masked};
use crate::id::{RecordId, Revision, Token, UnixMillis};
use crate::keys::{Compartment, Fingerprint, Place, Sealed, SecretBytes};
use crate::store::{Commit, Cond, Outcome, Part};

/// A token on its way, over several attempts.
struct Making<'a> {
    actor: &'a Actor,
    new: &'a NewToken,
    bins: &'a BinTable,
    candidates: Candidates<'a>,
    claim: Option<Claim>,
    place: Place,
    fingerprint: Fingerprint,
    /// The unique key that makes the card the same.
    reuse: Option<[u8; 16]>,
    /// The ciphertexts, once they are needed. They are bound to the record, not to the token, and serve every attempt.
    sealed: Option<Sealed>,
}

impl Vault {
    /// Stores a card and gives its token, new or reused.
    ///
    /// A replay under an idempotency key answers as the first time, with the view as it is now.
    ///
    /// # Errors
    /// Not granted; a field that cannot be taken; [`CallerError::CardExists`], [`CallerError::TokenTaken`],
    /// [`CallerError::FormatExhausted`], [`CallerError::IdempotencyMismatch`]; the HSM or the store does not work.
    pub async fn tokenize(&self, actor: &Actor, new: NewToken) -> Result<Tokenized, Error> {
        self.tokenize_item(actor, new, None).await
    }

    /// As [`Vault::tokenize`]; `item` numbers the items of a batch under its one idempotency key.
    pub(super) async fn tokenize_item(
        &self,
        actor: &Actor,
        new: NewToken,
        item: Option<usize>,
    ) -> Result<Tokenized, Error> {
        let result = self.store_card(actor, new, item).await;
        let outcome = match &result {
            Ok(Tokenized::Created(_)) => "created",
            Ok(Tokenized::Reused(_)) | Err(_) => "reused",
        };
        self.conclude(actor, Operation::Tokenize, None, outcome, result).await
    }

    async fn store_card(&self, actor: &Actor, mut new: NewToken, item: Option<usize>) -> Result<Tokenized, Error> {
        self.access.permit(actor, Operation::Tokenize, 1)?;
        let bins = self.bins();
        check(&new, UnixMillis::now(), &bins)?;
        let mut claim = match new.idempotency.take() {
            Some(idempotency) => Some(self.claim(actor, idempotency, item, &bins).await?),
            None => None,
        };
        if let Some(claim) = &mut claim
            && let Some(done) = self.done_before(actor, claim).await?
        {
            return Ok(done);
        }
        let mut making = self.prepare(actor, &new, claim, &bins).await?;
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
        let place = Place {
            repository: actor.repository,
            record: RecordId::random()?,
        };
        let (fingerprint, sealed) = match &new.reuse {
            Reuse::Never => {
                let (fingerprint, sealed) = self.sealer.seal(place, Some(&new.pan), compartments(new)?).await?;
                (fingerprint.ok_or(IntegrityError::Damaged)?, Some(sealed))
            }
            Reuse::Return { .. } | Reuse::Refuse { .. } => {
                (self.sealer.fingerprint(actor.repository, &new.pan).await?, None)
            }
        };
        Ok(Making {
            actor,
            new,
            bins,
            candidates: Candidates::new(&new.format, &new.pan, bins),
            claim,
            place,
            fingerprint,
            reuse: reuse_hash(&fingerprint, &new.reuse, new.uses),
            sealed,
        })
    }

    /// `None`: others were faster, look again.
    async fn attempt(&self, making: &mut Making<'_>) -> Result<Option<Tokenized>, Error> {
        if let Some(hash) = &making.reuse
            && let Some(found) = self.store.get(Part::default(), &tables::reuse(hash)).await?
        {
            let token = tables::parse_token(&found.value).ok_or(IntegrityError::Damaged)?;
            return match self.load(making.actor.repository, &token).await {
                Ok(held) => self.give_existing(making, held).await,
                // removed just now, together with the reuse key
                Err(Error::Caller(CallerError::UnknownToken)) => Ok(None),
                Err(error) => Err(error),
            };
        }
        if making.sealed.is_none() {
            let (_, sealed) = self.sealer.seal(making.place, None, compartments(making.new)?).await?;
            making.sealed = Some(sealed);
        }
        let token = self.free_token(making).await?;
        let record = making.record(token);
        let gate = gate_key(record.repository);
        let mut commit = Commit {
            conds: vec![Cond::Exists(gate.clone())],
            writes: record.insertion()?,
            event: Some(event(making.actor, Operation::Tokenize, "ok", Some(&record.token)).encode()),
            records: 1,
            ..Commit::default()
        };
        if let Some(claim) = &making.claim {
            commit.conds.extend_from_slice(claim.conds());
            commit.writes.push(claim.result(true, &record.token)?);
        }
        commit
            .conds
            .extend(making.reuse.map(|hash| Cond::Absent(tables::reuse(&hash))));
        commit.conds.push(Cond::Absent(record.key()));
        match self.store.commit(commit).await? {
            Outcome::Done { .. } => Ok(Some(Tokenized::Created(record.view(None)))),
            // suspended or being removed since it was permitted
            Outcome::CondFailed { key, .. } if key == gate => Err(Error::Policy(PolicyError::Suspended)),
            Outcome::CondFailed { key, .. } if key == record.key() && record.strategy == Strategy::Supplied => {
                self.supplied_clash(making, &record).await
            }
            Outcome::CondFailed { .. } => Ok(None),
        }
    }

    /// The card is there: its token is the answer, or the refusal.
    async fn give_existing(&self, making: &Making<'_>, held: Held) -> Result<Option<Tokenized>, Error> {
        if held.record.expired(UnixMillis::now()) {
            self.expire(&held).await?;
            return Ok(None);
        }
        let refuse = matches!(making.new.reuse, Reuse::Refuse { .. });
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
        let same = there.status != Status::Spent && there.pan == record.pan && there.namespace == record.namespace;
        if there.expired(UnixMillis::now()) || (same && making.reuse.is_some()) {
            return self.give_existing(making, held).await;
        }
        Err(CallerError::TokenTaken.into())
    }

    /// The next candidate. In a format that may run out, those that are taken are passed over here; in the others the
    /// commit finds the one clash in a lifetime.
    async fn free_token(&self, making: &mut Making<'_>) -> Result<Token, Error> {
        loop {
            let token = making.candidates.next()?;
            if !matches!(making.new.format, Format::Preserve64) {
                return Ok(token);
            }
            let key = tables::record(making.actor.repository, &token);
            if self.store.get(Part::default(), &key).await?.is_none() {
                return Ok(token);
            }
        }
    }
}

impl Making<'_> {
    fn record(&self, token: Token) -> Record {
        let Self { actor, new, .. } = self;
        let info = self.bins.lookup(&new.pan);
        let Masked { bin, last4, .. } = Masked::new(&new.pan, info.bin_len);
        let now = UnixMillis::now();
        Record {
            id: self.place.record,
            repository: self.place.repository,
            token,
            merchant: actor.merchant.clone(),
            revision: Revision(1),
            status: Status::Active,
            uses: new.uses,
            strategy: Strategy::from(&new.format),
            bin,
            last4,
            // a PAN has at most 19 digits
            length: u8::try_from(new.pan.expose().len()).unwrap_or(u8::MAX),
            brand: info.brand,
            funding: info.funding,
            country: info.country,
            expiry: new.expiry,
            namespace: new.namespace.clone(),
            metadata: new.metadata.clone(),
            created_at: now,
            updated_at: now,
            expires_at: new.expires_at,
            pan: PanIndex::of(&self.fingerprint),
            reuse: self.reuse,
            holder: new.profile.holder.is_some(),
            sealed: self.sealed.as_ref().map(Sealed::encode),
        }
    }
}

/// Refuses what cannot be stored.
fn check(new: &NewToken, now: UnixMillis, bins: &BinTable) -> Result<(), Error> {
    if let Format::Supplied(token) = &new.format {
        format::check_supplied(token, bins)?;
    }
    if let Some(namespace) = &new.namespace {
        screen::no_card("namespace", namespace.as_str(), bins)?;
    }
    if let Some(metadata) = &new.metadata {
        screen::object("metadata", metadata, METADATA_MAX, Some(bins))?;
    }
    check_profile(&new.profile, bins)?;
    check_expires_at(new.expires_at, now)
}

/// Refuses a profile that cannot be stored.
pub(super) fn check_profile(profile: &Profile, bins: &BinTable) -> Result<(), Error> {
    let holder = profile.holder.as_ref().map_or(0, |text| text.len());
    if let Some(holder) = &profile.holder {
        screen::holder(holder, bins)?;
    }
    match &profile.extra {
        Some(extra) => screen::object("profile", extra, PROFILE_MAX.saturating_sub(holder), None),
        None => Ok(()),
    }
}

/// Refuses a time that has come.
pub(super) fn check_expires_at(at: Option<UnixMillis>, now: UnixMillis) -> Result<(), Error> {
    if at.is_some_and(|at| at <= now) {
        return Err(screen::refused("expires_at", "is not in the future"));
    }
    Ok(())
}

/// The plaintexts. Without holder and extras there is no profile compartment.
fn compartments(new: &NewToken) -> Result<Vec<(Compartment, SecretBytes)>, Error> {
    let mut parts = vec![(Compartment::Pan, SecretBytes::new(new.pan.expose().as_bytes().to_vec()))];
    if !new.profile.is_empty() {
        parts.push((Compartment::Profile, new.profile.encode()?));
    }
    Ok(parts)
}

/// What is unique within a scope. `uses` is part of it, so that a caller who asks for a single-use token never gets one
/// that others hold for good. Nobody can make it from a PAN without the HSM.
fn reuse_hash(fingerprint: &Fingerprint, reuse: &Reuse, uses: Uses) -> Option<[u8; 16]> {
    let scope = match reuse {
        Reuse::Never => return None,
        Reuse::Return { scope } | Reuse::Refuse { scope } => scope,
    };
    let mut hash = Context::new(&SHA256);
    hash.update(&fingerprint.0);
    hash.update(match uses {
        Uses::Multi => b"multi/",
        Uses::Single => b"single/",
    });
    hash.update(scope);
    Some(tables::half(hash.finish().as_ref()))
}
