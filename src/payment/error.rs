//! Why a payment verb did not do it.

use crate::vault::types as core;

/// A part of a request, whatever a dialect calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The amount.
    Amount,
    /// The currency.
    Currency,
    /// The month of the expiry.
    ExpiryMonth,
    /// The year of the expiry.
    ExpiryYear,
    /// The network token, by its reference or by its number.
    NetworkToken,
    /// The card number.
    Number,
    /// The operation: it does not fit the order as it stands.
    Operation,
    /// The order's id.
    Order,
    /// The session's id.
    Session,
    /// The session's version.
    SessionVersion,
    /// The target transaction's id.
    Target,
    /// The token.
    Token,
    /// The transaction's id.
    Transaction,
    /// How the card is to be checked.
    Verification,
}

/// Why a payment verb did not do it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The core's reason.
    #[error(transparent)]
    Core(#[from] core::Error),
    /// A part of the request is missing.
    #[error("{0:?} is missing")]
    Missing(Part),
    /// A part of the request cannot be taken. The text never repeats its value.
    #[error("{part:?}: {reason}")]
    Invalid {
        /// Which.
        part: Part,
        /// Why; a sentence without its full stop.
        reason: String,
    },
    /// There is no such order, transaction, session or network token.
    #[error("there is no such {0:?}")]
    Unknown(Part),
    /// Another operation on the order is under way.
    #[error("the order is in use")]
    Locked,
    /// The acquirer was asked, and what it answered could not be written down because another wrote to the order. The
    /// transaction is pending: the same request again completes it.
    #[error("the order changed while the acquirer was asked")]
    Unwritten,
    /// The merchant is live and no acquirer (or account updater, which comes with it) is configured for it.
    #[error("no acquirer is configured for this merchant")]
    NoAcquirer,
    /// The merchant is live and no network token service is configured for it.
    #[error("no network token service is configured for this merchant")]
    NoNetworkTokens,
    /// The network token service did not do it: it does not answer, or has reasons that are not about the card.
    #[error("the network token service did not do it")]
    NetworkTokenService,
}

impl Error {
    /// What is stored is not what was written.
    pub(super) fn damaged() -> Self {
        Self::Core(core::Error::Integrity(core::IntegrityError::Damaged))
    }

    /// Whether the request itself is at fault, or what it refers to, rather than the order's state of use or a part of the
    /// vault that does not work now.
    pub(super) fn is_of_request(&self) -> bool {
        match self {
            Self::Missing(_) | Self::Invalid { .. } | Self::Unknown(_) => true,
            Self::Core(_)
            | Self::Locked
            | Self::NetworkTokenService
            | Self::NoAcquirer
            | Self::NoNetworkTokens
            | Self::Unwritten => false,
        }
    }
}
