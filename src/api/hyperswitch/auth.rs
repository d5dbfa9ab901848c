//! Who asks: an API key, in a header of its own or in `Authorization`, and the profile that it acts for.

use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use data_encoding::BASE64;
use zeroize::Zeroizing;

use super::refusal::Refusal;
use crate::api::Services;
use crate::id::{MerchantId, RepositoryName, RequestId};
use crate::payment::wallet::Text;
use crate::vault::types::{Actor, Dialect, Peer};

const API_KEY: &str = "api-key";
const PROFILE: &str = "x-profile-id";
/// What a publishable key begins with; the merchant's id follows. It is no secret: a session's is.
const PUBLISHABLE: &str = "pk_";

/// What a request shows.
enum Shown<'a> {
    /// An API key; empty where a header is there that shows none.
    Key(&'a str),
    /// What a customer's browser was given: the merchant's name, and a session's secret.
    Guest {
        publishable_key: Zeroizing<String>,
        client_secret: Option<Zeroizing<String>>,
    },
}

/// The actor behind a request; with the secret that it shows instead of a key.
///
/// # Errors
/// No key or profile; policy's; a profile that is not the merchant's.
pub(super) fn authenticate(
    services: &Services,
    parts: &Parts,
    guests: bool,
) -> Result<(Actor, Option<Zeroizing<String>>), Refusal> {
    let peer = parts.extensions.get::<Peer>().copied();
    let request = parts.extensions.get::<RequestId>().cloned();
    let (Some(peer), Some(request)) = (peer, request) else {
        return Err(Refusal::failed("a request without a caller or a name"));
    };
    let shown = shown(&parts.headers).ok_or_else(|| Refusal::missing("Authorization"))?;
    if matches!(shown, Shown::Key("")) {
        return Err(Refusal::unauthorized());
    }
    let profile = profile(&parts.headers)?;
    let access = services.vault.access();
    let dialect = Dialect::Hyperswitch;
    let (actor, secret) = match shown {
        Shown::Key(key) => (access.authenticate_key(peer, dialect, request, Some(key))?, None),
        Shown::Guest { .. } if !guests => return Err(Refusal::unauthorized()),
        Shown::Guest {
            publishable_key,
            client_secret,
        } => {
            let secret = client_secret.ok_or_else(|| {
                let message = "client_secret was not provided";
                Refusal::new(StatusCode::BAD_REQUEST, "IR_08", message)
            })?;
            let named = publishable_key.strip_prefix(PUBLISHABLE).map(MerchantId::parse);
            let actor = match named {
                Some(Ok(merchant)) => access.authenticate_guest(peer, dialect, request, &merchant)?,
                Some(Err(_)) | None => access.authenticate_nobody(peer, dialect, request)?,
            };
            (actor, Some(secret))
        }
    };
    // a profile is the repository that a merchant acts in
    if actor.repository_name != profile {
        return Err(Refusal::not_found("Business profile"));
    }
    Ok((actor, secret))
}

/// The merchant's public name for its customers' browsers.
pub(super) fn publishable_key(merchant: &MerchantId) -> String {
    format!("{PUBLISHABLE}{merchant}")
}

/// All that a browser shows, as one text.
pub(super) fn sdk_authorization(actor: &Actor, secret: &str) -> Text {
    let all = Zeroizing::new(format!(
        "profile_id={},publishable_key={},client_secret={secret}",
        actor.repository_name,
        publishable_key(&actor.merchant)
    ));
    Text::new(BASE64.encode(all.as_bytes()))
}

fn shown(headers: &HeaderMap) -> Option<Shown<'_>> {
    if let Some(value) = headers.get(API_KEY) {
        return Some(Shown::Key(value.to_str().unwrap_or_default().trim()));
    }
    let value = headers.get(header::AUTHORIZATION)?.to_str().unwrap_or_default();
    if let Some(key) = part(value, "api-key") {
        return Some(Shown::Key(key));
    }
    let guest = |text: &str, names: [&str; 2]| {
        Some(Shown::Guest {
            publishable_key: Zeroizing::new(part(text, names[0])?.to_owned()),
            client_secret: part(text, names[1]).map(|secret| Zeroizing::new(secret.to_owned())),
        })
    };
    let encoded = || {
        let bytes = Zeroizing::new(BASE64.decode(value.trim().as_bytes()).ok()?);
        guest(std::str::from_utf8(&bytes).ok()?, ["publishable_key", "client_secret"])
    };
    guest(value, ["publishable-key", "client-secret"])
        .or_else(encoded)
        // the page shows one request with the key alone
        .or(Some(Shown::Key(value.trim())))
}

/// The value of a name in a list of `name=value`.
fn part<'a>(list: &'a str, name: &str) -> Option<&'a str> {
    list.split(',').find_map(|part| {
        let (there, value) = part.trim().split_once('=')?;
        (there == name).then(|| value.trim())
    })
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
        let found = |name: &'static str, value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            match shown(&headers) {
                Some(Shown::Key(key)) => Some(key.to_owned()),
                Some(Shown::Guest {
                    publishable_key,
                    client_secret,
                }) => Some(format!("{} {:?}", *publishable_key, client_secret.as_deref())),
                None => None,
            }
        };
        for (name, value) in [
            ("api-key", "pv_a_b"),
            ("authorization", "api-key=pv_a_b"),
            ("authorization", "x=y, api-key=pv_a_b"),
            ("authorization", "api-key=pv_a_b,client-secret=c"),
            ("authorization", "pv_a_b"),
        ] {
            assert_eq!(found(name, value).as_deref(), Some("pv_a_b"), "{name}: {value}");
        }
        assert_eq!(found("authorization", "api-key=").as_deref(), Some(""));
        assert!(shown(&HeaderMap::new()).is_none());
        for (value, expected) in [
            ("publishable-key=pk_shop,client-secret=cs_1", "pk_shop Some(\"cs_1\")"),
            ("client-secret=cs_1, publishable-key=pk_shop", "pk_shop Some(\"cs_1\")"),
            ("publishable-key=pk_shop", "pk_shop None"),
            // profile_id=p,publishable_key=pk_shop,client_secret=cs_1
            (
                "cHJvZmlsZV9pZD1wLHB1Ymxpc2hhYmxlX2tleT1wa19zaG9wLGNsaWVudF9zZWNyZXQ9Y3NfMQ==",
                "pk_shop Some(\"cs_1\")",
            ),
        ] {
            assert_eq!(found("authorization", value).as_deref(), Some(expected), "{value}");
        }
    }
}
