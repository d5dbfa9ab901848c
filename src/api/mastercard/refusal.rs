//! What a client is told when its request was not done.

use std::borrow::Cow;

use axum::http::StatusCode;
use tracing::{debug, error, warn};

use super::tree::Tree;
use crate::id::RequestId;

/// Why a request was not done, in the API's terms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    cause: Cause,
    /// For people: whole sentences.
    explanation: Option<Cow<'static, str>>,
    field: Option<(Cow<'static, str>, Validation)>,
    pub(super) retry_after: Option<u64>,
    /// For the log only.
    log: Option<String>,
}

/// Whose fault it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    InvalidRequest,
    RequestRejected,
    ServerBusy,
    ServerFailed,
}

/// What is wrong with a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Validation {
    Invalid,
    Missing,
    Unsupported,
}

impl Refusal {
    /// A field whose value cannot be taken. `value` is repeated where it can hold no card data; `reason` is a sentence.
    pub(super) fn invalid(field: impl Into<Cow<'static, str>>, value: Option<&str>, reason: &str) -> Self {
        let field = match field.into() {
            Cow::Owned(name) => Cow::Owned(shown(&name)),
            fixed @ Cow::Borrowed(_) => fixed,
        };
        let explanation = match value.filter(|value| may_be_shown(&field, value)) {
            Some(value) => format!("Value '{value}' is invalid. {reason}"),
            None => format!("The value is invalid. {reason}"),
        };
        Self::field(field, Validation::Invalid, explanation)
    }

    /// A field that the operation needs.
    pub(super) fn missing(field: impl Into<Cow<'static, str>>) -> Self {
        Self::field(
            field.into(),
            Validation::Missing,
            "The field is needed and is not there.",
        )
    }

    /// A field that the operation does not take.
    pub(super) fn unsupported(name: &str) -> Self {
        Self::field(
            Cow::Owned(shown(name)),
            Validation::Unsupported,
            "The field is not supported here.",
        )
    }

    /// A field that is given twice.
    pub(super) fn twice(name: &str) -> Self {
        Self::field(
            Cow::Owned(shown(name)),
            Validation::Invalid,
            "The field is given twice.",
        )
    }

    /// A request that is wrong as a whole; `explanation` is a sentence.
    pub(super) fn request(status: StatusCode, explanation: impl Into<Cow<'static, str>>) -> Self {
        Self {
            explanation: Some(explanation.into()),
            ..Self::new(status, Cause::InvalidRequest)
        }
    }

    /// A credential that is missing or not good: answered with a challenge.
    pub(super) fn unauthorized(explanation: &'static str) -> Self {
        Self::request(StatusCode::UNAUTHORIZED, explanation)
    }

    /// Refused by policy.
    pub(super) fn rejected(cause: impl ToString) -> Self {
        Self {
            log: Some(cause.to_string()),
            ..Self::new(StatusCode::FORBIDDEN, Cause::RequestRejected)
        }
    }

    /// Not now; the same request may be done in so many seconds.
    pub(super) fn busy(status: StatusCode, seconds: u64, cause: impl ToString) -> Self {
        Self {
            explanation: Some("This cannot be done now; the same request may be done later.".into()),
            retry_after: Some(seconds),
            log: Some(cause.to_string()),
            ..Self::new(status, Cause::ServerBusy)
        }
    }

    /// Something that must not be.
    pub(super) fn failed(cause: impl ToString) -> Self {
        Self {
            log: Some(cause.to_string()),
            ..Self::new(StatusCode::INTERNAL_SERVER_ERROR, Cause::ServerFailed)
        }
    }

    /// The answer's fields, `correlationId` not among them. The support code is the request's name, by which it is found
    /// in log and audit trail.
    pub(super) fn tree(&self, request: Option<&RequestId>) -> Tree {
        let mut tree = Tree::new();
        tree.text("result", "ERROR");
        tree.text("error.cause", self.cause.as_str());
        if let Some(explanation) = &self.explanation {
            tree.text("error.explanation", explanation.clone());
        }
        if let Some((field, validation)) = &self.field {
            tree.text("error.field", field.clone());
            tree.text("error.validationType", validation.as_str());
        }
        if let (Cause::RequestRejected | Cause::ServerFailed, Some(request)) = (self.cause, request) {
            tree.text("error.supportCode", request.as_str().to_owned());
        }
        tree
    }

    /// Writes what is not the caller's doing to the log; called once for each refusal.
    pub(super) fn log(&self, request: &RequestId) {
        let Some(cause) = self.log.as_deref() else { return };
        match self.cause {
            Cause::ServerFailed => error!(%request, cause, "failed"),
            // Policy's refusals are in the audit trail, the load in the metrics.
            Cause::InvalidRequest | Cause::RequestRejected => debug!(%request, cause, "refused"),
            Cause::ServerBusy => match self.status {
                StatusCode::SERVICE_UNAVAILABLE if self.retry_after > Some(1) => warn!(%request, cause, "not served"),
                _ => debug!(%request, cause, "not served"),
            },
        }
    }

