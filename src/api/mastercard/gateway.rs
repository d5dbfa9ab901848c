//! What anyone may ask: whether the gateway works, and which key to encrypt to.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;

use super::call::Answer;
use super::tree::Tree;
use super::version::Version;
use crate::vault::Vault;

/// The status, which is that of whoever can answer.
pub(super) fn check(version: Version) -> Answer {
    let mut tree = Tree::new();
    if version.tells_gateway_version() {
        tree.text("gatewayVersion", concat!("panvault ", env!("CARGO_PKG_VERSION")));
    }
    tree.text("status", "OPERATING");
    Answer {
        status: StatusCode::OK,
        tree,
    }
}

/// The public keys that requests may be encrypted to, as a JWK set (RFC 7517).
pub(super) fn keys(vault: &Vault) -> Response {
    let mut response = Response::new(Body::from(format!(
        "{{\"keys\":[{}]}}",
        vault.transport_jwks().join(",")
    )));
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/jwk-set+json"),
    );
    response
}
