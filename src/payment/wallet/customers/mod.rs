//! Customers: sealed documents of the merchant, each under a random name. Where the merchant has a name of its own for one,
//! a second document leads there from a keyed MAC of it; both are written together.

mod list;
mod redact;
mod stored;
#[cfg(test)]
mod tests;

use data_encoding::HEXLOWER;

pub use self::list::{CustomerPage, CustomerQuery};
pub use self::redact::RedactedCustomer;
pub use self::stored::CustomerDetails;
use self::stored::{Standing, Stored};
use super::id::Entity;
use super::text::{decoded, encoded};
use super::{ATTEMPTS, Error, contended, pause};
use crate::hsm::framed;
use crate::id::UnixMillis;
use crate::keys::SecretBytes;
use crate::payment::Payments;
use crate::vault::types::{
    Actor, Document, DocumentEvent, DocumentKind, DocumentWrite, Expect, Operation, Secret, Written,
};

/// A customer.
pub struct Customer {
    /// Its name.
    pub id: String,
    /// When it was added.
    pub created_at: UnixMillis,
    /// The payment method that it uses by default.
    pub default_method: Option<String>,
    /// Everything else.
    pub details: CustomerDetails,
}

/// A customer as it was read.
pub(super) struct Held {
    document: Document,
    pub(super) stored: Stored,
}

impl Payments {
    /// Adds a customer.
    ///
    /// # Errors
    /// [`Error::CustomerExists`]; a detail that cannot be kept; not granted; the HSM's; the store's.
    pub async fn add_customer(&self, actor: &Actor, details: CustomerDetails) -> Result<Customer, Error> {
        self.vault.access().permit(actor, Operation::Tokenize, 1)?;
        self.screen(&details)?;
        let id = self.wallet.cell.fresh(Entity::Customer)?;
        let stored = Stored::new(UnixMillis::now());
        let mut writes = vec![DocumentWrite {
            kind: DocumentKind::Customer,
            name: id.clone(),
            expect: Expect::Absent,
            clear: stored.encode()?,
            secret: Secret::Seal(encoded(&details)?),
            expires_at: None,
        }];
        if let Some(reference) = &details.reference {
            writes.push(DocumentWrite {
                kind: DocumentKind::CustomerReference,
                name: self.reference_name(actor, reference.expose()).await?,
                expect: Expect::Absent,
                clear: id.clone().into_bytes(),
                secret: Secret::Nothing,
                expires_at: None,
            });
        }
        let named = details.reference.is_some();
        match self
            .vault
            .write_documents(actor, writes, event("customer-add", &id))
            .await?
        {
            Written::Done { .. } => Ok(stored.view(id, details)),
            Written::Changed if named => Err(Error::CustomerExists),
            // 74 random bits met others
            Written::Changed => Err(contended()),
        }
    }

    /// A customer.
    ///
    /// # Errors
    /// [`Error::CustomerUnknown`], [`Error::CustomerRedacted`]; not granted; the HSM's; the store's.
    pub async fn customer(&self, actor: &Actor, id: &str) -> Result<Customer, Error> {
        self.vault.access().permit(actor, Operation::Inspect, 1)?;
        let held = self.active_customer(actor, id).await?;
        self.seen(held).await
    }

    /// The customer whom the merchant calls so.
    ///
    /// # Errors
    /// As [`Payments::customer`].
    pub async fn customer_by_reference(&self, actor: &Actor, reference: &str) -> Result<Customer, Error> {
        self.vault.access().permit(actor, Operation::Inspect, 1)?;
        let name = self.reference_name(actor, reference).await?;
        let found = self
            .vault
            .document(actor, DocumentKind::CustomerReference, &name)
            .await?;
        let id = String::from_utf8(found.ok_or(Error::CustomerUnknown)?.clear).map_err(|_| damaged())?;
        let held = self.active_customer(actor, &id).await?;
        self.seen(held).await
    }

    /// Changes what `details` gives; with `default_method` the payment method that is used by default. The merchant's own
    /// name for the customer stays.
    ///
    /// # Errors
    /// As [`Payments::customer`]; a detail that cannot be kept; [`Error::MethodUnknown`].
    pub async fn update_customer(
        &self,
        actor: &Actor,
        id: &str,
        details: CustomerDetails,
        default_method: Option<String>,
    ) -> Result<Customer, Error> {
        self.vault.access().permit(actor, Operation::Update, 1)?;
        self.screen(&details)?;
        for round in 0..ATTEMPTS {
            pause(round).await;
            let held = self.active_customer(actor, id).await?;
            let default_method = match &default_method {
                Some(method) => Some(self.method_of(actor, id, method).await?.id),
                None => None,
            };
            let before = self.details(&held).await?;
            let after = before.changed(details.clone());
            let mut stored = held.stored.clone();
            stored.default_method = default_method.or(stored.default_method);
            let secret = Secret::Seal(encoded(&after)?);
            if self
                .replace_customer(actor, &held, &stored, secret, "customer-update")
                .await?
            {
                return Ok(stored.view(id.to_owned(), after));
            }
        }
        Err(contended())
    }

