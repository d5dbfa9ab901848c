//! What there is of a card that is to be stored.

use zeroize::Zeroizing;

use super::Need;
use crate::card::{Expiry, Pan};
use crate::id::Token;
use crate::payment::sources::Resolved;
use crate::payment::{CardDetails, Error, Part, Payments, SecurityCode, Sources};
use crate::vault::types::{Actor, Generation, TokenRules, Verification};

/// A card as the sources give it together.
pub(super) struct Given {
    /// The number; none where it stays in the token unseen.
    pub(super) pan: Option<Pan>,
    /// The number is the one that the token which is to be changed has already.
    pub(super) own_number: bool,
    /// The expiry; checks that need one have refused already where there is none.
    pub(super) expiry: Option<Expiry>,
    /// The holder.
    pub(super) holder: Option<Zeroizing<String>>,
    /// Request or session gave the holder.
    pub(super) new_holder: bool,
    /// For the acquirer.
    pub(super) security_code: Option<SecurityCode>,
}

impl Payments {
    /// The card for `target`, or for a new token.
    ///
    /// # Errors
    /// As [`Payments::resolve`]; what is missing for this check; a target that cannot be changed, where somebody is about
    /// to be asked.
    pub(super) async fn gather(
        &self,
        actor: &Actor,
        sources: Sources,
        target: Option<&Token>,
        rules: TokenRules,
        verification: Verification,
    ) -> Result<Given, Error> {
        let asks = matches!(verification, Verification::AccountUpdater | Verification::Acquirer);
        let mut found = self.resolve(actor, sources, Need::Details).await?;
        if found.card.pan.is_none() && found.token.is_none() {
            let target = target.ok_or(Error::Missing(Part::Number))?;
            found = self
                .with_token(actor, found.card, target, Need::Details)
                .await
                .map_err(|error| match (&error, rules.generation) {
                    // there is no token yet that could have one
                    (Error::Invalid { part: Part::Token, .. }, Generation::MerchantProvided) => {
                        Error::Missing(Part::Number)
                    }
                    _ => error,
                })?;
        }
        let own_number = found.number_from_token && found.token.as_ref() == target;
        let new_holder = found.card.holder.is_some();
        if let (true, Some(target)) = (asks && rules.generation != Generation::MerchantProvided, target) {
            self.may_change(actor, target).await?;
        }
        if let (true, Some(token)) = (found.number_from_token && (asks || !own_number), found.token) {
            found = self.with_token(actor, found.card, &token, Need::Number).await?;
        }
        let needless = matches!(verification, Verification::AccountUpdater | Verification::None)
            && rules.generation != Generation::AcquirerTokenization;
        let expiry = match (found.card.month, found.card.year) {
            (None, None) if needless => None,
            _ => Some(found.card.expiry()?),
        };
        Ok(Given {
            pan: found.card.pan,
            own_number,
            expiry,
            holder: found.card.holder,
            new_holder,
            security_code: found.card.security_code,
        })
    }

    async fn with_token(&self, actor: &Actor, card: CardDetails, token: &Token, need: Need) -> Result<Resolved, Error> {
        let sources = Sources {
            card,
            token: Some(token.clone()),
            ..Sources::default()
        };
        self.resolve(actor, sources, need).await
    }

    /// Nobody is asked about a card that could not be stored then.
    async fn may_change(&self, actor: &Actor, target: &Token) -> Result<(), Error> {
        let view = self.vault.inspect(actor, target).await.map_err(super::refused)?;
        match view.replacement {
            Some(_) => Err(super::replaced()),
            None => Ok(()),
        }
    }
}
