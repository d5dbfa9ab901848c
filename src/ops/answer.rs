//! Answers to operators: JSON, and `{"error": …}` for a refusal.

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::header;
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt, Limited};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::vault::accounts::{AccountError, AdminActor};
use crate::vault::types::{Error, Peer};

/// A body's limit, in bytes.
const BODY: usize = 64 * 1024;
/// That of one with a manifest in it, which has 16 MiB at most and a quarter more as a JSON text.
const LARGE: usize = 20 << 20;

/// Why it was not done.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    text: String,
}

/// A JSON body.
pub(super) struct Json<T>(pub(super) T);

/// A JSON body with the manifest of a backup in it.
pub(super) struct LargeJson<T>(pub(super) T);

/// Who asks.
pub(super) struct Admin(pub(super) AdminActor);

/// The path's parameters, parsed.
pub(super) struct At<T>(pub(super) T);

impl Refusal {
    pub(super) fn new(status: StatusCode, text: impl Into<String>) -> Self {
        Self {
            status,
            text: text.into(),
        }
    }

    /// For people.
    pub(super) fn text(&self) -> &str {
        &self.text
    }
}

/// A JSON answer, not to be kept.
pub(super) fn answer(status: StatusCode, body: &impl Serialize) -> Response {
    let text = match serde_json::to_vec(body) {
        Ok(text) => text,
        Err(error) => {
            tracing::error!(%error, "an answer to an operator could not be written");
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
    };
    let mut response = of_kind("application/json", Body::from(text));
    *response.status_mut() = status;
    response
}

/// 200 with a body of this kind, which nobody keeps.
pub(super) fn of_kind(kind: &'static str, body: Body) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn status_of(error: &Error) -> StatusCode {
    match error {
        Error::Caller(_) => StatusCode::UNPROCESSABLE_ENTITY,
        Error::Policy(_) => StatusCode::FORBIDDEN,
        Error::Dependency(_) => StatusCode::SERVICE_UNAVAILABLE,
        Error::Integrity(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        if self.status.is_server_error() {
            tracing::warn!(
                status = self.status.as_u16(),
                error = self.text,
                "an operator was not served"
            );
        }
        answer(self.status, &json!({ "error": self.text }))
    }
}

impl From<AccountError> for Refusal {
    fn from(error: AccountError) -> Self {
        let status = match &error {
            AccountError::Exists(_)
            | AccountError::InUse(_)
            | AccountError::Limit { .. }
            | AccountError::Live { .. } => StatusCode::CONFLICT,
            AccountError::Field { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            AccountError::Unknown(_) => StatusCode::NOT_FOUND,
            AccountError::Vault(error) => status_of(error),
        };
        Self::new(status, error.to_string())
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::new(status_of(&error), error.to_string())
    }
}

impl From<crate::payment::Error> for Refusal {
    fn from(error: crate::payment::Error) -> Self {
        match error {
            crate::payment::Error::Core(error) => error.into(),
            other => Self::new(StatusCode::SERVICE_UNAVAILABLE, other.to_string()),
        }
    }
}

impl From<crate::store::Error> for Refusal {
    fn from(error: crate::store::Error) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Admin {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        match parts.extensions.get::<Peer>() {
            Some(peer) => Ok(Self(AdminActor { peer: *peer })),
            None => Err(Refusal::new(StatusCode::FORBIDDEN, "the caller is not known")),
        }
    }
}

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for At<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        match Path::<T>::from_request_parts(parts, state).await {
            Ok(Path(parsed)) => Ok(Self(parsed)),
            Err(_) => Err(Refusal::new(StatusCode::NOT_FOUND, "there can be nothing of that name")),
        }
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, _: &S) -> Result<Self, Refusal> {
        read(request, BODY).await.map(Self)
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for LargeJson<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, _: &S) -> Result<Self, Refusal> {
        read(request, LARGE).await.map(Self)
    }
}

async fn read<T: DeserializeOwned>(request: Request, most: usize) -> Result<T, Refusal> {
    let body = match Limited::new(request.into_body(), most).collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => {
            return Err(Refusal::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "the body cannot be read or is too long",
            ));
        }
    };
    // Bodies of operators hold no card data and no secret, so the reader's message may repeat them.
    serde_json::from_slice(&body).map_err(|error| Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, error.to_string()))
}
