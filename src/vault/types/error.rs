//! Why the core did not do it.

use crate::id::{Revision, Token, UnixMillis};

/// A failure, classed by whose fault it is.
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
    /// Another token took over from it: only the account updater changes it now.
    #[error("the token was replaced by another")]
    Replaced,
    /// The token keeps digits of its card number, so the number cannot change.
    #[error("the token keeps digits of its card number")]
    CardFixed,
    /// The card is there already and the scope refuses a second.
    #[error("the card is stored already")]
    CardExists {
        /// Its token.
        token: Token,
    },
    /// All tokens of the format for this card's digits are taken.
    #[error("no token of this format is left for this card")]
    FormatExhausted,
    /// The namespace holds as many tokens as it may.
    #[error("the namespace is full")]
    NamespaceFull,
    /// The record was changed as often as it may be.
    #[error("the record was changed too often")]
    TooManyUpdates {
        /// Wait this long.
        retry_after_s: u64,
    },
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

impl DependencyError {
    /// After so many seconds the same request may work.
    pub fn retry_after_s(&self) -> u64 {
        match self {
            Self::HsmBusy => 1,
            Self::HsmDown | Self::NoRandom | Self::StoreUnavailable => 5,
            Self::StoreReadOnly => 30,
        }
    }
}

/// What is stored does not open: alarms, but for one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IntegrityError {
    /// The KEK that it is sealed under was destroyed: it is gone for good, by the vault's own hand. No alarm.
    #[error("the KEK of epoch {epoch} was destroyed on {on}: what was sealed under it is gone for good")]
    KekDestroyed {
        /// Which.
        epoch: u32,
        /// When.
        on: UnixMillis,
    },
    /// The KEK that it is sealed under is in a HSM that the vault has left. It did not open there either, which was told then. No
    /// alarm.
    #[error(
        "the KEK of epoch {epoch} is in a HSM that this vault left on {on}: what is still sealed under it opens no more"
    )]
    KekLeft {
        /// Which.
        epoch: u32,
        /// When.
        on: UnixMillis,
    },
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
