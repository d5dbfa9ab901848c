//! Many items in one request: each ends for itself, a few at a time.

use std::future::Future;
use std::sync::Arc;

use tokio::task::JoinSet;

use super::Vault;
use super::types::{Actor, DependencyError, Error, NewToken, Revealed, Tokenized};
use crate::id::Token;

/// Items at work at once.
const AT_ONCE: usize = 32;

impl Vault {
    /// Tokenizes every item that the dialect could read; the others keep their place with their error. An item's
    /// idempotency key is the one it carries and `/` and its index, so the items may all carry the batch's.
    pub async fn tokenize_many(
        self: &Arc<Self>,
        actor: &Actor,
        items: Vec<Result<NewToken, Error>>,
    ) -> Vec<Result<Tokenized, Error>> {
        let vault = Arc::clone(self);
        let actor = Arc::new(actor.clone());
        each(items, move |index, new| {
            let (vault, actor) = (Arc::clone(&vault), Arc::clone(&actor));
            async move { vault.tokenize_item(&actor, new, Some(index)).await }
        })
        .await
    }

    /// Reveals every token that the dialect could read; the others keep their place with their error.
    pub async fn reveal_many(
        self: &Arc<Self>,
        actor: &Actor,
        tokens: Vec<Result<Token, Error>>,
        with_profile: bool,
    ) -> Vec<Result<Revealed, Error>> {
        let vault = Arc::clone(self);
        let actor = Arc::new(actor.clone());
        each(tokens, move |_, token| {
            let (vault, actor) = (Arc::clone(&vault), Arc::clone(&actor));
            async move { vault.reveal(&actor, &token, with_profile).await }
        })
        .await
    }
}

/// Runs `work` on every item that is one, at most [`AT_ONCE`] at a time; results in the order of the items. Dropping
/// this stops what has not begun to commit.
pub(super) async fn each<I, T, F>(items: Vec<Result<I, Error>>, work: impl Fn(usize, I) -> F) -> Vec<Result<T, Error>>
where
    T: Send + 'static,
    F: Future<Output = Result<T, Error>> + Send + 'static,
{
    let mut waiting = Vec::with_capacity(items.len());
    let mut results: Vec<Result<T, Error>> = Vec::with_capacity(items.len());
    for (index, item) in items.into_iter().enumerate() {
        // stands where no result comes: the item's task died
        let mut result = Err(Error::Dependency(DependencyError::StoreUnavailable));
        match item {
            Ok(item) => waiting.push((index, item)),
            Err(error) => result = Err(error),
        }
        results.push(result);
    }
    let mut waiting = waiting.into_iter();
    let mut running = JoinSet::new();
    loop {
        while running.len() < AT_ONCE
            && let Some((index, item)) = waiting.next()
        {
            let working = work(index, item);
            running.spawn(async move { (index, working.await) });
        }
        match running.join_next().await {
            None => return results,
            Some(Ok((index, result))) => {
                if let Some(place) = results.get_mut(index) {
                    *place = result;
                }
            }
            Some(Err(error)) => tracing::error!(%error, "an item of many died"),
        }
    }
}
