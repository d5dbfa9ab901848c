//! Agreements: under one, a stored card is charged again without the shopper.

use serde::{Deserialize, Serialize};

use super::ids::Kind;
use super::stored::{decode, encode};
use super::{Error, event};
use crate::id::{Namespace, Token, UnixMillis};
use crate::payment::Payments;
use crate::vault::types::{
    Actor, CallerError, Document, DocumentKind, DocumentWrite, Expect, Operation, Secret, Written,
};

/// An agreement as it is stored.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Agreement {
    pub(super) token: Token,
    /// The shopper's, as tokens know it.
    pub(super) namespace: Namespace,
    /// The payment that began it.
    pub(super) order: String,
    pub(super) made_at: UnixMillis,
    pub(super) cancelled_at: Option<UnixMillis>,
}

/// The documents of a new agreement.
pub(super) fn new(id: &str, token: &Token, namespace: Namespace, order: &str) -> Result<Vec<DocumentWrite>, Error> {
    let agreement = Agreement {
        token: token.clone(),
        namespace,
        order: order.to_owned(),
        made_at: UnixMillis::now(),
        cancelled_at: None,
    };
    Ok(vec![
        write(id, Expect::Absent, &agreement)?,
        DocumentWrite {
            kind: DocumentKind::AgreementOfToken,
            name: format!("{token}/{id}"),
            expect: Expect::Absent,
            clear: Vec::new(),
            secret: Secret::Nothing,
            expires_at: None,
        },
    ])
}

fn write(id: &str, expect: Expect, agreement: &Agreement) -> Result<DocumentWrite, Error> {
    Ok(DocumentWrite {
        kind: DocumentKind::Agreement,
        name: id.to_owned(),
        expect,
        clear: encode(agreement)?,
        secret: Secret::Nothing,
        expires_at: None,
    })
}

impl Payments {
    /// Ends an agreement; its card stays. One that has ended already is as it is.
    ///
    /// # Errors
    /// [`Error::AgreementUnknown`]; not granted; the store's.
    pub async fn cancel_agreement(&self, actor: &Actor, id: &str) -> Result<(), Error> {
        self.vault.access().permit(actor, Operation::Update, 1)?;
        self.end_agreement(actor, id).await
    }

    pub(super) async fn end_agreement(&self, actor: &Actor, id: &str) -> Result<(), Error> {
        for _ in 0..ROUNDS {
            let (document, mut agreement) = self.agreement(actor, id).await?;
            if agreement.cancelled_at.is_some() {
                return Ok(());
            }
            agreement.cancelled_at = Some(UnixMillis::now());
            let event = event("agreement-cancel", "ok", Some(&agreement.token), id);
            let write = write(id, Expect::Rev(document.rev), &agreement)?;
            let written = self.vault.write_documents(actor, vec![write], event).await?;
            if matches!(written, Written::Done { .. }) {
                return Ok(());
            }
        }
        Err(CallerError::Contended.into())
    }

    /// The agreements in force that hang on a token.
    pub(super) async fn agreements_of(&self, actor: &Actor, token: &Token) -> Result<Vec<String>, Error> {
        let prefix = format!("{token}/");
        let kind = DocumentKind::AgreementOfToken;
        let all = self.vault.documents(actor, kind, &prefix, None, MOST).await?;
        let mut live = Vec::new();
        for document in all {
            let Some((_, id)) = document.name.split_once('/') else {
                continue;
            };
            let (_, agreement) = self.agreement(actor, id).await?;
            if agreement.cancelled_at.is_none() {
                live.push(id.to_owned());
            }
        }
        Ok(live)
    }

    /// Whether `token` may be charged under the agreement.
    pub(super) async fn check_agreement(&self, actor: &Actor, id: &str, token: &Token) -> Result<(), Error> {
        let (_, agreement) = self.agreement(actor, id).await?;
        match agreement {
            other if other.token != *token => Err(Error::AgreementUnknown),
            ended if ended.cancelled_at.is_some() => Err(Error::AgreementInactive),
            _ => Ok(()),
        }
    }

    /// What to say of an agreement whose card cannot be used: to its own shopper that it has ended with it, to others what
    /// they hear of any token.
    pub(super) async fn gone_with_card(
        &self,
        actor: &Actor,
        id: &str,
        token: &Token,
        shopper: &str,
    ) -> Result<Error, Error> {
        let namespace = self.vault.personal_namespace(actor, shopper).await?;
        Ok(match self.agreement(actor, id).await {
            Ok((_, agreement)) if agreement.namespace == namespace && agreement.token == *token => {
                Error::AgreementInactive
            }
            Ok(_) | Err(Error::AgreementUnknown) => Error::TokenUnknown,
            Err(error) => return Err(error),
        })
    }

    async fn agreement(&self, actor: &Actor, id: &str) -> Result<(Document, Agreement), Error> {
        if !Kind::Agreement.is_of(id) {
            return Err(Error::AgreementUnknown);
        }
        let found = self.vault.document(actor, DocumentKind::Agreement, id).await?;
        let document = found.ok_or(Error::AgreementUnknown)?;
        let agreement = decode(&document.clear)?;
        Ok((document, agreement))
    }
}

/// Agreements of one token that are looked at.
const MOST: u32 = 1_000;
/// How often an agreement is looked at again because others changed it.
const ROUNDS: u32 = 8;
