//! Problem documents (RFC 9457).

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tracing::{debug, error, warn};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, ResponseBuilder};
use utoipa::{IntoResponses, ToSchema};

use crate::id::RequestId;

/// What went wrong, as the caller is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    code: Code,
    /// A sentence, or what goes on from the name of the field.
    text: Cow<'static, str>,
    field: Option<Cow<'static, str>>,
    retry_after: Option<u64>,
    /// For the log only.
    cause: Option<String>,
}

/// A stable name for each kind of problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Code {
    BodyIncomplete,
    BodyTimeout,
    BodyTooLarge,
    CapReached,
    CardExists,
    Contended,
    CredentialInvalid,
    CredentialMissing,
    Denied,
    FormatExhausted,
    HsmBusy,
    HsmUnavailable,
    IdempotencyMismatch,
    Integrity,
    Internal,
    InvalidCursor,
    InvalidField,
    InvalidHeader,
    KeyDestroyed,
    LoginThrottled,
    MalformedJson,
    MerchantSuspended,
    MethodNotAllowed,
    NotFound,
    RandomUnavailable,
    RevisionMismatch,
    StoreReadOnly,
    StoreUnavailable,
    TokenExpired,
    TokenInactive,
    TokenReplaced,
    TokenSpent,
    TokenTaken,
    TokenUnknown,
    UnsupportedMediaType,
}

/// A problem document.
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(super) struct Document<'a> {
    /// `urn:panvault:problem:` and the code.
    r#type: String,
    title: &'static str,
    status: u16,
    /// For people; may change.
    #[schema(value_type = String)]
    pub(super) detail: Cow<'a, str>,
    /// Stable, for programs.
    code: &'static str,
    /// The member or header at fault, where one is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    field: Option<&'a str>,
    /// The request, as in `X-Request-Id`; not in the items of a batch.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    request_id: Option<&'a str>,
    /// Seconds, as in `Retry-After`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    retry_after: Option<u64>,
}

impl Problem {
    pub(super) fn new(code: Code, text: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            text: text.into(),
            field: None,
            retry_after: None,
            cause: None,
        }
    }

    /// A member of the body that cannot be taken; the empty path is the body itself. `reason` goes on from the name.
    pub(super) fn field(path: impl Into<Cow<'static, str>>, reason: impl fmt::Display) -> Self {
        Self {
            field: Some(path.into()),
            ..Self::new(Code::InvalidField, reason.to_string())
        }
    }

    /// A header that cannot be taken.
    pub(super) fn header(name: &'static str, reason: impl Into<Cow<'static, str>>) -> Self {
        Self {
            field: Some(name.into()),
            ..Self::new(Code::InvalidHeader, reason)
        }
    }

    /// Something that must not happen; `cause` goes to the log.
    pub(super) fn internal(cause: impl fmt::Display) -> Self {
        Self::broken(Code::Internal, cause)
    }

    /// Something the vault needs does not work; `cause` goes to the log.
    pub(super) fn not_now(code: Code, cause: impl fmt::Display) -> Self {
        Self {
            cause: Some(cause.to_string()),
            ..Self::new(code, "This cannot be done now; the same request may work later.")
        }
    }

    /// Something that must not be; `cause` goes to the log.
    pub(super) fn broken(code: Code, cause: impl fmt::Display) -> Self {
        Self {
            cause: Some(cause.to_string()),
            ..Self::new(code, "Something is wrong on the vault's side; its log says what.")
        }
    }

    /// Names what is at fault.
    pub(super) fn at(self, field: &'static str) -> Self {
        Self {
            field: Some(field.into()),
            ..self
        }
    }

    /// Says when to come again, in seconds.
    pub(super) fn after(self, seconds: u64) -> Self {
        Self {
            retry_after: Some(seconds),
            ..self
        }
    }

    /// For requests that have the card's members at the top: names them there.
    pub(super) fn without_card(mut self) -> Self {
        if let Some(bare) = self.field.as_deref().and_then(|field| field.strip_prefix("card.")) {
            self.field = Some(bare.to_owned().into());
        }
        self
    }

    pub(super) fn code(&self) -> Code {
        self.code
    }

    pub(super) fn status(&self) -> StatusCode {
        self.code.facts().0
    }

    pub(super) fn document<'a>(&'a self, request: Option<&'a RequestId>) -> Document<'a> {
        let (status, code, title) = self.code.facts();
        let field = self.field.as_deref().filter(|field| !field.is_empty());
        let detail = match self.code {
            Code::InvalidField | Code::InvalidHeader => {
                Cow::Owned(format!("{} {}.", field.unwrap_or("The body"), self.text))
            }
            _ => Cow::Borrowed(self.text.as_ref()),
        };
        Document {
            r#type: format!("urn:panvault:problem:{code}"),
            title,
            status: status.as_u16(),
            detail,
            code,
            field,
            request_id: request.map(RequestId::as_str),
            retry_after: self.retry_after,
        }
    }

    /// Writes what is not the caller's doing to the log; called once for each problem.
    pub(super) fn log(&self, request: &RequestId) {
        let Some(cause) = self.cause.as_deref() else { return };
        let code = self.code.facts().1;
        match self.code {
            // The load is in the metrics; a line for each refusal would add to it.
            Code::HsmBusy => debug!(%request, code, cause, "not served"),
            Code::Integrity | Code::Internal => error!(%request, code, cause, "failed"),
            _ => warn!(%request, code, cause, "not served"),
        }
    }

    /// The answer.
    pub(super) fn render(&self, request: Option<&RequestId>) -> Response {
        let body = serde_json::to_vec(&self.document(request)).unwrap_or_default();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        match self.code {
            Code::CredentialMissing => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            Code::CredentialInvalid => {
                let challenge = HeaderValue::from_static("Bearer error=\"invalid_token\"");
                headers.insert(header::WWW_AUTHENTICATE, challenge);
            }
            _ => {}
        }
        response
    }
}

