//! What a client is told when its request was not done: `code`, `message` and `data`; and plain text for a body that is not
//! shaped as it must be.

use std::borrow::Cow;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use serde::Serialize;
use tracing::{debug, error, warn};

use crate::id::RequestId;

/// What went wrong, by the vendor's codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Code {
    /// Processing: keys, rights.
    Processing,
    /// The store.
    Database,
    /// Not there.
    NotFound,
    /// What was sent.
    Validation,
}

/// Why a request was not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    /// Plain text without.
    code: Option<Code>,
    message: Cow<'static, str>,
    pub(super) retry_after: Option<u64>,
    /// For the log only.
    log: Option<String>,
}

#[derive(Serialize)]
struct Body<'a> {
    code: &'static str,
    message: &'a str,
    data: Option<()>,
}

impl Code {
    fn as_str(self) -> &'static str {
        match self {
            Self::Processing => "TE_00",
            Self::Database => "TE_01",
            Self::NotFound => "TE_02",
            Self::Validation => "TE_03",
        }
    }
}

impl Refusal {
    pub(super) fn new(status: StatusCode, code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            code: Some(code),
            message: message.into(),
            retry_after: None,
            log: None,
        }
    }

    /// In plain text.
    pub(super) fn text(status: StatusCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code: None,
            ..Self::new(status, Code::Validation, message)
        }
    }

    /// A value that cannot be taken.
    pub(super) fn invalid(why: &str) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            Code::Validation,
            format!("Failed while validation: {why}"),
        )
    }

    pub(super) fn ttl() -> Self {
        Self::new(StatusCode::BAD_REQUEST, Code::Validation, "TTL is invalid")
    }

    pub(super) fn tenant(why: &str) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            Code::Validation,
            format!("Tenant error: {why}"),
        )
    }

    pub(super) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, Code::NotFound, "Requested resource not found")
    }

    pub(super) fn method() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, Code::Validation, "Method not allowed")
    }

    /// Not granted to this caller, or not now.
    pub(super) fn denied(why: &'static str) -> Self {
        Self::new(StatusCode::FORBIDDEN, Code::Processing, why)
    }

    /// Too often; the same request may be done in so many seconds.
    pub(super) fn rate_limited(seconds: u64) -> Self {
        Self::text(StatusCode::TOO_MANY_REQUESTS, "Rate Limit Applied").after(seconds)
    }

    /// Not now; the same request may be done in so many seconds.
    pub(super) fn not_now(seconds: u64, cause: impl ToString) -> Self {
        Self::unavailable(Code::Processing, seconds, cause)
    }

    /// The store takes or gives nothing now.
    pub(super) fn no_store(seconds: u64, cause: impl ToString) -> Self {
        Self::unavailable(Code::Database, seconds, cause)
    }

    fn unavailable(code: Code, seconds: u64, cause: impl ToString) -> Self {
        Self {
            log: Some(cause.to_string()),
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, code, "Something went wrong").after(seconds)
        }
    }

    /// Something that must not be.
    pub(super) fn failed(cause: impl ToString) -> Self {
        Self {
            log: Some(cause.to_string()),
            ..Self::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                Code::Processing,
                "Something went wrong",
            )
        }
    }

    fn after(self, seconds: u64) -> Self {
        Self {
            retry_after: Some(seconds),
            ..self
        }
    }

    /// Tells the log.
    pub(super) fn log(&self, request: Option<&RequestId>) {
        let request = request.map(RequestId::as_str);
        let (code, status) = (self.code.map_or("text", Code::as_str), self.status.as_u16());
        match &self.log {
            Some(cause) if self.status.is_server_error() => error!(request, code, status, cause, "not done"),
            Some(cause) => warn!(request, code, status, cause, "not done"),
            None => debug!(request, code, status, "not done"),
        }
    }

    /// The answer.
    pub(super) fn respond(self, request: Option<&RequestId>) -> Response {
        self.log(request);
        let (kind, text) = self.body();
        let mut response = Response::new(text.into());
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }

    /// Content type and text.
    pub(super) fn body(&self) -> (&'static str, Vec<u8>) {
        let Some(code) = self.code else {
            return ("text/plain; charset=utf-8", self.message.as_bytes().to_vec());
        };
        let body = Body {
            code: code.as_str(),
            message: &self.message,
            data: None,
        };
        ("application/json", serde_json::to_vec(&body).unwrap_or_default())
    }
}
