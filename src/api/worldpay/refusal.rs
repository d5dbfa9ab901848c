//! What a client is told when its request was not done: `errorName`, `message`, and every fault of a body at once.

use std::borrow::Cow;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use serde::Serialize;
use tracing::{debug, error, warn};

use super::media::Media;
use crate::id::RequestId;

/// Why a request was not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    body: Body,
    hint: Option<Hint>,
    /// For the log only.
    log: Option<String>,
}

/// What a client can do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hint {
    /// Use one of these methods.
    Allow(&'static str),
    /// The same again, after so many seconds.
    RetryAfter(u64),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    error_name: &'static str,
    message: Cow<'static, str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    validation_errors: Vec<Fault>,
}

/// What is wrong with a member of a body. It never repeats the value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Fault {
    pub(super) error_name: &'static str,
    pub(super) message: String,
    pub(super) json_path: String,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, name: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            body: Body {
                error_name: name,
                message: message.into(),
                validation_errors: Vec::new(),
            },
            hint: None,
            log: None,
        }
    }

    /// A body that is not as it must be.
    pub(super) fn schema(faults: Vec<Fault>) -> Self {
        let mut refusal = Self::new(
            StatusCode::BAD_REQUEST,
            "bodyDoesNotMatchSchema",
            "The json body provided does not match the expected schema",
        );
        refusal.body.validation_errors = faults;
        refusal
    }

    /// One fault of a body.
    pub(super) fn fault(name: &'static str, path: &str, message: impl Into<String>) -> Self {
        Self::schema(vec![Fault {
            error_name: name,
            message: message.into(),
            json_path: path.to_owned(),
        }])
    }

    pub(super) fn not_found() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "resourceNotFound",
            "Requested resource was not found",
        )
    }

    pub(super) fn method() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "methodNotAllowed",
            "Requested method is not allowed",
        )
    }

    /// With the methods that are known.
    pub(super) fn allowing(self, methods: &'static str) -> Self {
        Self {
            hint: Some(Hint::Allow(methods)),
            ..self
        }
    }

    pub(super) fn denied() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "accessDenied",
            "Access to the requested resource has been denied",
        )
    }

    pub(super) fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", "Invalid authentication")
    }

    /// Too often; the same request may be done in so many seconds.
    pub(super) fn rate_limited(seconds: u64) -> Self {
        Self {
            hint: Some(Hint::RetryAfter(seconds)),
            ..Self::new(
                StatusCode::TOO_MANY_REQUESTS,
                "apiRateLimitExceeded",
                "Too many requests",
            )
        }
    }

    /// Not now; the same request may be done in so many seconds.
    pub(super) fn not_now(seconds: u64, cause: impl ToString) -> Self {
        Self {
            hint: Some(Hint::RetryAfter(seconds)),
            log: Some(cause.to_string()),
            ..Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "internalErrorOccurred",
                "Internal server error",
            )
        }
    }

    /// Something that must not be.
    pub(super) fn failed(cause: impl ToString) -> Self {
        Self {
            log: Some(cause.to_string()),
            ..Self::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "internalErrorOccurred",
                "Internal server error",
            )
        }
    }

    /// May be repeated after so many seconds.
    pub(super) fn after(self, seconds: u64) -> Self {
        Self {
            hint: Some(Hint::RetryAfter(seconds)),
            ..self
        }
    }

    /// The answer.
    pub(super) fn respond(self, media: Media, request: Option<&RequestId>) -> Response {
        let request = request.map(RequestId::as_str);
        let (name, status) = (self.body.error_name, self.status.as_u16());
        match &self.log {
            Some(cause) if self.status.is_server_error() => error!(request, name, status, cause, "not done"),
            Some(cause) => warn!(request, name, status, cause, "not done"),
            None => debug!(request, name, status, "not done"),
        }
        let text = serde_json::to_vec(&self.body).unwrap_or_default();
        let mut response = Response::new(text.into());
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, media.content_type());
        if self.status == StatusCode::UNAUTHORIZED {
            let realm = HeaderValue::from_static("Basic realm=\"panvault\", charset=\"UTF-8\"");
            headers.insert(header::WWW_AUTHENTICATE, realm);
        }
        match self.hint {
            Some(Hint::Allow(methods)) => {
                headers.insert(header::ALLOW, HeaderValue::from_static(methods));
            }
            Some(Hint::RetryAfter(seconds)) => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
            }
            None => {}
        }
        response
    }
}
