//! The one place where errors of the core, of bodies and of JSON become problems.

use std::fmt;

use super::problem::{Code, Problem};
use crate::api::body::BodyFault;
use crate::api::json::Fault;
use crate::vault::types::{CallerError, DependencyError, Error, IntegrityError, PolicyError};

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Caller(error) => error.into(),
            Error::Policy(error) => error.into(),
            Error::Dependency(error) => {
                let code = match error {
                    DependencyError::HsmBusy => Code::HsmBusy,
                    DependencyError::HsmDown => Code::HsmUnavailable,
                    DependencyError::NoRandom => Code::RandomUnavailable,
                    DependencyError::StoreReadOnly => Code::StoreReadOnly,
                    DependencyError::StoreUnavailable => Code::StoreUnavailable,
                };
                let seconds = error.retry_after_s();
                Self::not_now(code, error).after(seconds)
            }
            Error::Integrity(error @ (IntegrityError::KekDestroyed { .. } | IntegrityError::KekLeft { .. })) => {
                Self::new(Code::KeyDestroyed, sentence(&error))
            }
            Error::Integrity(error) => {
                let code = match error {
                    IntegrityError::Damaged
                    | IntegrityError::KekDestroyed { .. }
                    | IntegrityError::KekLeft { .. }
                    | IntegrityError::Tampered => Code::Integrity,
                    IntegrityError::NewerFormat => Code::Internal,
                };
                Self::broken(code, error)
            }
        }
    }
}

impl From<CallerError> for Problem {
    fn from(error: CallerError) -> Self {
        let text = sentence(&error);
        match error {
            CallerError::BadCursor => Self::new(Code::InvalidCursor, text).at("cursor"),
            CallerError::CardExists { .. } => Self::new(Code::CardExists, text),
            // no change of a card number comes through this dialect
            CallerError::CardFixed => Self::field("card.number", "cannot change"),
            CallerError::Contended => Self::new(Code::Contended, text).after(1),
            CallerError::Expired => Self::new(Code::TokenExpired, text),
            // The core has one kind of name for what it was given; here this one came as a header.
            CallerError::Field {
                field: "idempotency_key",
                reason,
            } => Self::header("Idempotency-Key", reason),
            CallerError::Field { field, reason } => Self::field(field, reason),
            CallerError::FormatExhausted => Self::new(Code::FormatExhausted, text),
            CallerError::IdempotencyMismatch => Self::new(Code::IdempotencyMismatch, text).at("Idempotency-Key"),
            CallerError::Inactive => Self::new(Code::TokenInactive, text),
            // this dialect makes no tokens under these limits
            CallerError::NamespaceFull => Self::field("namespace", "is full"),
            CallerError::Replaced => Self::new(Code::TokenReplaced, text),
            CallerError::Revision { .. } => Self::new(Code::RevisionMismatch, text).at("If-Match"),
            CallerError::Spent => Self::new(Code::TokenSpent, text),
            CallerError::TokenTaken => Self::new(Code::TokenTaken, text).at("token"),
            CallerError::TooManyUpdates { retry_after_s } => Self::new(Code::CapReached, text).after(retry_after_s),
            CallerError::UnknownToken => Self::new(Code::TokenUnknown, text),
        }
    }
}

impl From<PolicyError> for Problem {
    fn from(error: PolicyError) -> Self {
        let text = sentence(&error);
        match error {
            PolicyError::BadCredential => Self::new(Code::CredentialInvalid, text),
            PolicyError::Capped { retry_after_s } => Self::new(Code::CapReached, text).after(retry_after_s),
            PolicyError::Denied => Self::new(Code::Denied, text),
            PolicyError::LoginThrottled { retry_after_s } => Self::new(Code::LoginThrottled, text).after(retry_after_s),
            PolicyError::NoCredential => Self::new(Code::CredentialMissing, text),
            PolicyError::Suspended => Self::new(Code::MerchantSuspended, text),
        }
    }
}

impl From<BodyFault> for Problem {
    fn from(fault: BodyFault) -> Self {
        match fault {
            BodyFault::Broken => Self::new(Code::BodyIncomplete, "The body ended early."),
            BodyFault::Slow => Self::new(Code::BodyTimeout, "The body did not come in time."),
            BodyFault::TooLarge(limit) => {
                Self::new(Code::BodyTooLarge, format!("The body is longer than {limit} bytes."))
            }
        }
    }
}

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Field { path, why } => Self::field(path, why),
            Fault::Syntax { line, column } => Self::new(
                Code::MalformedJson,
                format!("The body is not JSON: reading stopped at line {line}, column {column}."),
            ),
        }
    }
}

/// An error's text as a sentence.
fn sentence(error: &impl fmt::Display) -> String {
    let text = error.to_string();
    let mut rest = text.chars();
    match rest.next() {
        Some(first) => format!("{}{}.", first.to_ascii_uppercase(), rest.as_str()),
        None => text,
    }
}

#[cfg(test)]
mod tests;
