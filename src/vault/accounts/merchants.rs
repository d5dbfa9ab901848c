//! Merchants: add, list, suspend, resume, remove.

use std::collections::BTreeSet;

use super::row::Merchant;
use super::{
    AccountError, AccountStatus, Accounts, Act, AdminActor, Change, Kind, MerchantView, NewMerchant, to_its_end,
};
use crate::id::{MerchantId, RepositoryName, UnixMillis};
use crate::vault::documents;
use crate::vault::types::{Dialect, TokenRules};

impl Accounts {
    /// Adds a merchant, and a repository of its name unless it is given one that exists. A TEST merchant given one of a
    /// pair acts in the one for tests. One of the Mastercard gateway's dialect must be given one with rules.
    ///
    /// # Errors
    /// [`AccountError`]: the id or the repository's name is taken, a value cannot be taken, too many.
    pub async fn add_merchant(&self, admin: AdminActor, new: NewMerchant) -> Result<MerchantView, AccountError> {
        check_name(&new.name)?;
        if new.dialects.contains(&Dialect::Mastercard) {
            check_gateway_id(&new.id, new.test)?;
        }
        if new.dialects.is_empty() {
            return Err(AccountError::Field {
                field: "dialects",
                reason: "at least one is needed",
            });
        }
        let mut change = self.begin().await?;
        if change.next.merchant(&new.id).is_some() {
            return Err(AccountError::Exists(Kind::Merchant));
        }
        if change.next.merchants.len() >= MAX_MERCHANTS {
            return Err(AccountError::Limit {
                what: "merchants",
                max: MAX_MERCHANTS,
            });
        }
        let (repository, repository_name) = match new.repository {
            Some(name) => {
                let row = change.next.repository_for(&name, new.test)?;
                check_rules(&new.dialects, row.rules)?;
                (row.id, row.name.clone())
            }
            None => {
                check_rules(&new.dialects, None)?;
                let name = RepositoryName::parse(new.id.as_str()).map_err(|_| AccountError::Field {
                    field: "id",
                    reason: "is not a name for a repository",
                })?;
                (change.make_repository(name.clone(), Some(&new.id), None)?, name)
            }
        };
        let row = Merchant {
            id: new.id,
            name: new.name,
            dialects: new.dialects,
            repository,
            repositories: BTreeSet::from([repository]),
            status: AccountStatus::Active,
            test: new.test,
            created_at: UnixMillis::now(),
        };
        // what an interrupted removal of a merchant of this id left: the new one must not find it
        documents::remove_all_of(&*self.inner.store, &row.id).await?;
        let act = Act {
            repository: Some(&repository_name),
            detail: new.test.then(|| "test merchant".to_owned()),
            ..Act::new(admin, "merchant-add")
        };
        change.commit_merchant(row, act).await
    }

    /// All merchants by id.
    ///
    /// # Errors
    /// [`AccountError::Vault`] where the accounts are damaged.
    pub fn merchants(&self) -> Result<Vec<MerchantView>, AccountError> {
        let now = self.current();
        now.merchants.values().map(|row| now.view_merchant(row)).collect()
    }

    /// Refuses all that the merchant asks for, until it is resumed. Nothing to do is no error.
    ///
    /// # Errors
    /// [`AccountError`].
    pub async fn suspend_merchant(&self, admin: AdminActor, id: &MerchantId) -> Result<MerchantView, AccountError> {
        self.set_merchant_status(admin, id, AccountStatus::Suspended, "merchant-suspend")
            .await
    }

    /// Ends a suspension. Nothing to do is no error.
    ///
    /// # Errors
    /// [`AccountError`].
    pub async fn resume_merchant(&self, admin: AdminActor, id: &MerchantId) -> Result<MerchantView, AccountError> {
        self.set_merchant_status(admin, id, AccountStatus::Active, "merchant-resume")
            .await
    }

