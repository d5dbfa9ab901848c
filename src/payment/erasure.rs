//! What hangs on the tokens of a namespace that is erased, and the customer whose namespace it is. It goes first, so that what
//! was interrupted finds its way again from the tokens that are left; and what callers hung on a token until it was gone goes
//! behind it. Of a whole repository the documents go with it: what the network has of its cards is ended before.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use super::{Error, Payments};
use crate::id::{MerchantId, Namespace, RepositoryName, Token, UnixMillis};
use crate::vault::types as core;
use crate::vault::types::{
    Actor, CallerError, Document, DocumentEvent, DocumentKind, DocumentWrite, Expect, Peer, Secret, Written,
};
use crate::vault::{Linked, LinkedFut};

/// Whose namespace it is.
#[derive(Debug, Clone)]
pub enum Whose {
    /// One by the name that the store has.
    Namespace(Namespace),
    /// A merchant's customer, shopper or namespace, by the name that the merchant's dialect has for it.
    Customer {
        /// Whose customer.
        merchant: MerchantId,
        /// The customer.
        name: String,
    },
}

/// Documents that were removed, by their kind.
pub type Removed = BTreeMap<&'static str, u64>;

/// Documents read at once.
const PAGE: u32 = 200;

/// What hangs on what is erased, looked after by [`Payments`].
pub struct LinkedTo {
    payments: Arc<Payments>,
    peer: Peer,
    repository: RepositoryName,
    of: Option<(Whose, Namespace)>,
    /// What was met before the tokens went.
    met: Mutex<Met>,
}

#[derive(Default)]
struct Met {
    tokens: BTreeSet<Token>,
    /// Whose network tokens were ended, and the names of the ways to them from their cards.
    cards: BTreeSet<(MerchantId, String)>,
}

impl Linked for LinkedTo {
    fn before(&self) -> LinkedFut<'_> {
        Box::pin(async {
            let removed = match &self.of {
                Some((whose, namespace)) => self.erase_linked(whose, namespace).await,
                None => self.payments.end_network_tokens(self.peer, &self.repository).await,
            };
            removed.map_err(|error| error.to_string())
        })
    }

    fn after(&self) -> LinkedFut<'_> {
        Box::pin(async { self.erase_left().await.map_err(|error| error.to_string()) })
    }
}

impl Payments {
    /// The namespace that is meant; `None`: no such merchant may act in the repository.
    ///
    /// # Errors
    /// No random bytes; the HSM's.
    pub async fn namespace_meant(
        &self,
        peer: Peer,
        repository: &RepositoryName,
        whose: &Whose,
    ) -> Result<Option<Namespace>, Error> {
        match whose {
            Whose::Namespace(namespace) => Ok(Some(namespace.clone())),
            Whose::Customer { merchant, name } => match self.one(peer, repository, merchant)? {
                Some(actor) => Ok(Some(self.vault.personal_namespace(&actor, name).await?)),
                None => Ok(None),
            },
        }
    }

    /// Who looks after what hangs on what is erased there: a namespace, or everything.
    pub fn linked(
        self: &Arc<Self>,
        peer: Peer,
        repository: RepositoryName,
        of: Option<(Whose, Namespace)>,
    ) -> LinkedTo {
        LinkedTo {
            payments: Arc::clone(self),
            peer,
            repository,
            of,
            met: Mutex::default(),
        }
    }

    /// Ends the network tokens that go with a repository at their service, and removes them. What does not open, and what
    /// there is no service for any more, cannot be ended: that is told in the log, and the document goes with the others.
    async fn end_network_tokens(&self, peer: Peer, repository: &RepositoryName) -> Result<Removed, Error> {
        let actors = self.vault.access().actors_of_all(peer, repository);
        let mut removed = Removed::new();
        for actor in actors.map_err(crate::vault::types::Error::from)? {
            let mut after: Option<String> = None;
            loop {
                let page = self.network_tokens_after(&actor, &mut after).await?;
                if page.is_empty() {
                    break;
                }
                for document in page.iter().filter(|one| self.vault.goes_with(repository, one)) {
                    match self.forget_network_token_of(&actor, document).await {
                        Ok(count) => counted(&mut removed, count),
                        Err(error @ (Error::NoNetworkTokens | Error::Core(core::Error::Integrity(_)))) => {
                            let merchant = actor.merchant.as_str();
                            tracing::warn!(%error, merchant, "a network token that is erased is not ended at its service");
                        }
                        Err(error) => return Err(error),
                    }
                }
            }
        }
        Ok(removed)
    }
}

