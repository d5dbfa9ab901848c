//! What operators hand in and get back.

use std::collections::BTreeSet;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::hsm::KeyFingerprint;
use crate::id::{CredentialId, MerchantId, RepositoryName, UnixMillis};
use crate::jose::RsaPublicKey;
use crate::vault::CertificateDigest;
use crate::vault::types::{Dialect, Generation, Management, Peer, Reach, TokenRules, Verification};

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
    /// `pv_<id>_<secret>`: for the native dialect, after `Authorization: Bearer`, and for Hyperswitch's.
    ApiKey,
    /// A client certificate, shown to the TLS front: for the Mastercard gateway's dialect.
    Certificate,
    /// As a password, in Worldpay's dialect: good for seeing cards and for nothing else.
    DetokenizePassword,
    /// An RSA public key: for the locker, whose requests it checks and whose answers are encrypted to it. No secret.
    PublicKey,
    /// 32 upper-case hex digits, shown with the merchant's id in the Mastercard gateway's dialect, with the credential's id in
    /// Worldpay's.
    Password,
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
    /// Of what kind; one that the dialect takes.
    pub kind: CredentialKind,
    /// Which certificate it is, where it is one.
    #[serde(default)]
    pub certificate: Option<CertificateDigest>,
    /// Which public key it is, where it is one: PEM.
    #[serde(default)]
    pub public_key: Option<RsaPublicKey>,
    /// Good until then; in the future.
    #[serde(default)]
    pub expires_at: Option<UnixMillis>,
}

/// What to change of a repository's rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RulesChange {
    /// How many tokens a card may have.
    #[serde(default)]
    pub management: Option<Management>,
    /// Where token ids come from.
    #[serde(default)]
    pub generation: Option<Generation>,
    /// How a card is checked where the request does not say.
    #[serde(default)]
    pub verification: Option<Verification>,
}

/// A credential just made. Its secret is nowhere else and cannot be shown again.
pub struct IssuedCredential {
    /// As it is listed from now on.
    pub credential: CredentialView,
    /// `pv_<id>_<secret>`, or a password; certificates and public keys have none.
    pub secret: Option<SecretString>,
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
    /// How tokens are made in the dialects that have such rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<TokenRules>,
    /// No token lives longer after it was made, days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention_days: Option<u32>,
    /// The other one of a pair: business in one, tests in the other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub twin: Option<RepositoryName>,
    /// The one of a pair that is for tests.
    #[serde(default)]
    pub test: bool,
    /// The merchants that may act in it.
    pub merchants: Vec<MerchantId>,
    /// Whether it works.
    pub status: AccountStatus,
    /// When it was added.
    pub created_at: String,
}

/// A credential as listed: never its secret, nor a hash of a secret. Times are RFC 3339.
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
    /// SHA-256 of a certificate's DER form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<CertificateDigest>,
    /// SHA-256 of a public key's SubjectPublicKeyInfo.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_key: Option<KeyFingerprint>,
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
    /// Two are live.
    #[error(
        "two {kind} credentials of this merchant are live, {used_last} and {idle}: suspend or remove one first; {idle} is \
         the one not used for longest", kind = kind.as_str()
    )]
    Live {
        /// Of this kind.
        kind: CredentialKind,
        /// The one not used for longest.
        idle: CredentialId,
        /// The other.
        used_last: CredentialId,
    },
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

impl CredentialKind {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ApiKey => "api-key",
            Self::Certificate => "certificate",
            Self::DetokenizePassword => "detokenize-password",
            Self::Password => "password",
            Self::PublicKey => "public-key",
        }
    }

    /// Whether the dialect takes it.
    pub fn is_for(self, dialect: Dialect) -> bool {
        match self {
            Self::ApiKey => matches!(dialect, Dialect::Hyperswitch | Dialect::Native),
            Self::Certificate => dialect == Dialect::Mastercard,
            Self::DetokenizePassword => dialect == Dialect::Worldpay,
            Self::Password => matches!(dialect, Dialect::Mastercard | Dialect::Worldpay),
            Self::PublicKey => matches!(dialect, Dialect::HyperswitchLocker | Dialect::PayKka),
        }
    }

    /// What it is good for in `dialect`.
    pub(in crate::vault) fn reach(self, dialect: Dialect) -> Reach {
        match (self, dialect) {
            (Self::DetokenizePassword, _) => Reach::RevealOnly,
            (Self::Password, Dialect::Worldpay) => Reach::NoReveal,
            (Self::ApiKey | Self::Certificate | Self::Password | Self::PublicKey, _) => Reach::All,
        }
    }
}

impl RulesChange {
    pub(super) fn on(self, rules: TokenRules) -> TokenRules {
        TokenRules {
            management: self.management.unwrap_or(rules.management),
            generation: self.generation.unwrap_or(rules.generation),
            verification: self.verification.unwrap_or(rules.verification),
        }
    }
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
