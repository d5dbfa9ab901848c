//! The Mastercard gateway's API, REST and NVP: `/api/rest`, `/api/nvp`, and `/api/keys` for what clients encrypt to.
//!
//! Both wires become one thing, a [`call::Call`] of named fields, and an answer is a [`tree::Tree`] until it is written.

mod auth;
mod call;
mod faults;
mod fields;
mod gateway;
mod instruction;
mod kept;
mod known;
mod nvp;
mod operation;
mod query;
mod record;
mod refusal;
mod rest;
mod run;
mod search;
mod sessions;
mod shape;
mod sources;
mod tokens;
mod transactions;
mod tree;
mod version;
mod wire;

use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{RawPathParams, Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::{MethodFilter, MethodRouter, get, on, post};

use self::operation::ApiOperation;
use self::refusal::Refusal;
use self::rest::Endpoint;
use self::wire::{Heard, Wire};
use super::Services;
use super::edge::Seen;
use crate::id::RequestId;
use crate::vault::types::Dialect;

/// A body's limit, in bytes.
const BODY: usize = 64 * 1024;

/// The dialect's routes.
pub(super) fn router(services: &Arc<Services>) -> Router {
    routes()
        .into_iter()
        .fold(Router::new(), |router, (path, methods)| router.route(path, methods))
        .method_not_allowed_fallback(async |request: Request| {
            let explanation = "The method is not known here; Allow says which are.";
            refuse(&request, Refusal::request(StatusCode::METHOD_NOT_ALLOWED, explanation))
        })
        .layer(from_fn_with_state(Arc::clone(services), around))
        .with_state(Arc::clone(services))
}

/// Whether a path that has no route is answered here.
pub(super) fn owns(path: &str) -> bool {
    path.strip_prefix("/api")
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// What `/api` answers to a path that is not in it.
pub(super) fn not_found(services: &Services, mut request: Request) -> Response {
    let seen = Seen::begin(&mut request);
    let refusal = Refusal::request(StatusCode::NOT_FOUND, "There is nothing at this path.");
    let mut response = refuse(&request, refusal);
    if let Ok(seen) = seen {
        seen.end(Dialect::Mastercard, &services.metrics, &mut response);
    }
    response
}

fn routes() -> [(&'static str, MethodRouter<Arc<Services>>); 10] {
    use ApiOperation as Op;
    let one = |method, operation| rest(method, Endpoint::One(operation));
    [
        ("/api/keys", get(keys)),
        ("/api/nvp/version/{version}", post(nvp)),
        (
            "/api/rest/version/{version}/information",
            rest(MethodFilter::GET, Endpoint::Information),
        ),
        (
            "/api/rest/version/{version}/merchant/{merchant}/order/{order}",
            one(MethodFilter::GET, Op::RetrieveOrder),
        ),
        (
            "/api/rest/version/{version}/merchant/{merchant}/order/{order}/transaction/{transaction}",
            one(MethodFilter::GET, Op::RetrieveTransaction).merge(rest(MethodFilter::PUT, Endpoint::Transaction)),
        ),
        (
            "/api/rest/version/{version}/merchant/{merchant}/session",
            one(MethodFilter::POST, Op::CreateSession),
        ),
        (
            "/api/rest/version/{version}/merchant/{merchant}/session/{session}",
            one(MethodFilter::GET, Op::RetrieveSession).merge(one(MethodFilter::PUT, Op::UpdateSession)),
        ),
        (
            "/api/rest/version/{version}/merchant/{merchant}/token",
            one(MethodFilter::POST, Op::Tokenize),
        ),
        (
            "/api/rest/version/{version}/merchant/{merchant}/token/{token}",
            one(MethodFilter::GET, Op::RetrieveToken)
                .merge(one(MethodFilter::PUT, Op::Tokenize))
                .merge(one(MethodFilter::DELETE, Op::DeleteToken)),
        ),
        (
            "/api/rest/version/{version}/merchant/{merchant}/tokenSearch",
            one(MethodFilter::GET, Op::SearchTokens),
        ),
    ]
}

type Path = Result<RawPathParams, RawPathParamsRejection>;

fn rest(method: MethodFilter, endpoint: Endpoint) -> MethodRouter<Arc<Services>> {
    let handler = async move |State(services): State<Arc<Services>>, path: Path, request: Request| {
        rest::serve(&services, endpoint, path, request).await
    };
    on(method, handler)
}

async fn nvp(State(services): State<Arc<Services>>, path: Path, request: Request) -> Response {
    nvp::serve(&services, path, request).await
}

async fn keys(State(services): State<Arc<Services>>) -> Response {
    gateway::keys(&services.vault)
}

/// Around every route: names and counts.
async fn around(State(services): State<Arc<Services>>, mut request: Request, next: Next) -> Response {
    let seen = match Seen::begin(&mut request) {
        Ok(seen) => seen,
        Err(no_random) => return refuse(&request, Refusal::busy(StatusCode::SERVICE_UNAVAILABLE, 5, no_random)),
    };
    let mut response = next.run(request).await;
    seen.end(Dialect::Mastercard, &services.metrics, &mut response);
    response
}

/// Refuses a request that no operation has read.
fn refuse(request: &Request, refusal: Refusal) -> Response {
    let heard = Heard {
        wire: Wire::of_path(request.uri().path()),
        request: request.extensions().get::<RequestId>().cloned(),
        correlation: None,
    };
    heard.respond(Err(refusal))
}

#[cfg(test)]
mod tests;
