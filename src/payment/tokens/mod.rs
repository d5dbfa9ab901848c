//! Storing cards that are checked first: by rule, by the acquirer, or by the account updater. What does not pass is not
//! stored. The security code is for the acquirer, and is dropped when it has answered.
//!
//! A number that fails Luhn is no card number for any kind of check ([`Pan::parse`]). Beyond that:
//!
//! | check | the card must have | and |
//! |---|---|---|
//! | none | a number | |
//! | basic | number and expiry | not be past its expiry |
//! | acquirer | number and expiry | the acquirer approves a verification in the currency |
//! | account updater | a number | what the updater knows better takes effect after the card was stored as given |
//!
//! What fails by rule is an error that names the part; what the acquirer refuses is [`Checked::Refused`].
//!
//! Without a token a new one is made. Where a card may have only one token and has it, that token is given, with the
//! details as given now. With a token its card changes, and a token that was invalid is in use again; only where merchants
//! name the tokens is one made that is not there. A token that is named without any number is its own source, so that a
//! new expiry alone can be given: unless somebody has to be asked, the number is not opened for that.

mod check;
mod gather;
mod store;
mod updated;

use self::check::Answered;
pub use self::check::CheckedCard;
use self::store::Stored;
use super::acquirer::Verdict;
use super::money::Currency;
use super::sources::Need;
use super::{Error, Part, Payments, Sources};
use crate::card::{Expiry, Pan};
use crate::id::Token;
use crate::vault::to_its_end;
use crate::vault::types::{
    Actor, CallerError, Error as CoreError, Generation, Operation, PolicyError, Verification, View,
};

/// A card to be stored.
pub struct SaveToken {
    /// The token to be made or changed; none: the repository's generation makes one.
    pub token: Option<Token>,
    /// Where the card comes from.
    pub sources: Sources,
    /// How it is checked; none: as the repository's rules say.
    pub verification: Option<Verification>,
    /// Needed where the acquirer or the account updater is asked.
    pub currency: Option<Currency>,
}

/// How the check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checked {
    /// Nobody checked.
    NotChecked,
    /// Number and expiry are well formed.
    Basic,
    /// The acquirer approved.
    Acquirer,
    /// The updater had nothing newer.
    UpdaterCurrent,
    /// The updater had newer details, which are stored now. Where the token keeps digits of the number that it stood for
    /// and the number is another now, a new token was made for it: [`View::replacement`].
    UpdaterChanged,
    /// The updater says the account is closed: the token is invalid now.
    UpdaterClosed,
    /// The updater did not answer; the card is as it was given.
    UpdaterUnavailable,
    /// The acquirer refused, or did not decide: nothing was stored.
    Refused(Verdict),
}

/// A stored card, or a refusal by the check.
#[derive(Debug)]
pub struct Saved {
    /// How it was checked.
    pub verification: Verification,
    /// How the check went.
    pub checked: Checked,
    /// The token, where one was stored.
    pub view: Option<View>,
    /// The card as shown where nothing was stored: masked number, brand, expiry.
    pub refused_card: Option<RefusedCard>,
}

/// A card that was not stored, as far as it may be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedCard {
    /// Masked number.
    pub masked: String,
    /// Brand, where known.
    pub brand: Option<String>,
    /// Funding, where known.
    pub funding: Option<String>,
    /// Expiry.
    pub expiry: Option<Expiry>,
}

