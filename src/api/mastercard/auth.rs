//! Who asks: a password, or a certificate that the TLS front has seen.

use axum::http::header::{self, HeaderMap, HeaderName};
use axum::http::request::Parts;
use secrecy::ExposeSecret;

use super::refusal::Refusal;
use crate::api::Services;
use crate::id::{MerchantId, RequestId};
use crate::vault::BasicLogin;
use crate::vault::types::{Actor, Dialect, Error, Peer};

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
    let access = services.vault.access();
    let shown = shown(&parts.headers);
    let actor = match MerchantId::parse(merchant) {
        Err(_) => access.authenticate_nobody(peer, Dialect::Mastercard, request),
        Ok(merchant) => {
            let by_password = |request, user, password| {
                access.authenticate_basic(peer, Dialect::Mastercard, request, &merchant, user, password)
            };
            match (login, shown) {
                (Some(login), _) => by_password(request, login.user, login.password),
                (None, Shown::Password(login)) => {
                    let password = login.password.expose_secret();
                    by_password(request, Some(&login.user), Some(password))
                }
                (None, Shown::Nonsense) => by_password(request, Some(""), Some("")),
                (None, Shown::Certificate(header)) => {
                    access.authenticate_certificate(peer, Dialect::Mastercard, request, &merchant, header)
                }
                (None, Shown::Nothing) => by_password(request, None, None),
            }
        }
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
    let mut logins = headers.get_all(header::AUTHORIZATION).iter();
    if let Some(value) = logins.next() {
        let login = value.to_str().ok().and_then(BasicLogin::parse);
        return login
            .filter(|_| logins.next().is_none())
            .map_or(Shown::Nonsense, Shown::Password);
    }
    let mut certificates = headers.get_all(CLIENT_CERTIFICATE).iter();
    match (certificates.next().map(|value| value.to_str()), certificates.next()) {
        // which of several the front has set cannot be told
        (Some(_), Some(_)) | (Some(Err(_)), None) => Shown::Nonsense,
        // it sets it empty where the client showed none
        (None, _) | (Some(Ok("")), None) => Shown::Nothing,
        (Some(Ok(value)), None) => Shown::Certificate(value),
    }
}
