//! Why a verb on a shopper's payments did not do it.

use crate::payment;
use crate::vault::types as core;

/// Why it was not done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A payment's own reason, or the core's.
    #[error(transparent)]
    Payment(#[from] payment::Error),
    /// To store a card, or to pay with a stored one, needs the shopper's name.
    #[error("shopper_reference is needed")]
    ShopperMissing,
    /// To store a card needs what for.
    #[error("token_usage is needed to store a card")]
    UsageMissing,
    /// The first payment of an agreement stores its card for charges.
    #[error("the first recurring payment needs store_payment_method = true and token_usage SUBSCRIPTION")]
    MustBeStored,
    /// A recurring payment says whether the shopper is there.
    #[error("mit is needed for a recurring payment")]
    MitMissing,
    /// A later payment of an agreement is the merchant's.
    #[error("mit must be true for a recurring payment that is not the first")]
    MitNotSet,
    /// The first payment of an agreement is the shopper's.
    #[error("mit must be false for the first recurring payment")]
    MitSet,
    /// There is no such agreement for this token and shopper.
    #[error("the agreement does not exist")]
    AgreementUnknown,
    /// It was cancelled, or its card is gone.
    #[error("the agreement is not active")]
    AgreementInactive,
    /// The token is not there, or not this shopper's: nobody learns which.
    #[error("the token cannot be used")]
    TokenUnknown,
    /// The token was stored for something else.
    #[error("the token was stored for another usage")]
    UsageDiffers,
    /// The id was used for another request.
    #[error("the id was used for another request")]
    IdTaken,
    /// There is no such payment or refund.
    #[error("there is no such payment")]
    Unknown,
    /// The session is over: paid, failed for good, or past its time.
    #[error("the session is over")]
    SessionOver,
    /// The merchant may not be told there.
    #[error("notify_url: its host is not among those that the operator allows")]
    NotifyUrl,
    /// Something else is being done with the payment.
    #[error("another operation on the payment is under way")]
    Busy,
    /// A subscription's card is stored, and the payer must have been told.
    #[error("the payer has to agree that the card is stored")]
    ConsentMissing,
    /// A stored card is used with its security code.
    #[error("the security code is needed")]
    CodeMissing,
}

impl From<core::Error> for Error {
    fn from(error: core::Error) -> Self {
        Self::Payment(error.into())
    }
}

impl From<core::CallerError> for Error {
    fn from(error: core::CallerError) -> Self {
        core::Error::from(error).into()
    }
}

impl From<crate::id::NoRandom> for Error {
    fn from(error: crate::id::NoRandom) -> Self {
        core::Error::from(error).into()
    }
}
