//! Removing a customer's data, and its payment methods with it.
//!
//! First it is marked, so that nothing is added any more; then its payment methods are deleted; then its data. Where that was
//! interrupted, the same request again goes on. The name stays, and so does the merchant's own for it: neither is given to
//! another.

use super::stored::Standing;
use super::{Held, contended};
use crate::payment::Payments;
use crate::payment::wallet::{ATTEMPTS, Error, Text, pause};
use crate::vault::to_its_end;
use crate::vault::types::{Actor, Operation, Secret};

/// A customer whose data was removed.
pub struct RedactedCustomer {
    /// Its name.
    pub id: String,
    /// What the merchant called it.
    pub reference: Option<Text>,
}

impl Payments {
    /// Removes a customer's data and all its payment methods. It goes on to its end where the caller stops waiting.
    ///
    /// # Errors
    /// [`Error::CustomerUnknown`], [`Error::CustomerRedacted`]; not granted; the HSM's; the store's.
    pub async fn redact_customer(&self, actor: &Actor, id: &str) -> Result<RedactedCustomer, Error> {
        self.vault.access().permit(actor, Operation::Delete, 1)?;
        let (payments, actor, id) = (self.clone(), actor.clone(), id.to_owned());
        to_its_end(async move { payments.redact(&actor, &id).await }).await
    }

    async fn redact(&self, actor: &Actor, id: &str) -> Result<RedactedCustomer, Error> {
        let held = self.mark_redacting(actor, id).await?;
        let reference = self.details(&held).await?.reference;
        self.delete_methods_of(actor, id).await?;
        for round in 0..ATTEMPTS {
            pause(round).await;
            let held = self.held_customer(actor, id).await?;
            let mut stored = held.stored.clone();
            stored.standing = Standing::Redacted;
            stored.default_method = None;
            if held.stored.standing == Standing::Redacted
                || self
                    .replace_customer(actor, &held, &stored, Secret::Nothing, "customer-redact")
                    .await?
            {
                let id = id.to_owned();
                return Ok(RedactedCustomer { id, reference });
            }
        }
        Err(contended())
    }

    pub(super) async fn mark_redacting(&self, actor: &Actor, id: &str) -> Result<Held, Error> {
        for round in 0..ATTEMPTS {
            pause(round).await;
            let held = self.held_customer(actor, id).await?;
            match held.stored.standing {
                Standing::Active => {}
                Standing::Redacting => return Ok(held),
                Standing::Redacted => return Err(Error::CustomerRedacted),
            }
            let mut stored = held.stored.clone();
            stored.standing = Standing::Redacting;
            let secret = Secret::Keep(held.document.sealed.clone());
            if self
                .replace_customer(actor, &held, &stored, secret, "customer-redacting")
                .await?
            {
                return Ok(held);
            }
        }
        Err(contended())
    }
}
