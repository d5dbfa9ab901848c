//! Credentials: add, list, suspend, resume, remove.

use secrecy::SecretString;

use super::row::Credential;
use super::{
    AccountError, AccountStatus, Accounts, Act, AdminActor, Change, CredentialKind, CredentialView, IssuedCredential,
    Kind, NewCredential,
};
use crate::id::{CredentialId, MerchantId, NoRandom, UnixMillis};
use crate::vault::credential::{Fresh, SecretHash, fresh_id};
use crate::vault::types::{DependencyError, Error};

impl Accounts {
    /// Makes a credential. Two of a kind may be live at once, so that one can follow another without a gap.
    ///
    /// # Errors
    /// [`AccountError`]: no such merchant or not of that dialect, a kind that the dialect does not take, two live ones, an
    /// expiry that is past.
    pub async fn add_credential(
        &self,
        admin: AdminActor,
        new: NewCredential,
    ) -> Result<IssuedCredential, AccountError> {
        let mut change = self.begin().await?;
        let now = UnixMillis::now();
        if !change
            .next
            .known_merchant(&new.merchant)?
            .dialects
            .contains(&new.dialect)
        {
            return Err(AccountError::Field {
                field: "dialect",
                reason: "the merchant does not speak it",
            });
        }
        if !new.kind.is_for(new.dialect) {
            return Err(AccountError::Field {
                field: "kind",
                reason: "the dialect does not take credentials of that kind",
            });
        }
        if new.expires_at.is_some_and(|end| end <= now) {
            return Err(AccountError::Field {
                field: "expires_at",
                reason: "is past",
            });
        }
        if change.next.credentials_of(&new.merchant).count() >= MAX_PER_MERCHANT {
            return Err(AccountError::Limit {
                what: "credentials of one merchant: remove old ones",
                max: MAX_PER_MERCHANT,
            });
        }
        if new.public_key.is_some() != (new.kind == CredentialKind::PublicKey) {
            return Err(AccountError::Field {
                field: "public_key",
                reason: "is for credentials of kind public-key, and they need one",
            });
        }
        let (id, hash, secret) = match (new.kind, new.certificate) {
            (CredentialKind::Certificate, Some(certificate)) => {
                (fresh_id().map_err(no_random)?, certificate.into(), None)
            }
            (CredentialKind::Certificate, None) => {
                return Err(AccountError::Field {
                    field: "certificate",
                    reason: "is missing",
                });
            }
            // nothing is shown that could be compared
            (CredentialKind::PublicKey, None) => {
                let id = fresh_id().map_err(no_random)?;
                let hash = SecretHash::of(&id, "");
                (id, hash, None)
            }
            (
                CredentialKind::ApiKey
                | CredentialKind::DetokenizePassword
                | CredentialKind::Password
                | CredentialKind::PublicKey,
                Some(_),
            ) => {
                return Err(AccountError::Field {
                    field: "certificate",
                    reason: "is for credentials of kind certificate",
                });
            }
            (CredentialKind::ApiKey, None) => shown_once(Fresh::api_key().map_err(no_random)?),
            (CredentialKind::DetokenizePassword | CredentialKind::Password, None) => {
                shown_once(Fresh::password().map_err(no_random)?)
            }
        };
        let row = Credential {
            id,
            kind: new.kind,
            merchant: new.merchant,
            dialect: new.dialect,
            hash,
            status: AccountStatus::Active,
            created_at: now,
            expires_at: new.expires_at,
            public_key: new.public_key,
        };
        change.check_live(&row, now)?;
        change.put_credential(row.clone())?;
        Ok(IssuedCredential {
            credential: change.commit_credential(row, admin, "credential-add").await?,
            secret,
        })
    }

    /// All credentials, or one merchant's, by id.
    pub fn credentials(&self, merchant: Option<&MerchantId>) -> Vec<CredentialView> {
        let now = UnixMillis::now();
        self.current()
            .credentials
            .values()
            .filter(|held| merchant.is_none_or(|merchant| held.row.merchant == *merchant))
            .map(|held| held.view(now))
            .collect()
    }

