//! The one place where errors of the core, of bodies and of JSON become refusals.

use axum::http::StatusCode;

use super::refusal::{Code, Refusal};
use crate::api::body::BodyFault;
use crate::api::json::Fault;
use crate::vault::types::{CallerError, DependencyError, Error, IntegrityError, PolicyError};

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        match error {
            Error::Caller(error) => error.into(),
            Error::Policy(error) => error.into(),
            Error::Dependency(error) => match error {
                DependencyError::HsmBusy | DependencyError::HsmDown | DependencyError::NoRandom => {
                    Self::not_now(error.retry_after_s(), error)
                }
                DependencyError::StoreReadOnly | DependencyError::StoreUnavailable => {
                    Self::no_store(error.retry_after_s(), error)
                }
            },
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
            CallerError::Field { field, reason } => match named(field) {
                Some(name) => Self::invalid(&format!("{name} {reason}")),
                // a repository with rules of another dialect, for one
                None => Self::failed(format!("{field} {reason}")),
            },
            CallerError::TokenTaken => Self::invalid("requestor_card_reference is taken"),
            CallerError::Contended => Self::not_now(1, error),
            // out of use by another dialect that shares the repository
            CallerError::Inactive | CallerError::Replaced | CallerError::Spent => {
                Self::denied("the card is out of use")
            }
            // not asked for in this dialect
            CallerError::BadCursor
            | CallerError::CardExists { .. }
            | CallerError::CardFixed
            | CallerError::FormatExhausted
            | CallerError::IdempotencyMismatch
            | CallerError::NamespaceFull
            | CallerError::Revision { .. }
            | CallerError::TooManyUpdates { .. } => Self::failed(error),
        }
    }
}

/// The member for a name of the core's.
fn named(field: &str) -> Option<&'static str> {
    match field {
        "card.holder" => Some("name_on_card"),
        "card.number" => Some("card_number"),
        "data" => Some("data"),
        "profile" => Some("card"),
        "token" => Some("requestor_card_reference"),
        _ => None,
    }
}

impl From<PolicyError> for Refusal {
    fn from(error: PolicyError) -> Self {
        match error {
            PolicyError::BadCredential | PolicyError::Denied | PolicyError::NoCredential => {
                Self::denied("the operation is not granted to this caller")
            }
            PolicyError::Suspended => Self::denied("the tenant is suspended"),
            PolicyError::Capped { retry_after_s } | PolicyError::LoginThrottled { retry_after_s } => {
                Self::rate_limited(retry_after_s)
            }
        }
    }
}

impl From<BodyFault> for Refusal {
    fn from(fault: BodyFault) -> Self {
        match fault {
            BodyFault::Broken => Self::text(StatusCode::BAD_REQUEST, "Failed to read the request body"),
            BodyFault::Slow => Self::text(StatusCode::REQUEST_TIMEOUT, "The request body did not come in time"),
            BodyFault::TooLarge(limit) => Self::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                Code::Validation,
                format!("the request body is longer than {limit} bytes"),
            ),
        }
    }
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Syntax { line, column } => Self::text(
                StatusCode::BAD_REQUEST,
                format!("Failed to parse the request body as JSON: at line {line} column {column}"),
            ),
            Fault::Field { path, why } => {
                let path = if path.is_empty() { "the body" } else { path.as_str() };
                Self::text(
                    StatusCode::UNPROCESSABLE_ENTITY,
                    format!("Failed to deserialize the JSON body into the target type: {path} {why}"),
                )
            }
        }
    }
}
