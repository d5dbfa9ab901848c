//! What operators hand in and get back.

use std::collections::BTreeSet;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::id::{CredentialId, MerchantId, RepositoryName, UnixMillis};
use crate::vault::types::{Dialect, Peer};

/// Who administers: a process on the operators' socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdminActor {
    /// The process.
    pub peer: Peer,
}

/// Whether an account works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AccountStatus {
    /// It does.
    Active,
    /// Not until it is resumed.
    Suspended,
}

/// How a credential is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CredentialKind {
    /// `Authorization: Bearer pv_<id>_<secret>`.
    ApiKey,
}

/// A merchant to be added.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewMerchant {
    /// Its id.
    pub id: MerchantId,
    /// For people: 1 to 128 characters.
    pub name: String,
    /// What it speaks; at least one.
    pub dialects: BTreeSet<Dialect>,
    /// An existing repository to act in. Without it one is made, named as the merchant, that is removed with it.
    #[serde(default)]
    pub repository: Option<RepositoryName>,
    /// Never does business: simulators serve it.
    #[serde(default)]
    pub test: bool,
}

/// A credential to be added.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewCredential {
    /// Whose.
    pub merchant: MerchantId,
    /// For which dialect; the merchant speaks it.
    pub dialect: Dialect,
    /// Of what kind.
    pub kind: CredentialKind,
    /// Good until then; in the future.
    #[serde(default)]
    pub expires_at: Option<UnixMillis>,
}

/// A credential just made. Its secret is nowhere else and cannot be shown again.
pub struct IssuedCredential {
    /// As it is listed from now on.
    pub credential: CredentialView,
    /// `pv_<id>_<secret>`.
    pub secret: SecretString,
}

/// A merchant as listed. Times are RFC 3339.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MerchantView {
    /// Its id.
    pub id: MerchantId,
    /// For people.
    pub name: String,
    /// What it speaks.
    pub dialects: BTreeSet<Dialect>,
    /// Where it acts.
    pub repository: RepositoryName,
    /// All it may act in.
    pub repositories: Vec<RepositoryName>,
    /// Whether it works.
    pub status: AccountStatus,
    /// Never does business.
    pub test: bool,
    /// When it was added.
    pub created_at: String,
}

/// A repository as listed. Times are RFC 3339.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepositoryView {
    /// Its number, never used again.
    pub id: u32,
    /// Its name.
    pub name: RepositoryName,
    /// The merchants that may act in it.
    pub merchants: Vec<MerchantId>,
    /// Whether it works.
    pub status: AccountStatus,
    /// When it was added.
    pub created_at: String,
}

/// A credential as listed: never its secret, nor a hash of it. Times are RFC 3339.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CredentialView {
    /// The public part.
    pub id: CredentialId,
    /// Of what kind.
    pub kind: CredentialKind,
    /// Whose.
    pub merchant: MerchantId,
    /// For which dialect.
    pub dialect: Dialect,
    /// Whether it works, expiry apart.
    pub status: AccountStatus,
    /// Past its expiry.
    pub expired: bool,
    /// When it was added.
    pub created_at: String,
    /// Good until then.
    pub expires_at: Option<String>,
    /// To the minute.
    pub last_used_at: Option<String>,
}

/// A kind of account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A credential.
    Credential,
    /// A merchant.
    Merchant,
    /// A repository.
    Repository,
}

/// Why an account was not changed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum AccountError {
    /// The name is taken.
    #[error("there is a {} of that name", .0.as_str())]
    Exists(Kind),
    /// A value cannot be taken.
    #[error("{field}: {reason}")]
    Field {
        /// Which.
        field: &'static str,
        /// Why.
        reason: &'static str,
    },
    /// Something depends on it.
    #[error("{0}")]
    InUse(String),
    /// No more of them.
    #[error("there may be at most {max} {what}")]
    Limit {
        /// Of these.
        what: &'static str,
        /// How many.
        max: usize,
    },
    /// There is none.
    #[error("there is no such {}", .0.as_str())]
    Unknown(Kind),
    /// The vault's own trouble.
    #[error("{0}")]
    Vault(#[from] crate::vault::types::Error),
}

impl Kind {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Credential => "credential",
            Self::Merchant => "merchant",
            Self::Repository => "repository",
        }
    }
}
