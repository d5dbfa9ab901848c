//! Storing a checked card as it was given.

use super::check::presented;
use super::gather::Given;
use crate::card::Pan;
use crate::id::Token;
use crate::payment::acquirer::{AcquirerToken, Verdict};
use crate::payment::{Error, Part, Payments};
use crate::vault::types::{
    Actor, CallerError, Change, Error as CoreError, Format, Generation, Management, NewToken, Patch, Profile, Put,
    Reuse, Status, TokenRules, Tokenized, Uses, Verification, View,
};

/// How storing ended.
pub(super) enum Stored {
    /// Under this token.
    View(Box<View>),
    /// The acquirer gives no token for the card: it was not stored.
    Refused(Verdict),
}

impl Payments {
    /// Stores the card under a new token, or gives the one that it may have only.
    pub(super) async fn store_new(
        &self,
        actor: &Actor,
        rules: TokenRules,
        given: Given,
        verification: Verification,
    ) -> Result<Stored, Error> {
        let format = match rules.generation {
            Generation::RandomWithLuhn => Format::RandomLuhn,
            Generation::Preserve64 => Format::Preserve64,
            Generation::MerchantProvided => return Err(Error::Missing(Part::Token)),
            Generation::AcquirerTokenization => match self.acquirer_token(actor, &given).await? {
                AcquirerToken::Token(token) => Format::Supplied(token),
                AcquirerToken::Refused(verdict) => return Ok(Stored::Refused(verdict)),
            },
        };
        let again = Patch {
            expiry: given_or(given.expiry, false),
            holder: given_or(given.holder.clone(), false),
            status: Some(Status::Active),
            verification: Some(verification),
            ..Patch::default()
        };
        let pan = given.pan.ok_or(Error::Missing(Part::Number))?;
        let profile = Profile {
            holder: given.holder,
            extra: None,
        };
        let new = NewToken {
            expiry: given.expiry,
            profile,
            verification: Some(verification),
            ..plain(pan, format, reuse(rules))
        };
        // an acquirer gives one token for a card, also where others would give many
        if matches!(
            (&new.format, rules.management),
            (Format::Supplied(_), Management::UniqueToken)
        ) {
            return Ok(Stored::View(Box::new(self.put(actor, new).await?)));
        }
        let view = match self.vault.tokenize(actor, new).await {
            Ok(Tokenized::Created(view) | Tokenized::Reused(view)) => view,
            Err(CoreError::Caller(CallerError::CardExists { token })) => {
                match self.vault.update(actor, &token, again).await {
                    // removed between the two
                    Err(CoreError::Caller(CallerError::UnknownToken)) => {
                        return Err(Error::Core(CallerError::Contended.into()));
                    }
                    other => other.map_err(super::refused)?,
                }
            }
            Err(error) => return Err(super::refused(error)),
        };
        Ok(Stored::View(Box::new(view)))
    }

    /// Stores the card under this token.
    pub(super) async fn store_under(
        &self,
        actor: &Actor,
        rules: TokenRules,
        token: &Token,
        given: Given,
        verification: Verification,
    ) -> Result<Stored, Error> {
        if !given.own_number && rules.generation == Generation::AcquirerTokenization {
            match self.acquirer_token(actor, &given).await? {
                AcquirerToken::Token(other) if other == *token => {}
                AcquirerToken::Token(_) => {
                    return Err(Error::Invalid {
                        part: Part::Number,
                        reason: "The acquirer has another token for this number".to_owned(),
                    });
                }
                AcquirerToken::Refused(verdict) => return Ok(Stored::Refused(verdict)),
            }
        }
        let number = given.pan.filter(|_| !given.own_number);
        let view = match (number, rules.generation) {
            (Some(pan), Generation::MerchantProvided) => {
                let new = NewToken {
                    expiry: given.expiry,
                    profile: Profile {
                        holder: given.holder,
                        extra: None,
                    },
                    verification: Some(verification),
                    ..plain(pan, Format::Supplied(token.clone()), reuse(rules))
                };
                self.put(actor, new).await?
            }
            (number, _) => {
                // what belongs to another card does not stay with this one
                let new_number = number.is_some();
                let holder = given.holder.filter(|_| new_number || given.new_holder);
                let patch = Patch {
                    expiry: given_or(given.expiry, new_number),
                    holder: given_or(holder, new_number),
                    status: Some(Status::Active),
                    verification: Some(verification),
                    pan: number,
                    ..Patch::default()
                };
                self.vault.update(actor, token, patch).await.map_err(super::refused)?
            }
        };
        Ok(Stored::View(Box::new(view)))
    }

    async fn put(&self, actor: &Actor, new: NewToken) -> Result<View, Error> {
        match self.vault.put(actor, new).await.map_err(super::refused)? {
            Put::Created(view) | Put::Updated(view) => Ok(view),
        }
    }

    async fn acquirer_token(&self, actor: &Actor, given: &Given) -> Result<AcquirerToken, Error> {
        let acquirer = self.acquirer(actor)?;
        Ok(acquirer.tokenize(&actor.merchant, presented(given)?).await)
    }
}

/// The new value; without one what is there is cleared or kept.
fn given_or<T>(value: Option<T>, clear: bool) -> Change<T> {
    match (value, clear) {
        (Some(value), _) => Change::Set(value),
        (None, true) => Change::Clear,
        (None, false) => Change::Keep,
    }
}

/// How often a card may be stored. A card that is there is refused and not given back, so that its details can be changed
/// first: it may be out of use.
pub(super) fn reuse(rules: TokenRules) -> Reuse {
    match rules.management {
        Management::UniqueToken => Reuse::Never,
        Management::UniqueAccountIdentifier => Reuse::Refuse { scope: Vec::new() },
    }
}

/// A card with nothing but its number.
pub(super) fn plain(pan: Pan, format: Format, reuse: Reuse) -> NewToken {
    NewToken {
        pan,
        expiry: None,
        profile: Profile::default(),
        format,
        reuse,
        namespace: None,
        metadata: None,
        expires_at: None,
        uses: Uses::Multi,
        idempotency: None,
        verification: None,
    }
}
