//! Writing documents: what is expected is looked at first, then the secrets are sealed, then all is one commit.

use std::collections::BTreeSet;

use super::row::{self, Address, Row};
use crate::audit::Event;
use crate::id::{Token, UnixMillis};
use crate::keys::{Compartment, Sealed};
use crate::store::{Commit, Cond, Key, Outcome, Part, Versioned, Write};
use crate::vault::accounts::merchant_key;
use crate::vault::destroy::not_ended;
use crate::vault::types::{
    Actor, CallerError, DependencyError, Document, DocumentEvent, DocumentKind, DocumentWrite, Error, Expect,
    IntegrityError, PolicyError, SealedSecret, Secret, Written,
};
use crate::vault::{ATTEMPTS, Vault, event_of, identity, tables};

/// A document to be written, sealed.
struct Planned {
    address: Address,
    row: Row,
    /// Its secret was sealed just now; one that is kept stays under the epoch that it is under.
    is_fresh: bool,
}

/// How a commit of documents ended.
enum Committed {
    /// With this revision.
    Done(u64),
    /// Something changed since it was read.
    Changed,
    /// The KEK that something was sealed under is about to be destroyed.
    KekEnded,
}

/// What stands under a document's key before it is written.
struct There {
    rev: u64,
    expires_at: Option<UnixMillis>,
}

impl Vault {
    /// Writes documents and the event together or not at all; no documents: the event alone. What hangs on a token is made
    /// only while the token is there: whoever removes it, and then what hangs on it, leaves nothing behind.
    ///
    /// # Errors
    /// A name or size that cannot be taken; the merchant was removed; [`CallerError::UnknownToken`]: the token on which
    /// something was to hang is gone; the HSM's; the store's.
    pub async fn write_documents(
        &self,
        actor: &Actor,
        writes: Vec<DocumentWrite>,
        event: DocumentEvent,
    ) -> Result<Written, Error> {
        check(&writes)?;
        let written = self.write(actor, writes, &event).await;
        self.watched(actor, written).await
    }

    async fn write(&self, actor: &Actor, writes: Vec<DocumentWrite>, event: &DocumentEvent) -> Result<Written, Error> {
        let wanted: Vec<_> = writes
            .iter()
            .map(|write| (Address::new(actor, write.kind, &write.name), write.expect))
            .collect();
        let tokens = hung_on(actor, &writes, event);
        // nothing is sealed for what cannot be written
        let Some(mut there) = self.as_expected(&wanted).await? else {
            return Ok(Written::Changed);
        };
        let mut planned = Vec::with_capacity(writes.len());
        for (write, (address, _)) in writes.into_iter().zip(&wanted) {
            let is_fresh = matches!(write.secret, Secret::Seal(_));
            let row = Row {
                expires_at: write.expires_at,
                sealed: self.seal_secret(actor, address, write.secret).await?,
                clear: write.clear,
            };
            planned.push(Planned {
                address: address.clone(),
                row,
                is_fresh,
            });
        }
        for _ in 0..ATTEMPTS {
            match self.commit_documents(actor, &planned, &there, &tokens, event).await? {
                Committed::Done(rev) => return Ok(Written::Done { rev }),
                Committed::KekEnded => self.seal_again(&mut planned).await?,
                Committed::Changed => {}
            }
            there = match self.as_expected(&wanted).await? {
                Some(there) => there,
                None => return Ok(Written::Changed),
            };
        }
        Err(CallerError::Contended.into())
    }

    /// What stands where documents are to be written; `None` where it is not as expected.
    async fn as_expected(&self, wanted: &[(Address, Expect)]) -> Result<Option<Vec<Option<There>>>, Error> {
        let now = UnixMillis::now();
        let mut all = Vec::with_capacity(wanted.len());
        for (address, expect) in wanted {
            let found = self.store.get(Part::default(), &address.key()).await?;
            let there = match found {
                Some(Versioned { rev, value }) => Some((rev, Row::decode(&value, address)?)),
                None => None,
            };
            let holds = match (expect, &there) {
                (Expect::Absent, None) => true,
                (Expect::Absent, Some((_, row))) => row.expired(now),
                (Expect::Rev(wanted), Some((rev, row))) => rev == wanted && !row.expired(now),
                (Expect::Rev(_), None) => false,
            };
            if !holds {
                return Ok(None);
            }
            all.push(there.map(|(rev, row)| There {
                rev,
                expires_at: row.expires_at,
            }));
        }
        Ok(Some(all))
    }

    async fn seal_secret(
        &self,
        actor: &Actor,
        address: &Address,
        secret: Secret,
    ) -> Result<Option<SealedSecret>, Error> {
        let text = match secret {
            Secret::Nothing | Secret::Keep(None) => return Ok(None),
            Secret::Keep(Some(sealed)) if identity::belongs_to(sealed.record, address) => return Ok(Some(sealed)),
            Secret::Keep(Some(_)) => {
                tracing::error!("a document was to keep the sealed part of another");
                return Err(IntegrityError::Damaged.into());
            }
            Secret::Seal(text) => text,
        };
        let mut secret = SealedSecret {
            repository: actor.repository,
            record: identity::fresh_for(address)?,
            sealed: Vec::new(),
        };
        let (_, sealed) = self
            .sealer
            .seal(secret.place(), None, vec![(Compartment::Profile, text)])
            .await?;
        secret.sealed = sealed.encode();
        Ok(Some(secret))
    }

