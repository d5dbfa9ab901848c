//! Why a verb of customers and payment methods did not do it.

use crate::payment;
use crate::vault::types as core;

/// Why a verb of customers and payment methods did not do it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What payments had against it, or the core.
    #[error(transparent)]
    Payment(#[from] payment::Error),
    /// There is a customer whom the merchant calls so.
    #[error("there is a customer of that reference")]
    CustomerExists,
    /// What is to be kept needs a customer.
    #[error("a customer is needed")]
    CustomerMissing,
    /// The customer's data was removed.
    #[error("the customer was redacted")]
    CustomerRedacted,
    /// There is no such customer.
    #[error("there is no such customer")]
    CustomerUnknown,
    /// The card is past its expiry.
    #[error("the card is past its expiry")]
    CardExpired,
    /// The payment method is the customer's default already.
    #[error("the payment method is the default already")]
    IsDefault,
    /// The customer has the card already, and a second is refused.
    #[error("the customer has the card already")]
    MethodExists,
    /// One that waits in memory only cannot be changed.
    #[error("the payment method cannot be changed")]
    MethodFixed,
    /// The payment method was deleted.
    #[error("the payment method was deleted")]
    MethodRedacted,
    /// The payment method does not wait for a card.
    #[error("the payment method does not wait for a card")]
    MethodNotAwaited,
    /// There is no such payment method, or it is not in use.
    #[error("there is no such payment method")]
    MethodUnknown,
    /// The session is past its time.
    #[error("the session has expired")]
    SessionExpired,
    /// As many payment methods as a session takes were added in it.
    #[error("no more payment methods can be added in the session")]
    SessionFull,
    /// Not the session's secret.
    #[error("the session has another secret")]
    SessionSecret,
    /// There is no such session.
    #[error("there is no such session")]
    SessionUnknown,
}

impl From<core::Error> for Error {
    fn from(error: core::Error) -> Self {
        Self::Payment(error.into())
    }
}

impl From<core::CallerError> for Error {
    fn from(error: core::CallerError) -> Self {
        core::Error::Caller(error).into()
    }
}

impl From<crate::id::NoRandom> for Error {
    fn from(error: crate::id::NoRandom) -> Self {
        core::Error::from(error).into()
    }
}
