//! Storing a card that may be there already with other details: what is there stays, and what was given waits for some
//! time to be taken over.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::members;
use super::record::Record;
use super::types::{
    Actor, CallerError, Change, Compared, Comparison, Conflict, ConflictId, Described, Document, DocumentEvent,
    DocumentKind, DocumentWrite, Error, Expect, IntegrityError, NewToken, Operation, Patch, Profile, Secret, Tokenized,
    UpdateLimit, View, Written,
};
use super::{ATTEMPTS, Vault, event};
use crate::card::Expiry;
use crate::id::{Token, UnixMillis};

/// How long a conflict waits.
const CONFLICT_LIFE: u64 = 30 * 60 * 1_000;

/// A conflict's clear part.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Clear {
    token: Token,
    expiry: Option<Expiry>,
}

/// How what was given differs from what is stored.
struct Difference {
    expiry: Option<Expiry>,
    profile: Profile,
    /// Members to be taken over where none is stored.
    fill: BTreeMap<String, Option<Zeroizing<String>>>,
}

impl Vault {
    /// Stores a card and gives its token, new or as it is there. Where the card is there already with other details, they
    /// stay, and what was given is kept as a conflict.
    ///
    /// # Errors
    /// As [`Vault::tokenize`].
    pub async fn tokenize_compared(
        &self,
        actor: &Actor,
        new: NewToken,
        comparison: Comparison,
    ) -> Result<Compared, Error> {
        for _ in 0..ATTEMPTS {
            let token = match self.tokenize_once(actor, &new, None, None).await? {
                Tokenized::Created(view) => {
                    let profile = new.profile;
                    return Ok(Compared::Created(Described { view, profile }));
                }
                Tokenized::Reused(view) => view.token,
            };
            match self.compare(actor, &token, &new, comparison).await {
                // removed since it was found
                Err(Error::Caller(CallerError::UnknownToken | CallerError::Expired)) => {}
                compared => return compared,
            }
        }
        Err(CallerError::Contended.into())
    }

    /// A conflict and its token as that is now.
    ///
    /// # Errors
    /// [`CallerError::UnknownToken`] where either is gone; as [`Vault::describe`].
    pub async fn conflict(&self, actor: &Actor, id: ConflictId) -> Result<(Described, Conflict), Error> {
        let (document, token) = self.conflict_document(actor, id).await?;
        let described = self.describe(actor, &token).await?;
        Ok((described, self.read_conflict(id, &document).await?))
    }

    /// Takes over what waits in a conflict, which is gone then.
    ///
    /// # Errors
    /// [`CallerError::UnknownToken`] where the conflict or its token is gone; as [`Vault::update`].
    pub async fn resolve_conflict(
        &self,
        actor: &Actor,
        id: ConflictId,
        limit: Option<UpdateLimit>,
    ) -> Result<View, Error> {
        let (document, token) = self.conflict_document(actor, id).await?;
        self.access.permit(actor, Operation::Update, 0)?;
        let Conflict { expiry, profile, .. } = self.read_conflict(id, &document).await?;
        let patch = Patch {
            expiry: expiry.map_or(Change::Keep, Change::Set),
            holder: profile.holder.map_or(Change::Keep, Change::Set),
            members: members::owned(profile.extra.as_deref().map(String::as_str))?,
            limit,
            ..Patch::default()
        };
        // one commit changes the token and removes the conflict: of many at once one takes it over
        self.update_with(actor, &token, patch, document.removal()).await
    }