/// A network token and the ways to it.
fn counted(removed: &mut Removed, documents: u64) {
    if documents > 0 {
        *removed.entry(DocumentKind::NetworkToken.name()).or_default() += 1;
        *removed.entry(DocumentKind::NetworkTokenNumber.name()).or_default() += documents - 1;
    }
}

impl LinkedTo {
    /// Removes what hangs on the tokens of `namespace`: agreements, maintenance plans, conflicts, and the network tokens of
    /// cards that no token outside it stands for; before that the customer. Orders and payments stay.
    ///
    /// # Errors
    /// The HSM's; the store's; [`Error::NetworkTokenService`]. The same again does the rest.
    async fn erase_linked(&self, whose: &Whose, namespace: &Namespace) -> Result<Removed, Error> {
        let Self {
            payments,
            peer,
            repository,
            ..
        } = self;
        let mut removed = Removed::new();
        if let Whose::Customer { merchant, name } = whose
            && let Some(actor) = payments.one(*peer, repository, merchant)?
        {
            payments.erase_customer(&actor, name, &mut removed).await?;
        }
        for actor in payments.those_of(*peer, repository)? {
            let conflicts = payments.all_of(&actor, DocumentKind::Conflict, "").await?;
            let mut after = None;
            loop {
                let tokens = payments
                    .vault
                    .namespace_tokens(&actor, namespace, after.as_ref())
                    .await?;
                let Some(last) = tokens.last() else { break };
                after = Some(last.clone());
                for token in &tokens {
                    self.met().tokens.insert(token.clone());
                    let mut gone = payments.hanging_on(&actor, token).await?;
                    gone.extend(conflicts.iter().filter(|one| is_about(one, token)).cloned());
                    payments.remove_all(&actor, gone, Some(token), &mut removed).await?;
                    // where nobody gives network tokens there are none, and there will be none
                    let card = match payments.network_tokens(&actor) {
                        Ok(_) => payments.vault.card_to_erase(&actor, namespace, token).await,
                        Err(_) => Ok(None),
                    };
                    // one that cannot be read is told when its turn comes, and keeps no other from being erased
                    let card = match card {
                        Err(core::Error::Integrity(_)) => None,
                        other => other?,
                    };
                    if let Some(card) = card
                        && !card.shared
                    {
                        let name = payments.name_by_card(&actor, &card.pan).await?;
                        self.met().cards.insert((actor.merchant.clone(), name));
                        counted(&mut removed, payments.forget_network_token(&actor, &card.pan).await?);
                    }
                }
            }
        }
        Ok(removed)
    }

    /// What was hung on the tokens before they were gone: nothing is since then. On those that are still there all may stay.
    async fn erase_left(&self) -> Result<Removed, Error> {
        let Self {
            payments,
            peer,
            repository,
            ..
        } = self;
        let Met { tokens, cards } = std::mem::take(&mut *self.met());
        let mut removed = Removed::new();
        if tokens.is_empty() {
            return Ok(removed);
        }
        for actor in payments.those_of(*peer, repository)? {
            let conflicts = payments.all_of(&actor, DocumentKind::Conflict, "").await?;
            for token in &tokens {
                if payments.vault.is_taken(&actor, token).await? {
                    continue;
                }
                let mut gone = payments.hanging_on(&actor, token).await?;
                gone.extend(conflicts.iter().filter(|one| is_about(one, token)).cloned());
                payments.remove_all(&actor, gone, Some(token), &mut removed).await?;
            }
            for (_, name) in cards.iter().filter(|(merchant, _)| *merchant == actor.merchant) {
                counted(&mut removed, payments.forget_network_token_named(&actor, name).await?);
            }
        }
        Ok(removed)
    }