    /// Refuses the credential until it is resumed. Nothing to do is no error.
    ///
    /// # Errors
    /// [`AccountError`].
    pub async fn suspend_credential(
        &self,
        admin: AdminActor,
        id: &CredentialId,
    ) -> Result<CredentialView, AccountError> {
        self.set_credential_status(admin, id, AccountStatus::Suspended, "credential-suspend")
            .await
    }

    /// Ends a suspension; refused when two others are live. Nothing to do is no error.
    ///
    /// # Errors
    /// [`AccountError`].
    pub async fn resume_credential(
        &self,
        admin: AdminActor,
        id: &CredentialId,
    ) -> Result<CredentialView, AccountError> {
        self.set_credential_status(admin, id, AccountStatus::Active, "credential-resume")
            .await
    }

    /// Removes a credential.
    ///
    /// # Errors
    /// [`AccountError`].
    pub async fn remove_credential(&self, admin: AdminActor, id: &CredentialId) -> Result<(), AccountError> {
        let mut change = self.begin().await?;
        let row = change.known_credential(id)?;
        change.remove_credential(id);
        change.commit(act_on(&row, admin, "credential-remove")).await?;
        Ok(())
    }

    async fn set_credential_status(
        &self,
        admin: AdminActor,
        id: &CredentialId,
        status: AccountStatus,
        action: &'static str,
    ) -> Result<CredentialView, AccountError> {
        let mut change = self.begin().await?;
        let now = UnixMillis::now();
        let row = change.known_credential(id)?;
        if row.status == status {
            return change.view_credential(id);
        }
        let row = Credential { status, ..row };
        change.check_live(&row, now)?;
        change.put_credential(row.clone())?;
        change.commit_credential(row, admin, action).await
    }
}

impl Change {
    fn known_credential(&self, id: &CredentialId) -> Result<Credential, AccountError> {
        let held = self.next.credential(id);
        held.map(|held| Credential::clone(&held.row))
            .ok_or(AccountError::Unknown(Kind::Credential))
    }

    fn view_credential(&self, id: &CredentialId) -> Result<CredentialView, AccountError> {
        let held = self.next.credential(id);
        held.map(|held| held.view(UnixMillis::now()))
            .ok_or(AccountError::Unknown(Kind::Credential))
    }

    /// That `row`, if live, has at most one live one beside it of the same merchant, dialect and kind.
    fn check_live(&self, row: &Credential, now: UnixMillis) -> Result<(), AccountError> {
        let mut others: Vec<_> = self
            .next
            .credentials_of(&row.merchant)
            .filter(|held| held.row.id != row.id && held.row.dialect == row.dialect && held.row.kind == row.kind)
            .filter(|held| held.row.is_live(now))
            .collect();
        others.sort_by_key(|held| (held.last_use(), held.row.created_at));
        match others.as_slice() {
            [idle, .., used_last] if row.is_live(now) => Err(AccountError::Live {
                kind: row.kind,
                idle: idle.row.id.clone(),
                used_last: used_last.row.id.clone(),
            }),
            _ => Ok(()),
        }
    }

    async fn commit_credential(
        self,
        row: Credential,
        admin: AdminActor,
        action: &'static str,
    ) -> Result<CredentialView, AccountError> {
        let now = self.commit(act_on(&row, admin, action)).await?;
        let held = now.credential(&row.id);
        held.map(|held| held.view(UnixMillis::now()))
            .ok_or(AccountError::Unknown(Kind::Credential))
    }
}

fn act_on<'a>(row: &'a Credential, admin: AdminActor, action: &'static str) -> Act<'a> {
    let expiry = row.expires_at.map(|at| format!(", expires {at}")).unwrap_or_default();
    Act {
        merchant: Some(&row.merchant),
        dialect: Some(row.dialect),
        detail: Some(format!("credential {}{expiry}", row.id)),
        ..Act::new(admin, action)
    }
}

fn shown_once(fresh: Fresh) -> (CredentialId, SecretHash, Option<SecretString>) {
    (fresh.id, fresh.hash, Some(fresh.text))
}

fn no_random(_: NoRandom) -> Error {
    Error::Dependency(DependencyError::NoRandom)
}

/// Of one merchant, dialect and kind.
pub(in crate::vault) const MAX_LIVE: usize = 2;
const MAX_PER_MERCHANT: usize = 32;
