//! What a client is told when its request was not done: `ret_code` and `ret_msg`.

use std::borrow::Cow;

use axum::http::StatusCode;
use serde::Serialize;
use tracing::{debug, error, warn};

use crate::id::RequestId;

/// Why a request was not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    code: Cow<'static, str>,
    message: Cow<'static, str>,
    pub(super) retry_after: Option<u64>,
    /// For the log only.
    log: Option<String>,
}

#[derive(Serialize)]
struct Body<'a> {
    ret_code: &'a str,
    ret_msg: &'a str,
}

/// An invalid request.
pub(super) const INVALID: &str = "010000";
/// A system exception.
const SYSTEM: &str = "999999";

impl Refusal {
    pub(super) fn new(
        status: StatusCode,
        code: impl Into<Cow<'static, str>>,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            status,
            code: code.into(),
            message: message.into(),
            retry_after: None,
            log: None,
        }
    }

    /// A request that cannot be taken.
    pub(super) fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, INVALID, message)
    }

    /// A rule of the vendor's, by its code.
    pub(super) fn rule(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    /// Not let in.
    pub(super) fn unauthorized(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, code, message)
    }

    pub(super) fn denied(code: &'static str, message: &'static str) -> Self {
        Self::new(StatusCode::FORBIDDEN, code, message)
    }

    /// Too often; the same request may be done in so many seconds.
    pub(super) fn too_often(seconds: u64) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, INVALID, "Too many requests").after(seconds)
    }

    /// Not now; the same request may be done in so many seconds.
    pub(super) fn not_now(seconds: u64, cause: impl ToString) -> Self {
        Self {
            log: Some(cause.to_string()),
            ..Self::new(StatusCode::INTERNAL_SERVER_ERROR, SYSTEM, "System exception").after(seconds)
        }
    }

    /// Something that must not be.
    pub(super) fn failed(cause: impl ToString) -> Self {
        Self {
            log: Some(cause.to_string()),
            ..Self::new(StatusCode::INTERNAL_SERVER_ERROR, SYSTEM, "System exception")
        }
    }

    /// With the code that the operator wants for it.
    pub(super) fn with_code(self, code: &str) -> Self {
        Self {
            code: Cow::Owned(code.to_owned()),
            ..self
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
        let (code, status) = (self.code.as_ref(), self.status.as_u16());
        match &self.log {
            Some(cause) if self.retry_after.is_none() => error!(request, code, status, cause, "not done"),
            Some(cause) => warn!(request, code, status, cause, "not done"),
            None => debug!(request, code, status, "not done"),
        }
    }

    /// JSON text.
    pub(super) fn body(&self) -> Vec<u8> {
        let body = Body {
            ret_code: &self.code,
            ret_msg: &self.message,
        };
        serde_json::to_vec(&body).unwrap_or_default()
    }
}
