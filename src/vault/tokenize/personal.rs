//! Cards that are a person's within the repository: one token for a person's card, found with the person's names only.
//!
//! Whose a card is stands in its sealed part and nowhere else: two cards of one person have nothing on the disk in common.
//! Most cards are new, so a card is sealed in the job that makes its fingerprint. Where it is there already that was in vain.

use super::check_rules;
use super::fields::check;
use super::making::reuse_hash;
use crate::card::Pan;
use crate::id::{RepositoryId, Token, UnixMillis};
use crate::keys::{Compartment, SecretBytes};
use crate::store::Part;
use crate::vault::record::Record;
use crate::vault::types::{
    Actor, CallerError, Error, IntegrityError, NewToken, Operation, Person, Profile, Reuse, Stored, Tokenized, View,
};
use crate::vault::{ATTEMPTS, Held, Vault, event, members, tables};

/// The member of a profile's rest that names the person. No change of a profile changes it.
pub(in crate::vault) const PERSON: &str = "person";

impl Vault {
    /// Stores a card of a person's and gives its token. Where the person has the card already, its token is given and
    /// nothing of it changes; of any number of callers who come with it at once one makes it. The format may be opaque or
    /// supplied; reuse and namespace are what the person makes them.
    ///
    /// # Errors
    /// As [`Vault::tokenize`]; [`CallerError::TokenTaken`] where the supplied token stands for another card or is another
    /// person's.
    pub async fn tokenize_for(&self, actor: &Actor, person: &Person, mut new: NewToken) -> Result<Stored, Error> {
        let names = std::collections::BTreeMap::from([(PERSON.to_owned(), Some(person.json()))]);
        new.reuse = Reuse::Never;
        new.profile.extra = members::changed(new.profile.extra.take(), &names)?;
        for _ in 0..ATTEMPTS {
            let stored = self.store_for(actor, person, &new).await;
            let outcome = match &stored {
                Ok(Tokenized::Created(_)) => "created",
                Ok(Tokenized::Reused(_)) | Err(_) => "reused",
            };
            match self.conclude(actor, Operation::Tokenize, None, outcome, stored).await? {
                Tokenized::Created(view) => return Ok(Stored::Created(view)),
                Tokenized::Reused(view) => match self.says_the_same(actor, &view, &new.profile).await {
                    Ok(true) => return Ok(Stored::Same(view)),
                    Ok(false) => return Ok(Stored::Different(view)),
                    // removed since it was found
                    Err(Error::Caller(CallerError::UnknownToken | CallerError::Expired)) => {}
                    Err(error) => return Err(error),
                },
            }
        }
        Err(CallerError::Contended.into())
    }

    /// Removes a card of a person's. `false`: the person has no such token. No receipt is made: who asks so takes none. A token
    /// that is nobody's is not counted and costs nothing, for callers who go on and look elsewhere.
    ///
    /// # Errors
    /// Not granted; the HSM or the store does not work.
    pub async fn delete_for(&self, actor: &Actor, person: &Person, token: &Token) -> Result<bool, Error> {
        let deleted = async {
            self.access.permit(actor, Operation::Delete, 0)?;
            if !self.is_taken(actor, token).await? {
                return Ok(false);
            }
            self.access.permit(actor, Operation::Delete, 1)?;
            let mut turn = None;
            for _ in 0..ATTEMPTS {
                let held = match self.load_live(actor, token).await {
                    Ok(held) if self.belongs_to(&held.record, person).await? => held,
                    Ok(_) | Err(Error::Caller(CallerError::UnknownToken | CallerError::Expired)) => {
                        self.access.count(actor, Operation::Delete, "unknown-token");
                        return Ok(false);
                    }
                    Err(error) => return Err(error),
                };
                let event = event(actor, Operation::Delete, "ok", Some(token));
                if self.remove(&held, event).await? {
                    return Ok(true);
                }
                if turn.is_none() {
                    turn = self.turns.wait(actor.repository, token).await;
                }
            }
            Err(CallerError::Contended.into())
        };
        let deleted = deleted.await;
        let outcome = if matches!(deleted, Ok(false)) { "unknown" } else { "ok" };
        self.conclude(actor, Operation::Delete, Some(token), outcome, deleted)
            .await
    }

