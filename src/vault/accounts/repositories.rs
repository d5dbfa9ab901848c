//! Repositories: add, list, suspend, resume, remove, and which merchants may act in them.

use std::collections::BTreeMap;

use super::merchants::check_rules;
use super::pairs::described;
use super::retention;
use super::row::{Repository, Twin, counter_key};
use super::{
    AccountError, AccountStatus, Accounts, Act, AdminActor, Change, Kind, MerchantView, RepositoryView, to_its_end,
};
use crate::id::{MerchantId, RepositoryId, RepositoryName, UnixMillis};
use crate::store::Write;
use crate::vault::types::TokenRules;

impl Accounts {
    /// Adds a repository in which no merchant may act yet. With rules it comes as a pair: business is done in it, tests
    /// in its twin, which is made beside it as `TEST` and its name.
    ///
    /// # Errors
    /// [`AccountError`]: the name is taken or, with rules, cannot be taken, too many.
    pub async fn add_repository(
        &self,
        admin: AdminActor,
        name: &RepositoryName,
        rules: Option<TokenRules>,
    ) -> Result<RepositoryView, AccountError> {
        self.add_limited_repository(admin, name, rules, None).await
    }

    /// The same, whose tokens live so many days at most.
    ///
    /// # Errors
    /// As [`Accounts::add_repository`]; a number that cannot be taken.
    pub async fn add_limited_repository(
        &self,
        admin: AdminActor,
        name: &RepositoryName,
        rules: Option<TokenRules>,
        retention_days: Option<u32>,
    ) -> Result<RepositoryView, AccountError> {
        retention::check(retention_days)?;
        let mut change = self.begin().await?;
        let mut act = Act::new(admin, "repository-add");
        match rules {
            None => {
                change.make_repository(name.clone(), None, retention_days)?;
            }
            Some(rules) => {
                let twin = change.make_pair(name.clone(), rules, retention_days)?;
                act.detail = Some(format!("{}, with its TEST twin {twin}", described(rules)));
            }
        }
        if retention_days.is_some() {
            let kept = format!("tokens live {}", retention::described(retention_days));
            act.detail = Some(
                act.detail
                    .map_or_else(|| kept.clone(), |detail| format!("{detail}; {kept}")),
            );
        }
        change.commit_repository(name, act).await
    }

    /// All repositories by number.
    pub fn repositories(&self) -> Vec<RepositoryView> {
        let now = self.current();
        let mut merchants: BTreeMap<RepositoryId, Vec<MerchantId>> = BTreeMap::new();
        for row in now.merchants.values() {
            for repository in &row.repositories {
                merchants.entry(*repository).or_default().push(row.id.clone());
            }
        }
        now.repositories
            .values()
            .map(|row| now.view_repository(row, merchants.remove(&row.id).unwrap_or_default()))
            .collect()
    }

    /// Refuses all that is asked for in the repository, until it is resumed. Its TEST twin goes with it; a twin can be
    /// suspended alone. Nothing to do is no error.
    ///
    /// # Errors
    /// [`AccountError`].
    pub async fn suspend_repository(
        &self,
        admin: AdminActor,
        name: &RepositoryName,
    ) -> Result<RepositoryView, AccountError> {
        self.set_repository_status(admin, name, AccountStatus::Suspended, "repository-suspend")
            .await
    }

    /// Ends a suspension, of its TEST twin too. Nothing to do is no error.
    ///
    /// # Errors
    /// [`AccountError`].
    pub async fn resume_repository(
        &self,
        admin: AdminActor,
        name: &RepositoryName,
    ) -> Result<RepositoryView, AccountError> {
        self.set_repository_status(admin, name, AccountStatus::Active, "repository-resume")
            .await
    }

    /// Removes a repository, with its TEST twin; their numbers are never used again. Refused while either holds tokens or
    /// a merchant may act in it, and for a twin alone.
    ///
    /// # Errors
    /// [`AccountError`].
    pub async fn remove_repository(&self, admin: AdminActor, name: &RepositoryName) -> Result<(), AccountError> {
        let (accounts, name) = (self.clone(), name.clone());
        to_its_end(async move {
            let mut change = accounts.begin().await?;
            let row = change.next.known_repository(&name)?.clone();
            if let Some(live) = change.next.tested_by(&row) {
                return Err(AccountError::InUse(format!(
                    "it is the TEST twin of {live} and is removed with it"
                )));
            }
            let ids: Vec<_> = [row.id].into_iter().chain(row.twin.map(Twin::id)).collect();
            if let Some(merchant) = ids.iter().find_map(|id| change.next.merchants_of(*id).next()) {
                return Err(AccountError::InUse(format!("merchant {merchant} may act in it")));
            }
            change.shut_empty(&ids).await?;
            for id in ids {
                change.remove_repository(id);
            }
            let act = Act {
                repository: Some(&name),
                detail: row.twin.map(|_| "with its TEST twin".to_owned()),
                ..Act::new(admin, "repository-remove")
            };
            change.commit(act).await?;
            Ok(())
        })
        .await
    }

