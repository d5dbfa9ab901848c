//! Notifications that were not delivered, for operators.

use super::Undelivered;
use super::stored::{Clear, Content, clear, order_of, removed, revived};
use crate::id::UnixMillis;
use crate::payment::Payments;
use crate::payment::shopper::stored::decode;
use crate::payment::shopper::{Error, event};
use crate::vault::types::{Actor, Dialect, Document, DocumentKind, Error as CoreError, Peer};

impl Payments {
    /// Every notification of that kind of a merchant, in the order of their names.
    pub(super) async fn each_notification(
        &self,
        actor: &Actor,
        kind: DocumentKind,
        seen: &mut (impl FnMut(Document) + Send),
    ) -> Result<(), Error> {
        let mut after: Option<String> = None;
        loop {
            let page = self.vault.documents(actor, kind, "", after.as_deref(), PAGE).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.name.clone());
            page.into_iter().for_each(&mut *seen);
        }
    }

    /// Notifications that were not delivered yet, of all merchants of the dialect, the dead ones first; at most 1,000. `own`
    /// is the daemon's process.
    ///
    /// # Errors
    /// The store's.
    pub async fn undelivered(&self, own: Peer) -> Result<Vec<Undelivered>, Error> {
        let actors = self
            .vault
            .access()
            .own_actors(own, Dialect::PayKka)
            .map_err(CoreError::from)?;
        let mut all = Vec::new();
        for kind in [DocumentKind::DeadNotification, DocumentKind::Notification] {
            for actor in &actors {
                let mut show = |document: Document| {
                    // what cannot be read is told by the log
                    if let (Ok(clear), true) = (clear(&document), all.len() < SHOWN) {
                        all.push(shown(actor, document.name, clear, kind));
                    }
                };
                self.each_notification(actor, kind, &mut show).await?;
            }
        }
        Ok(all)
    }

    /// Has every dead notification delivered again from the beginning. Gives how many.
    ///
    /// # Errors
    /// The store's; the HSM's.
    pub async fn revive_notifications(&self, own: Peer) -> Result<u64, Error> {
        let actors = self
            .vault
            .access()
            .own_actors(own, Dialect::PayKka)
            .map_err(CoreError::from)?;
        let mut count = 0;
        for actor in actors {
            let mut names = Vec::new();
            let kind = DocumentKind::DeadNotification;
            let mut note = |document: Document| names.push(document.name);
            self.each_notification(&actor, kind, &mut note).await?;
            for name in names {
                let Some(document) = self.vault.document(&actor, kind, &name).await? else {
                    continue;
                };
                let sealed = self.vault.document_secret(&document).await?;
                let sealed = sealed.ok_or_else(crate::payment::Error::damaged)?;
                let content: Content = decode(sealed.expose())?;
                let again = revived(&name, &clear(&document)?, &content)?;
                let event = event("notification", "revived", None, &name);
                self.vault
                    .write_documents(&actor, vec![again, removed(document)], event)
                    .await?;
                self.outbox.note(&actor.merchant, order_of(&name), UnixMillis::now());
                count += 1;
            }
        }
        Ok(count)
    }
}

fn shown(actor: &Actor, name: String, clear: Clear, kind: DocumentKind) -> Undelivered {
    Undelivered {
        merchant: actor.merchant.clone(),
        name,
        event: clear.event,
        dead: kind == DocumentKind::DeadNotification,
        attempts: clear.attempts,
        due: clear.due,
        host: clear.host,
        fault: clear.fault,
    }
}

/// Documents read at once.
const PAGE: u32 = 500;
/// Notifications of one list.
const SHOWN: usize = 1_000;
