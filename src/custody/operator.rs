//! An operator: a person, as a user of the host with a credential of their own.

use serde::{Deserialize, Serialize};

use super::table::Row;
use crate::id::{CredentialId, OperatorName, UnixMillis};
use crate::store::Key;
use crate::vault::credential::SecretHash;

/// What operators accept when they get their credential (PCI DSS 3.7.8).
pub const ACKNOWLEDGEMENT: &str = "I have been told what key custodians and operators of this vault are responsible for, \
and accept it. I alone use this credential, I give it to nobody, and I report at once when it may be known to others.";

/// As stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Operator {
    pub(super) name: OperatorName,
    pub(super) uid: u32,
    pub(super) added_at: UnixMillis,
    /// Nothing until the person has come for it.
    pub(super) enrolled: Option<Enrolled>,
}

/// What makes a user an operator.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Enrolled {
    pub(super) credential: CredentialId,
    pub(super) hash: SecretHash,
    /// What checks the operator's approvals in files: Ed25519, base64url. Its private half is made of the credential.
    pub(super) approval_key: String,
    /// [`ACKNOWLEDGEMENT`] was accepted then.
    pub(super) at: UnixMillis,
}

/// As it is shown.
#[derive(Debug, Clone, Serialize)]
pub struct OperatorView {
    /// Who.
    pub name: OperatorName,
    /// Which user of the host.
    pub uid: u32,
    /// RFC 3339.
    pub added_at: String,
    /// When responsibility was accepted and a credential given; nothing before that. RFC 3339.
    pub enrolled_at: Option<String>,
}

impl Operator {
    pub(super) fn view(&self) -> OperatorView {
        OperatorView {
            name: self.name.clone(),
            uid: self.uid,
            added_at: self.added_at.to_string(),
            enrolled_at: self.enrolled.as_ref().map(|enrolled| enrolled.at.to_string()),
        }
    }
}

impl Row for Operator {
    const TABLE: u8 = 0x40;

    fn key(&self) -> Key {
        Self::key_of(self.name.as_str())
    }
}
