//! What the dialects hand to the core and get back.

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

pub use crate::audit::Peer;
use crate::card::{Expiry, Pan};
use crate::id::{
    IdempotencyKey, MerchantId, Namespace, RepositoryId, RepositoryName, RequestId, Revision, Token, UnixMillis,
};
use crate::keys::SecretBytes;

/// A language that clients speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dialect {
    /// panvault's own.
    Native,
}

impl Dialect {
    /// All of them.
    pub const ALL: [Self; 1] = [Self::Native];

    /// Its name in configuration, policy, metrics and the audit trail.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Native => "native",
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
    pub const ALL: [Self; 8] = [
        Self::Delete,
        Self::Export,
        Self::Inspect,
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
    /// The request.
    pub request: RequestId,
}

/// How a token looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Format {
    /// `tok_` and 26 letters and digits (128 random bits).
    Opaque,
    /// The card's length, first 6 and last 4, fails Luhn.
    Preserve64,
    /// 16 digits, starts with 9, passes Luhn.
    RandomLuhn,
    /// The caller's own; refused when it could be a card number.
    Supplied(Token),
}

/// How often a token may be revealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Uses {
    /// At will.
    Multi,
    /// Once.
    Single,
}

/// A record's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// In use.
    Active,
    /// Not to be used; set and cleared by update.
    Inactive,
    /// A single-use token that was revealed: its card is gone.
    Spent,
}

/// What to do when the card is already there within the scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reuse {
    /// Always a new token.
    Never,
    /// One token per scope; a second tokenize gives the first one's token.
    Return {
        /// What, beside repository and PAN, makes it the same (a namespace, a customer and an expiry, …).
        scope: Vec<u8>,
    },
    /// One token per scope; a second tokenize is refused with the token that is there.
    Refuse {
        /// As for `Return`.
        scope: Vec<u8>,
    },
}

/// The sealed personal part of a record.
#[derive(Default)]
pub struct Profile {
    /// Cardholder's name.
    pub holder: Option<Zeroizing<String>>,
    /// Anything else: one JSON object's text.
    pub extra: Option<Zeroizing<String>>,
}

/// A request that may be repeated.
pub struct Idempotency {
    /// The caller's key.
    pub key: IdempotencyKey,
    /// Everything that makes it the same request; only its MAC is kept.
    pub request: SecretBytes,
}

/// A card to be tokenized.
pub struct NewToken {
    /// The number.
    pub pan: Pan,
    /// Its expiry.
    pub expiry: Option<Expiry>,
    /// The sealed rest.
    pub profile: Profile,
    /// How the token shall look.
    pub format: Format,
    /// Whether a token that is there serves.
    pub reuse: Reuse,
    /// The group it belongs to.
    pub namespace: Option<Namespace>,
    /// A JSON object's text, in clear: readable with the masked view. Refused when it holds CVV-like members or card
    /// numbers.
    pub metadata: Option<String>,
    /// Removed after this.
    pub expires_at: Option<UnixMillis>,
    /// Once or at will.
    pub uses: Uses,
    /// May be repeated under this key.
    pub idempotency: Option<Idempotency>,
}

/// The masked view: never enough to rebuild a PAN.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    /// The token.
    pub token: Token,
    /// The first 6 or 8 digits, as the brand allows; empty for a number of 12 or 13 digits.
    pub bin: String,
    /// The last 4.
    pub last4: String,
    /// The number with the middle hidden.
    pub masked: String,
    /// Brand, where known.
    pub brand: Option<String>,
    /// Funding, where known.
    pub funding: Option<String>,
    /// Issuer's country, where known.
    pub country: Option<String>,
    /// Expiry.
    pub expiry: Option<Expiry>,
    /// State.
    pub status: Status,
    /// Once or at will.
    pub uses: Uses,
    /// Group.
    pub namespace: Option<Namespace>,
    /// One JSON object's text.
    pub metadata: Option<String>,
    /// Made.
    pub created_at: UnixMillis,
    /// Changed.
    pub updated_at: UnixMillis,
    /// Last revealed; a crash forgets the last minute of it.
    pub last_used_at: Option<UnixMillis>,
    /// Removed after this.
    pub expires_at: Option<UnixMillis>,
    /// How often it was changed, from 1.
    pub revision: Revision,
}

/// How a tokenize ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Tokenized {
    /// A new token.
    Created(View),
    /// The token that was there.
    Reused(View),
}

/// A revealed card.
pub struct Revealed {
    /// The number.
    pub pan: Pan,
    /// Its expiry.
    pub expiry: Option<Expiry>,
    /// Holder always; the rest when asked for.
    pub profile: Profile,
}

/// A field of a patch: left alone, cleared, or set.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Change<T> {
    /// As it is.
    #[default]
    Keep,
    /// Gone.
    Clear,
    /// New value.
    Set(T),
}

