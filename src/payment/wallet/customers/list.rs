//! Lists of customers, in the order they were added.

use super::stored::{Standing, Stored};
use super::{Customer, Held, damaged};
use crate::id::UnixMillis;
use crate::payment::Payments;
use crate::payment::wallet::text::decoded;
use crate::payment::wallet::{CustomerDetails, Error};
use crate::vault::types::{Actor, Document, DocumentKind, Operation};

/// Which customers.
#[derive(Debug, Clone, Default)]
pub struct CustomerQuery {
    /// So many are passed over.
    pub offset: u32,
    /// At most so many, 1 to 100.
    pub limit: u32,
    /// This one alone.
    pub id: Option<String>,
    /// Added then or later.
    pub from: Option<UnixMillis>,
    /// Added then or earlier.
    pub to: Option<UnixMillis>,
}

/// Some customers, and how many there are.
pub struct CustomerPage {
    /// The page.
    pub customers: Vec<Customer>,
    /// All that the query fits, those of other pages too; counted only when asked for.
    pub total: usize,
}

/// Documents read at once.
const CHUNK: u32 = 500;

impl Payments {
    /// Customers whose data is there. With `count`, all are looked at and counted.
    ///
    /// # Errors
    /// Not granted, capped; the HSM's; the store's.
    pub async fn customers(&self, actor: &Actor, query: &CustomerQuery, count: bool) -> Result<CustomerPage, Error> {
        self.vault.access().permit(actor, Operation::Search, 1)?;
        let limit = usize::try_from(query.limit).unwrap_or(usize::MAX);
        let mut over = usize::try_from(query.offset).unwrap_or(usize::MAX);
        let (mut shown, mut total, mut looked_at) = (Vec::new(), 0, 0_u64);
        let mut after: Option<String> = None;
        'pages: loop {
            let (prefix, after_name) = (query.id.as_deref().unwrap_or_default(), after.as_deref());
            let kind = DocumentKind::Customer;
            let page = self.vault.documents(actor, kind, prefix, after_name, CHUNK).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.name.clone());
            for document in page {
                looked_at += 1;
                let stored = Stored::decode(&document.clear)?;
                if !query.fits(&document, &stored) {
                    continue;
                }
                total += 1;
                if over > 0 {
                    over -= 1;
                } else if shown.len() < limit {
                    shown.push(Held { document, stored });
                } else if !count {
                    break 'pages;
                }
            }
        }
        // one was taken when it was permitted
        let shown_count = u64::try_from(shown.len()).unwrap_or(u64::MAX);
        let paid = shown_count.max(looked_at / 100).saturating_sub(1);
        self.vault.access().charge(actor, Operation::Search, paid);
        Ok(CustomerPage {
            customers: self.all_seen(shown).await?,
            total,
        })
    }

    async fn all_seen(&self, held: Vec<Held>) -> Result<Vec<Customer>, Error> {
        let documents = held.iter().map(|held| held.document.clone()).collect();
        let secrets = self.vault.document_secrets(documents).await;
        let seen = held.into_iter().zip(secrets).map(|(held, secret)| {
            let details: CustomerDetails = decoded(secret?.ok_or_else(damaged)?.expose())?;
            Ok(held.stored.view(held.document.name, details))
        });
        seen.collect()
    }
}

impl CustomerQuery {
    fn fits(&self, document: &Document, stored: &Stored) -> bool {
        stored.standing == Standing::Active
            && self.id.as_ref().is_none_or(|id| *id == document.name)
            && self.from.is_none_or(|from| stored.created_at >= from)
            && self.to.is_none_or(|to| stored.created_at <= to)
    }
}
