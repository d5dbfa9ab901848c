//! The one place where errors of the core, of payments, of customers and payment methods, and of bodies become refusals.

use axum::http::StatusCode;

use super::refusal::Refusal;
use crate::api::body::BodyFault;
use crate::payment::wallet;
use crate::payment::{self, Part};
use crate::vault::types::{CallerError, Error, IntegrityError, PolicyError};

impl From<wallet::Error> for Refusal {
    fn from(error: wallet::Error) -> Self {
        let bad_request = |code, message: &'static str| Self::new(StatusCode::BAD_REQUEST, code, message);
        match error {
            wallet::Error::Payment(error) => error.into(),
            wallet::Error::CustomerExists => bad_request(
                "IR_12",
                "Customer with the given `customer_id` already exists (`merchant_reference_id`)",
            ),
            wallet::Error::CustomerMissing => Self::missing("customer_id"),
            wallet::Error::CustomerRedacted => bad_request("IR_11", "Customer has already been redacted"),
            wallet::Error::CustomerUnknown => Self::not_found("Customer"),
            wallet::Error::CardExpired => Self::condition("Card Expired"),
            wallet::Error::IsDefault => Self::condition("Payment Method is already set as default"),
            wallet::Error::MethodExists => bad_request(
                "HE_01",
                "The payment method with the specified details already exists in our records",
            ),
            wallet::Error::MethodFixed => bad_request("IR_19", "Payment method type not supported")
                .because("A payment method that is not stored cannot be updated"),
            wallet::Error::MethodRedacted => bad_request("IR_11", "Payment method has already been redacted"),
            wallet::Error::MethodNotAwaited => {
                Self::unprocessable("Invalid pm_id provided: This Payment method cannot be confirmed")
            }
            wallet::Error::MethodUnknown => Self::not_found("Payment method"),
            wallet::Error::SessionExpired => bad_request("IR_09", "The client_secret provided has expired"),
            wallet::Error::SessionFull => Self::condition("No more payment methods can be added in this session"),
            wallet::Error::SessionSecret => Self::new(StatusCode::UNAUTHORIZED, "IR_15", "Invalid client_secret"),
            wallet::Error::SessionUnknown => Self::not_found("Payment methods session"),
        }
    }
}

impl From<payment::Error> for Refusal {
    fn from(error: payment::Error) -> Self {
        match error {
            payment::Error::Core(error) => error.into(),
            payment::Error::Unknown(Part::NetworkToken) => Self::not_found("Network token"),
            // no verb of this dialect ends so
            payment::Error::Invalid { .. }
            | payment::Error::Locked
            | payment::Error::Missing(_)
            | payment::Error::NetworkTokenService
            | payment::Error::NoAcquirer
            | payment::Error::NoNetworkTokens
            | payment::Error::Unknown(_)
            | payment::Error::Unwritten => Self::failed(error),
        }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        match error {
            Error::Caller(error) => error.into(),
            Error::Policy(error) => error.into(),
            Error::Dependency(error) => Self::not_now(error.retry_after_s(), error),
            Error::Integrity(
                error @ (IntegrityError::Damaged
                | IntegrityError::KekDestroyed { .. }
                | IntegrityError::KekLeft { .. }
                | IntegrityError::NewerFormat
                | IntegrityError::Tampered),
            ) => Self::failed(error),
        }
    }
}

impl From<CallerError> for Refusal {
    fn from(error: CallerError) -> Self {
        match error {
            CallerError::UnknownToken | CallerError::Expired => Self::not_found("Payment method"),
            CallerError::Field { field, reason } => {
                let name = match field {
                    "card.holder" => "card_holder_name",
                    "card.number" => "card_number",
                    "payment_method" => "payment_method_data, billing, metadata or connector_token_details",
                    other => other,
                };
                Self::value(&format!("{name} {reason}"))
            }
            CallerError::Contended => Self::not_now(1, error),
            // out of use by another dialect that shares the repository
            CallerError::Inactive | CallerError::Replaced | CallerError::Spent => Self::denied(),
            // not asked for in this dialect
            CallerError::BadCursor
            | CallerError::CardExists { .. }
            | CallerError::CardFixed
            | CallerError::FormatExhausted
            | CallerError::IdempotencyMismatch
            | CallerError::NamespaceFull
            | CallerError::Revision { .. }
            | CallerError::TokenTaken
            | CallerError::TooManyUpdates { .. } => Self::failed(error),
        }
    }
}

impl From<PolicyError> for Refusal {
    fn from(error: PolicyError) -> Self {
        match error {
            PolicyError::BadCredential => Self::unauthorized(),
            PolicyError::NoCredential => Self::missing("Authorization"),
            PolicyError::Denied | PolicyError::Suspended => Self::denied(),
            PolicyError::Capped { retry_after_s } | PolicyError::LoginThrottled { retry_after_s } => {
                Self::too_often(retry_after_s)
            }
        }
    }
}

impl From<BodyFault> for Refusal {
    fn from(fault: BodyFault) -> Self {
        match fault {
            BodyFault::Broken => Self::json("the body broke off"),
            BodyFault::Slow => Self::new(StatusCode::REQUEST_TIMEOUT, "IR_06", "The body did not come in time"),
            BodyFault::TooLarge(limit) => Self::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "IR_06",
                format!("The body is longer than {limit} bytes"),
            ),
        }
    }
}