    fn met(&self) -> std::sync::MutexGuard<'_, Met> {
        self.met.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Payments {
    /// A customer of Hyperswitch's dialect, what the merchant calls it, and its payment methods whose card is still to come
    /// or is not stored. Of other dialects there is none.
    async fn erase_customer(&self, actor: &Actor, id: &str, removed: &mut Removed) -> Result<(), Error> {
        let own = self.vault.document(actor, DocumentKind::Customer, id).await?;
        let mut gone: Vec<Document> = own.into_iter().collect();
        let names = self.all_of(actor, DocumentKind::CustomerReference, "").await?;
        gone.extend(names.into_iter().filter(|one| one.clear == id.as_bytes()));
        let intents = self.all_of(actor, DocumentKind::MethodIntent, "").await?;
        gone.extend(
            intents
                .into_iter()
                .filter(|one| says(one, "customer") == Some(id.to_owned())),
        );
        self.remove_all(actor, gone, None, removed).await?;
        self.forget_volatile(actor, id);
        Ok(())
    }

    async fn hanging_on(&self, actor: &Actor, token: &Token) -> Result<Vec<Document>, Error> {
        let mut found = self
            .all_of(actor, DocumentKind::AgreementOfToken, &format!("{token}/"))
            .await?;
        for place in 0..found.len() {
            let id = found
                .get(place)
                .and_then(|one| one.name.split_once('/'))
                .map(|(_, id)| id.to_owned());
            if let Some(id) = id {
                found.extend(self.vault.document(actor, DocumentKind::Agreement, &id).await?);
            }
        }
        let plan = DocumentKind::Maintenance;
        found.extend(self.vault.document(actor, plan, token.as_str()).await?);
        Ok(found)
    }

    /// Removes what is still as it was read; what was changed is met again by who runs it again.
    async fn remove_all(
        &self,
        actor: &Actor,
        gone: Vec<Document>,
        token: Option<&Token>,
        removed: &mut Removed,
    ) -> Result<(), Error> {
        for some in gone.chunks(Document::WRITES_MAX) {
            let writes = some.iter().map(removal).collect();
            let event = DocumentEvent {
                action: "documents-remove",
                outcome: "erased",
                token: token.cloned(),
                detail: Some(format!("{} documents", some.len())),
            };
            match self.vault.write_documents(actor, writes, event).await? {
                Written::Done { .. } => {
                    for one in some {
                        *removed.entry(one.kind.name()).or_default() += 1;
                    }
                }
                Written::Changed => return Err(Error::Core(CallerError::Contended.into())),
            }
        }
        Ok(())
    }

    async fn all_of(&self, actor: &Actor, kind: DocumentKind, prefix: &str) -> Result<Vec<Document>, Error> {
        let mut all: Vec<Document> = Vec::new();
        loop {
            let after = all.last().map(|one| one.name.as_str());
            let page = self.vault.documents(actor, kind, prefix, after, PAGE).await?;
            if page.is_empty() {
                return Ok(all);
            }
            all.extend(page);
        }
    }

    fn those_of(&self, peer: Peer, repository: &RepositoryName) -> Result<Vec<Actor>, Error> {
        let actors = self.vault.access().operators_actors(peer, repository);
        actors.map_err(|none| crate::vault::types::Error::from(none).into())
    }

    fn one(&self, peer: Peer, repository: &RepositoryName, merchant: &MerchantId) -> Result<Option<Actor>, Error> {
        Ok(self
            .those_of(peer, repository)?
            .into_iter()
            .find(|actor| actor.merchant == *merchant))
    }
}

fn removal(document: &Document) -> DocumentWrite {
    DocumentWrite {
        kind: document.kind,
        name: document.name.clone(),
        expect: Expect::Rev(document.rev),
        clear: Vec::new(),
        secret: Secret::Nothing,
        // a time that is past removes it
        expires_at: Some(UnixMillis(1)),
    }
}

fn is_about(conflict: &Document, token: &Token) -> bool {
    says(conflict, "token").as_deref() == Some(token.as_str())
}

/// A member, text, of a part in clear.
fn says(document: &Document, member: &str) -> Option<String> {
    let clear: serde_json::Value = serde_json::from_slice(&document.clear).ok()?;
    clear.get(member)?.as_str().map(str::to_owned)
}