    async fn compare(
        &self,
        actor: &Actor,
        token: &Token,
        new: &NewToken,
        comparison: Comparison,
    ) -> Result<Compared, Error> {
        for _ in 0..ATTEMPTS {
            // what is stored of the card is shown, whatever was given
            self.access.permit(actor, Operation::Inspect, 0)?;
            let held = self.load_live(actor, token).await?;
            let there = self.described(&held.record).await?;
            let difference = difference(&held.record, &there.profile, new, comparison)?;
            let there = if difference.fill.is_empty() {
                there
            } else {
                let patch = Patch {
                    members: difference.fill,
                    ..Patch::default()
                };
                let (sealed, holder) = self.reseal_profile(&held.record, &patch).await?;
                let record = Record {
                    sealed: Some(sealed.encode()),
                    holder,
                    ..super::update::patched(&held.record, &patch, actor)
                };
                let mut event = event(actor, Operation::Tokenize, "completed", Some(token));
                event.detail = Some(patch.members.keys().cloned().collect::<Vec<_>>().join(", "));
                if !self
                    .commit_if_unchanged(&held, record.replacement(&held.record)?, event)
                    .await?
                {
                    continue;
                }
                self.described(&record).await?
            };
            if difference.expiry.is_none() && difference.profile.is_empty() {
                return Ok(Compared::Same(there));
            }
            let conflict = self
                .keep_conflict(actor, token, difference.expiry, difference.profile)
                .await?;
            return Ok(Compared::Different { there, conflict });
        }
        Err(CallerError::Contended.into())
    }

    async fn keep_conflict(
        &self,
        actor: &Actor,
        token: &Token,
        expiry: Option<Expiry>,
        profile: Profile,
    ) -> Result<Conflict, Error> {
        let id = ConflictId::random()?;
        let expires_at = UnixMillis::now().plus(CONFLICT_LIFE);
        let clear = Clear {
            token: token.clone(),
            expiry,
        };
        let write = DocumentWrite {
            kind: DocumentKind::Conflict,
            name: id.name(),
            expect: Expect::Absent,
            clear: serde_json::to_vec(&clear).map_err(|_| IntegrityError::Damaged)?,
            secret: match profile.is_empty() {
                true => Secret::Nothing,
                false => Secret::Seal(profile.encode()?),
            },
            expires_at: Some(expires_at),
        };
        match self.write_documents(actor, vec![write], about(token, "kept")).await? {
            Written::Done { .. } => Ok(Conflict {
                id,
                expires_at,
                expiry,
                profile,
            }),
            Written::Changed => Err(CallerError::Contended.into()),
        }
    }

    async fn conflict_document(&self, actor: &Actor, id: ConflictId) -> Result<(Document, Token), Error> {
        let found = self.document(actor, DocumentKind::Conflict, &id.name()).await?;
        let document = found.ok_or(CallerError::UnknownToken)?;
        let clear: Clear = serde_json::from_slice(&document.clear).map_err(|_| IntegrityError::Damaged)?;
        Ok((document, clear.token))
    }

    async fn read_conflict(&self, id: ConflictId, document: &Document) -> Result<Conflict, Error> {
        let clear: Clear = serde_json::from_slice(&document.clear).map_err(|_| IntegrityError::Damaged)?;
        let profile = match self.document_secret(document).await? {
            Some(text) => Profile::decode(&text)?,
            None => Profile::default(),
        };
        Ok(Conflict {
            id,
            expires_at: document.expires_at.unwrap_or(UnixMillis(0)),
            expiry: clear.expiry,
            profile,
        })
    }
}

fn about(token: &Token, outcome: &'static str) -> DocumentEvent {
    DocumentEvent {
        action: "conflict",
        outcome,
        token: Some(token.clone()),
        detail: None,
    }
}

fn difference(
    record: &Record,
    stored: &Profile,
    new: &NewToken,
    comparison: Comparison,
) -> Result<Difference, IntegrityError> {
    let given = members::of(new.profile.extra.as_deref().map(String::as_str))?;
    let there = members::of(stored.extra.as_deref().map(String::as_str))?;
    let mut fill = BTreeMap::new();
    let mut others = members::Members::new();
    for name in comparison.members {
        match (given.get(*name), there.get(*name)) {
            (None, _) => {}
            (Some(given), Some(there)) if members::same(given, there) => {}
            (Some(given), None) if comparison.filled.contains(name) => {
                fill.insert((*name).to_owned(), Some(Zeroizing::new(given.get().to_owned())));
            }
            (Some(given), _) => {
                others.insert(Cow::Borrowed(*name), given);
            }
        }
    }
    let holder = new.profile.holder.as_ref();
    Ok(Difference {
        expiry: new.expiry.filter(|expiry| record.expiry != Some(*expiry)),
        profile: Profile {
            holder: holder.filter(|name| stored.holder.as_ref() != Some(*name)).cloned(),
            extra: members::written(&others)?,
        },
        fill,
    })
}
