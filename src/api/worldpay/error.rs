//! The one place where errors of the core, of payments and of bodies become refusals.

use axum::http::StatusCode;

use super::card::PAST;
use super::refusal::Refusal;
use crate::api::body::BodyFault;
use crate::payment::{self, Part};
use crate::vault::types::{CallerError, Error, IntegrityError, PolicyError};

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
            CallerError::UnknownToken | CallerError::Expired => Self::not_found(),
            CallerError::NamespaceFull => Self::new(
                StatusCode::FORBIDDEN,
                "tooManyTokensForNamespace",
                "Too many tokens created for this namespace",
            ),
            CallerError::TooManyUpdates { retry_after_s } => Self::new(
                StatusCode::TOO_MANY_REQUESTS,
                "maximumUpdatesExceeded",
                "Maximum number of updates for this token exceeded",
            )
            .after(retry_after_s),
            CallerError::Field { field, reason } => match path(field) {
                Some(path) => Self::fault("fieldHasInvalidValue", path, format!("The value {reason}")),
                // a repository with rules of another dialect, for one
                None => Self::failed(format!("{field} {reason}")),
            },
            CallerError::Contended => Self::not_now(1, error),
            // out of use by another dialect that shares the repository
            CallerError::Inactive | CallerError::Replaced | CallerError::Spent => Self::denied(),
            // not asked for in this dialect
            CallerError::BadCursor
            | CallerError::CardExists { .. }
            | CallerError::CardFixed
            | CallerError::FormatExhausted
            | CallerError::IdempotencyMismatch
            | CallerError::Revision { .. }
            | CallerError::TokenTaken => Self::failed(error),
        }
    }
}

/// The member for a name of the core's.
fn path(field: &str) -> Option<&'static str> {
    match field {
        "card.holder" => Some("$.paymentInstrument.cardHolderName"),
        "card.number" => Some("$.paymentInstrument.cardNumber"),
        "expires_at" => Some("$.tokenExpiryDateTime"),
        "profile" => Some("$"),
        _ => None,
    }
}

impl From<PolicyError> for Refusal {
    fn from(error: PolicyError) -> Self {
        match error {
            PolicyError::BadCredential | PolicyError::NoCredential => Self::unauthorized(),
            PolicyError::Denied => Self::denied(),
            PolicyError::Suspended => Self::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "tokenizationNotEnabled",
                "Tokenization not enabled",
            ),
            PolicyError::Capped { retry_after_s } | PolicyError::LoginThrottled { retry_after_s } => {
                Self::rate_limited(retry_after_s)
            }
        }
    }
}

impl From<payment::Error> for Refusal {
    fn from(error: payment::Error) -> Self {
        match error {
            payment::Error::Core(error) => error.into(),
            payment::Error::NoAcquirer => Self::denied(),
            payment::Error::NoNetworkTokens => Self::new(
                StatusCode::FORBIDDEN,
                "nptConfigurationError",
                "Account not configured to use NPT",
            ),
            payment::Error::NetworkTokenService => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "networkProviderError",
                "Network Token Provider Error",
            )
            .after(5),
            payment::Error::Unknown(_) => Self::not_found(),
            // the card of a token that a network token was asked for
            payment::Error::Invalid {
                part: Part::ExpiryYear, ..
            }
            | payment::Error::Missing(Part::ExpiryMonth) => {
                Self::fault("fieldHasInvalidValue", "$.paymentInstrument.cardExpiryDate", PAST)
            }
            payment::Error::Invalid { part: Part::Token, .. } => Self::not_found(),
            payment::Error::Invalid { .. }
            | payment::Error::Locked
            | payment::Error::Missing(_)
            | payment::Error::Unwritten => Self::failed(error),
        }
    }
}

impl From<BodyFault> for Refusal {
    fn from(fault: BodyFault) -> Self {
        match fault {
            BodyFault::Broken => not_json(),
            BodyFault::Slow => Self::new(
                StatusCode::REQUEST_TIMEOUT,
                "bodyIsNotJson",
                "The body did not come in time",
            ),
            BodyFault::TooLarge(limit) => Self::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "bodyDoesNotMatchSchema",
                format!("The body is longer than {limit} bytes"),
            ),
        }
    }
}

pub(super) fn not_json() -> Refusal {
    Refusal::new(
        StatusCode::BAD_REQUEST,
        "bodyIsNotJson",
        "The body within the request is not valid json",
    )
}
