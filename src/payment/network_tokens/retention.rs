//! Network tokens past the longest life that their repository allows: they are refused at once, and ended at their service
//! before they are forgotten.

use std::time::Duration;

use tokio::sync::watch;

use super::stored::Stored;
use crate::id::UnixMillis;
use crate::payment::{Error, Payments};
use crate::vault::types::{
    self as core, Actor, Document, DocumentEvent, DocumentKind, DocumentWrite, Expect, Peer, Secret,
};

/// How often it is looked.
const EVERY: Duration = Duration::from_secs(600);
/// Documents read at once.
const PAGE: u32 = 200;

impl Payments {
    /// Looks again and again until it is told to stop; `own` is the daemon's process.
    pub(in crate::payment) async fn retain_network_tokens_until(&self, own: Peer, mut stopped: watch::Receiver<bool>) {
        loop {
            match self.retain_network_tokens(own, UnixMillis::now(), &stopped).await {
                Ok(0) => {}
                Ok(ended) => tracing::info!(ended, "network tokens past their repository's retention were ended"),
                Err(error) => tracing::warn!(%error, "network tokens past their repository's retention wait"),
            }
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                // an error: whoever could stop this is gone
                _ = stopped.wait_for(|stop| *stop) => return,
            }
        }
    }

    /// Ends what is past it at `now`. How many.
    pub(super) async fn retain_network_tokens(
        &self,
        own: Peer,
        now: UnixMillis,
        stopped: &watch::Receiver<bool>,
    ) -> Result<u64, Error> {
        let (mut ended, mut bad) = (0, None);
        for actor in self.vault.access().actors_of_limited(own).map_err(core::Error::from)? {
            let mut after: Option<String> = None;
            loop {
                let page = self.network_tokens_after(&actor, &mut after).await?;
                if page.is_empty() {
                    break;
                }
                for document in &page {
                    if *stopped.borrow() {
                        return Ok(ended);
                    }
                    match self.retain(&actor, document, now).await {
                        Ok(over) => ended += u64::from(over),
                        // the others would fare no better
                        Err(error @ Error::Core(core::Error::Dependency(_))) => return Err(error),
                        // one that does not open, or that the service does not end now, must not keep the others
                        Err(error) => bad = Some(error),
                    }
                }
            }
        }
        bad.map_or(Ok(ended), Err)
    }

    /// The next documents of an actor's network tokens behind `after`, which goes on with them; none at the end.
    pub(in crate::payment) async fn network_tokens_after(
        &self,
        actor: &Actor,
        after: &mut Option<String>,
    ) -> Result<Vec<Document>, Error> {
        let kind = DocumentKind::NetworkToken;
        let page = self.vault.documents(actor, kind, "", after.as_deref(), PAGE).await?;
        if let Some(last) = page.last() {
            *after = Some(last.name.clone());
        }
        Ok(page)
    }

    /// Whether it was over, and is ended.
    async fn retain(&self, actor: &Actor, document: &Document, now: UnixMillis) -> Result<bool, Error> {
        let Some(life) = self.vault.longest_life_of(document) else {
            return Ok(false);
        };
        let stored = Stored::decode(&document.clear)?;
        match stored.made_at {
            // nobody can tell the service of it any more
            Some(made_at) if made_at.plus(life) <= now && self.vault.is_dead_document(document)? => {
                self.forget_unopened(actor, &document.name).await?;
                Ok(true)
            }
            Some(made_at) if made_at.plus(life) <= now => Ok(self.forget_network_token_of(actor, document).await? > 0),
            Some(_) => Ok(false),
            // nobody knows how old it is: its life is counted from now
            None => {
                let write = DocumentWrite {
                    kind: document.kind,
                    name: document.name.clone(),
                    expect: Expect::Rev(document.rev),
                    clear: stored.since(Some(now)).encode()?,
                    secret: Secret::Keep(document.sealed.clone()),
                    expires_at: document.expires_at,
                };
                let event = DocumentEvent {
                    detail: Some(format!("network token {}: its life is counted from now", document.name)),
                    ..super::event("network-token-retention", "begun", &document.name)
                };
                self.vault.write_documents(actor, vec![write], event).await?;
                Ok(false)
            }
        }
    }
}
