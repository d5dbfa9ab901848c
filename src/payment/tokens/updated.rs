//! What the account updater knows better takes effect on a stored card.

use zeroize::Zeroizing;

use super::Checked;
use super::store::{plain, reuse};
use crate::card::{Expiry, Pan};
use crate::id::Token;
use crate::payment::Error;
use crate::payment::Payments;
use crate::payment::updater::Update;
use crate::vault::types::{
    Actor, Author, CallerError, Change, Error as CoreError, Format, NewToken, Patch, Profile, Status, TokenRules,
    Tokenized, Verification, View,
};

/// Another number and its expiry.
struct Renumbered {
    pan: Pan,
    expiry: Expiry,
}

impl Payments {
    /// Lets `update` take effect on the card of `view`. `holder` is its holder, for a token that takes over.
    ///
    /// # Errors
    /// The core's.
    pub(in crate::payment) async fn apply_update(
        &self,
        actor: &Actor,
        rules: TokenRules,
        view: View,
        holder: Option<Zeroizing<String>>,
        update: Update,
    ) -> Result<(Checked, View), Error> {
        let token = view.token.clone();
        match update {
            Update::Current => Ok((Checked::UpdaterCurrent, view)),
            Update::Unavailable => Ok((Checked::UpdaterUnavailable, view)),
            Update::Expiry(expiry) => {
                let patch = Patch {
                    expiry: Change::Set(expiry),
                    ..by_updater()
                };
                Ok((Checked::UpdaterChanged, self.changed(actor, &token, patch).await?))
            }
            Update::Closed => {
                let patch = Patch {
                    status: Some(Status::Inactive),
                    ..by_updater()
                };
                Ok((Checked::UpdaterClosed, self.changed(actor, &token, patch).await?))
            }
            Update::Number(pan, expiry) => {
                let number = Renumbered { pan, expiry };
                Ok((
                    Checked::UpdaterChanged,
                    self.renumber(actor, rules, view, holder, number).await?,
                ))
            }
        }
    }

    /// Puts another number behind the token. Where that cannot be, another token takes over: a new one, where the token
    /// keeps digits of its number; the one that has the number already, where a card may have only one. The token works on,
    /// with the new number underneath.
    async fn renumber(
        &self,
        actor: &Actor,
        rules: TokenRules,
        view: View,
        holder: Option<Zeroizing<String>>,
        number: Renumbered,
    ) -> Result<View, Error> {
        let patch = |replacement| {
            Ok::<_, Error>(Patch {
                pan: Some(copy(&number.pan)?),
                expiry: Change::Set(number.expiry),
                replacement,
                ..by_updater()
            })
        };
        let successor = match self.vault.update(actor, &view.token, patch(Change::Keep)?).await {
            Ok(view) => return Ok(view),
            Err(CoreError::Caller(CallerError::CardExists { token })) => token,
            Err(CoreError::Caller(CallerError::CardFixed)) => {
                self.successor(actor, rules, &view, holder, &number).await?
            }
            Err(error) => return Err(super::refused(error)),
        };
        self.changed(actor, &view.token, patch(Change::Set(successor))?).await
    }

    /// The token that takes over, last changed by the updater.
    async fn successor(
        &self,
        actor: &Actor,
        rules: TokenRules,
        old: &View,
        holder: Option<Zeroizing<String>>,
        number: &Renumbered,
    ) -> Result<Token, Error> {
        let new = NewToken {
            expiry: Some(number.expiry),
            profile: Profile { holder, extra: None },
            namespace: old.namespace.clone(),
            metadata: old.metadata.clone(),
            expires_at: old.expires_at,
            verification: Some(Verification::AccountUpdater),
            ..plain(copy(&number.pan)?, Format::Preserve64, reuse(rules))
        };
        let token = match self.vault.tokenize(actor, new).await {
            Ok(Tokenized::Created(view) | Tokenized::Reused(view)) => view.token,
            Err(CoreError::Caller(CallerError::CardExists { token })) => return Ok(token),
            Err(error) => return Err(super::refused(error)),
        };
        self.changed(actor, &token, by_updater()).await?;
        Ok(token)
    }

    async fn changed(&self, actor: &Actor, token: &Token, patch: Patch) -> Result<View, Error> {
        self.vault.update(actor, token, patch).await.map_err(super::refused)
    }
}

fn by_updater() -> Patch {
    Patch {
        verification: Some(Verification::AccountUpdater),
        author: Author::Updater,
        ..Patch::default()
    }
}

/// A second one, for a second verb.
fn copy(pan: &Pan) -> Result<Pan, Error> {
    Pan::parse(pan.expose()).map_err(|_| Error::Core(CallerError::Contended.into()))
}
