//! Opaque records: sealed texts under names that the store knows as a MAC only. One commit and one audit event for each
//! verb; what is opened is on record before it is given. They are documents of the merchant, so they go with it.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::types::{
    Actor, CallerError, Content, Document, DocumentEvent, DocumentKind, DocumentWrite, Error, Expect, IntegrityError,
    Kept, NewRecord, Operation, Person, PutMode, Secret, Written,
};
use super::{ATTEMPTS, Vault, event_of, screen};
use crate::id::{Namespace, Token, UnixMillis};
use crate::keys::SecretBytes;

/// A record's part in clear.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Clear {
    /// The name of its content, where that is unique.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    content: Option<Namespace>,
    /// The names of the fingerprints that go when it does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    fingerprints: Vec<Namespace>,
}

/// A record of the same content that opens nowhere any more, and its content's revision.
#[derive(Default)]
struct Dead {
    content: Option<u64>,
    record: Option<Document>,
}

/// A record's sealed part.
#[derive(Deserialize)]
struct Sealed<'a> {
    #[serde(borrow)]
    person: &'a RawValue,
    #[serde(borrow)]
    data: &'a RawValue,
}

impl Vault {
    /// Keeps a record.
    ///
    /// # Errors
    /// Not granted: to tokenize, and to update where another is replaced; a text that cannot be taken; the HSM or the store
    /// does not work.
    pub async fn put_record(&self, actor: &Actor, new: NewRecord<'_>) -> Result<Kept, Error> {
        let kept = self.keep_record(actor, &new).await;
        let outcome = match &kept {
            Ok(Kept::Replaced) => "replaced",
            Ok(Kept::There | Kept::Alike(_)) => "reused",
            Ok(Kept::Created) | Err(_) => "created",
        };
        self.counted(Operation::Tokenize, outcome, kept)
    }

    /// The text of a record, as it was given.
    ///
    /// # Errors
    /// Not granted, capped; [`CallerError::UnknownToken`]; tampered with; the HSM or the store does not work.
    pub async fn open_record(&self, actor: &Actor, name: &Person) -> Result<SecretBytes, Error> {
        let opened = async {
            self.access.permit(actor, Operation::Reveal, 1)?;
            let place = self.person_name(actor, name).await?;
            let Some(document) = self.document(actor, DocumentKind::Record, place.as_str()).await? else {
                self.access.count(actor, Operation::Reveal, "unknown-token");
                return Err(CallerError::UnknownToken.into());
            };
            let text = self.record_text(actor, name, &document).await?;
            self.write_documents(actor, Vec::new(), on_record(Operation::Reveal, "ok"))
                .await?;
            Ok(text)
        };
        self.counted(Operation::Reveal, "ok", opened.await)
    }

    /// Whether there is a record of that name.
    ///
    /// # Errors
    /// The HSM or the store does not work.
    pub async fn has_record(&self, actor: &Actor, name: &Person) -> Result<bool, Error> {
        let place = self.person_name(actor, name).await?;
        Ok(self
            .document(actor, DocumentKind::Record, place.as_str())
            .await?
            .is_some())
    }

    /// Removes a record and its fingerprints. `false`: there is none.
    ///
    /// # Errors
    /// Not granted; the HSM or the store does not work.
    pub async fn remove_record(&self, actor: &Actor, name: &Person) -> Result<bool, Error> {
        let removed = async {
            self.access.permit(actor, Operation::Delete, 1)?;
            let place = self.person_name(actor, name).await?;
            let mut turn = None;
            for _ in 0..ATTEMPTS {
                let Some(document) = self.document(actor, DocumentKind::Record, place.as_str()).await? else {
                    self.access.count(actor, Operation::Delete, "unknown-token");
                    return Ok(false);
                };
                let clear: Clear = serde_json::from_slice(&document.clear).map_err(|_| IntegrityError::Damaged)?;
                let mut writes = vec![gone(DocumentKind::Record, place.as_str(), document.rev)];
                if let Some(content) = &clear.content
                    && let Some(there) = self
                        .document(actor, DocumentKind::RecordContent, content.as_str())
                        .await?
                {
                    writes.push(gone(DocumentKind::RecordContent, content.as_str(), there.rev));
                }
                for fingerprint in &clear.fingerprints {
                    writes.extend(self.fingerprint_removal(actor, fingerprint).await?);
                }
                let event = on_record(Operation::Delete, "ok");
                if let Written::Done { .. } = self.write_documents(actor, writes, event).await? {
                    return Ok(true);
                }
                // changed in between: from now on in line with those who change it
                if turn.is_none() {
                    turn = self.turns.wait(actor.repository, &named(&place)?).await;
                }
            }
            Err(CallerError::Contended.into())
        };
        let removed = removed.await;
        let outcome = if matches!(removed, Ok(false)) { "unknown" } else { "ok" };
        self.counted(Operation::Delete, outcome, removed)
    }