    /// Under the epoch in use, where that is another one now.
    async fn seal_again(&self, planned: &mut [Planned]) -> Result<(), Error> {
        let fresh = planned.iter_mut().filter(|document| document.is_fresh);
        for secret in fresh.filter_map(|document| document.row.sealed.as_mut()) {
            let sealed = Sealed::decode(&secret.sealed)?;
            let moved = match self.sealer.rewrap(secret.place(), &sealed).await.map_err(Error::from) {
                // so late that it does not open any more: nothing was written, and the same again is sealed anew
                Err(Error::Integrity(IntegrityError::KekDestroyed { .. })) => {
                    return Err(Error::Dependency(DependencyError::HsmBusy));
                }
                moved => moved?,
            };
            secret.sealed = moved.encode();
        }
        Ok(())
    }

    async fn commit_documents(
        &self,
        actor: &Actor,
        planned: &[Planned],
        there: &[Option<There>],
        tokens: &[Key],
        event: &DocumentEvent,
    ) -> Result<Committed, Error> {
        let merchant = merchant_key(&actor.merchant);
        let event = Event {
            token: event.token.clone(),
            detail: event.detail.clone(),
            ..event_of(actor, event.action, event.outcome)
        };
        let mut commit = Commit {
            conds: vec![Cond::Exists(merchant.clone())],
            event: Some(event.encode()),
            ..Commit::default()
        };
        commit.conds.extend(tokens.iter().cloned().map(Cond::Exists));
        let mut ends = BTreeSet::new();
        let fresh = planned.iter().filter(|document| document.is_fresh);
        for secret in fresh.filter_map(|document| document.row.sealed.as_ref()) {
            ends.insert(Sealed::decode(&secret.sealed)?.epoch);
        }
        let unended: Vec<Cond> = ends.into_iter().map(not_ended).collect();
        commit.conds.extend_from_slice(&unended);
        for (document, there) in planned.iter().zip(there) {
            document.put(there.as_ref(), &mut commit)?;
        }
        match self.store.commit(commit).await? {
            Outcome::Done { rev } => Ok(Committed::Done(rev)),
            Outcome::CondFailed { key, .. } if tokens.contains(&key) => Err(CallerError::UnknownToken.into()),
            Outcome::CondFailed { key, .. } if unended.contains(&Cond::Absent(key.clone())) => Ok(Committed::KekEnded),
            // removed since the request was let in
            Outcome::CondFailed { key, .. } if key == merchant => Err(Error::Policy(PolicyError::Suspended)),
            Outcome::CondFailed { .. } => Ok(Committed::Changed),
        }
    }
}

impl Planned {
    fn put(&self, there: Option<&There>, commit: &mut Commit) -> Result<(), Error> {
        let key = self.address.key();
        commit.conds.push(match there {
            None => Cond::Absent(key.clone()),
            Some(there) => Cond::Rev(key.clone(), there.rev),
        });
        commit.writes.push(Write::Put(key, self.row.encode()?));
        let entry = |at| self.address.expiry_key(at);
        let before = there.and_then(|there| there.expires_at).map(entry);
        let after = self.row.expires_at.map(entry);
        if before != after {
            commit.writes.extend(before.map(Write::Del));
            commit.writes.extend(after.map(|entry| Write::Put(entry, Vec::new())));
        }
        Ok(())
    }
}

/// The records of the tokens that new documents hang on: by their names, or by the event that makes them.
fn hung_on(actor: &Actor, writes: &[DocumentWrite], event: &DocumentEvent) -> Vec<Key> {
    let new = writes.iter().filter(|write| write.expect == Expect::Absent);
    let tokens = new.filter_map(|write| match write.kind {
        DocumentKind::AgreementOfToken | DocumentKind::Maintenance => {
            let name = write
                .name
                .split_once('/')
                .map_or(write.name.as_str(), |(token, _)| token);
            Token::parse(name).ok()
        }
        DocumentKind::Conflict | DocumentKind::NetworkToken => event.token.clone(),
        DocumentKind::Agreement
        | DocumentKind::Customer
        | DocumentKind::CustomerReference
        | DocumentKind::DeadNotification
        | DocumentKind::DeletedMethod
        | DocumentKind::Fingerprint
        | DocumentKind::MethodIntent
        | DocumentKind::MethodSession
        | DocumentKind::NetworkTokenNumber
        | DocumentKind::Nonce
        | DocumentKind::Notification
        | DocumentKind::Order
        | DocumentKind::Person
        | DocumentKind::Record
        | DocumentKind::RecordContent
        | DocumentKind::Session
        | DocumentKind::ShopperPayment
        | DocumentKind::ShopperPaymentName
        | DocumentKind::Transaction => None,
    });
    tokens.map(|token| tables::record(actor.repository, &token)).collect()
}

/// Refuses what cannot be stored.
fn check(writes: &[DocumentWrite]) -> Result<(), Error> {
    let refused = |field, reason: &str| CallerError::Field {
        field,
        reason: reason.to_owned(),
    };
    if writes.len() > Document::WRITES_MAX {
        return Err(refused("body", "changes too much at once").into());
    }
    let mut names = BTreeSet::new();
    for write in writes {
        if !row::fits(&write.name) {
            return Err(refused("name", "has 1 to 200 bytes").into());
        }
        if !names.insert((write.kind, write.name.as_str())) {
            return Err(refused("name", "is there twice").into());
        }
        let secret = match &write.secret {
            Secret::Seal(text) => text.expose().len(),
            Secret::Keep(_) | Secret::Nothing => 0,
        };
        if write.clear.len() > Document::CLEAR_MAX || secret > write.kind.secret_max() {
            return Err(refused("body", "is too large to be stored").into());
        }
    }
    Ok(())
}
