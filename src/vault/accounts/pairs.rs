//! Repositories with rules: each comes with a TEST twin of the same rules, so that tests never meet business.

use super::row::{Repository, Twin};
use super::{
    AccountError, AccountStatus, Accounts, Act, AdminActor, Change, Kind, RepositoryView, RulesChange, to_its_end,
};
use crate::id::{RepositoryName, UnixMillis};
use crate::vault::types::TokenRules;

impl Accounts {
    /// Changes the rules of a repository and its TEST twin: how cards are checked at any time, the rest only while both
    /// hold no tokens. What was asked for before the change and is still under way stores nothing by the old rules.
    /// Nothing to do is no error.
    ///
    /// # Errors
    /// [`AccountError`]; [`AccountError::InUse`] where it has no rules, is a twin or holds tokens.
    pub async fn set_rules(
        &self,
        admin: AdminActor,
        name: &RepositoryName,
        new: RulesChange,
    ) -> Result<RepositoryView, AccountError> {
        let (accounts, name) = (self.clone(), name.clone());
        to_its_end(async move {
            let mut change = accounts.begin().await?;
            let row = change.next.known_repository(&name)?.clone();
            if let Some(live) = change.next.tested_by(&row) {
                return Err(AccountError::InUse(format!(
                    "it is the TEST twin of {live} and follows its rules"
                )));
            }
            let (Some(old), Some(twin)) = (row.rules, row.twin) else {
                return Err(AccountError::InUse(
                    "it has no rules: they are given when a repository is added".to_owned(),
                ));
            };
            let rules = new.on(old);
            if rules == old {
                return Ok(change.next.view_now(&row));
            }
            if (rules.management, rules.generation) != (old.management, old.generation) {
                change.shut_empty(&[row.id, twin.id()]).await?;
            }
            let twin = change.next.repository(twin.id()).cloned();
            // putting them opens the gate of the new rules; that of the old stays shut
            for row in [Some(row), twin].into_iter().flatten() {
                change.put_repository(Repository {
                    rules: Some(rules),
                    ..row
                })?;
            }
            let act = Act {
                detail: Some(described(rules)),
                ..Act::new(admin, "repository-rules")
            };
            change.commit_repository(&name, act).await
        })
        .await
    }
}

impl Change {
    /// Makes a repository with rules, and its TEST twin, whose name is given back.
    pub(super) fn make_pair(
        &mut self,
        name: RepositoryName,
        rules: TokenRules,
        retention_days: Option<u32>,
    ) -> Result<RepositoryName, AccountError> {
        let field = |reason| AccountError::Field { field: "name", reason };
        let text = name.as_str();
        if text.len() > MAX_NAME || !text.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Err(field("of a repository with rules has 1 to 12 letters and digits"));
        }
        if text
            .get(..TEST.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(TEST))
        {
            return Err(field(
                "begins with TEST, which is for the twins that are made with repositories",
            ));
        }
        let twin_name = RepositoryName::parse(&format!("{TEST}{text}")).map_err(|_| field("is too long"))?;
        if self.next.numbers.contains_key(&name) {
            return Err(AccountError::Exists(Kind::Repository));
        }
        if self.next.numbers.contains_key(&twin_name) {
            return Err(AccountError::InUse(format!(
                "there is a repository {twin_name}, and the TEST twin would have that name"
            )));
        }
        let [live, test] = self.take_numbers()?;
        let made = Repository {
            id: live,
            name,
            made_with: None,
            status: AccountStatus::Active,
            created_at: UnixMillis::now(),
            rules: Some(rules),
            retention_days,
            twin: Some(Twin::TestedIn(test)),
        };
        self.put_repository(made.clone())?;
        self.put_repository(Repository {
            id: test,
            name: twin_name.clone(),
            twin: Some(Twin::TestOf(live)),
            ..made
        })?;
        Ok(twin_name)
    }
}

/// Rules as the audit trail tells them.
pub(super) fn described(rules: TokenRules) -> String {
    serde_json::to_string(&rules).unwrap_or_default()
}

/// With the twin's prefix it fits the gateway's 16 characters (contract §5).
const MAX_NAME: usize = 12;
/// What a twin's name begins with.
const TEST: &str = "TEST";