/// Changes to a record.
#[derive(Default)]
pub struct Patch {
    /// Card's expiry.
    pub expiry: Change<Expiry>,
    /// Holder.
    pub holder: Change<Zeroizing<String>>,
    /// The rest of the profile.
    pub extra: Change<Zeroizing<String>>,
    /// Metadata.
    pub metadata: Change<String>,
    /// When it is removed.
    pub expires_at: Change<UnixMillis>,
    /// `Active` or `Inactive`.
    pub status: Option<Status>,
    /// Only if the record still has this revision.
    pub if_revision: Option<Revision>,
}

/// What to look for; all that is given must hold.
#[derive(Default)]
pub struct Query {
    /// The card number.
    pub pan: Option<Pan>,
    /// The group.
    pub namespace: Option<Namespace>,
    /// The first 6 or 8 digits.
    pub bin: Option<String>,
    /// The last 4.
    pub last4: Option<String>,
    /// Card expires in this month or later.
    pub expiry_from: Option<Expiry>,
    /// Card expires in this month or earlier.
    pub expiry_to: Option<Expiry>,
    /// Changed then or later.
    pub updated_since: Option<UnixMillis>,
    /// State.
    pub status: Option<Status>,
    /// At most, 1 to 1,000.
    pub limit: u32,
    /// Where the page before ended.
    pub cursor: Option<String>,
}

/// A page of a search.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// In the order of the index that served it.
    pub tokens: Vec<View>,
    /// Where to go on, if there may be more.
    pub next: Option<String>,
}

/// A deletion receipt: JSON text, signed by the audit key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeletionReceipt(pub String);

/// Why the core did not do it, classed by whose fault it is.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    /// The caller's: the request cannot be done as it stands.
    #[error("{0}")]
    Caller(CallerError),
    /// Policy: not granted, capped.
    #[error("{0}")]
    Policy(PolicyError),
    /// A thing the vault needs does not work now; the same request may work later.
    #[error("{0}")]
    Dependency(DependencyError),
    /// What is stored is not what was written.
    #[error("{0}")]
    Integrity(IntegrityError),
}

/// The caller's faults.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CallerError {
    /// A field's value cannot be taken; the message never repeats it.
    #[error("{field}: {reason}")]
    Field {
        /// Its path, e.g. `card.number`.
        field: &'static str,
        /// Why.
        reason: String,
    },
    /// No such token in the repository.
    #[error("there is no such token")]
    UnknownToken,
    /// It is past its `expires_at`.
    #[error("the token has expired")]
    Expired,
    /// Its status is `inactive`: not to be used.
    #[error("the token is inactive")]
    Inactive,
    /// A single-use token that was used.
    #[error("the token was used")]
    Spent,
    /// The record has another revision.
    #[error("the record has revision {}", .now.0)]
    Revision {
        /// Its revision now.
        now: Revision,
    },
    /// A supplied token that exists, for another card.
    #[error("the supplied token is taken")]
    TokenTaken,
    /// The card is there already and the scope refuses a second.
    #[error("the card is stored already")]
    CardExists {
        /// Its token.
        token: Token,
    },
    /// All tokens of the format for this card's digits are taken.
    #[error("no token of this format is left for this card")]
    FormatExhausted,
    /// Another request came under the same idempotency key.
    #[error("the idempotency key was used for another request")]
    IdempotencyMismatch,
    /// Not a cursor of this search.
    #[error("the cursor does not belong to this search")]
    BadCursor,
    /// Someone changed it in between, several times over.
    #[error("the record is being changed by others")]
    Contended,
}

/// Policy's refusals.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// No credential was given.
    #[error("a credential is needed")]
    NoCredential,
    /// The credential is not good.
    #[error("the credential is not accepted")]
    BadCredential,
    /// Too many failures from this caller.
    #[error("too many failed logins")]
    LoginThrottled {
        /// Wait this long.
        retry_after_s: u64,
    },
    /// Not granted to this caller.
    #[error("the operation is not granted to this caller")]
    Denied,
    /// The merchant or its repository is suspended.
    #[error("the merchant is suspended")]
    Suspended,
    /// A cap on this operation is used up.
    #[error("the cap on this operation is used up")]
    Capped {
        /// Wait this long.
        retry_after_s: u64,
    },
}

/// What does not work now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DependencyError {
    /// Queue full.
    #[error("the HSM is busy")]
    HsmBusy,
    /// No worker.
    #[error("the HSM is not available")]
    HsmDown,
    /// No random bytes.
    #[error("no random bytes")]
    NoRandom,
    /// Writing is not possible now.
    #[error("the store takes no writes now")]
    StoreReadOnly,
    /// The store does not answer, or did not say how a commit ended.
    #[error("the store is not available")]
    StoreUnavailable,
}

/// Alarms.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IntegrityError {
    /// Ciphertext that does not open in its place.
    #[error("the record was tampered with")]
    Tampered,
    /// A record that cannot be read.
    #[error("the record is damaged")]
    Damaged,
    /// A record of a newer format than this program knows.
    #[error("the record was written by a newer version")]
    NewerFormat,
}
