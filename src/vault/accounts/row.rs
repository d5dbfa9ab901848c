//! Accounts as they are stored: one byte of format version, then JSON. They are few and read by people in need, and a
//! dialect's settings can join them as a further field. A newer format is refused.
//!
//! | table | key after the byte | value |
//! |---|---|---|
//! | `0x20` | merchant id | [`Merchant`] |
//! | `0x21` | repository number | [`Repository`] |
//! | `0x22` | credential id | [`Credential`] |
//! | `0x23` | credential id | last use, milliseconds, 8 bytes |
//! | `0x24` | - | the next repository number, 4 bytes |
//! | `0x25` | repository number; where it has rules, a byte for management and one for generation | - ; there while it takes new tokens by them |

use std::collections::BTreeSet;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::types::{AccountStatus, CredentialKind};
use crate::id::{CredentialId, MerchantId, RepositoryId, RepositoryName, UnixMillis};
use crate::jose::RsaPublicKey;
use crate::store::Key;
use crate::vault::credential::SecretHash;
use crate::vault::types::{Dialect, Error, Generation, IntegrityError, Management, TokenRules};

/// A merchant.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::vault) struct Merchant {
    pub(in crate::vault) id: MerchantId,
    pub(super) name: String,
    pub(in crate::vault) dialects: BTreeSet<Dialect>,
    /// The one it acts in when nothing else is said; among `repositories`.
    pub(in crate::vault) repository: RepositoryId,
    /// All that it may act in.
    pub(in crate::vault) repositories: BTreeSet<RepositoryId>,
    pub(in crate::vault) status: AccountStatus,
    pub(in crate::vault) test: bool,
    pub(in crate::vault) created_at: UnixMillis,
}

/// A repository.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::vault) struct Repository {
    pub(in crate::vault) id: RepositoryId,
    pub(in crate::vault) name: RepositoryName,
    /// The merchant it was made with and goes with.
    pub(super) made_with: Option<MerchantId>,
    pub(in crate::vault) status: AccountStatus,
    pub(super) created_at: UnixMillis,
    /// How tokens are made in the dialects that have such rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::vault) rules: Option<TokenRules>,
    /// No token lives longer after it was made, days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) retention_days: Option<u32>,
    /// The other one of the pair; there exactly where there are rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) twin: Option<Twin>,
}

/// One of a pair of repositories with the same rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Twin {
    /// This one is for business, that one for tests.
    TestedIn(RepositoryId),
    /// This one is for tests, that one for business.
    TestOf(RepositoryId),
}

/// A credential, without its secret.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::vault) struct Credential {
    pub(in crate::vault) id: CredentialId,
    pub(in crate::vault) kind: CredentialKind,
    pub(in crate::vault) merchant: MerchantId,
    pub(in crate::vault) dialect: Dialect,
    pub(in crate::vault) hash: SecretHash,
    pub(in crate::vault) status: AccountStatus,
    pub(super) created_at: UnixMillis,
    pub(super) expires_at: Option<UnixMillis>,
    /// The public key, where it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::vault) public_key: Option<RsaPublicKey>,
}

/// A kind of account with a table of its own.
pub(super) trait Row: Serialize + DeserializeOwned {
    const TABLE: u8;

    fn key(&self) -> Key;

    fn encode(&self) -> Result<Vec<u8>, Error> {
        let mut bytes = vec![VERSION];
        serde_json::to_writer(&mut bytes, self).map_err(|_| DAMAGED)?;
        Ok(bytes)
    }

    fn decode(bytes: &[u8]) -> Result<Self, Error> {
        match bytes.split_first() {
            Some((&VERSION, json)) => serde_json::from_slice(json).map_err(|_| DAMAGED),
            Some((&newer, _)) if newer > VERSION => Err(Error::Integrity(IntegrityError::NewerFormat)),
            _ => Err(DAMAGED),
        }
    }
}

impl Credential {
    /// Neither suspended nor expired.
    pub(in crate::vault) fn is_live(&self, now: UnixMillis) -> bool {
        self.status == AccountStatus::Active && self.expires_at.is_none_or(|end| now < end)
    }
}

impl Twin {
    /// The other one.
    pub(super) fn id(self) -> RepositoryId {
        match self {
            Self::TestedIn(id) | Self::TestOf(id) => id,
        }
    }

    /// What the other one calls this one.
    pub(super) fn seen_from(self, this: RepositoryId) -> Self {
        match self {
            Self::TestedIn(_) => Self::TestOf(this),
            Self::TestOf(_) => Self::TestedIn(this),
        }
    }
}