impl Code {
    /// Status, name and title.
    fn facts(self) -> (StatusCode, &'static str, &'static str) {
        use StatusCode as S;
        match self {
            Self::BodyIncomplete => (S::BAD_REQUEST, "body_incomplete", "Incomplete body"),
            Self::BodyTimeout => (S::REQUEST_TIMEOUT, "body_timeout", "Body too slow"),
            Self::BodyTooLarge => (S::PAYLOAD_TOO_LARGE, "body_too_large", "Body too large"),
            Self::CapReached => (S::TOO_MANY_REQUESTS, "cap_reached", "Cap reached"),
            Self::CardExists => (S::CONFLICT, "card_exists", "Card is stored already"),
            Self::Contended => (S::CONFLICT, "contended", "Changed by others at the same time"),
            Self::CredentialInvalid => (S::UNAUTHORIZED, "credential_invalid", "Credential not accepted"),
            Self::CredentialMissing => (S::UNAUTHORIZED, "credential_missing", "Credential needed"),
            Self::Denied => (S::FORBIDDEN, "denied", "Not granted"),
            Self::FormatExhausted => (S::CONFLICT, "format_exhausted", "No token of this format left"),
            Self::HsmBusy => (S::SERVICE_UNAVAILABLE, "hsm_busy", "HSM busy"),
            Self::HsmUnavailable => (S::SERVICE_UNAVAILABLE, "hsm_unavailable", "HSM not available"),
            Self::IdempotencyMismatch => (
                S::UNPROCESSABLE_ENTITY,
                "idempotency_mismatch",
                "Another request had this idempotency key",
            ),
            Self::Integrity => (S::INTERNAL_SERVER_ERROR, "integrity", "Stored data failed its check"),
            Self::Internal => (S::INTERNAL_SERVER_ERROR, "internal", "Internal error"),
            Self::InvalidCursor => (S::BAD_REQUEST, "invalid_cursor", "Invalid cursor"),
            Self::InvalidField => (S::UNPROCESSABLE_ENTITY, "invalid_field", "Invalid field"),
            Self::InvalidHeader => (S::BAD_REQUEST, "invalid_header", "Invalid header"),
            Self::KeyDestroyed => (S::GONE, "key_destroyed", "Its key was destroyed"),
            Self::LoginThrottled => (S::TOO_MANY_REQUESTS, "login_throttled", "Too many failed logins"),
            Self::MalformedJson => (S::BAD_REQUEST, "malformed_json", "Malformed JSON"),
            Self::MerchantSuspended => (S::FORBIDDEN, "merchant_suspended", "Merchant suspended"),
            Self::MethodNotAllowed => (S::METHOD_NOT_ALLOWED, "method_not_allowed", "Method not allowed"),
            Self::NotFound => (S::NOT_FOUND, "not_found", "Not found"),
            Self::RandomUnavailable => (S::SERVICE_UNAVAILABLE, "random_unavailable", "No random bytes"),
            Self::RevisionMismatch => (S::PRECONDITION_FAILED, "revision_mismatch", "Revision mismatch"),
            Self::StoreReadOnly => (S::SERVICE_UNAVAILABLE, "store_read_only", "Store takes no writes"),
            Self::StoreUnavailable => (S::SERVICE_UNAVAILABLE, "store_unavailable", "Store not available"),
            Self::TokenExpired => (S::GONE, "token_expired", "Token expired"),
            Self::TokenInactive => (S::CONFLICT, "token_inactive", "Token inactive"),
            Self::TokenReplaced => (S::CONFLICT, "token_replaced", "Token replaced"),
            Self::TokenSpent => (S::GONE, "token_spent", "Token spent"),
            Self::TokenTaken => (S::CONFLICT, "token_taken", "Token taken"),
            Self::TokenUnknown => (S::NOT_FOUND, "token_unknown", "Unknown token"),
            Self::UnsupportedMediaType => (
                S::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                "Unsupported media type",
            ),
        }
    }
}

/// Leaves the rendering to the layer around the dialect, which knows the request's name.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// What every operation of the OpenAPI document lists.
impl IntoResponses for Problem {
    fn responses() -> BTreeMap<String, RefOr<utoipa::openapi::Response>> {
        let response = |description| {
            let content = ContentBuilder::new()
                .schema(Some(Ref::from_schema_name("Problem")))
                .build();
            let response = ResponseBuilder::new().description(description);
            RefOr::T(response.content("application/problem+json", content).build())
        };
        BTreeMap::from([
            ("4XX".to_owned(), response("The request cannot be done as it stands")),
            ("5XX".to_owned(), response("The vault cannot do it now")),
        ])
    }
}
