//! Who asks, in which dialect, for which operation.

use serde::{Deserialize, Serialize};

use super::TokenRules;
use crate::audit::Peer;
use crate::id::{MerchantId, RepositoryId, RepositoryName, RequestId};

/// A language that clients speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dialect {
    /// Hyperswitch's vault, version 2: customers and their payment methods.
    Hyperswitch,
    /// Hyperswitch's card vault ("locker"): cards, opaque records and fingerprints.
    HyperswitchLocker,
    /// The Mastercard gateway's tokenization and payments, REST and NVP.
    Mastercard,
    /// panvault's own.
    Native,
    /// PayKKa's tokenization: shoppers, stored cards and recurring agreements.
    #[serde(rename = "paykka")]
    PayKka,
    /// Access Worldpay's tokens, verified tokens and network tokens.
    Worldpay,
}

impl Dialect {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Hyperswitch,
        Self::HyperswitchLocker,
        Self::Mastercard,
        Self::Native,
        Self::PayKka,
        Self::Worldpay,
    ];

    /// Its name in configuration, policy, metrics and the audit trail.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hyperswitch => "hyperswitch",
            Self::HyperswitchLocker => "hyperswitch-locker",
            Self::Mastercard => "mastercard",
            Self::Native => "native",
            Self::PayKka => "paykka",
            Self::Worldpay => "worldpay",
        }
    }

    /// Whether its tokens have a second name. Those without one are not its own, and not there for it.
    pub(in crate::vault) fn names_twice(self) -> bool {
        match self {
            Self::Worldpay => true,
            Self::Hyperswitch | Self::HyperswitchLocker | Self::Mastercard | Self::Native | Self::PayKka => false,
        }
    }

    /// The dialect of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dialect| dialect.as_str() == name)
    }
}

/// What a grant allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Operation {
    /// Remove a token.
    Delete,
    /// Take cards out in bulk.
    Export,
    /// See the masked view.
    Inspect,
    /// Have a card used in a payment, unseen.
    Pay,
    /// See the card.
    Reveal,
    /// List tokens by anything but the PAN.
    Search,
    /// Ask which tokens a PAN has.
    SearchByPan,
    /// Store a card.
    Tokenize,
    /// Change a record.
    Update,
}

impl Operation {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Delete,
        Self::Export,
        Self::Inspect,
        Self::Pay,
        Self::Reveal,
        Self::Search,
        Self::SearchByPan,
        Self::Tokenize,
        Self::Update,
    ];

    /// Its name in the policy file, metrics and the audit trail.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Delete => "delete",
            Self::Export => "export",
            Self::Inspect => "inspect",
            Self::Pay => "pay",
            Self::Reveal => "reveal",
            Self::Search => "search",
            Self::SearchByPan => "search-by-pan",
            Self::Tokenize => "tokenize",
            Self::Update => "update",
        }
    }

    /// The operation of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|op| op.as_str() == name)
    }
}

/// What a credential is good for, whatever policy grants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reach {
    /// Everything.
    #[default]
    All,
    /// Everything that shows no card.
    NoReveal,
    /// Reveals and nothing else.
    RevealOnly,
}

impl Reach {
    /// Whether it reaches as far as `op`.
    pub fn allows(self, op: Operation) -> bool {
        match self {
            Self::All => true,
            Self::NoReveal => !matches!(op, Operation::Reveal | Operation::Export),
            Self::RevealOnly => op == Operation::Reveal,
        }
    }
}

/// Who acts, authenticated: the process by the kernel's word, the merchant by its credential.
#[derive(Debug, Clone)]
pub struct Actor {
    /// The process.
    pub peer: Peer,
    /// The language it speaks.
    pub dialect: Dialect,
    /// The merchant.
    pub merchant: MerchantId,
    /// The merchant's repository.
    pub repository: RepositoryId,
    /// Its name.
    pub repository_name: RepositoryName,
    /// The repository's rules, where it has some.
    pub rules: Option<TokenRules>,
    /// It never does business: simulators serve it.
    pub test: bool,
    /// What its credential is good for.
    pub reach: Reach,
    /// The request.
    pub request: RequestId,
    /// Nobody's request: the daemon acts by itself.
    pub(in crate::vault) daemon: bool,
}