    /// Removes a merchant with its credentials, its documents and the repository made with it. Refused while a
    /// repository that only this merchant may act in holds tokens, or while the merchant has records.
    ///
    /// # Errors
    /// [`AccountError`]; [`AccountError::InUse`] names the repository.
    pub async fn remove_merchant(&self, admin: AdminActor, id: &MerchantId) -> Result<(), AccountError> {
        let (accounts, id) = (self.clone(), id.clone());
        to_its_end(async move {
            let mut change = accounts.begin().await?;
            let row = change.next.known_merchant(&id)?.clone();
            if documents::has_records(&*accounts.inner.store, &id).await? {
                return Err(AccountError::InUse(
                    "the merchant has records: delete them first".to_owned(),
                ));
            }
            let only_its: Vec<_> = row
                .repositories
                .iter()
                .copied()
                .filter(|repository| change.next.merchants_of(*repository).all(|merchant| *merchant == id))
                .collect();
            change.shut_empty(&only_its).await?;
            for repository in only_its {
                let made_with = change
                    .next
                    .repository(repository)
                    .and_then(|row| row.made_with.as_ref());
                if made_with == Some(&id) {
                    change.remove_repository(repository);
                } else {
                    change.reopen(repository);
                }
            }
            let credentials: Vec<_> = change
                .next
                .credentials_of(&id)
                .map(|held| held.row.id.clone())
                .collect();
            for credential in &credentials {
                change.remove_credential(credential);
            }
            change.remove_merchant(&id);
            let act = Act {
                merchant: Some(&id),
                detail: Some(format!("with {} credentials", credentials.len())),
                ..Act::new(admin, "merchant-remove")
            };
            change.commit(act).await?;
            if let Err(error) = documents::remove_all_of(&*accounts.inner.store, &id).await {
                tracing::warn!(%error, merchant = %id, "documents of a removed merchant stay until the next start");
            }
            Ok(())
        })
        .await
    }

    async fn set_merchant_status(
        &self,
        admin: AdminActor,
        id: &MerchantId,
        status: AccountStatus,
        action: &'static str,
    ) -> Result<MerchantView, AccountError> {
        let change = self.begin().await?;
        let row = change.next.known_merchant(id)?;
        if row.status == status {
            return change.next.view_merchant(row);
        }
        let row = Merchant { status, ..row.clone() };
        change.commit_merchant(row, Act::new(admin, action)).await
    }
}

impl Change {
    /// Puts the merchant and makes it happen.
    pub(super) async fn commit_merchant(mut self, row: Merchant, act: Act<'_>) -> Result<MerchantView, AccountError> {
        let id = row.id.clone();
        self.put_merchant(row)?;
        let act = Act {
            merchant: Some(&id),
            ..act
        };
        let now = self.commit(act).await?;
        now.view_merchant(now.known_merchant(&id)?)
    }
}

fn check_name(name: &str) -> Result<(), AccountError> {
    let reason = match name.chars().count() {
        0 => "is empty",
        1..=MAX_NAME if name.chars().any(char::is_control) => "has a control character",
        1..=MAX_NAME => return Ok(()),
        _ => "is longer than 128 characters",
    };
    Err(AccountError::Field { field: "name", reason })
}

/// That the id is one of the gateway's: contract §1, and §10 for the prefix.
fn check_gateway_id(id: &MerchantId, test: bool) -> Result<(), AccountError> {
    let reason = match id.as_str() {
        text if text.len() > MAX_GATEWAY_ID || text.contains('.') => {
            "of a merchant of dialect mastercard has 1 to 40 letters, digits, `_` and `-`"
        }
        text if test && !text.starts_with(TEST) => "of a TEST merchant of dialect mastercard begins with TEST",
        text if !test && text.starts_with(TEST) => {
            "begins with TEST, which of dialect mastercard only TEST merchants do"
        }
        _ => return Ok(()),
    };
    Err(AccountError::Field { field: "id", reason })
}

/// That a merchant of these dialects can act where there are these rules.
pub(super) fn check_rules(dialects: &BTreeSet<Dialect>, rules: Option<TokenRules>) -> Result<(), AccountError> {
    if dialects.contains(&Dialect::Mastercard) && rules.is_none() {
        return Err(AccountError::Field {
            field: "repository",
            reason: "a merchant of dialect mastercard acts in one with rules: add it with management, generation and \
                     verification, and name it",
        });
    }
    if dialects.contains(&Dialect::Worldpay) && rules.is_some() {
        return Err(AccountError::Field {
            field: "repository",
            reason: "a merchant of dialect worldpay acts in one without rules",
        });
    }
    Ok(())
}

const MAX_GATEWAY_ID: usize = 40;
/// What ids of TEST merchants of the gateway begin with.
const TEST: &str = "TEST";
const MAX_MERCHANTS: usize = 10_000;
const MAX_NAME: usize = 128;
