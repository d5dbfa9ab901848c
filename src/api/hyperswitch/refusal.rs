//! What a client is told when its request was not done: an envelope with type, message and code.

use std::borrow::Cow;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use serde::Serialize;
use tracing::{debug, error, warn};

use crate::id::RequestId;

/// Why a request was not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    message: Cow<'static, str>,
    reason: Option<&'static str>,
    /// A body that could not be read has an envelope of its own.
    unread: bool,
    retry_after: Option<u64>,
    /// For the log only.
    log: Option<String>,
}

#[derive(Serialize)]
struct Envelope<'a> {
    error: Said<'a>,
}

#[derive(Serialize)]
struct Said<'a> {
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_type: Option<&'static str>,
    message: &'a str,
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            reason: None,
            unread: false,
            retry_after: None,
            log: None,
        }
    }

    /// A body that is not what it must be.
    pub(super) fn json(what: impl AsRef<str>) -> Self {
        let message = format!("Json deserialize error: {}", what.as_ref());
        Self {
            unread: true,
            ..Self::new(StatusCode::BAD_REQUEST, "IR_06", message)
        }
    }

    /// A query that is not what it must be.
    pub(super) fn query(what: impl AsRef<str>) -> Self {
        let message = format!("Query deserialize error: {}", what.as_ref());
        Self {
            unread: true,
            ..Self::new(StatusCode::BAD_REQUEST, "IR_06", message)
        }
    }

    /// Something is not there that must be.
    pub(super) fn missing(field: &str) -> Self {
        let message = format!("Missing required param: {field}");
        Self::new(StatusCode::BAD_REQUEST, "IR_04", message)
    }

    /// A value that cannot be taken.
    pub(super) fn value(field: &str) -> Self {
        let message = format!("Invalid value provided: {field}");
        Self::new(StatusCode::BAD_REQUEST, "IR_07", message)
    }

    /// What is understood and makes no sense.
    pub(super) fn unprocessable(message: &'static str) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "IR_06", message)
    }

    /// A condition that does not hold.
    pub(super) fn condition(message: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "IR_16", message)
    }

    pub(super) fn not_found(what: &'static str) -> Self {
        let message = format!("{what} does not exist in our records");
        Self::new(StatusCode::NOT_FOUND, "HE_02", message)
    }

    pub(super) fn no_route() -> Self {
        Self::new(StatusCode::NOT_FOUND, "IR_02", "Unrecognized request URL")
    }

    pub(super) fn method() -> Self {
        let message = "The HTTP method is not applicable for this API";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "IR_03", message)
    }

    pub(super) fn unauthorized() -> Self {
        let message = "API key not provided or invalid API key used";
        Self::new(StatusCode::UNAUTHORIZED, "IR_01", message)
    }

    pub(super) fn denied() -> Self {
        let message = "Access forbidden. Not authorized to access this resource";
        Self::new(StatusCode::FORBIDDEN, "IR_22", message)
    }

    /// Too often; the same request may be done in so many seconds.
    pub(super) fn too_often(seconds: u64) -> Self {
        Self {
            retry_after: Some(seconds),
            ..Self::new(StatusCode::TOO_MANY_REQUESTS, "HE_00", "Too many requests")
        }
    }

    /// Not now; the same request may be done in so many seconds.
    pub(super) fn not_now(seconds: u64, cause: impl ToString) -> Self {
        Self {
            retry_after: Some(seconds),
            log: Some(cause.to_string()),
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "HE_00", "Something went wrong")
        }
    }

    /// Something that must not be.
    pub(super) fn failed(cause: impl ToString) -> Self {
        Self {
            log: Some(cause.to_string()),
            ..Self::new(StatusCode::INTERNAL_SERVER_ERROR, "HE_00", "Something went wrong")
        }
    }

    /// With what is behind it.
    pub(super) fn because(self, reason: &'static str) -> Self {
        Self {
            reason: Some(reason),
            ..self
        }
    }

    /// The answer.
    pub(super) fn respond(self, request: Option<&RequestId>) -> Response {
        let request = request.map(RequestId::as_str);
        let (code, status) = (self.code, self.status.as_u16());
        match &self.log {
            Some(cause) if self.status.is_server_error() => error!(request, code, status, cause, "not done"),
            Some(cause) => warn!(request, code, status, cause, "not done"),
            None => debug!(request, code, status, "not done"),
        }
        let kind = match self.status.is_server_error() {
            true => "api",
            false => "invalid_request",
        };
        let envelope = Envelope {
            error: Said {
                kind: (!self.unread).then_some(kind),
                error_type: self.unread.then_some(kind),
                message: &self.message,
                code,
                reason: self.reason,
            },
        };
        let text = serde_json::to_vec(&envelope).unwrap_or_default();
        let mut response = Response::new(text.into());
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