    async fn keep_record(&self, actor: &Actor, new: &NewRecord<'_>) -> Result<Kept, Error> {
        self.access.permit(actor, Operation::Tokenize, 1)?;
        screen::value("data", new.text, Document::RECORD_MAX)?;
        let latest = self.access.longest_life(actor.repository);
        let latest = latest.map(|life| UnixMillis::now().plus(life));
        let expires_at = [new.expires_at, latest].into_iter().flatten().min();
        let place = self.person_name(actor, new.name).await?;
        let content = match new.content {
            Some(content) => Some((self.secret_name(actor, content.what).await?.0, content)),
            None => None,
        };
        let mut fingerprints = Vec::new();
        for what in new.fingerprints {
            fingerprints.push(self.secret_name(actor, what).await?.0);
        }
        let mut turn = None;
        for _ in 0..ATTEMPTS {
            // what opens nowhere any more makes room
            let mut dead = Dead::default();
            if let Some((name, content)) = &content
                && let Some(alike) = self.alike(actor, name, content, &mut dead).await?
            {
                return Ok(Kept::Alike(alike));
            }
            let there = self.document(actor, DocumentKind::Record, place.as_str()).await?;
            let (expect, kept) = match (&there, new.mode) {
                (None, _) => (Expect::Absent, Kept::Created),
                (Some(there), PutMode::Insert) if self.is_dead_document(there)? => {
                    (Expect::Rev(there.rev), Kept::Created)
                }
                (Some(_), PutMode::Insert) => {
                    self.write_documents(actor, Vec::new(), on_record(Operation::Tokenize, "reused"))
                        .await?;
                    return Ok(Kept::There);
                }
                (Some(there), PutMode::Upsert) => {
                    self.access.permit(actor, Operation::Update, 1)?;
                    (Expect::Rev(there.rev), Kept::Replaced)
                }
            };
            let clear = Clear {
                content: content.as_ref().map(|(name, _)| name.clone()),
                fingerprints: fingerprints.clone(),
            };
            let mut writes = vec![DocumentWrite {
                kind: DocumentKind::Record,
                name: place.as_str().to_owned(),
                expect,
                clear: serde_json::to_vec(&clear).map_err(|_| IntegrityError::Damaged)?,
                secret: Secret::Seal(sealed(new.name, new.text)),
                expires_at,
            }];
            writes.extend(content.as_ref().map(|(name, content)| DocumentWrite {
                kind: DocumentKind::RecordContent,
                name: name.as_str().to_owned(),
                expect: dead.content.map_or(Expect::Absent, Expect::Rev),
                clear: content.token.as_str().as_bytes().to_vec(),
                secret: Secret::Nothing,
                expires_at,
            }));
            let mut replaced = there.map(|there| fingerprints_of(&there.clear)).unwrap_or_default();
            if let Some(dead) = dead.record.filter(|dead| dead.name != place.as_str()) {
                writes.push(gone(DocumentKind::Record, &dead.name, dead.rev));
                replaced.extend(fingerprints_of(&dead.clear));
            }
            for gone in replaced.iter().filter(|name| !fingerprints.contains(name)) {
                writes.extend(self.fingerprint_removal(actor, gone).await?);
            }
            let op = match kept {
                Kept::Replaced => Operation::Update,
                Kept::Alike(_) | Kept::Created | Kept::There => Operation::Tokenize,
            };
            if let Written::Done { .. } = self.write_documents(actor, writes, on_record(op, "ok")).await? {
                return Ok(kept);
            }
            if turn.is_none() {
                turn = self.turns.wait(actor.repository, &named(&place)?).await;
            }
        }
        Err(CallerError::Contended.into())
    }

