//! The OpenAPI document, made from the handlers and the wire types.

use std::sync::LazyLock;

use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;
use utoipa::openapi::OpenApi;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi as Described};

use super::text_answer;

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "panvault",
        description = "Keeps payment cards and gives tokens for them. Errors are problem documents (RFC 9457).",
    ),
    paths(
        document,
        super::create,
        super::inspect,
        super::update,
        super::remove,
        super::reveal,
        super::search,
        super::batch::create,
        super::batch::reveal,
    ),
    components(schemas(super::problem::Document<'static>)),
    modifiers(&ApiKey),
    security(("api_key" = [])),
)]
struct Document;

struct ApiKey;

impl Modify for ApiKey {
    fn modify(&self, document: &mut OpenApi) {
        document
            .components
            .get_or_insert_default()
            .add_security_scheme("api_key", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
    }
}

/// The text of the document; it is the same for the life of the program.
static TEXT: LazyLock<Bytes> = LazyLock::new(|| Bytes::from(text()));

/// This document.
#[utoipa::path(
    get, path = "/v1/openapi.json", tag = "document", operation_id = "openapi", security(()),
    responses((status = 200, description = "OpenAPI 3.1", body = Object)),
)]
pub(super) async fn document() -> Response {
    text_answer(StatusCode::OK, TEXT.clone())
}

fn text() -> String {
    let mut text = Document::openapi().to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With `PANVAULT_UPDATE_SNAPSHOTS` set the file is written instead.
    #[test]
    fn the_document_is_the_one_on_record() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/snapshots/openapi.json");
        if std::env::var_os("PANVAULT_UPDATE_SNAPSHOTS").is_some() {
            std::fs::write(path, text()).unwrap();
        }
        let recorded = std::fs::read_to_string(path).unwrap();
        assert!(
            recorded == text(),
            "the OpenAPI document changed; if that is meant, run this test with PANVAULT_UPDATE_SNAPSHOTS=1"
        );
    }
}
