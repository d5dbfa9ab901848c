//! The one place where errors of the core, of payments, of bodies and of JSON become refusals.

use axum::http::StatusCode;

use super::refusal::Refusal;
use crate::api::body::BodyFault;
use crate::api::json::{Fault, Why};
use crate::payment::{self, Part, shopper};
use crate::vault::types::{CallerError, Error, IntegrityError, PolicyError};

impl From<shopper::Error> for Refusal {
    fn from(error: shopper::Error) -> Self {
        use shopper::Error as Why;
        let code = match &error {
            Why::Payment(_) => None,
            Why::ShopperMissing => Some("2008"),
            Why::MustBeStored => Some("2014"),
            Why::MitMissing => Some("2010"),
            Why::MitNotSet => Some("2011"),
            Why::MitSet => Some("2012"),
            Why::AgreementUnknown => Some("2015"),
            Why::AgreementInactive => Some("2016"),
            Why::TokenUnknown | Why::UsageDiffers => Some("2099"),
            Why::Busy
            | Why::CodeMissing
            | Why::ConsentMissing
            | Why::IdTaken
            | Why::NotifyUrl
            | Why::SessionOver
            | Why::Unknown
            | Why::UsageMissing => Some(super::refusal::INVALID),
        };
        match (error, code) {
            (Why::Payment(error), _) => error.into(),
            // vendor: the order does not exist
            (error @ Why::Unknown, _) => Self::new(StatusCode::NOT_FOUND, "206024", error.to_string()),
            (error, Some(code)) => Self::rule(code, error.to_string()),
            (error, None) => Self::failed(error),
        }
    }
}

impl From<payment::Error> for Refusal {
    fn from(error: payment::Error) -> Self {
        match error {
            payment::Error::Core(error) => error.into(),
            payment::Error::NoAcquirer => Self::rule("1016", "no acquirer is configured for this merchant"),
            payment::Error::Missing(part) => Self::invalid(format!("{} is missing", named(part))),
            payment::Error::Invalid { part, reason } => Self::invalid(format!("{}: {reason}", named(part))),
            payment::Error::Locked | payment::Error::Unwritten => {
                Self::invalid("another operation on the payment is under way: send the same request again")
            }
            payment::Error::Unknown(_) => Self::new(
                StatusCode::NOT_FOUND,
                super::refusal::INVALID,
                "there is no such payment",
            ),
            // no verb of this dialect ends so
            error @ (payment::Error::NetworkTokenService | payment::Error::NoNetworkTokens) => Self::failed(error),
        }
    }
}

/// The member for a part of a payment.
fn named(part: Part) -> &'static str {
    match part {
        Part::Amount => "amount",
        Part::Currency => "currency",
        Part::ExpiryMonth => "payment.exp_month",
        Part::ExpiryYear => "payment.exp_year",
        Part::Number => "payment.card_no",
        Part::Token => "payment.token",
        Part::NetworkToken
        | Part::Operation
        | Part::Order
        | Part::Session
        | Part::SessionVersion
        | Part::Target
        | Part::Transaction
        | Part::Verification => "order_id",
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
            CallerError::Field { field, reason } => {
                let name = match field {
                    "card.holder" => "payment.holder_name",
                    "card.number" => "payment.card_no",
                    "body" => "bill, shipping, goods or customer",
                    other => other,
                };
                Self::invalid(format!("{name} {reason}"))
            }
            CallerError::Contended => Self::not_now(1, error),
            CallerError::Expired
            | CallerError::Inactive
            | CallerError::Replaced
            | CallerError::Spent
            | CallerError::UnknownToken => Self::rule("2099", "the token cannot be used"),
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
            PolicyError::NoCredential => Self::unauthorized("1012", "the merchant has no public key here"),
            PolicyError::BadCredential => Self::unauthorized("2000", "the signature is not the merchant's"),
            PolicyError::Denied => Self::denied("1022", "the operation is not granted to this caller"),
            PolicyError::Suspended => Self::denied("1001", "the merchant is suspended"),
            PolicyError::Capped { retry_after_s } | PolicyError::LoginThrottled { retry_after_s } => {
                Self::too_often(retry_after_s)
            }
        }
    }
}

impl From<BodyFault> for Refusal {
    fn from(fault: BodyFault) -> Self {
        match fault {
            BodyFault::Broken => Self::invalid("the body broke off"),
            BodyFault::Slow => Self::invalid("the body did not come in time"),
            BodyFault::TooLarge(limit) => Self::invalid(format!("the body is longer than {limit} bytes")),
        }
    }
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Syntax { line, column } => Self::invalid(format!("not JSON at line {line} column {column}")),
            Fault::Field {
                path,
                why: Why::Missing,
            } => Self::invalid(format!("{path} is missing")),
            Fault::Field { path, why } if path.is_empty() => Self::invalid(format!("the body {why}")),
            Fault::Field { path, why } => Self::invalid(format!("{path} {why}")),
        }
    }
}
