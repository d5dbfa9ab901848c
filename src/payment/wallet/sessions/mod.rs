//! Sessions: for some minutes a customer's browser adds payment methods, and sees, changes and deletes the customer's, with a
//! secret that the merchant gives it. Payment methods have temporary names there.

mod stored;
mod using;

use ring::digest::{SHA256, digest};

pub use self::stored::SessionTerms;
use self::stored::{Clear, Sealed, fresh_secret};
pub use self::using::{SessionCard, SessionUse};
use super::id::Entity;
use super::text::{decoded, encoded};
use super::{ATTEMPTS, Error, Text, contended, pause};
use crate::id::UnixMillis;
use crate::payment::Payments;
use crate::vault::types::{
    Actor, Document, DocumentEvent, DocumentKind, DocumentWrite, Expect, Operation, Secret, Written,
};

/// A session.
pub struct MethodSession {
    /// Its name.
    pub id: String,
    /// When it ends.
    pub ends_at: UnixMillis,
    /// What its holder shows.
    pub secret: Text,
    /// What it was opened with.
    pub terms: SessionTerms,
    /// The temporary names of payment methods that were added with it.
    pub added: Vec<String>,
}

/// A session as it was read.
struct Held {
    document: Document,
    clear: Clear,
    sealed: Sealed,
}

impl Payments {
    /// Opens a session for so many milliseconds.
    ///
    /// # Errors
    /// [`Error::CustomerUnknown`], [`Error::CustomerRedacted`], [`Error::CustomerMissing`] where cards are to be stored;
    /// what cannot be kept; not granted; the HSM's; the store's.
    pub async fn open_method_session(
        &self,
        actor: &Actor,
        terms: SessionTerms,
        life: u64,
    ) -> Result<MethodSession, Error> {
        self.vault.access().permit(actor, Operation::Tokenize, 1)?;
        match (&terms.customer, terms.stored) {
            (Some(customer), _) => drop(self.active_customer(actor, customer).await?),
            (None, true) => return Err(Error::CustomerMissing),
            (None, false) => {}
        }
        let clear = Clear {
            ends_at: UnixMillis::now().plus(life),
        };
        let sealed = Sealed {
            terms,
            secret: fresh_secret()?,
            added: Vec::new(),
        };
        let id = self.wallet.cell.fresh(Entity::Session)?;
        match self.write_session(actor, &id, Expect::Absent, &clear, &sealed).await? {
            true => Ok(view(id, &clear, sealed)),
            false => Err(contended()),
        }
    }

    /// A session; with `secret` for whoever shows that.
    ///
    /// # Errors
    /// [`Error::SessionUnknown`], [`Error::SessionExpired`], [`Error::SessionSecret`]; not granted; the HSM's; the store's.
    pub async fn method_session(&self, actor: &Actor, id: &str, secret: Option<&str>) -> Result<MethodSession, Error> {
        self.vault.access().permit(actor, Operation::Inspect, 1)?;
        let held = self.held_session(actor, id, secret).await?;
        for (handle, method) in &held.sealed.added {
            // a restart forgot them
            self.remember_handle(actor, handle, method, held.clear.ends_at)?;
        }
        Ok(view(id.to_owned(), &held.clear, held.sealed))
    }

    /// Changes what a session was opened with.
    ///
    /// # Errors
    /// As [`Payments::method_session`].
    pub async fn change_method_session(
        &self,
        actor: &Actor,
        id: &str,
        secret: Option<&str>,
        change: impl Fn(&mut SessionTerms),
    ) -> Result<MethodSession, Error> {
        self.vault.access().permit(actor, Operation::Update, 1)?;
        self.rewrite_session(actor, id, secret, |sealed| change(&mut sealed.terms))
            .await
    }

    async fn rewrite_session(
        &self,
        actor: &Actor,
        id: &str,
        secret: Option<&str>,
        change: impl Fn(&mut Sealed),
    ) -> Result<MethodSession, Error> {
        for round in 0..ATTEMPTS {
            pause(round).await;
            let mut held = self.held_session(actor, id, secret).await?;
            change(&mut held.sealed);
            let expect = Expect::Rev(held.document.rev);
            if self.write_session(actor, id, expect, &held.clear, &held.sealed).await? {
                return Ok(view(id.to_owned(), &held.clear, held.sealed));
            }
        }
        Err(contended())
    }

    /// A session that has not ended. A wrong secret counts as a failed login.
    async fn held_session(&self, actor: &Actor, id: &str, secret: Option<&str>) -> Result<Held, Error> {
        let damaged = crate::payment::Error::damaged;
        let found = self.vault.document(actor, DocumentKind::MethodSession, id).await?;
        let document = found.ok_or(Error::SessionUnknown)?;
        let clear: Clear = serde_json::from_slice(&document.clear).map_err(|_| damaged())?;
        let sealed = self.vault.document_secret(&document).await?.ok_or_else(damaged)?;
        let sealed: Sealed = decoded(sealed.expose())?;
        if let Some(shown) = secret
            && !is_same(shown, sealed.secret.expose())
        {
            self.vault.access().wrong_secret(actor)?;
            return Err(Error::SessionSecret);
        }
        if clear.ends_at <= UnixMillis::now() {
            return Err(Error::SessionExpired);
        }
        Ok(Held {
            document,
            clear,
            sealed,
        })
    }

    /// `false`: it is not as expected.
    async fn write_session(
        &self,
        actor: &Actor,
        id: &str,
        expect: Expect,
        clear: &Clear,
        sealed: &Sealed,
    ) -> Result<bool, Error> {
        if let Some(data) = &sealed.terms.tokenization_data {
            let wrapped = format!("{{\"data\":{}}}", data.expose());
            let wrapped = zeroize::Zeroizing::new(wrapped);
            self.vault
                .screen_object("tokenization_data", &wrapped, Document::SECRET_MAX, false)?;
        }
        let write = DocumentWrite {
            kind: DocumentKind::MethodSession,
            name: id.to_owned(),
            expect,
            clear: serde_json::to_vec(clear).map_err(|_| crate::payment::Error::damaged())?,
            secret: Secret::Seal(encoded(sealed)?),
            // for a time it is told that it has ended
            expires_at: Some(clear.ends_at.plus(TOLD)),
        };
        let event = DocumentEvent {
            action: "payment-method-session",
            outcome: match expect {
                Expect::Absent => "opened",
                Expect::Rev(_) => "changed",
            },
            token: None,
            detail: Some(format!("session {id}")),
        };
        let written = self.vault.write_documents(actor, vec![write], event).await?;
        Ok(matches!(written, Written::Done { .. }))
    }
}

fn view(id: String, clear: &Clear, sealed: Sealed) -> MethodSession {
    MethodSession {
        id,
        ends_at: clear.ends_at,
        secret: sealed.secret,
        terms: sealed.terms,
        added: sealed.added.into_iter().map(|(handle, _)| handle).collect(),
    }
}

/// Compared by hash: how far two texts agree does not show in the time that it takes.
fn is_same(one: &str, other: &str) -> bool {
    digest(&SHA256, one.as_bytes()).as_ref() == digest(&SHA256, other.as_bytes()).as_ref()
}

/// For so long it is told that a session has ended, milliseconds: a day.
const TOLD: u64 = 24 * 60 * 60 * 1_000;