    /// Makes a payment method the one that the customer uses by default.
    ///
    /// # Errors
    /// [`Error::CustomerUnknown`], [`Error::CustomerRedacted`], [`Error::MethodUnknown`], [`Error::IsDefault`]; not
    /// granted; the HSM's; the store's.
    pub async fn set_default_method(
        &self,
        actor: &Actor,
        id: &str,
        method: &str,
    ) -> Result<super::methods::Method, Error> {
        self.vault.access().permit(actor, Operation::Update, 1)?;
        for round in 0..ATTEMPTS {
            pause(round).await;
            let held = self.active_customer(actor, id).await?;
            let found = self.method_of(actor, id, method).await?;
            if held.stored.default_method.as_deref() == Some(found.id.as_str()) {
                return Err(Error::IsDefault);
            }
            let mut stored = held.stored.clone();
            stored.default_method = Some(found.id.clone());
            let secret = Secret::Keep(held.document.sealed.clone());
            if self
                .replace_customer(actor, &held, &stored, secret, "customer-default")
                .await?
            {
                return Ok(found);
            }
        }
        Err(contended())
    }

    /// Forgets that the payment method is the customer's default. A customer that is gone has none.
    pub(super) async fn clear_default_method(&self, actor: &Actor, id: &str, method: &str) -> Result<(), Error> {
        for round in 0..ATTEMPTS {
            pause(round).await;
            let held = match self.active_customer(actor, id).await {
                Ok(held) if held.stored.default_method.as_deref() == Some(method) => held,
                Ok(_) | Err(Error::CustomerRedacted | Error::CustomerUnknown) => return Ok(()),
                Err(error) => return Err(error),
            };
            let mut stored = held.stored.clone();
            stored.default_method = None;
            let secret = Secret::Keep(held.document.sealed.clone());
            if self
                .replace_customer(actor, &held, &stored, secret, "customer-default")
                .await?
            {
                return Ok(());
            }
        }
        Err(contended())
    }

    /// The customer, whose data is there.
    pub(super) async fn active_customer(&self, actor: &Actor, id: &str) -> Result<Held, Error> {
        let held = self.held_customer(actor, id).await?;
        match held.stored.standing {
            Standing::Active => Ok(held),
            Standing::Redacting | Standing::Redacted => Err(Error::CustomerRedacted),
        }
    }

    async fn held_customer(&self, actor: &Actor, id: &str) -> Result<Held, Error> {
        let document = self.vault.document(actor, DocumentKind::Customer, id).await?;
        let document = document.ok_or(Error::CustomerUnknown)?;
        let stored = Stored::decode(&document.clear)?;
        Ok(Held { document, stored })
    }

    async fn seen(&self, held: Held) -> Result<Customer, Error> {
        let details = self.details(&held).await?;
        Ok(held.stored.view(held.document.name, details))
    }

    async fn details(&self, held: &Held) -> Result<CustomerDetails, Error> {
        let secret = self.vault.document_secret(&held.document).await?;
        Ok(decoded(secret.ok_or_else(damaged)?.expose())?)
    }

    /// `false`: it changed meanwhile.
    async fn replace_customer(
        &self,
        actor: &Actor,
        held: &Held,
        stored: &Stored,
        secret: Secret,
        action: &'static str,
    ) -> Result<bool, Error> {
        let write = DocumentWrite {
            kind: DocumentKind::Customer,
            name: held.document.name.clone(),
            expect: Expect::Rev(held.document.rev),
            clear: stored.encode()?,
            secret,
            expires_at: None,
        };
        let event = event(action, &held.document.name);
        let written = self.vault.write_documents(actor, vec![write], event).await?;
        Ok(matches!(written, Written::Done { .. }))
    }

    /// What the document of a reference is called. A keyed MAC: the merchant may call its customers by what is personal.
    async fn reference_name(&self, actor: &Actor, reference: &str) -> Result<String, Error> {
        let merchant = actor.merchant.as_str().as_bytes();
        let named = framed(&[b"customer reference", merchant, reference.as_bytes()]);
        let mac = self.vault.request_mac(SecretBytes::new(named)).await?;
        Ok(HEXLOWER.encode(&mac))
    }

    /// Refuses free-form JSON with what is never stored.
    fn screen(&self, details: &CustomerDetails) -> Result<(), Error> {
        let Some(metadata) = &details.metadata else {
            return Ok(());
        };
        let max = Document::SECRET_MAX;
        Ok(self.vault.screen_object("metadata", metadata.expose(), max, false)?)
    }
}

fn event(action: &'static str, id: &str) -> DocumentEvent {
    DocumentEvent {
        action,
        outcome: "ok",
        token: None,
        detail: Some(format!("customer {id}")),
    }
}

fn damaged() -> Error {
    crate::payment::Error::damaged().into()
}
