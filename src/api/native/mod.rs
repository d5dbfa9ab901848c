//! panvault's own API: `/v1/tokens…` and `/v1/openapi.json`.

mod batch;
mod error;
mod openapi;
mod problem;
mod request;
mod translate;
mod wire;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::{MethodRouter, delete, get, patch, post};
use bytes::Bytes;
use serde::Serialize;

use self::problem::{Code, Problem};
use self::request::{Caller, IfMatch, PathToken, Payload, Repeatable};
use super::Services;
use super::edge::Seen;
use crate::vault::types::{DependencyError, Dialect, Error, Tokenized, View};

/// A body's limit, in bytes.
const BODY: usize = 64 * 1024;

/// A batch's limit, in bytes.
const BATCH_BODY: usize = 1024 * 1024;

/// The dialect's routes.
pub(super) fn router(services: &Arc<Services>) -> Router {
    routes()
        .into_iter()
        .fold(Router::new(), |router, (path, methods)| router.route(path, methods))
        .method_not_allowed_fallback(async || {
            Problem::new(
                Code::MethodNotAllowed,
                "The method is not known here; Allow says which are.",
            )
        })
        .layer(from_fn_with_state(Arc::clone(services), around))
        .with_state(Arc::clone(services))
}

/// What `/v1` answers to a path that is not in it.
pub(super) fn not_found(services: &Services, mut request: Request) -> Response {
    let problem = Problem::new(Code::NotFound, "There is nothing at this path.");
    match Seen::begin(&mut request) {
        Ok(seen) => finish(services, seen, problem.render(None), Some(&problem)),
        Err(_) => problem.render(None),
    }
}

fn routes() -> [(&'static str, MethodRouter<Arc<Services>>); 7] {
    [
        ("/v1/openapi.json", get(openapi::document)),
        ("/v1/tokens", post(create)),
        ("/v1/tokens/batch", post(batch::create)),
        ("/v1/tokens/reveal-batch", post(batch::reveal)),
        ("/v1/tokens/search", post(search)),
        (
            "/v1/tokens/{token}",
            get(inspect).merge(patch(update)).merge(delete(remove)),
        ),
        ("/v1/tokens/{token}/reveal", post(reveal)),
    ]
}

/// Around every route: names, counts, and gives problems their form.
async fn around(State(services): State<Arc<Services>>, mut request: Request, next: Next) -> Response {
    let Ok(seen) = Seen::begin(&mut request) else {
        return Problem::from(Error::Dependency(DependencyError::NoRandom)).render(None);
    };
    let mut response = next.run(request).await;
    let problem = response.extensions_mut().remove::<Problem>();
    finish(&services, seen, response, problem.as_ref())
}

fn finish(services: &Services, seen: Seen, mut response: Response, problem: Option<&Problem>) -> Response {
    if let Some(problem) = problem {
        problem.log(&seen.request);
        response = problem.render(Some(&seen.request));
    }
    seen.end(Dialect::Native, &services.metrics, &mut response);
    response
}

/// Stores a card and gives its token.
#[utoipa::path(
    post, path = "/v1/tokens", tag = "tokens", operation_id = "createToken",
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes the request safe to repeat for 24 hours")),
    request_body = wire::CreateToken,
    responses(
        (status = 201, description = "A new token", body = wire::MaskedView<'static>),
        (status = 200, description = "The token that the card has already", body = wire::MaskedView<'static>),
        Problem,
    ),
)]
async fn create(
    State(services): State<Arc<Services>>,
    Caller(actor): Caller,
    repeatable: Repeatable,
    payload: Payload<BODY>,
) -> Result<Response, Problem> {
    let bound = repeatable.bind("create", payload.bytes());
    let new = translate::new_token(payload.parse()?, bound.map(|bound| bound.idempotency()))?;
    match services.vault.tokenize(&actor, new).await? {
        Tokenized::Created(view) => view_answer(StatusCode::CREATED, &view),
        Tokenized::Reused(view) => view_answer(StatusCode::OK, &view),
    }
}

/// Shows the masked view.
#[utoipa::path(
    get, path = "/v1/tokens/{token}", tag = "tokens", operation_id = "inspectToken",
    params(("token" = String, Path)),
    responses(
        (status = 200, description = "The masked view", body = wire::MaskedView<'static>),
        Problem,
    ),
)]
async fn inspect(
    State(services): State<Arc<Services>>,
    Caller(actor): Caller,
    PathToken(token): PathToken,
) -> Result<Response, Problem> {
    view_answer(StatusCode::OK, &services.vault.inspect(&actor, &token).await?)
}

