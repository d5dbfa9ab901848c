//! Who asks: an API key, in a header of its own or in `Authorization`, and the profile that it acts for.

use axum::http::request::Parts;
use axum::http::{HeaderMap, header};

use super::refusal::Refusal;
use crate::api::Services;
use crate::id::{RepositoryName, RequestId};
use crate::vault::types::{Actor, Dialect, Peer};

const API_KEY: &str = "api-key";
const PROFILE: &str = "x-profile-id";

/// The actor behind a request.
///
/// # Errors
/// No key or profile; policy's; a profile that is not the merchant's.
pub(super) fn authenticate(services: &Services, parts: &Parts) -> Result<Actor, Refusal> {
    let peer = parts.extensions.get::<Peer>().copied();
    let request = parts.extensions.get::<RequestId>().cloned();
    let (Some(peer), Some(request)) = (peer, request) else {
        return Err(Refusal::failed("a request without a caller or a name"));
    };
    let key = key(&parts.headers).ok_or_else(|| Refusal::missing("Authorization"))?;
    if key.is_empty() {
        return Err(Refusal::unauthorized());
    }
    let profile = profile(&parts.headers)?;
    let access = services.vault.access();
    let actor = access.authenticate_key(peer, Dialect::Hyperswitch, request, Some(key))?;
    // a profile is the repository that a merchant acts in
    if actor.repository_name != profile {
        return Err(Refusal::not_found("Business profile"));
    }
    Ok(actor)
}

/// The key that a request shows; empty where there is a header that shows none.
fn key(headers: &HeaderMap) -> Option<&str> {
    if let Some(value) = headers.get(API_KEY) {
        return Some(value.to_str().unwrap_or_default().trim());
    }
    let value = headers.get(header::AUTHORIZATION)?.to_str().unwrap_or_default();
    let named = value.split(',').find_map(|part| part.trim().strip_prefix("api-key="));
    // the page shows one request with the key alone
    Some(named.unwrap_or(value).trim())
}

fn profile(headers: &HeaderMap) -> Result<RepositoryName, Refusal> {
    let value = headers
        .get(PROFILE)
        .ok_or_else(|| Refusal::unprocessable("Missing header key: `X-Profile-Id`"))?;
    let text = value.to_str().unwrap_or_default();
    RepositoryName::parse(text).map_err(|_| Refusal::unprocessable("`X-Profile-Id` header is invalid"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_in_every_form() {
        let shown = |name: &'static str, value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            key(&headers).map(str::to_owned)
        };
        for (name, value) in [
            ("api-key", "pv_a_b"),
            ("authorization", "api-key=pv_a_b"),
            ("authorization", "x=y, api-key=pv_a_b"),
            ("authorization", "api-key=pv_a_b,client-secret=c"),
            ("authorization", "pv_a_b"),
        ] {
            assert_eq!(shown(name, value).as_deref(), Some("pv_a_b"), "{name}: {value}");
        }
        assert_eq!(shown("authorization", "api-key=").as_deref(), Some(""));
        assert_eq!(key(&HeaderMap::new()), None);
    }
}