impl Payments {
    /// Stores a card under the rules of the actor's repository.
    ///
    /// # Errors
    /// [`Error::Missing`] and [`Error::Invalid`] for what the sources lack or the token does not allow;
    /// [`Error::NoAcquirer`]; the core's.
    pub async fn save_token(&self, actor: &Actor, save: SaveToken) -> Result<Saved, Error> {
        let Some(rules) = actor.rules else {
            tracing::warn!(repository = %actor.repository_name, "the repository has no rules for tokens");
            return Err(Error::Core(CoreError::Policy(PolicyError::Denied)));
        };
        // before anybody is asked about the card: the verbs that store it ask again and count
        match (&save.token, rules.generation) {
            (None, Generation::MerchantProvided) => return Err(Error::Missing(Part::Token)),
            (Some(token), Generation::MerchantProvided) => self.vault.may_put(actor, token).await?,
            (None, _) => self.vault.access().permit(actor, Operation::Tokenize, 0)?,
            (Some(_), _) => self.vault.access().permit(actor, Operation::Update, 0)?,
        }
        let verification = save.verification.unwrap_or(rules.verification);
        let given = self
            .gather(actor, save.sources, save.token.as_ref(), rules, verification)
            .await?;
        let answered = self.check_card(actor, &given, verification, save.currency).await?;
        let (expiry, holder) = (given.expiry, given.holder.clone());
        let shown = given.pan.as_ref().map(|pan| self.refused_card(pan, expiry));
        let refused = move |verdict, shown| Saved {
            verification,
            checked: Checked::Refused(verdict),
            view: None,
            refused_card: shown,
        };
        let (checked, newer) = match answered {
            Answered::Refused(verdict) => return Ok(refused(verdict, shown)),
            Answered::Passed(checked) => (checked, None),
            Answered::Newer(update) => (Checked::UpdaterCurrent, Some(update)),
        };
        // from here on something may be stored: it is not left half done where the caller goes away
        let (payments, actor, token) = (self.clone(), actor.clone(), save.token);
        to_its_end(async move {
            let stored = match &token {
                None => payments.store_new(&actor, rules, given, verification).await?,
                Some(token) => payments.store_under(&actor, rules, token, given, verification).await?,
            };
            let view = match stored {
                Stored::View(view) => *view,
                Stored::Refused(verdict) => return Ok(refused(verdict, shown)),
            };
            let (checked, view) = match newer {
                Some(update) => payments.apply_update(&actor, rules, view, holder, update).await?,
                None => (checked, view),
            };
            Ok(Saved {
                verification,
                checked,
                view: Some(view),
                refused_card: None,
            })
        })
        .await
    }

    fn refused_card(&self, pan: &Pan, expiry: Option<Expiry>) -> RefusedCard {
        let (masked, info) = self.vault.look(pan);
        RefusedCard {
            masked: masked.text,
            brand: info.brand,
            funding: info.funding,
            expiry,
        }
    }
}

/// What the core refuses, by the part that is at fault.
fn refused(error: CoreError) -> Error {
    let CoreError::Caller(fault) = &error else {
        return Error::Core(error);
    };
    let (part, reason) = match fault {
        CallerError::UnknownToken | CallerError::Expired => (Part::Token, "There is no such token"),
        CallerError::Replaced => return replaced(),
        CallerError::CardFixed => (
            Part::Number,
            "The token keeps digits of its card number, which cannot change",
        ),
        CallerError::CardExists { .. } => (Part::Number, "The card is stored under another token"),
        CallerError::TokenTaken => (Part::Token, "The token is taken"),
        CallerError::Field { field: "token", reason } => {
            return Error::Invalid {
                part: Part::Token,
                reason: format!("It {reason}"),
            };
        }
        CallerError::BadCursor
        | CallerError::Contended
        | CallerError::Field { .. }
        | CallerError::FormatExhausted
        | CallerError::IdempotencyMismatch
        | CallerError::Inactive
        | CallerError::NamespaceFull
        | CallerError::Revision { .. }
        | CallerError::Spent
        | CallerError::TooManyUpdates { .. } => return Error::Core(error),
    };
    Error::Invalid {
        part,
        reason: reason.to_owned(),
    }
}

fn replaced() -> Error {
    Error::Invalid {
        part: Part::Token,
        reason: "Another token took over from it: it cannot be changed any more".to_owned(),
    }
}

#[cfg(test)]
mod tests;
