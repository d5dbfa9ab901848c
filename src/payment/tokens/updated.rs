//! What the account updater knows better takes effect on a stored card.

use zeroize::Zeroizing;

use super::Checked;
use super::store::{copy, plain, reuse};
use crate::card::{Expiry, Pan};
use crate::hsm::framed;
use crate::id::{IdempotencyKey, Token};
use crate::keys::SecretBytes;
use crate::payment::Error;
use crate::payment::Payments;
use crate::payment::updater::Update;
use crate::vault::types::{
    Actor, Author, CallerError, Change, Error as CoreError, Format, Idempotency, NewToken, Patch, Profile, Status,
    TokenRules, Tokenized, Verification, View,
};

/// Another number and its expiry.
struct Renumbered {
    pan: Pan,
    expiry: Expiry,
}

impl Renumbered {
    /// The same for the same number and expiry in the place of the same token.
    fn succeeding(&self, old: &Token) -> Option<Idempotency> {
        let expiry = format!("{}/{}", self.expiry.month(), self.expiry.year());
        Some(Idempotency {
            key: IdempotencyKey::parse(&format!("successor/{old}")).ok()?,
            request: SecretBytes::new(framed(&[self.pan.expose().as_bytes(), expiry.as_bytes()])),
        })
    }
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
        let new = |idempotency| {
            Ok::<_, Error>(NewToken {
                expiry: Some(number.expiry),
                profile: Profile {
                    holder: holder.clone(),
                    extra: None,
                },
                namespace: old.namespace.clone(),
                metadata: old.metadata.clone(),
                expires_at: old.expires_at,
                verification: Some(Verification::AccountUpdater),
                idempotency,
                ..plain(copy(&number.pan)?, Format::Preserve64, reuse(rules))
            })
        };
        // the old token names it in a later commit: where that did not come about, a repetition finds it again
        let made = match self.vault.tokenize(actor, new(number.succeeding(&old.token))?).await {
            // by now the updater knows another number, or the token was removed
            Err(CoreError::Caller(CallerError::IdempotencyMismatch | CallerError::UnknownToken)) => {
                self.vault.tokenize(actor, new(None)?).await
            }
            made => made,
        };
        let token = match made {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::soft::Soft;
    use crate::vault::types::{Generation, Management, Query};

    #[tokio::test]
    async fn a_successor_that_was_not_named_yet_is_found_again() {
        let soft = Soft::start().await;
        let (management, generation) = (Management::UniqueToken, Generation::Preserve64);
        let actor = soft.merchant("TESTSHOP", management, generation).await;
        let payments = Payments::new(soft.vault.clone());
        let rules = actor.rules.unwrap();
        let pan = Pan::parse("5123450000000008").unwrap();
        let old = plain(pan, Format::Preserve64, reuse(rules));
        let (Tokenized::Created(old) | Tokenized::Reused(old)) = soft.vault.tokenize(&actor, old).await.unwrap();
        let renumbered = |year| Renumbered {
            pan: Pan::parse("5111111111111118").unwrap(),
            expiry: Expiry::new(7, year).unwrap(),
        };
        let count = async || {
            let query = Query {
                limit: 9,
                ..Query::default()
            };
            soft.vault.search(&actor, query).await.unwrap().tokens.len()
        };
        let successor = async |year| {
            let made = payments.successor(&actor, rules, &old, None, &renumbered(year)).await;
            made.unwrap()
        };
        // as if the process had ended before the old token named it
        let orphan = successor(2041).await;
        assert_eq!(successor(2041).await, orphan);
        let update = Update::Number(renumbered(2041).pan, renumbered(2041).expiry);
        let (_, view) = payments
            .apply_update(&actor, rules, old.clone(), None, update)
            .await
            .unwrap();
        assert_eq!((view.replacement.as_ref(), count().await), (Some(&orphan), 2));
        // what is newer still, or what was removed, does not stand in the way
        let newer = successor(2042).await;
        assert_ne!(newer, orphan);
        soft.vault.delete(&actor, &orphan).await.unwrap();
        assert_ne!(successor(2041).await, orphan);
        assert_eq!(count().await, 3);
    }
}
