//! Payment methods whose card is still to come: the customer and where bills go are known already, and the name.

use serde::{Deserialize, Serialize};

use super::add::{AddedMethod, NewMethod};
use super::{Error, contended};
use crate::id::UnixMillis;
use crate::payment::Payments;
use crate::payment::wallet::Json;
use crate::payment::wallet::id::Entity;
use crate::payment::wallet::text::{decoded, encoded};
use crate::vault::types::{
    Actor, Document, DocumentEvent, DocumentKind, DocumentWrite, Expect, Operation, Secret, Written,
};

/// A payment method that is to come.
pub struct NewIntent {
    /// Whose it will be.
    pub customer: String,
    /// The merchant's own: one JSON object.
    pub metadata: Option<Json>,
    /// Where bills go: one JSON object.
    pub billing: Option<Json>,
}

/// One that waits for its card.
pub struct Intent {
    /// Its name.
    pub id: String,
    /// Whose it will be.
    pub customer: String,
    /// When it was made.
    pub created_at: UnixMillis,
    /// Where bills go: one JSON object.
    pub billing: Option<Json>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Clear {
    customer: String,
    created_at: UnixMillis,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    metadata: Option<Json>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    billing: Option<Json>,
}

impl Payments {
    /// Makes one; it waits for a day.
    ///
    /// # Errors
    /// [`Error::CustomerUnknown`], [`Error::CustomerRedacted`]; what cannot be kept; not granted; the HSM's; the store's.
    pub async fn add_intent(&self, actor: &Actor, new: NewIntent) -> Result<Intent, Error> {
        self.vault.access().permit(actor, Operation::Tokenize, 1)?;
        self.active_customer(actor, &new.customer).await?;
        if let Some(metadata) = &new.metadata {
            self.vault
                .screen_object("metadata", metadata.expose(), super::KEPT_MAX, false)?;
        }
        let id = self.wallet.cell.fresh(Entity::Method)?;
        let created_at = UnixMillis::now();
        let clear = Clear {
            customer: new.customer.clone(),
            created_at,
        };
        let sealed = Sealed {
            metadata: new.metadata,
            billing: new.billing.clone(),
        };
        let write = DocumentWrite {
            kind: DocumentKind::MethodIntent,
            name: id.clone(),
            expect: Expect::Absent,
            clear: serde_json::to_vec(&clear).map_err(|_| crate::payment::Error::damaged())?,
            secret: Secret::Seal(encoded(&sealed)?),
            expires_at: Some(created_at.plus(LIFE)),
        };
        let event = event("payment-method-intent", &id);
        match self.vault.write_documents(actor, vec![write], event).await? {
            Written::Done { .. } => Ok(Intent {
                id,
                customer: new.customer,
                created_at,
                billing: new.billing,
            }),
            Written::Changed => Err(contended()),
        }
    }

    /// One that waits. None where there is none, or its card has come.
    ///
    /// # Errors
    /// Not granted; the HSM's; the store's.
    pub async fn intent(&self, actor: &Actor, id: &str) -> Result<Option<Intent>, Error> {
        self.vault.access().permit(actor, Operation::Inspect, 1)?;
        let Some((_, clear, sealed)) = self.held_intent(actor, id).await? else {
            return Ok(None);
        };
        Ok(Some(Intent {
            id: id.to_owned(),
            customer: clear.customer,
            created_at: clear.created_at,
            billing: sealed.billing,
        }))
    }

    /// Adds the payment method, now that its card is there. What `new` does not say of bills and metadata, the intent said;
    /// the customer is the intent's. A card that the customer has already keeps the name that it has.
    ///
    /// # Errors
    /// [`Error::MethodNotAwaited`], [`Error::MethodUnknown`]; as [`Payments::add_method`].
    pub async fn confirm_intent(&self, actor: &Actor, id: &str, new: NewMethod) -> Result<AddedMethod, Error> {
        self.vault.access().permit(actor, Operation::Tokenize, 0)?;
        let Some((document, clear, sealed)) = self.held_intent(actor, id).await? else {
            return Err(match self.held_method(actor, id).await? {
                Some(_) => Error::MethodNotAwaited,
                None => Error::MethodUnknown,
            });
        };
        let new = NewMethod {
            intent: Some(id.to_owned()),
            customer: Some(clear.customer),
            metadata: new.metadata.or(sealed.metadata),
            billing: new.billing.or(sealed.billing),
            ..new
        };
        let added = self.add_method(actor, new).await?;
        self.forget_intent(actor, &document).await?;
        Ok(added)
    }

    /// Whether one of that name waited; it does no more.
    pub(super) async fn delete_intent(&self, actor: &Actor, id: &str) -> Result<bool, Error> {
        match self.held_intent(actor, id).await? {
            Some((document, ..)) => self.forget_intent(actor, &document).await.map(|()| true),
            None => Ok(false),
        }
    }

    async fn forget_intent(&self, actor: &Actor, document: &Document) -> Result<(), Error> {
        let write = DocumentWrite {
            kind: DocumentKind::MethodIntent,
            name: document.name.clone(),
            expect: Expect::Rev(document.rev),
            clear: Vec::new(),
            secret: Secret::Nothing,
            // a time that is past removes it
            expires_at: Some(UnixMillis(1)),
        };
        let event = event("payment-method-intent-end", &document.name);
        // where it changed, another was faster
        self.vault.write_documents(actor, vec![write], event).await?;
        Ok(())
    }

    async fn held_intent(&self, actor: &Actor, id: &str) -> Result<Option<(Document, Clear, Sealed)>, Error> {
        let damaged = crate::payment::Error::damaged;
        let Some(document) = self.vault.document(actor, DocumentKind::MethodIntent, id).await? else {
            return Ok(None);
        };
        let clear = serde_json::from_slice(&document.clear).map_err(|_| damaged())?;
        let secret = self.vault.document_secret(&document).await?.ok_or_else(damaged)?;
        let sealed = decoded(secret.expose())?;
        Ok(Some((document, clear, sealed)))
    }
}

fn event(action: &'static str, id: &str) -> DocumentEvent {
    DocumentEvent {
        action,
        outcome: "ok",
        token: None,
        detail: Some(format!("payment method {id}")),
    }
}

/// How long one waits, milliseconds: a day.
const LIFE: u64 = 24 * 60 * 60 * 1_000;
