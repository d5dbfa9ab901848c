//! The one place where errors of bodies, of the core and of payments become refusals.

use axum::http::StatusCode;

use super::call::Call;
use super::operation::ApiOperation;
use super::refusal::Refusal;
use crate::api::body::BodyFault;
use crate::payment::{self, Part};
use crate::vault::types::{CallerError, Error, IntegrityError, PolicyError};

/// What the fields of a request are called, which depends on what it asks for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Names {
    operation: ApiOperation,
    /// The card comes from a token that the request names as its source.
    from_token: bool,
}

impl Names {
    /// The names in `call`.
    pub(super) fn of(call: &Call) -> Self {
        Self {
            operation: call.operation,
            from_token: call.fields.text(SOURCE_TOKEN).is_some(),
        }
    }

    /// An error of payments, told in these names.
    pub(super) fn refusal(self, error: impl Into<payment::Error>) -> Refusal {
        match error.into() {
            payment::Error::Core(error) => self.core(error),
            payment::Error::Missing(part) => Refusal::missing(self.part(part)),
            payment::Error::Invalid { part, reason } => {
                Refusal::invalid(self.part(part), None, &format!("{}.", capital(&reason)))
            }
            payment::Error::Unknown(part) => Refusal::invalid(self.part(part), None, "There is none of that id."),
            // a transaction answers it as a result of its own, LOCK_FAILURE, and does not come here with it
            payment::Error::Locked => Refusal::busy(StatusCode::SERVICE_UNAVAILABLE, 1, "the order is in use"),
            error @ payment::Error::Unwritten => Refusal::busy(StatusCode::SERVICE_UNAVAILABLE, 1, error),
            payment::Error::NoAcquirer => Refusal::request(
                StatusCode::BAD_REQUEST,
                "No acquirer is configured for this merchant, and only TEST merchants have a simulated one.",
            ),
            // this dialect has no network tokens
            payment::Error::NoNetworkTokens => Refusal::request(
                StatusCode::BAD_REQUEST,
                "No network token service is configured for this merchant, and only TEST merchants have a simulated one.",
            ),
            error @ payment::Error::NetworkTokenService => Refusal::busy(StatusCode::SERVICE_UNAVAILABLE, 5, error),
        }
    }

