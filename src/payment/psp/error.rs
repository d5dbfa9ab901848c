//! Why there is no provider's token.

use super::Failure;
use crate::payment;
use crate::vault::types as core;

/// Why there is no provider's token of a card.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The core's reason, or what is wrong with the card or the vault's token: not found, not active, without expiry.
    #[error(transparent)]
    Payment(#[from] payment::Error),
    /// The merchant has no connector of that id.
    #[error("no connector of this id is configured for this merchant")]
    UnknownConnector,
    /// The connector is the simulator, and the merchant does business.
    #[error("the simulator serves TEST merchants only: no connector is configured for this merchant under this id")]
    SimulatorOnly,
    /// A text that goes with the card cannot be taken.
    #[error("{field} {reason}")]
    Text {
        /// Which: `holder`, or a field of [`Billing`](super::Billing).
        field: &'static str,
        /// Why; goes on after the field's name.
        reason: &'static str,
    },
    /// The provider made none.
    #[error("{0}")]
    Provider(Failure),
}

impl From<core::Error> for Error {
    fn from(error: core::Error) -> Self {
        Self::Payment(error.into())
    }
}