    /// Whether there is a token of that name in the actor's repository, whosoever it is.
    ///
    /// # Errors
    /// The store's.
    pub async fn is_taken(&self, actor: &Actor, token: &Token) -> Result<bool, Error> {
        let key = tables::record(actor.repository, token);
        Ok(self.store.get(Part::default(), &key).await?.is_some())
    }

    async fn store_for(&self, actor: &Actor, person: &Person, new: &NewToken) -> Result<Tokenized, Error> {
        self.access.permit(actor, Operation::Tokenize, 1)?;
        let bins = self.bins();
        check_rules(new, actor.rules)?;
        check(new, UnixMillis::now(), &bins)?;
        let mut making = self.prepare(actor, new, None, &bins).await?;
        making.scope = Some(scope(person, actor.repository));
        making.look_first = false;
        for _ in 0..ATTEMPTS {
            if let Some(done) = self.attempt(&mut making).await? {
                return Ok(done);
            }
        }
        Err(CallerError::Contended.into())
    }

    /// Whether a record is a person's. Where its profile does not open any more, its number and its reuse key tell: what
    /// cannot be read can go all the same.
    async fn belongs_to(&self, record: &Record, person: &Person) -> Result<bool, Error> {
        match self.profile_of(record).await {
            Ok(profile) => is_of(&profile, person),
            Err(Error::Integrity(fault)) => {
                let pan = [Compartment::Pan];
                let number = self.sealer.open(record.place(), &record.sealed()?, &pan).await?;
                let number = number.into_iter().next().flatten().ok_or(fault)?;
                let number = std::str::from_utf8(number.expose()).map_err(|_| IntegrityError::Damaged)?;
                let number = Pan::parse(number).map_err(|_| IntegrityError::Damaged)?;
                let under = record.generation;
                let fingerprint = self.sealer.fingerprint(under, record.repository, &number).await?;
                let scope = scope(person, record.repository);
                Ok(record.reuse == Some(reuse_hash(&fingerprint, scope.expose(), record.uses)))
            }
            Err(error) => Err(error),
        }
    }

    /// What, beside repository and PAN, made the reuse key of `record`, where it has one.
    pub(in crate::vault) async fn scope_of(&self, record: &Record) -> Result<Option<SecretBytes>, Error> {
        match (&record.scope, record.reuse) {
            (Some(scope), _) => Ok(Some(SecretBytes::new(scope.clone()))),
            (None, None) => Ok(None),
            (None, Some(_)) => {
                let profile = self.profile_of(record).await?;
                let members = members::of(profile.extra.as_deref().map(String::as_str))?;
                let person = members.get(PERSON).and_then(|names| Person::parse(names.get()));
                Ok(person.map(|person| scope(&person, record.repository)))
            }
        }
    }

    /// Whether holder and rest of a token are those that were given.
    async fn says_the_same(&self, actor: &Actor, there: &View, given: &Profile) -> Result<bool, Error> {
        let Held { record, .. } = self.load_live(actor, &there.token).await?;
        let there = self.described(&record).await?.profile;
        let (one, other) = (
            members::of(there.extra.as_deref().map(String::as_str))?,
            members::of(given.extra.as_deref().map(String::as_str))?,
        );
        let same = one.len() == other.len()
            && one
                .iter()
                .all(|(name, value)| other.get(name).is_some_and(|given| members::same(value, given)));
        Ok(same && there.holder == given.holder)
    }
}

/// Whether a token's profile names `person`.
pub(in crate::vault) fn is_of(profile: &Profile, person: &Person) -> Result<bool, Error> {
    let members = members::of(profile.extra.as_deref().map(String::as_str))?;
    Ok(members.get(PERSON).is_some_and(|names| person.is(names.get())))
}

/// What, beside repository and PAN, makes a person's card the same.
fn scope(person: &Person, repository: RepositoryId) -> SecretBytes {
    SecretBytes::new([b"person/", person.framed(repository).expose()].concat())
}
