//! What handlers take from a request. Each refuses with a [`Problem`].

use std::sync::Arc;

use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::HeaderValue;
use axum::http::header::{self, HeaderName};
use axum::http::request::Parts;
use hyper::body::Body as _;
use ring::digest::{SHA256, digest};
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::problem::{Code, Problem};
use super::translate;
use crate::api::{Services, body, json};
use crate::card::{BinTable, contains_live_pan};
use crate::id::{IdempotencyKey, RequestId, Revision, Token};
use crate::keys::SecretBytes;
use crate::vault::types::{Actor, Dialect, Idempotency, Peer};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The authenticated caller.
pub(super) struct Caller(pub(super) Actor);

/// The token in the path.
pub(super) struct PathToken(pub(super) Token);

/// The revision that the caller wants to change.
pub(super) struct IfMatch(pub(super) Option<Revision>);

/// The caller's key for a request that may be repeated.
pub(super) struct Repeatable(Option<IdempotencyKey>);

/// The caller's key, bound to one request: its operation and its body.
pub(super) struct Bound {
    key: IdempotencyKey,
    /// Not kept: the core keeps a MAC of this.
    request: Zeroizing<Vec<u8>>,
}

/// A JSON body of at most `LIMIT` bytes.
pub(super) struct Payload<const LIMIT: usize>(Zeroizing<Vec<u8>>);

impl Repeatable {
    /// Binds the key to the request. Reads the whole body, so it is done once for a batch.
    pub(super) fn bind(self, operation: &str, body: &[u8]) -> Option<Bound> {
        let key = self.0?;
        let body = digest(&SHA256, body);
        let request = Zeroizing::new([operation.as_bytes(), b"\n", body.as_ref()].concat());
        Some(Bound { key, request })
    }
}

impl Bound {
    /// For the core; the items of a batch share it.
    pub(super) fn idempotency(&self) -> Idempotency {
        Idempotency {
            key: self.key.clone(),
            request: SecretBytes::new(self.request.to_vec()),
        }
    }
}

impl<const LIMIT: usize> Payload<LIMIT> {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn parse<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        if self.0.is_empty() {
            return Err(Problem::new(Code::MalformedJson, "The body is empty."));
        }
        Ok(json::parse(&self.0)?)
    }

    /// As [`Payload::parse`]; no body and `null` are `{}`.
    pub(super) fn parse_or_default<T: DeserializeOwned + Default>(&self) -> Result<T, Problem> {
        match self.0.is_empty() {
            true => Ok(T::default()),
            false => self.parse::<Option<T>>().map(Option::unwrap_or_default),
        }
    }
}

impl FromRequestParts<Arc<Services>> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, services: &Arc<Services>) -> Result<Self, Problem> {
        let peer = parts.extensions.get::<Peer>().copied();
        let request = parts.extensions.get::<RequestId>().cloned();
        let (Some(peer), Some(request)) = (peer, request) else {
            return Err(Problem::internal("a request without a caller or a name"));
        };
        let header = parts.headers.get(header::AUTHORIZATION);
        // One that is not text is a credential that is not good, and not none.
        let shown = header.map(|value| value.to_str().unwrap_or_default());
        let access = services.vault.access();
        let actor = access.authenticate_bearer(peer, Dialect::Native, request, shown)?;
        Ok(Self(actor))
    }
}

impl FromRequestParts<Arc<Services>> for PathToken {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, services: &Arc<Services>) -> Result<Self, Problem> {
        // What cannot be a token is no token.
        let unknown = || Problem::new(Code::TokenUnknown, "There is no such token.");
        let Path(text) = Path::<String>::from_request_parts(parts, services)
            .await
            .map_err(|_| unknown())?;
        Token::parse(&text).map(Self).map_err(|_| unknown())
    }
}

impl FromRequestParts<Arc<Services>> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Services>) -> Result<Self, Problem> {
        match parts.headers.get(header::IF_MATCH) {
            None => Ok(Self(None)),
            Some(value) => translate::if_match(value.to_str().unwrap_or_default()).map(Self),
        }
    }
}

impl FromRequestParts<Arc<Services>> for Repeatable {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Services>) -> Result<Self, Problem> {
        let Some(value) = parts.headers.get(IDEMPOTENCY_KEY) else {
            return Ok(Self(None));
        };
        let refused = |reason: &'static str| Problem::header("Idempotency-Key", reason);
        let key = IdempotencyKey::parse(value.to_str().unwrap_or_default())
            .map_err(|_| refused("must be 1 to 128 printable ASCII characters without spaces"))?;
        // The core looks with the shop's own card ranges, too; here a batch is refused as a whole.
        if contains_live_pan(key.as_str(), &BinTable::built_in()) {
            return Err(refused("holds what looks like a card number"));
        }
        Ok(Self(Some(key)))
    }
}

impl<const LIMIT: usize> FromRequest<Arc<Services>> for Payload<LIMIT> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &Arc<Services>) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let empty = body.size_hint().exact() == Some(0);
        if !empty && !parts.headers.get(header::CONTENT_TYPE).is_some_and(is_json) {
            return Err(Problem::new(
                Code::UnsupportedMediaType,
                "The Content-Type must be application/json.",
            ));
        }
        Ok(Self(body::read(&parts.headers, body, LIMIT).await?))
    }
}

fn is_json(value: &HeaderValue) -> bool {
    let text = value.to_str().unwrap_or_default();
    let essence = text.split(';').next().unwrap_or_default().trim();
    ["application/json", "application/merge-patch+json"]
        .iter()
        .any(|known| essence.eq_ignore_ascii_case(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_told_from_other_types() {
        assert!(is_json(&HeaderValue::from_static("application/json")));
        assert!(is_json(&HeaderValue::from_static("Application/JSON; charset=utf-8")));
        assert!(!is_json(&HeaderValue::from_static("application/jsonp")));
        assert!(!is_json(&HeaderValue::from_static("text/plain")));
    }

    #[test]
    fn an_idempotency_key_is_bound_to_operation_and_body() {
        let bound = |operation, body: &[u8]| {
            let repeatable = Repeatable(Some(IdempotencyKey::parse("k1").unwrap()));
            let bound = repeatable.bind(operation, body).unwrap();
            bound.idempotency().request.expose().to_vec()
        };
        assert_eq!(bound("create", b"{}"), bound("create", b"{}"));
        assert_ne!(bound("create", b"{}"), bound("create", b"{ }"));
        assert_ne!(bound("create", b"{}"), bound("batch", b"{}"));
        assert!(Repeatable(None).bind("create", b"{}").is_none());
    }
}
