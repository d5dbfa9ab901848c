//! Who asks: HTTP Basic, a credential's id and its password.

use axum::http::header;
use axum::http::request::Parts;
use secrecy::ExposeSecret;

use super::refusal::Refusal;
use crate::api::Services;
use crate::id::RequestId;
use crate::vault::BasicLogin;
use crate::vault::types::{Actor, Dialect, Error, Peer};

/// The actor behind a request.
///
/// # Errors
/// Policy's.
pub(super) fn authenticate(services: &Services, parts: &Parts) -> Result<Actor, Refusal> {
    let peer = parts.extensions.get::<Peer>().copied();
    let request = parts.extensions.get::<RequestId>().cloned();
    let (Some(peer), Some(request)) = (peer, request) else {
        return Err(Refusal::failed("a request without a caller or a name"));
    };
    let mut headers = parts.headers.get_all(header::AUTHORIZATION).iter();
    let login = match (headers.next(), headers.next()) {
        (None, _) => None,
        (Some(value), None) => Some(value.to_str().ok().and_then(BasicLogin::parse)),
        // which of several is meant cannot be told
        (Some(_), Some(_)) => Some(None),
    };
    let shown = match &login {
        None => None,
        Some(None) => Some(("", "")),
        Some(Some(login)) => Some((login.user.as_str(), login.password.expose_secret())),
    };
    services
        .vault
        .access()
        .authenticate_named(peer, Dialect::Worldpay, request, shown)
        .map_err(|error| match error {
            Error::Policy(error) => error.into(),
            error @ (Error::Caller(_) | Error::Dependency(_) | Error::Integrity(_)) => Refusal::failed(error),
        })
}
