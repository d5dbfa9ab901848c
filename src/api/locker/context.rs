//! What a handler has in hand: the tenant that is acted for, and how to read and to answer.

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::refusal::Refusal;
use crate::api::{Services, body, json};
use crate::id::{MerchantId, RequestId};
use crate::vault::Vault;
use crate::vault::types::{Actor, Dialect, Error, Peer, PolicyError};

/// A body's limit, in bytes.
const BODY: usize = 1 << 20;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// A request that was let in.
pub(super) struct Context<'a> {
    pub(super) vault: &'a Vault,
    pub(super) actor: Actor,
    pub(super) parts: &'a Parts,
}

/// What is answered with 200: JSON text.
pub(super) struct Answer(Zeroizing<Vec<u8>>);

impl Answer {
    /// `room` is how long it may get, so that no growing leaves a copy of a card behind.
    pub(super) fn of(body: &impl Serialize, room: usize) -> Result<Self, Refusal> {
        let mut text = Zeroizing::new(Vec::with_capacity(room));
        serde_json::to_writer(&mut *text, body).map_err(Refusal::failed)?;
        Ok(Self(text))
    }

    pub(super) fn into_body(self) -> Zeroizing<Vec<u8>> {
        self.0
    }

    pub(super) fn respond(self) -> Response {
        let mut response = Response::new(Body::from(Bytes::from_owner(self.0)));
        response.headers_mut().insert(header::CONTENT_TYPE, JSON);
        response
    }
}

impl<'a> Context<'a> {
    /// Lets a request in, for the tenant that it names.
    ///
    /// # Errors
    /// No tenant, or one that is not there.
    pub(super) fn enter(services: &'a Services, parts: &'a Parts) -> Result<Self, Refusal> {
        let peer = parts.extensions.get::<Peer>().copied();
        let request = parts.extensions.get::<RequestId>().cloned();
        let (Some(peer), Some(request)) = (peer, request) else {
            return Err(Refusal::failed("a request without a caller or a name"));
        };
        let tenant = parts.headers.get("x-tenant-id").and_then(|value| value.to_str().ok());
        let tenant = tenant.ok_or_else(|| Refusal::tenant("x-tenant-id not found in headers"))?;
        let access = services.vault.access();
        let dialect = Dialect::HyperswitchLocker;
        let merchant = MerchantId::parse(tenant).ok();
        let entered = access.authenticate_process(peer, dialect, request, merchant.as_ref());
        let actor = entered.map_err(|error| match error {
            Error::Policy(PolicyError::BadCredential) => Refusal::tenant("there is no such tenant"),
            error => error.into(),
        })?;
        Ok(Self {
            vault: &services.vault,
            actor,
            parts,
        })
    }
}

/// Reads a request's body.
///
/// # Errors
/// Not JSON by its head, too long, or broken off.
pub(super) async fn body(parts: &Parts, body: Body) -> Result<Zeroizing<Vec<u8>>, Refusal> {
    let read = body::read(&parts.headers, body, BODY).await;
    let kind = parts.headers.get(header::CONTENT_TYPE);
    let kind = kind.and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !is_json(kind) {
        return Err(Refusal::text(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "Expected request with `Content-Type: application/json`",
        ));
    }
    Ok(read?)
}

/// Reads what a request asks for.
///
/// # Errors
/// In plain text, as the vendor's framework has it: 400 where it is no JSON, 422 where a member is wrong.
pub(super) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    Ok(json::parse(body)?)
}

/// `application/json`, or a type whose suffix says so.
fn is_json(kind: &str) -> bool {
    let essence = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match essence.strip_prefix("application/") {
        Some(subtype) => subtype == "json" || subtype.ends_with("+json"),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_known_by_its_type() {
        for good in [
            "application/json",
            "Application/JSON; charset=utf-8",
            "application/vnd.api+json",
        ] {
            assert!(is_json(good), "{good}");
        }
        for bad in ["", "text/json", "application/jsonx", "application/xml", "json"] {
            assert!(!is_json(bad), "{bad}");
        }
    }
}
