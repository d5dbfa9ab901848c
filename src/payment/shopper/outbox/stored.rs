//! Notifications as documents. Their names are in the order in which they came up: the payment, then a number.

use serde::{Deserialize, Serialize};

use super::{Event, Notified, UNDECIDED_MS};
use crate::id::UnixMillis;
use crate::keys::SecretBytes;
use crate::payment::shopper::Error;
use crate::payment::shopper::stored::{decode, encode};
use crate::payment::shopper::types::{PaymentView, RefundView};
use crate::payment::wallet::{Text, written};
use crate::payment::{self, Payments};
use crate::vault::types::{Actor, Document, DocumentKind, DocumentWrite, Expect, Secret};

/// The part in clear.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Clear {
    pub(super) standing: Standing,
    pub(super) made_at: UnixMillis,
    pub(super) due: UnixMillis,
    pub(super) attempts: u32,
    pub(super) event: Option<Event>,
    pub(super) host: String,
    pub(super) fault: Option<String>,
}

/// How it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Standing {
    /// What it is going to tell is being done.
    Undecided,
    /// It waits to be delivered, or did.
    Waiting,
}

/// The sealed part.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Content {
    pub(super) url: Text,
    pub(super) notified: Notified,
}

/// The payment's name in a notification's.
pub(super) fn order_of(name: &str) -> &str {
    name.split_once('/').map_or(name, |(order, _)| order)
}

fn name(order: &str, number: u32) -> String {
    format!("{order}/{number:06}")
}

/// A notification of what begins now.
pub(in crate::payment::shopper) fn undecided(order: &str, number: u32) -> Result<DocumentWrite, Error> {
    let now = UnixMillis::now();
    let clear = Clear {
        standing: Standing::Undecided,
        made_at: now,
        due: now.plus(UNDECIDED_MS),
        attempts: 0,
        event: None,
        host: String::new(),
        fault: None,
    };
    Ok(DocumentWrite {
        kind: DocumentKind::Notification,
        name: name(order, number),
        expect: Expect::Absent,
        clear: encode(&clear)?,
        secret: Secret::Nothing,
        expires_at: None,
    })
}

/// The notification `number` of a payment now that it is known what it tells.
pub(in crate::payment::shopper) fn decided(
    order: &str,
    number: u32,
    there: Option<Document>,
    event: Event,
    url: Text,
    payment: PaymentView,
    refund: Option<RefundView>,
) -> Result<DocumentWrite, Error> {
    let now = UnixMillis::now();
    let authority = |url: &str| Some(url.parse::<hyper::Uri>().ok()?.authority()?.to_string());
    let clear = Clear {
        standing: Standing::Waiting,
        made_at: now,
        due: now,
        attempts: 0,
        event: Some(event),
        host: authority(url.expose()).unwrap_or_default(),
        fault: None,
    };
    let content = Content {
        url,
        notified: Notified { event, payment, refund },
    };
    Ok(DocumentWrite {
        expect: there.map_or(Expect::Absent, |there| Expect::Rev(there.rev)),
        ..sealed(&name(order, number), &clear, &content)?
    })
}

/// A notification that is not needed any more.
pub(in crate::payment::shopper) fn removed(there: Document) -> DocumentWrite {
    DocumentWrite {
        kind: there.kind,
        name: there.name,
        expect: Expect::Rev(there.rev),
        clear: Vec::new(),
        secret: Secret::Nothing,
        // a time that is past removes it
        expires_at: Some(UnixMillis(1)),
    }
}

/// A notification that is given up. It is kept for 90 days.
pub(super) fn dead(name: &str, clear: &Clear, content: &Content) -> Result<DocumentWrite, Error> {
    Ok(DocumentWrite {
        kind: DocumentKind::DeadNotification,
        expires_at: Some(UnixMillis::now().plus(DEAD_MS)),
        ..sealed(name, clear, content)?
    })
}

/// A notification that was given up, from its beginning.
pub(super) fn revived(name: &str, before: &Clear, content: &Content) -> Result<DocumentWrite, Error> {
    let now = UnixMillis::now();
    let clear = Clear {
        made_at: now,
        due: now,
        attempts: 0,
        ..before.clone()
    };
    sealed(name, &clear, content)
}

fn sealed(name: &str, clear: &Clear, content: &Content) -> Result<DocumentWrite, Error> {
    let text = written(content).map_err(|_| payment::Error::damaged())?;
    Ok(DocumentWrite {
        kind: DocumentKind::Notification,
        name: name.to_owned(),
        expect: Expect::Absent,
        clear: encode(clear)?,
        secret: Secret::Seal(SecretBytes::from(text)),
        expires_at: None,
    })
}

/// How long a notification is kept that was given up, milliseconds.
const DEAD_MS: u64 = 90 * 24 * 3_600 * 1_000;

/// A notification with another clear part.
pub(super) fn changed(there: &Document, clear: &Clear) -> Result<DocumentWrite, Error> {
    Ok(DocumentWrite {
        kind: DocumentKind::Notification,
        name: there.name.clone(),
        expect: Expect::Rev(there.rev),
        clear: encode(clear)?,
        secret: Secret::Keep(there.sealed.clone()),
        expires_at: None,
    })
}

pub(super) fn clear(document: &Document) -> Result<Clear, Error> {
    Ok(decode(&document.clear)?)
}

impl Payments {
    /// The notification of that number, as it stands.
    pub(in crate::payment::shopper) async fn notification(
        &self,
        actor: &Actor,
        order: &str,
        number: u32,
    ) -> Result<Option<Document>, Error> {
        let kind = DocumentKind::Notification;
        Ok(self.vault.document(actor, kind, &name(order, number)).await?)
    }
}