/// Reveals the card.
#[utoipa::path(
    post, path = "/v1/tokens/{token}/reveal", tag = "tokens", operation_id = "revealToken",
    params(("token" = String, Path)),
    request_body = Option<wire::RevealToken>,
    responses(
        (status = 200, description = "The card", body = wire::Revealed<'static>),
        Problem,
    ),
)]
async fn reveal(
    State(services): State<Arc<Services>>,
    Caller(actor): Caller,
    PathToken(token): PathToken,
    payload: Payload<BODY>,
) -> Result<Response, Problem> {
    let wire: wire::RevealToken = payload.parse_or_default()?;
    let with_profile = wire.with.contains(&wire::With::Profile);
    let revealed = services.vault.reveal(&actor, &token, with_profile).await?;
    let body = translate::revealed(&revealed, with_profile)?;
    secret_answer(&body, translate::secret_len(&revealed))
}

/// Changes a record.
#[utoipa::path(
    patch, path = "/v1/tokens/{token}", tag = "tokens", operation_id = "updateToken",
    params(
        ("token" = String, Path),
        ("If-Match" = Option<String>, Header, description = "The revision to be changed, as `ETag` gave it"),
    ),
    request_body = wire::PatchToken,
    responses(
        (status = 200, description = "The masked view", body = wire::MaskedView<'static>),
        Problem,
    ),
)]
async fn update(
    State(services): State<Arc<Services>>,
    Caller(actor): Caller,
    PathToken(token): PathToken,
    IfMatch(revision): IfMatch,
    payload: Payload<BODY>,
) -> Result<Response, Problem> {
    let patch = translate::patch(payload.parse()?, revision)?;
    match services.vault.update(&actor, &token, patch).await {
        Ok(view) => view_answer(StatusCode::OK, &view),
        Err(error) => Err(Problem::from(error).without_card()),
    }
}

/// Removes a token and its card for good.
#[utoipa::path(
    delete, path = "/v1/tokens/{token}", tag = "tokens", operation_id = "deleteToken",
    params(("token" = String, Path)),
    responses(
        (status = 200, description = "The signed deletion receipt", body = Object),
        Problem,
    ),
)]
async fn remove(
    State(services): State<Arc<Services>>,
    Caller(actor): Caller,
    PathToken(token): PathToken,
) -> Result<Response, Problem> {
    let receipt = services.vault.delete(&actor, &token).await?;
    Ok(text_answer(StatusCode::OK, receipt.0))
}

/// Lists tokens.
#[utoipa::path(
    post, path = "/v1/tokens/search", tag = "tokens", operation_id = "searchTokens",
    request_body = Option<wire::Search>,
    responses(
        (status = 200, description = "A page of masked views", body = wire::Found<'static>),
        Problem,
    ),
)]
async fn search(
    State(services): State<Arc<Services>>,
    Caller(actor): Caller,
    payload: Payload<BODY>,
) -> Result<Response, Problem> {
    let query = translate::query(payload.parse_or_default()?)?;
    let found = services.vault.search(&actor, query).await?;
    let body = wire::Found {
        tokens: found
            .tokens
            .iter()
            .map(translate::masked_view)
            .collect::<Result<_, _>>()?,
        next: found.next.as_deref(),
    };
    json_answer(StatusCode::OK, &body)
}

fn view_answer(status: StatusCode, view: &View) -> Result<Response, Problem> {
    let mut response = json_answer(status, &translate::masked_view(view)?)?;
    let etag = format!("\"{}\"", view.revision.0);
    if let Ok(etag) = HeaderValue::try_from(etag) {
        response.headers_mut().insert(header::ETAG, etag);
    }
    Ok(response)
}

/// As [`translate::secret_json`]; the memory is wiped once it is sent.
fn secret_answer(body: &impl Serialize, secrets: usize) -> Result<Response, Problem> {
    let text = translate::secret_json(body, secrets)?;
    Ok(text_answer(StatusCode::OK, Bytes::from_owner(text)))
}

fn json_answer(status: StatusCode, body: &impl Serialize) -> Result<Response, Problem> {
    let mut text = Vec::with_capacity(512);
    serde_json::to_writer(&mut text, body).map_err(Problem::internal)?;
    Ok(text_answer(status, text))
}

/// `json` as it is.
fn text_answer(status: StatusCode, json: impl Into<Body>) -> Response {
    let mut response = Response::new(json.into());
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests;
