//! Who asks: a password, or a certificate that the TLS front has seen.

use axum::http::header::{self, HeaderMap, HeaderName};
use axum::http::request::Parts;
use secrecy::ExposeSecret;

use super::refusal::Refusal;
use crate::api::Services;
use crate::id::{MerchantId, RequestId};
use crate::vault::BasicLogin;
use crate::vault::types::{Actor, Dialect, Error, Peer, PolicyError};

/// The client's certificate as the TLS front forwards it: PEM, percent-encoded. Believed of the front's user only.
const CLIENT_CERTIFICATE: HeaderName = HeaderName::from_static("x-client-certificate");

/// A user and a password that a request gives among its fields.
pub(super) struct FieldLogin<'a> {
    pub(super) user: Option<&'a str>,
    pub(super) password: Option<&'a str>,
}

/// The actor behind a request for `merchant`: by the login in its fields if there is one, else by its `Authorization`
/// header, else by its certificate.
///
/// # Errors
/// Policy's.
pub(super) fn authenticate(
    services: &Services,
    parts: &Parts,
    merchant: &str,
    login: Option<FieldLogin<'_>>,
) -> Result<Actor, Refusal> {
    let peer = parts.extensions.get::<Peer>().copied();
    let request = parts.extensions.get::<RequestId>().cloned();
    let (Some(peer), Some(request)) = (peer, request) else {
        return Err(Refusal::failed("a request without a caller or a name"));
    };
    // what cannot be a merchant has no credential
    let merchant = MerchantId::parse(merchant).map_err(|_| PolicyError::BadCredential)?;
    let access = services.vault.access();
    let by_password = |user, password| {
        access.authenticate_basic(peer, Dialect::Mastercard, request.clone(), &merchant, user, password)
    };
    let actor = match (login, shown(&parts.headers)) {
        (Some(login), _) => by_password(login.user, login.password),
        (None, Shown::Password(login)) => by_password(Some(&login.user), Some(login.password.expose_secret())),
        (None, Shown::Nonsense) => by_password(Some(""), Some("")),
        (None, Shown::Certificate(header)) => {
            access.authenticate_certificate(peer, Dialect::Mastercard, request.clone(), &merchant, header)
        }
        (None, Shown::Nothing) => by_password(None, None),
    };
    actor.map_err(|error| match error {
        Error::Policy(error) => error.into(),
        error @ (Error::Caller(_) | Error::Dependency(_) | Error::Integrity(_)) => Refusal::failed(error),
    })
}

/// What the headers show.
enum Shown<'a> {
    Certificate(&'a str),
    /// A credential that is not good, and not none.
    Nonsense,
    Nothing,
    Password(BasicLogin),
}

fn shown(headers: &HeaderMap) -> Shown<'_> {
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        let login = value.to_str().ok().and_then(BasicLogin::parse);
        return login.map_or(Shown::Nonsense, Shown::Password);
    }
    match headers.get(CLIENT_CERTIFICATE).map(|value| value.to_str()) {
        // the front sets it empty where the client showed none
        None | Some(Ok("")) => Shown::Nothing,
        Some(Ok(value)) => Shown::Certificate(value),
        Some(Err(_)) => Shown::Nonsense,
    }
}