    /// The field that holds a part of the request.
    fn part(self, part: Part) -> &'static str {
        // the order's amount where it is made, the transaction's where the order stands
        let opens_order = matches!(
            self.operation,
            ApiOperation::Authorize | ApiOperation::Pay | ApiOperation::UpdateSession | ApiOperation::Verify
        );
        match part {
            Part::Amount if opens_order => "order.amount",
            Part::Amount => "transaction.amount",
            Part::Currency if opens_order => "order.currency",
            Part::Currency => "transaction.currency",
            Part::ExpiryMonth => "sourceOfFunds.provided.card.expiry.month",
            Part::ExpiryYear => "sourceOfFunds.provided.card.expiry.year",
            // this dialect has no network tokens
            Part::NetworkToken | Part::Number => NUMBER,
            Part::Operation => "apiOperation",
            Part::Order => "order.id",
            Part::Session => "session.id",
            Part::SessionVersion => "session.version",
            Part::Target => "transaction.targetTransactionId",
            Part::Token => self.token(),
            Part::Transaction => "transaction.id",
            Part::Verification => "verificationStrategy",
        }
    }

    /// The field with the token that the request is about.
    fn token(self) -> &'static str {
        match self.operation {
            ApiOperation::DeleteToken | ApiOperation::RetrieveToken => "token",
            ApiOperation::SearchTokens => "query",
            ApiOperation::Tokenize if !self.from_token => "token",
            _ => SOURCE_TOKEN,
        }
    }

    fn core(self, error: Error) -> Refusal {
        match error {
            Error::Caller(error) => self.caller(error),
            Error::Policy(error) => error.into(),
            Error::Dependency(error) => Refusal::busy(StatusCode::SERVICE_UNAVAILABLE, error.retry_after_s(), error),
            Error::Integrity(
                error @ (IntegrityError::Damaged
                | IntegrityError::KekDestroyed { .. }
                | IntegrityError::KekLeft { .. }
                | IntegrityError::NewerFormat
                | IntegrityError::Tampered),
            ) => Refusal::failed(error),
        }
    }

    fn caller(self, error: CallerError) -> Refusal {
        let token = |reason| Refusal::invalid(self.token(), None, reason);
        match error {
            CallerError::BadCursor => Refusal::invalid(
                "nextPage",
                None,
                "It is not what an earlier page of this merchant's gave.",
            ),
            CallerError::CardExists { .. } => {
                Refusal::invalid(NUMBER, None, "The card is stored already, under another token.")
            }
            CallerError::CardFixed => Refusal::invalid(
                NUMBER,
                None,
                "The token keeps digits of its card number, so the number cannot change.",
            ),
            CallerError::Contended => Refusal::busy(StatusCode::SERVICE_UNAVAILABLE, 1, error),
            CallerError::Expired | CallerError::UnknownToken => token("There is no such token."),
            CallerError::Field { field, reason } => {
                let reason = format!("It {reason}.");
                match self.field(field) {
                    Some(field) => Refusal::invalid(field, None, &reason),
                    None => Refusal::request(StatusCode::BAD_REQUEST, reason),
                }
            }
            CallerError::FormatExhausted => Refusal::invalid(
                NUMBER,
                None,
                "All tokens that keep these digits of a card number are given out.",
            ),
            // this dialect names no idempotency keys and no revisions of its own
            CallerError::IdempotencyMismatch => {
                Refusal::invalid("transaction.id", None, "Another request came under this id.")
            }
            CallerError::Revision { .. } => Refusal::busy(StatusCode::SERVICE_UNAVAILABLE, 1, error),
            // this dialect makes no tokens under these limits
            CallerError::NamespaceFull | CallerError::TooManyUpdates { .. } => {
                Refusal::busy(StatusCode::SERVICE_UNAVAILABLE, 1, error)
            }
            CallerError::Inactive => token("The token's status is INVALID."),
            CallerError::Replaced => token("Another token took over from it, so it cannot be changed; use that one."),
            CallerError::Spent => token("The token was good for one use, and that is done."),
            CallerError::TokenTaken => token("There is such a token for another card."),
        }
    }

    /// The field for a name of the core's.
    fn field(self, core: &'static str) -> Option<&'static str> {
        match core {
            "card.expiry" | "expiry" => Some("sourceOfFunds.provided.card.expiry.month"),
            "card.holder" | "holder" => Some("sourceOfFunds.provided.card.nameOnCard"),
            "card.number" | "pan" => Some(NUMBER),
            "cursor" => Some("nextPage"),
            "limit" => Some("limit"),
            "token" => Some(self.token()),
            _ if self.operation == ApiOperation::SearchTokens => Some("query"),
            _ => None,
        }
    }
}

impl From<PolicyError> for Refusal {
    fn from(error: PolicyError) -> Self {
        match error {
            PolicyError::BadCredential => Self::unauthorized("The credential is not accepted."),
            PolicyError::NoCredential => Self::unauthorized("A credential is needed."),
            PolicyError::Denied | PolicyError::Suspended => Self::rejected(error),
            PolicyError::Capped { retry_after_s } | PolicyError::LoginThrottled { retry_after_s } => {
                Self::busy(StatusCode::TOO_MANY_REQUESTS, retry_after_s, error)
            }
        }
    }
}

impl From<BodyFault> for Refusal {
    fn from(fault: BodyFault) -> Self {
        match fault {
            BodyFault::Broken => Self::request(StatusCode::BAD_REQUEST, "The body ended early."),
            BodyFault::Slow => Self::request(StatusCode::REQUEST_TIMEOUT, "The body did not come in time."),
            BodyFault::TooLarge(limit) => Self::request(
                StatusCode::PAYLOAD_TOO_LARGE,
                format!("The body is longer than {limit} bytes."),
            ),
        }
    }
}

fn capital(text: &str) -> String {
    let mut rest = text.chars();
    rest.next().map_or_else(String::new, |first| {
        format!("{}{}", first.to_ascii_uppercase(), rest.as_str())
    })
}

const NUMBER: &str = "sourceOfFunds.provided.card.number";
const SOURCE_TOKEN: &str = "sourceOfFunds.token";

#[cfg(test)]
mod tests;