    /// The token of a record of the same content, on record as given; none where that record opens nowhere any more.
    async fn alike(
        &self,
        actor: &Actor,
        name: &Namespace,
        content: &Content<'_>,
        dead: &mut Dead,
    ) -> Result<Option<Token>, Error> {
        let found = self.document(actor, DocumentKind::RecordContent, name.as_str()).await?;
        let Some(found) = found else { return Ok(None) };
        let token = std::str::from_utf8(&found.clear).ok();
        let token = token.and_then(|text| Token::parse(text).ok());
        let token = token.ok_or(IntegrityError::Damaged)?;
        let record = match self.sealer.epochs().iter().any(|(_, state)| state.is_gone()) {
            true => {
                let place = self.person_name(actor, &(content.record_of)(&token)).await?;
                self.document(actor, DocumentKind::Record, place.as_str()).await?
            }
            false => None,
        };
        if let Some(record) = record
            && self.is_dead_document(&record)?
        {
            (dead.content, dead.record) = (Some(found.rev), Some(record));
            return Ok(None);
        }
        let event = DocumentEvent {
            token: Some(token.clone()),
            ..on_record(Operation::Tokenize, "reused")
        };
        self.write_documents(actor, Vec::new(), event).await?;
        Ok(Some(token))
    }

    /// The text in an opened record; one that does not name whose it is was put there by another hand.
    async fn record_text(&self, actor: &Actor, name: &Person, document: &Document) -> Result<SecretBytes, Error> {
        let text = self.document_secret(document).await?.ok_or(IntegrityError::Damaged)?;
        let read: Sealed<'_> = serde_json::from_slice(text.expose()).map_err(|_| IntegrityError::Damaged)?;
        if !name.is(read.person.get()) {
            self.alarm(event_of(actor, "record", "tampered")).await;
            return Err(IntegrityError::Tampered.into());
        }
        Ok(SecretBytes::new(read.data.get().as_bytes().to_vec()))
    }

    /// Counts how a verb on records ended. The documents below have raised the alarm where there is one.
    pub(super) fn counted<T>(
        &self,
        op: Operation,
        outcome: &'static str,
        result: Result<T, Error>,
    ) -> Result<T, Error> {
        let label = result.as_ref().map_or_else(Error::class, |_| outcome);
        self.metrics.operations.with_label_values(&[op.as_str(), label]).inc();
        result
    }
}

/// The sealed part. Both texts are JSON already.
fn sealed(name: &Person, text: &str) -> SecretBytes {
    let names = name.json();
    let mut bytes = Vec::with_capacity(names.len() + text.len() + 20);
    for part in [r#"{"person":"#, &names, r#","data":"#, text, "}"] {
        bytes.extend_from_slice(part.as_bytes());
    }
    SecretBytes::new(bytes)
}

/// The names of the fingerprints that go with a record, by its part in clear.
pub(super) fn fingerprints_of(clear: &[u8]) -> Vec<Namespace> {
    serde_json::from_slice(clear).map_or_else(|_| Vec::new(), |clear: Clear| clear.fingerprints)
}

/// What goes with a record, by its part in clear: kinds and names.
pub(super) fn companions_of(clear: &[u8]) -> Vec<(DocumentKind, String)> {
    let Ok(Clear { content, fingerprints }) = serde_json::from_slice(clear) else {
        return Vec::new();
    };
    let content = content.map(|name| (DocumentKind::RecordContent, name.into()));
    let fingerprints = fingerprints
        .into_iter()
        .map(|name| (DocumentKind::Fingerprint, name.into()));
    content.into_iter().chain(fingerprints).collect()
}

/// A record's name where others are lined up by tokens.
fn named(place: &Namespace) -> Result<Token, IntegrityError> {
    Token::parse(place.as_str()).map_err(|_| IntegrityError::Damaged)
}

/// A document that is replaced by nothing, and goes with the next sweep.
pub(super) fn gone(kind: DocumentKind, name: &str, rev: u64) -> DocumentWrite {
    DocumentWrite {
        kind,
        name: name.to_owned(),
        expect: Expect::Rev(rev),
        clear: Vec::new(),
        secret: Secret::Nothing,
        expires_at: Some(UnixMillis(0)),
    }
}

fn on_record(op: Operation, outcome: &'static str) -> DocumentEvent {
    DocumentEvent {
        action: op.as_str(),
        outcome,
        token: None,
        detail: Some("record".to_owned()),
    }
}