    fn new(status: StatusCode, cause: Cause) -> Self {
        Self {
            status,
            cause,
            explanation: None,
            field: None,
            retry_after: None,
            log: None,
        }
    }

    fn field(field: Cow<'static, str>, validation: Validation, explanation: impl Into<Cow<'static, str>>) -> Self {
        Self {
            field: Some((field, validation)),
            ..Self::request(StatusCode::BAD_REQUEST, explanation)
        }
    }
}

impl Cause {
    fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "INVALID_REQUEST",
            Self::RequestRejected => "REQUEST_REJECTED",
            Self::ServerBusy => "SERVER_BUSY",
            Self::ServerFailed => "SERVER_FAILED",
        }
    }
}

impl Validation {
    fn as_str(self) -> &'static str {
        match self {
            Self::Invalid => "INVALID",
            Self::Missing => "MISSING",
            Self::Unsupported => "UNSUPPORTED",
        }
    }
}

/// The name of a field, unless it may hold data itself.
fn shown(name: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'[' | b']');
    match name.len() <= NAME_SHOWN && name.bytes().all(plain) && few_digits(name) {
        true => name.to_owned(),
        false => "(name not shown)".to_owned(),
    }
}

/// Whether a field's value may stand in an explanation, and so in a client's log.
fn may_be_shown(field: &str, value: &str) -> bool {
    let secret = field == "query"
        || ["number", "securityCode", "password", "nameOnCard", "nextPage"]
            .iter()
            .any(|name| field.to_ascii_lowercase().ends_with(&name.to_ascii_lowercase()));
    let plain = value.bytes().all(|b| b.is_ascii_graphic() || b == b' ');
    !secret && plain && value.len() <= VALUE_SHOWN && few_digits(value)
}

/// Too few digits for a card number, however they are spread.
fn few_digits(text: &str) -> bool {
    text.bytes().filter(u8::is_ascii_digit).count() <= 8
}

/// A longer name of a field is not shown.
const NAME_SHOWN: usize = 120;
/// A longer value is not shown.
const VALUE_SHOWN: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    fn told(refusal: &Refusal) -> String {
        String::from_utf8(refusal.tree(None).to_json()).unwrap()
    }

    #[test]
    fn a_value_is_told_unless_it_may_be_secret() {
        let told = |field: &'static str, value| told(&Refusal::invalid(field, Some(value), "Why."));
        assert_eq!(
            told("sourceOfFunds.provided.card.expiry.month", "13"),
            r#"{"error":{"cause":"INVALID_REQUEST","explanation":"Value '13' is invalid. Why.","field":"sourceOfFunds.provided.card.expiry.month","validationType":"INVALID"},"result":"ERROR"}"#
        );
        for (field, value) in [
            ("sourceOfFunds.provided.card.number", "1"),
            ("sourceOfFunds.provided.card.securityCode", "9x9"),
            ("apiPassword", "9x9"),
            ("query", "9x9"),
            ("order.reference", "4111111111111111"),
            ("order.reference", "4111-1111 x 1111.1111"),
            ("order.reference", "9x9\n"),
            ("order.reference", "a value that is too long to be repeated, 9x9"),
        ] {
            let told = told(field, value);
            assert!(told.contains("\"The value is invalid. Why.\""), "{told}");
            assert!(!told.contains(value), "{told}");
        }
    }

    #[test]
    fn a_name_is_told_unless_it_may_hold_data() {
        assert!(told(&Refusal::unsupported("order.item[12].x")).contains("\"order.item[12].x\""));
        for name in [
            "4111111111111111",
            "a.4111-1111-1111-1111",
            "a b",
            "é",
            &"a".repeat(121),
        ] {
            let told = told(&Refusal::unsupported(name));
            assert!(told.contains("(name not shown)") && !told.contains(name), "{told}");
        }
    }

    #[test]
    fn only_what_is_not_the_callers_doing_has_a_support_code() {
        let request = RequestId::parse("req_1").unwrap();
        let told = |refusal: Refusal| String::from_utf8(refusal.tree(Some(&request)).to_json()).unwrap();
        assert_eq!(
            told(Refusal::failed("disk on fire")),
            r#"{"error":{"cause":"SERVER_FAILED","supportCode":"req_1"},"result":"ERROR"}"#
        );
        assert_eq!(
            told(Refusal::rejected("not granted")),
            r#"{"error":{"cause":"REQUEST_REJECTED","supportCode":"req_1"},"result":"ERROR"}"#
        );
        let busy = told(Refusal::busy(StatusCode::SERVICE_UNAVAILABLE, 1, "queue"));
        assert!(busy.contains("SERVER_BUSY") && busy.contains("explanation") && !busy.contains("supportCode"));
        assert!(!busy.contains("queue"));
        assert!(told(Refusal::missing("a")).contains(r#""field":"a","validationType":"MISSING""#));
    }
}