impl Repository {
    /// Its gate for new tokens, open or shut.
    pub(in crate::vault) fn gate(&self) -> Key {
        gate_key(self.id, self.rules)
    }
}

impl Row for Merchant {
    const TABLE: u8 = 0x20;

    fn key(&self) -> Key {
        merchant_key(&self.id)
    }
}

impl Row for Repository {
    const TABLE: u8 = 0x21;

    fn key(&self) -> Key {
        key(Self::TABLE, &self.id.0.to_be_bytes())
    }
}

impl Row for Credential {
    const TABLE: u8 = 0x22;

    fn key(&self) -> Key {
        key(Self::TABLE, self.id.as_str().as_bytes())
    }
}

/// There exactly while the merchant is: a commit that writes something of a merchant's is on the condition that it
/// exists, so nothing is left behind by a request that was under way when the merchant was removed.
pub(in crate::vault) fn merchant_key(id: &MerchantId) -> Key {
    key(Merchant::TABLE, id.as_str().as_bytes())
}

/// When a credential was last used.
pub(super) fn last_use_key(credential: &CredentialId) -> Key {
    key(LAST_USE, credential.as_str().as_bytes())
}

/// Which credential a key of the table of last uses is for.
pub(super) fn parse_last_use(key: &Key) -> Option<CredentialId> {
    let id = key.0.strip_prefix(&[LAST_USE])?;
    CredentialId::parse(std::str::from_utf8(id).ok()?).ok()
}

/// The number that the next repository gets.
pub(super) fn counter_key() -> Key {
    key(0x24, &[])
}

/// There exactly while the repository takes new tokens by `rules`: a commit that adds one is on the condition that it
/// exists, so none comes in once the repository is suspended or being removed, nor by rules that it had before.
pub(in crate::vault) fn gate_key(repository: RepositoryId, rules: Option<TokenRules>) -> Key {
    let mut gate = repository.0.to_be_bytes().to_vec();
    if let Some(rules) = rules {
        gate.push(match rules.management {
            Management::UniqueToken => 0,
            Management::UniqueAccountIdentifier => 1,
        });
        gate.push(match rules.generation {
            Generation::RandomWithLuhn => 0,
            Generation::Preserve64 => 1,
            Generation::MerchantProvided => 2,
            Generation::AcquirerTokenization => 3,
        });
    }
    key(GATE, &gate)
}

pub(super) fn key(table: u8, rest: &[u8]) -> Key {
    let mut bytes = vec![table];
    bytes.extend_from_slice(rest);
    Key(bytes)
}

pub(super) const LAST_USE: u8 = 0x23;
pub(super) const GATE: u8 = 0x25;
pub(super) const DAMAGED: Error = Error::Integrity(IntegrityError::Damaged);
const VERSION: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::types::Verification;

    fn repository() -> Repository {
        Repository {
            id: RepositoryId(7),
            name: RepositoryName::parse("eu").unwrap(),
            made_with: None,
            status: AccountStatus::Active,
            created_at: UnixMillis(1),
            rules: None,
            retention_days: None,
            twin: None,
        }
    }

    #[test]
    fn a_row_reads_back_and_other_formats_are_told_apart() {
        let bytes = repository().encode().unwrap();
        assert_eq!(Repository::decode(&bytes).unwrap().id, RepositoryId(7));
        let mut newer = bytes.clone();
        newer[0] = 2;
        assert_eq!(
            Repository::decode(&newer).unwrap_err(),
            Error::Integrity(IntegrityError::NewerFormat)
        );
        for damaged in [&bytes[..bytes.len() - 1], &[], &[0, b'{', b'}']] {
            assert_eq!(Repository::decode(damaged).unwrap_err(), DAMAGED);
        }
    }

    /// What version 1 wrote must be read for ever.
    #[test]
    fn the_stored_form_stays() {
        let written = br#"{"id":7,"name":"eu","made_with":null,"status":"active","created_at":1}"#;
        assert_eq!(repository().encode().unwrap(), [&[1], &written[..]].concat());
        let ruled = Repository {
            rules: Some(TokenRules {
                management: Management::UniqueToken,
                generation: Generation::Preserve64,
                verification: Verification::Basic,
            }),
            twin: Some(Twin::TestedIn(RepositoryId(8))),
            ..repository()
        };
        let written = br#"{"id":7,"name":"eu","made_with":null,"status":"active","created_at":1,"rules":{"management":"UNIQUE_TOKEN","generation":"PRESERVE_6_4","verification":"BASIC"},"twin":{"tested-in":8}}"#;
        assert_eq!(ruled.encode().unwrap(), [&[1], &written[..]].concat());
    }
}
