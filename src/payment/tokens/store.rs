//! Storing a checked card as it was given.

use super::check::presented;
use super::gather::Given;
use crate::card::Pan;
use crate::id::Token;
use crate::payment::acquirer::{AcquirerToken, Verdict};
use crate::payment::{Error, Part, Payments};
use crate::vault::types::{
    Actor, CallerError, Change, Error as CoreError, Format, Generation, Management, NewToken, Patch, PolicyError,
    Profile, Put, Reuse, Status, Terms, TokenRules, Tokenized, Uses, Verification, View,
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
        let pan = given.pan.ok_or(Error::Missing(Part::Number))?;
        let (expiry, holder) = (given.expiry, given.holder);
        let new = |reuse| {
            Ok::<_, Error>(NewToken {
                expiry,
                profile: Profile {
                    holder: holder.clone(),
                    extra: None,
                },
                verification: Some(verification),
                ..plain(copy(&pan)?, format.clone(), reuse)
            })
        };
        let view = match (&format, rules.management) {
            (_, Management::UniqueAccountIdentifier) => self.store_once(actor, new).await?,
            // an acquirer gives one token for a card, also where others would give many
            (Format::Supplied(_), Management::UniqueToken) => self.put(actor, new(Reuse::Never)?).await?,
            (_, Management::UniqueToken) => {
                let made = self.vault.tokenize(actor, new(Reuse::Never)?).await;
                let (Tokenized::Created(view) | Tokenized::Reused(view)) = made.map_err(super::refused)?;
                view
            }
        };
        Ok(Stored::View(Box::new(view)))
    }

    /// The one token of a card. Where it is there it changes only if something is to be changed, and if the actor may:
    /// who may not still gets the token.
    async fn store_once(&self, actor: &Actor, new: impl Fn(Reuse) -> Result<NewToken, Error>) -> Result<View, Error> {
        let scope = Vec::new();
        let again = new(Reuse::Return { scope: scope.clone() })?;
        let patch = Patch {
            expiry: given_or(again.expiry, false),
            holder: given_or(again.profile.holder.clone(), false),
            status: Some(Status::Active),
            verification: again.verification,
            ..Patch::default()
        };
        let (token, there) = match self.vault.tokenize(actor, again).await {
            Ok(Tokenized::Created(view)) => return Ok(view),
            Ok(Tokenized::Reused(view)) if is_so(&view, &patch) => return Ok(view),
            Ok(Tokenized::Reused(view)) => (view.token.clone(), Some(view)),
            // out of use, so it is not given back: which one it is shows in another refusal
            Err(CoreError::Caller(CallerError::Inactive)) => {
                match self.vault.tokenize(actor, new(Reuse::Refuse { scope })?).await {
                    Ok(Tokenized::Created(view) | Tokenized::Reused(view)) => return Ok(view),
                    Err(CoreError::Caller(CallerError::CardExists { token })) => (token, None),
                    Err(error) => return Err(super::refused(error)),
                }
            }
            Err(error) => return Err(super::refused(error)),
        };
        match (self.vault.update(actor, &token, patch).await, there) {
            (Err(CoreError::Policy(PolicyError::Denied)), Some(view)) => Ok(view),
            // removed between the two
            (Err(CoreError::Caller(CallerError::UnknownToken)), _) => Err(Error::Core(CallerError::Contended.into())),
            (updated, _) => updated.map_err(super::refused),
        }
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

/// Whether the token is as `patch` would have it. Of a holder nothing is seen: one that is given is another.
fn is_so(view: &View, patch: &Patch) -> bool {
    let expiry = match &patch.expiry {
        Change::Keep => true,
        Change::Clear => view.expiry.is_none(),
        Change::Set(expiry) => view.expiry.as_ref() == Some(expiry),
    };
    expiry
        && patch.holder == Change::Keep
        && patch.status.is_none_or(|status| status == view.status)
        && patch
            .verification
            .is_none_or(|verification| view.verification == Some(verification))
}

/// The new value; without one what is there is cleared or kept.
fn given_or<T>(value: Option<T>, clear: bool) -> Change<T> {
    match (value, clear) {
        (Some(value), _) => Change::Set(value),
        (None, true) => Change::Clear,
        (None, false) => Change::Keep,
    }
}

/// How often a card may be stored, where another token of the card is never the answer.
pub(super) fn reuse(rules: TokenRules) -> Reuse {
    match rules.management {
        Management::UniqueToken => Reuse::Never,
        Management::UniqueAccountIdentifier => Reuse::Refuse { scope: Vec::new() },
    }
}

/// A second one, for a second verb.
pub(super) fn copy(pan: &Pan) -> Result<Pan, Error> {
    Pan::parse(pan.expose()).map_err(|_| Error::Core(CallerError::Contended.into()))
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
        terms: Terms::default(),
    }
}
