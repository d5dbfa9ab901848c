//! The audit trail: events, their chain, receipts, and how a stranger verifies them offline.

use serde::{Deserialize, Serialize};

use crate::id::{MerchantId, RepositoryName, RequestId, Token, UnixMillis};

/// One event: who, what, when, on what, how it ended. Never a PAN.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// When.
    pub at: UnixMillis,
    /// What was done (`tokenize`, `reveal`, `delete`, `merchant-add`, `auth-failed`, …).
    pub action: String,
    /// How it ended (`ok`, `reused`, `denied`, …).
    pub outcome: String,
    /// Which process asked: user, group and process id by the kernel's word; absent for the daemon itself.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub peer: Option<Peer>,
    /// In which dialect.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub dialect: Option<String>,
    /// For which merchant.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub merchant: Option<MerchantId>,
    /// In which repository.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub repository: Option<RepositoryName>,
    /// On which token.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub token: Option<Token>,
    /// Which request.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub request: Option<RequestId>,
    /// How many times, where events are coalesced.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub count: Option<u64>,
    /// More, for people; never card data.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub detail: Option<String>,
}

/// A process, by the kernel's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Peer {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Process id, where the kernel tells.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub pid: Option<i32>,
}
