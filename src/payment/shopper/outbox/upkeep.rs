//! Notifications that were not delivered, for operators.

use super::Dead;
use super::stored::{Standing, changed, clear};
use crate::id::UnixMillis;
use crate::payment::Payments;
use crate::payment::shopper::{Error, event};
use crate::vault::types::{Actor, Dialect, Document, DocumentKind, Error as CoreError, Peer};

impl Payments {
    /// A merchant's, in the order of their names.
    pub(super) async fn notifications(&self, actor: &Actor) -> Result<Vec<Document>, Error> {
        let mut all: Vec<Document> = Vec::new();
        loop {
            let after = all.last().map(|last| last.name.clone());
            let page = self
                .vault
                .documents(actor, DocumentKind::Notification, "", after.as_deref(), PAGE)
                .await?;
            if page.is_empty() {
                return Ok(all);
            }
            all.extend(page);
        }
    }

    /// Every notification that was not delivered yet, of all merchants of the dialect; `own` is the daemon's process.
    ///
    /// # Errors
    /// The store's.
    pub async fn undelivered(&self, own: Peer) -> Result<Vec<Dead>, Error> {
        let actors = self
            .vault
            .access()
            .own_actors(own, Dialect::PayKka)
            .map_err(CoreError::from)?;
        let mut all = Vec::new();
        for actor in actors {
            for document in self.notifications(&actor).await? {
                let clear = clear(&document)?;
                all.push(Dead {
                    merchant: actor.merchant.clone(),
                    name: document.name,
                    event: clear.event,
                    dead: clear.standing == Standing::Dead,
                    attempts: clear.attempts,
                    due: clear.due,
                    host: clear.host,
                    fault: clear.fault,
                });
            }
        }
        Ok(all)
    }

    /// Has every dead notification delivered again from the beginning. Gives how many.
    ///
    /// # Errors
    /// The store's.
    pub async fn revive_notifications(&self, own: Peer) -> Result<u64, Error> {
        let actors = self
            .vault
            .access()
            .own_actors(own, Dialect::PayKka)
            .map_err(CoreError::from)?;
        let mut revived = 0;
        for actor in actors {
            for document in self.notifications(&actor).await? {
                let mut clear = clear(&document)?;
                if clear.standing != Standing::Dead {
                    continue;
                }
                clear.standing = Standing::Waiting;
                clear.attempts = 0;
                clear.due = UnixMillis::now();
                let write = changed(&document, &clear)?;
                let event = event("notification", "revived", None, &document.name);
                self.vault.write_documents(&actor, vec![write], event).await?;
                revived += 1;
            }
        }
        self.outbox.note(UnixMillis::now());
        Ok(revived)
    }
}

/// Documents read at once.
const PAGE: u32 = 500;
