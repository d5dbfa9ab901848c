//! How long tokens of a repository are kept at most.

use super::row::Repository;
use super::{AccountError, Accounts, Act, AdminActor, Change, RepositoryView};
use crate::id::RepositoryName;

/// A day in milliseconds.
const DAY_MS: u64 = 24 * 60 * 60 * 1_000;
/// A hundred years: whoever means longer means no limit.
const DAYS_MAX: u32 = 36_525;

impl Accounts {
    /// Has no token of the repository, and of its TEST twin, live longer than so many days after it was made; `None`: no
    /// limit. It holds at once, for tokens that are there too.
    ///
    /// # Errors
    /// [`AccountError`]: a number that cannot be taken; a twin, which follows the one that it is the twin of.
    pub async fn set_retention(
        &self,
        admin: AdminActor,
        name: &RepositoryName,
        days: Option<u32>,
    ) -> Result<RepositoryView, AccountError> {
        check(days)?;
        let mut change = self.begin().await?;
        let row = change.next.known_repository(name)?.clone();
        if let Some(live) = change.next.tested_by(&row) {
            return Err(AccountError::InUse(format!(
                "it is the TEST twin of {live} and follows its retention"
            )));
        }
        if row.retention_days == days {
            return Ok(change.next.view_now(&row));
        }
        change.limit(name, days)?;
        let act = Act {
            detail: Some(described(days)),
            ..Act::new(admin, "repository-retention")
        };
        change.commit_repository(name, act).await
    }
}

impl Change {
    /// Of a repository and its TEST twin.
    pub(super) fn limit(&mut self, name: &RepositoryName, days: Option<u32>) -> Result<(), AccountError> {
        let row = self.next.known_repository(name)?.clone();
        let twin = row.twin.and_then(|twin| self.next.repository(twin.id()).cloned());
        for row in [Some(row), twin].into_iter().flatten() {
            self.put_repository(Repository {
                retention_days: days,
                ..row
            })?;
        }
        Ok(())
    }
}

impl Repository {
    /// How long a token lives at most, milliseconds.
    pub(in crate::vault) fn longest_life(&self) -> Option<u64> {
        self.retention_days.map(|days| u64::from(days) * DAY_MS)
    }
}

/// That it is a number of days that can be kept to.
pub(super) fn check(days: Option<u32>) -> Result<(), AccountError> {
    match days {
        None | Some(1..=DAYS_MAX) => Ok(()),
        Some(_) => Err(AccountError::Field {
            field: "retention_days",
            reason: "is not 1 to 36525",
        }),
    }
}

/// As the audit trail tells it.
pub(super) fn described(days: Option<u32>) -> String {
    days.map_or_else(|| "no limit".to_owned(), |days| format!("{days} days"))
}
