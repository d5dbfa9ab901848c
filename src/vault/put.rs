//! Storing a card under a token that the caller names: made if it is not there, else the card behind it changes.

use super::tokenize::check_rules;
use super::types::{
    Actor, CallerError, Change, Error, Format, NewToken, Operation, Patch, Put, Reuse, Status, Tokenized,
};
use super::{ATTEMPTS, Vault, screen};
use crate::card::Pan;
use crate::id::{Token, UnixMillis};

impl Vault {
    /// Stores `new`, whose format is `Supplied`, whatever stands under that token. Of a token that is there everything
    /// becomes as `new` has it, and it is active again; namespace and uses must be as they are. Takes the right to
    /// tokenize or the right to update, as the case may be. A put that is repeated comes to the same, so an idempotency
    /// key is not looked at.
    ///
    /// # Errors
    /// As [`Vault::tokenize`] and [`Vault::update`]; [`CallerError::CardExists`] where the reuse scope has the card under
    /// another token; [`CallerError::TokenTaken`] in another namespace or with other uses.
    pub async fn put(&self, actor: &Actor, mut new: NewToken) -> Result<Put, Error> {
        let Format::Supplied(token) = &new.format else {
            return Err(screen::refused("token", "is not named"));
        };
        let token = token.clone();
        check_rules(&new, actor.rules)?;
        // another token of the card is never the answer
        if let Reuse::Return { scope } = new.reuse {
            new.reuse = Reuse::Refuse { scope };
        }
        for _ in 0..ATTEMPTS {
            if self.is_there(actor, &token, &new).await? {
                match self.update(actor, &token, patch(&new)?).await {
                    // removed in between
                    Err(Error::Caller(CallerError::UnknownToken | CallerError::Expired)) => {}
                    done => return done.map(Put::Updated),
                }
            } else {
                match self.tokenize_once(actor, &new, None, None).await {
                    // made in between
                    Err(Error::Caller(CallerError::TokenTaken)) => {}
                    Err(Error::Caller(CallerError::CardExists { token: there })) if there == token => {}
                    done => {
                        let (Tokenized::Created(view) | Tokenized::Reused(view)) = done?;
                        return Ok(Put::Created(view));
                    }
                }
            }
        }
        Err(CallerError::Contended.into())
    }

    /// Whether `actor` may put a card under the token as things stand: with the right to update where it is there, else
    /// with the right to tokenize. [`Vault::put`] asks again and counts.
    ///
    /// # Errors
    /// Not granted; the store does not work.
    pub async fn may_put(&self, actor: &Actor, token: &Token) -> Result<(), Error> {
        let needed = match self.load(actor.repository, token).await {
            Ok(held) if self.is_over(&held.record, UnixMillis::now()) => Operation::Tokenize,
            Ok(_) => Operation::Update,
            Err(Error::Caller(CallerError::UnknownToken)) => Operation::Tokenize,
            Err(error) => return Err(error),
        };
        self.access.permit(actor, needed, 0)
    }

    /// Whether the token is there, and is one that `new` may change.
    async fn is_there(&self, actor: &Actor, token: &Token, new: &NewToken) -> Result<bool, Error> {
        match self.load(actor.repository, token).await {
            Ok(held) if self.is_over(&held.record, UnixMillis::now()) => Ok(false),
            Ok(held) if held.record.namespace != new.namespace || held.record.uses != new.uses => {
                self.access.permit(actor, Operation::Update, 1)?;
                Err(CallerError::TokenTaken.into())
            }
            Ok(_) => Ok(true),
            Err(Error::Caller(CallerError::UnknownToken)) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// The change that makes a record what `new` would be.
fn patch(new: &NewToken) -> Result<Patch, Error> {
    let pan = Pan::parse(new.pan.expose()).map_err(|fault| screen::refused("card.number", &fault.to_string()))?;
    Ok(Patch {
        pan: Some(pan),
        expiry: change(&new.expiry),
        holder: change(&new.profile.holder),
        extra: change(&new.profile.extra),
        metadata: change(&new.metadata),
        expires_at: change(&new.expires_at),
        status: Some(Status::Active),
        verification: new.verification,
        ..Patch::default()
    })
}

fn change<T: Clone>(value: &Option<T>) -> Change<T> {
    value.clone().map_or(Change::Clear, Change::Set)
}
