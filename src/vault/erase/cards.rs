//! The cards of a namespace, for who looks after what hangs on them before they go.

use std::ops::Bound;

use crate::card::Pan;
use crate::id::{Namespace, RepositoryId, Token};
use crate::keys::Compartment;
use crate::store::Part;
use crate::vault::Vault;
use crate::vault::reveal::read_pan;
use crate::vault::tables::{self, PanIndex};
use crate::vault::types::{Actor, CallerError, Error, IntegrityError};

/// Tokens read at once.
const PAGE: u32 = 100;
/// Other tokens of a card that are looked at; with more it is taken for somebody else's too.
const OTHERS: u32 = 1_000;

/// A card that is about to be erased.
pub struct CardToErase {
    /// Its number; it leaves the process nowhere.
    pub pan: Pan,
    /// Tokens outside the namespace stand for it too.
    pub shared: bool,
}

impl Vault {
    /// A page of the tokens of a namespace of the actor's repository, in the order of their names, after `after`; empty at
    /// the end.
    ///
    /// # Errors
    /// The store's.
    pub async fn namespace_tokens(
        &self,
        actor: &Actor,
        namespace: &Namespace,
        after: Option<&Token>,
    ) -> Result<Vec<Token>, Error> {
        let first = tables::namespace_prefix(actor.repository, namespace);
        let (length, end) = (first.0.len(), tables::end_of(&first));
        let from = match after {
            Some(token) => Bound::Excluded(tables::namespace(actor.repository, namespace, token)),
            None => Bound::Included(first),
        };
        let page = self.store.scan(Part::default(), from, end, PAGE).await?;
        let token = |key: &crate::store::Key| key.0.get(length..).and_then(tables::parse_token);
        let tokens: Option<Vec<_>> = page.items.iter().map(|(key, _)| token(key)).collect();
        Ok(tokens.ok_or(IntegrityError::Damaged)?)
    }

    /// The card of a token of the namespace; `None` where the token or its card is gone.
    ///
    /// # Errors
    /// Tampered with; the HSM's; the store's.
    pub async fn card_to_erase(
        &self,
        actor: &Actor,
        namespace: &Namespace,
        token: &Token,
    ) -> Result<Option<CardToErase>, Error> {
        let record = match self.load(actor.repository, token).await {
            Ok(held) if held.record.sealed.is_some() => held.record,
            Ok(_) | Err(Error::Caller(CallerError::UnknownToken)) => return Ok(None),
            Err(error) => return Err(error),
        };
        let opened = self
            .sealer
            .open(record.place(), &record.sealed()?, &[Compartment::Pan])
            .await?;
        let text = opened.into_iter().next().flatten().ok_or(IntegrityError::Damaged)?;
        let pan = read_pan(&text, &record)?;
        let mut shared = false;
        // a merchant has one network token for a card, wherever it acts
        let accounts = self.access.accounts().current();
        let merchant = accounts.merchant(&actor.merchant);
        let repositories = merchant.map_or_else(Vec::new, |row| row.repositories.iter().copied().collect());
        for repository in repositories {
            shared = shared || self.is_elsewhere(actor, repository, namespace, &pan).await?;
        }
        Ok(Some(CardToErase { pan, shared }))
    }

    /// Whether a token of a repository stands for the card, of those outside the namespace that is erased; also one that is
    /// still found under an older fingerprint key.
    async fn is_elsewhere(
        &self,
        actor: &Actor,
        repository: RepositoryId,
        namespace: &Namespace,
        pan: &Pan,
    ) -> Result<bool, Error> {
        for (_, fingerprint) in self.card_prints(repository, pan).await?.made {
            let prefix = tables::pan_prefix(repository, PanIndex::of(&fingerprint));
            let end = tables::end_of(&prefix);
            let others = self
                .store
                .scan(Part::default(), Bound::Included(prefix), end, OTHERS)
                .await?;
            if others.next.is_some() {
                return Ok(true);
            }
            for (key, found) in &others.items {
                let Some((_, other)) = tables::owner_of(key, &found.value) else {
                    return Err(IntegrityError::Damaged.into());
                };
                let is_other = match self.load(repository, &other).await {
                    Ok(held) => repository != actor.repository || held.record.namespace.as_ref() != Some(namespace),
                    Err(Error::Caller(CallerError::UnknownToken)) => false,
                    // whose it is cannot be read, so it may be another's
                    Err(Error::Integrity(_)) => true,
                    Err(error) => return Err(error),
                };
                if is_other {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }
}
