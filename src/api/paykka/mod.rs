//! PayKKa's tokenization: shoppers' payments, stored cards, recurring agreements. Version 3, and the header form of version
//! 1.2 on its own paths. Every call is a POST, signed by the merchant; every answer to one that was let in is signed by the
//! platform key. `/checkout` is the page that payers open.

mod answer;
mod checkout;
mod config;
mod enter;
mod error;
mod notify;
mod platform;
mod refusal;
mod serve;
mod signature;
mod translate;
mod values;
mod wire;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::post;

pub use self::config::Config;
pub use self::notify::Notifications;
use self::refusal::Refusal;
use super::Services;
use super::edge::Seen;
use crate::id::RequestId;
use crate::vault::types::Dialect;

/// What a path asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Endpoint {
    ApplePay,
    CancelAgreement,
    Capture,
    OpenSession,
    Pay,
    Query,
    Refund,
    RefundQuery,
    RemoveToken,
    Tokens,
    Void,
}

/// Paths and what they ask for. The contract says of each where it is from.
const ROUTES: [(&str, Endpoint); 19] = [
    ("/v3/payment/acq", Endpoint::Pay),
    ("/v3/payment/acq/session", Endpoint::OpenSession),
    ("/v3/payment/acq/query", Endpoint::Query),
    ("/v3/payment/acq/token/remove", Endpoint::RemoveToken),
    ("/v3/payment/acq/token/query", Endpoint::Tokens),
    ("/v3/payment/acq/token/list", Endpoint::Tokens),
    ("/v3/payment/acq/recurring/cancel", Endpoint::CancelAgreement),
    ("/v3/payment/acq/void", Endpoint::Void),
    ("/v3/payment/acq/capture", Endpoint::Capture),
    ("/v3/payment/acq/refund", Endpoint::Refund),
    ("/v3/payment/acq/refund/query", Endpoint::RefundQuery),
    ("/v3/payment/acq/apple-pay/create-session", Endpoint::ApplePay),
    ("/apis/session", Endpoint::OpenSession),
    ("/apis/payments", Endpoint::Pay),
    ("/payments", Endpoint::Pay),
    ("/payments/query", Endpoint::Query),
    ("/payments/token/remove", Endpoint::RemoveToken),
    ("/payments/token/query", Endpoint::Tokens),
    ("/payments/token/list", Endpoint::Tokens),
];

/// The dialect's routes; none where it is not enabled.
pub(super) fn router(services: &Arc<Services>) -> Router {
    if !services.paykka.enabled {
        return Router::new();
    }
    let mut router = Router::new();
    for (path, endpoint) in ROUTES {
        let handler = async move |State(services): State<Arc<Services>>, request: Request| {
            serve::serve(&services, endpoint, request).await
        };
        router = router.route(path, post(handler));
    }
    router
        .method_not_allowed_fallback(async |request: Request| {
            plain(
                &request,
                &Refusal::new(StatusCode::METHOD_NOT_ALLOWED, refusal::INVALID, "every call is a POST"),
            )
        })
        .layer(from_fn_with_state(Arc::clone(services), around))
        .with_state(Arc::clone(services))
}

/// The page's routes, for a listener of its own.
pub(super) fn checkout(services: &Arc<Services>) -> Router {
    match services.paykka.enabled {
        true => checkout::router()
            .layer(from_fn_with_state(Arc::clone(services), around))
            .with_state(Arc::clone(services)),
        false => Router::new(),
    }
}

/// Whether a path that has no route is answered here.
pub(super) fn owns(services: &Services, path: &str) -> bool {
    let first = path.strip_prefix('/').and_then(|rest| rest.split('/').next());
    let own = path.starts_with("/v3/payment") || matches!(first, Some("payments" | "apis" | "checkout"));
    services.paykka.enabled && own
}

/// What is answered to a path that is not there.
pub(super) fn not_found(services: &Services, mut request: Request) -> Response {
    let seen = Seen::begin(&mut request);
    let refusal = Refusal::new(StatusCode::NOT_FOUND, refusal::INVALID, "there is no such interface");
    let mut response = plain(&request, &refusal);
    if let Ok(seen) = seen {
        seen.end(Dialect::PayKka, &services.metrics, &mut response);
    }
    response
}

/// Around every route: names and counts.
async fn around(State(services): State<Arc<Services>>, mut request: Request, next: Next) -> Response {
    match Seen::begin(&mut request) {
        Ok(seen) => {
            let mut response = next.run(request).await;
            seen.end(Dialect::PayKka, &services.metrics, &mut response);
            response
        }
        Err(no_random) => plain(&request, &Refusal::not_now(5, no_random)),
    }
}

/// A refusal that is not signed: nobody was let in.
fn plain(request: &Request, refusal: &Refusal) -> Response {
    refusal.log(request.extensions().get::<RequestId>());
    answered(refusal.status, refusal.retry_after, refusal.body().into())
}

fn answered(status: StatusCode, retry_after: Option<u64>, body: axum::body::Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(seconds) = retry_after {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}