    /// Lets a merchant act in a repository; of a pair, a TEST merchant in the one for tests. With `default` it is where
    /// the merchant acts when a request names none.
    ///
    /// # Errors
    /// [`AccountError`].
    pub async fn grant_repository(
        &self,
        admin: AdminActor,
        name: &RepositoryName,
        merchant: &MerchantId,
        default: bool,
    ) -> Result<MerchantView, AccountError> {
        let change = self.begin().await?;
        let mut row = change.next.known_merchant(merchant)?.clone();
        let repository = change.next.repository_for(name, row.test)?;
        if default {
            check_rules(&row.dialects, repository.rules)?;
        }
        let (id, name) = (repository.id, repository.name.clone());
        let added = row.repositories.insert(id);
        if !added && (!default || row.repository == id) {
            return change.next.view_merchant(&row);
        }
        if row.repositories.len() > MAX_PER_MERCHANT {
            return Err(AccountError::Limit {
                what: "repositories of one merchant",
                max: MAX_PER_MERCHANT,
            });
        }
        if default {
            row.repository = id;
        }
        let detail = default.then(|| "as its default".to_owned());
        let act = Act {
            repository: Some(&name),
            detail,
            ..Act::new(admin, "repository-grant")
        };
        change.commit_merchant(row, act).await
    }

    /// Takes the right to act in a repository away. Refused for the merchant's default.
    ///
    /// # Errors
    /// [`AccountError`].
    pub async fn revoke_repository(
        &self,
        admin: AdminActor,
        name: &RepositoryName,
        merchant: &MerchantId,
    ) -> Result<MerchantView, AccountError> {
        let change = self.begin().await?;
        let mut row = change.next.known_merchant(merchant)?.clone();
        let repository = change.next.repository_for(name, row.test)?;
        let (id, name) = (repository.id, repository.name.clone());
        if row.repository == id {
            return Err(AccountError::InUse(
                "it is the merchant's default repository: make another one that first".to_owned(),
            ));
        }
        if !row.repositories.remove(&id) {
            return change.next.view_merchant(&row);
        }
        let act = Act {
            repository: Some(&name),
            ..Act::new(admin, "repository-revoke")
        };
        change.commit_merchant(row, act).await
    }

    async fn set_repository_status(
        &self,
        admin: AdminActor,
        name: &RepositoryName,
        status: AccountStatus,
        action: &'static str,
    ) -> Result<RepositoryView, AccountError> {
        let mut change = self.begin().await?;
        let row = change.next.known_repository(name)?;
        let mut rows = vec![row.clone()];
        if let Some(Twin::TestedIn(twin)) = row.twin {
            rows.extend(change.next.repository(twin).cloned());
        }
        rows.retain(|row| row.status != status);
        if rows.is_empty() {
            return Ok(change.next.view_now(row));
        }
        for row in rows {
            change.put_repository(Repository { status, ..row })?;
        }
        change.commit_repository(name, Act::new(admin, action)).await
    }
}

impl Change {
    /// Makes a repository under the next number.
    pub(super) fn make_repository(
        &mut self,
        name: RepositoryName,
        made_with: Option<&MerchantId>,
        retention_days: Option<u32>,
    ) -> Result<RepositoryId, AccountError> {
        if self.next.numbers.contains_key(&name) {
            return Err(AccountError::Exists(Kind::Repository));
        }
        let [id] = self.take_numbers()?;
        self.put_repository(Repository {
            id,
            name,
            made_with: made_with.cloned(),
            status: AccountStatus::Active,
            created_at: UnixMillis::now(),
            rules: None,
            retention_days,
            twin: None,
        })?;
        Ok(id)
    }

    /// The next numbers: never given again once this change is made.
    pub(super) fn take_numbers<const N: usize>(&mut self) -> Result<[RepositoryId; N], AccountError> {
        let full = AccountError::Limit {
            what: "repositories",
            max: MAX_REPOSITORIES,
        };
        if self.next.repositories.len() + N > MAX_REPOSITORIES {
            return Err(full);
        }
        let mut taken = [RepositoryId(0); N];
        for id in &mut taken {
            *id = RepositoryId(self.next.next_repository);
            self.next.next_repository = id.0.checked_add(1).ok_or(full.clone())?;
        }
        let next = self.next.next_repository.to_be_bytes().to_vec();
        self.writes.push(Write::Put(counter_key(), next));
        Ok(taken)
    }

    pub(super) async fn commit_repository(
        self,
        name: &RepositoryName,
        act: Act<'_>,
    ) -> Result<RepositoryView, AccountError> {
        let act = Act {
            repository: Some(name),
            ..act
        };
        let now = self.commit(act).await?;
        Ok(now.view_now(now.known_repository(name)?))
    }
}

const MAX_REPOSITORIES: usize = 20_000;
const MAX_PER_MERCHANT: usize = 64;
