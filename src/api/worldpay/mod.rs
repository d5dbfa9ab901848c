//! Access Worldpay's Tokens API, versions 1 to 3, with verified tokens and network tokens: `/`, `/tokens`, `/verifiedTokens`
//! and `/rels`. HAL with links: a client follows them and builds none.

mod address;
mod auth;
mod card;
mod config;
mod context;
mod correlation;
mod discovery;
mod error;
mod links;
mod media;
mod network;
mod read;
mod refusal;
mod show;
mod tokens;
mod updates;
mod verified;
mod wire;

use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::{MethodFilter, MethodRouter, any, get, on};
use zeroize::Zeroizing;

pub use self::config::{Config, days};
use self::context::{Answer, Context};
use self::links::Target;
use self::media::Family;
use self::refusal::Refusal;
use super::Services;
use super::body;
use super::edge::Seen;
use crate::id::RequestId;
use crate::vault::types::{Dialect, Operation};

/// A body's limit, in bytes.
const BODY: usize = 64 * 1024;

/// What method and path ask for.
#[derive(Debug, Clone, Copy)]
enum Endpoint {
    /// A new token.
    Create,
    /// Tokens by id or namespace, or, with nothing to look for, what there is at `/tokens`.
    Query,
    /// What a link leads to; the method says what is to be done with it.
    Link,
    /// A new network token.
    Provision,
    /// A cryptogram.
    Cryptogram,
    /// A network token, by its reference or its number.
    Network,
    /// A new token of a card that is checked first.
    Verified(verified::Kind),
}

impl Endpoint {
    /// The right that a request with a body needs.
    fn needs(self, method: &Method) -> Option<Operation> {
        match self {
            Self::Create | Self::Verified(_) => Some(Operation::Tokenize),
            Self::Cryptogram | Self::Provision => Some(Operation::Pay),
            Self::Link if method == Method::PUT => Some(Operation::Update),
            Self::Link | Self::Network | Self::Query => None,
        }
    }
}

/// The dialect's routes.
pub(super) fn router(services: &Arc<Services>) -> Router {
    routes()
        .into_iter()
        .fold(Router::new(), |router, (path, methods)| router.route(path, methods))
        .method_not_allowed_fallback(async |request: Request| refuse(&request, Refusal::method()))
        .layer(from_fn_with_state(Arc::clone(services), around))
        .with_state(Arc::clone(services))
}

/// Whether a path that has no route is answered here.
pub(super) fn owns(path: &str) -> bool {
    ["/tokens", "/verifiedTokens", "/verifications", "/rels"]
        .iter()
        .any(|first| {
            path.strip_prefix(first)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
}

/// What is answered to a path that is not there.
pub(super) fn not_found(services: &Services, mut request: Request) -> Response {
    let correlation = correlation::begin(&mut request);
    let seen = Seen::begin(&mut request);
    let refusal = Refusal::new(
        StatusCode::NOT_FOUND,
        "endpointNotFound",
        "Requested endpoint was not found",
    );
    let mut response = refuse(&request, refusal);
    if let Ok(seen) = seen {
        seen.end(Dialect::Worldpay, &services.metrics, &mut response);
    }
    correlation::end(correlation, &mut response);
    response
}

fn routes() -> [(&'static str, MethodRouter<Arc<Services>>); 11] {
    let verified = |kind| serving(MethodFilter::POST, Endpoint::Verified(kind));
    [
        ("/", get(discovery::root)),
        (
            "/tokens",
            serving(MethodFilter::GET, Endpoint::Query).merge(serving(MethodFilter::POST, Endpoint::Create)),
        ),
        ("/tokens/network", serving(MethodFilter::POST, Endpoint::Provision)),
        (
            "/tokens/network/cryptograms",
            serving(MethodFilter::POST, Endpoint::Cryptogram),
        ),
        (
            "/tokens/network/{id}",
            naming(MethodFilter::GET.or(MethodFilter::DELETE), Endpoint::Network),
        ),
        ("/tokens/{link}", any(on_link)),
        ("/verifiedTokens", get(discovery::verified_tokens)),
        ("/verifiedTokens/cardOnFile", verified(verified::Kind::CardOnFile)),
        ("/verifiedTokens/oneTime", verified(verified::Kind::OneTime)),
        ("/rels/tokens/{rel}", get(discovery::rel)),
        ("/rels/verifiedTokens/{rel}", get(discovery::rel)),
    ]
}

fn serving(method: MethodFilter, endpoint: Endpoint) -> MethodRouter<Arc<Services>> {
    let handler = async move |State(services): State<Arc<Services>>, request: Request| {
        serve(&services, endpoint, None, request).await
    };
    on(method, handler)
}

type Segment = Result<Path<String>, PathRejection>;

/// With the path's last segment, which says what it is about.
fn naming(method: MethodFilter, endpoint: Endpoint) -> MethodRouter<Arc<Services>> {
    let handler = async move |State(services): State<Arc<Services>>, segment: Segment, request: Request| {
        serve(&services, endpoint, Some(named(segment)), request).await
    };
    on(method, handler)
}

async fn on_link(State(services): State<Arc<Services>>, segment: Segment, request: Request) -> Response {
    serve(&services, Endpoint::Link, Some(named(segment)), request).await
}

/// What is not UTF-8 names nothing. It may be a network token's number.
fn named(segment: Segment) -> Zeroizing<String> {
    Zeroizing::new(segment.map(|Path(segment)| segment).unwrap_or_default())
}

/// Around every route: names and counts.
async fn around(State(services): State<Arc<Services>>, mut request: Request, next: Next) -> Response {
    let correlation = correlation::begin(&mut request);
    let mut response = match Seen::begin(&mut request) {
        Ok(seen) => {
            let mut response = next.run(request).await;
            seen.end(Dialect::Worldpay, &services.metrics, &mut response);
            response
        }
        Err(no_random) => refuse(&request, Refusal::not_now(5, no_random)),
    };
    correlation::end(correlation, &mut response);
    response
}

/// Refuses a request whose version nobody has looked at.
fn refuse(request: &Request, refusal: Refusal) -> Response {
    let name = request.extensions().get::<RequestId>();
    refusal.respond(Family::Tokens.newest(), name)
}

async fn serve(services: &Services, endpoint: Endpoint, link: Option<Zeroizing<String>>, request: Request) -> Response {
    let family = match endpoint {
        Endpoint::Create
        | Endpoint::Cryptogram
        | Endpoint::Link
        | Endpoint::Network
        | Endpoint::Provision
        | Endpoint::Query => Family::Tokens,
        Endpoint::Verified(_) => Family::VerifiedTokens,
    };
    let name = request.extensions().get::<RequestId>().cloned();
    let mut media = family.newest();
    let answered = answer(services, family, endpoint, link, request, &mut media).await;
    answered
        .and_then(|answer| answer.respond(media))
        .unwrap_or_else(|refusal| refusal.respond(media, name.as_ref()))
}

async fn answer(
    services: &Services,
    family: Family,
    endpoint: Endpoint,
    link: Option<Zeroizing<String>>,
    request: Request,
    media: &mut media::Media,
) -> Result<Answer, Refusal> {
    let (parts, body) = request.into_parts();
    let target = link.as_ref().and_then(|link| Target::parse(link));
    let has_body = match endpoint {
        Endpoint::Create | Endpoint::Cryptogram | Endpoint::Provision | Endpoint::Verified(_) => true,
        Endpoint::Network | Endpoint::Query => false,
        // taking over a conflict says all by itself
        Endpoint::Link => {
            let updates = matches!(target, Some(Target::Token(rel, _)) if rel != links::Rel::Token);
            parts.method == Method::PUT && updates
        }
    };
    if matches!(endpoint, Endpoint::Query) && parts.uri.query().is_none_or(str::is_empty) {
        return discovery::tokens(&context::base(services, &parts));
    }
    *media = family.negotiate(&parts.headers, has_body)?;
    let context = Context::enter(services, &parts, *media)?;
    if let Some(op) = endpoint.needs(&parts.method) {
        // before anything is read of a body; the verb that does it asks again and counts
        services.vault.access().permit(&context.actor, op, 0)?;
    }
    let body = match has_body {
        true => Some(body::read(&parts.headers, body, BODY).await?),
        false => None,
    };
    let body = body.as_ref().map_or(&[][..], |body| body.as_slice());
    match endpoint {
        Endpoint::Create => tokens::create(&context, body).await,
        Endpoint::Query => tokens::query(&context, parts.uri.query().unwrap_or_default()).await,
        Endpoint::Provision => network::provision(&context, body).await,
        Endpoint::Cryptogram => network::cryptogram(&context, body).await,
        Endpoint::Network => {
            let named = link.unwrap_or_default();
            match parts.method {
                Method::DELETE => network::delete(&context, &named).await,
                _ => network::show(&context, &named).await,
            }
        }
        Endpoint::Verified(kind) => verified::create(&context, kind, body).await,
        Endpoint::Link => match (parts.method, target) {
            (_, None) => Err(Refusal::not_found()),
            (Method::GET | Method::HEAD, Some(Target::Token(links::Rel::Token, token))) => {
                tokens::show(&context, &token).await
            }
            (Method::DELETE, Some(Target::Token(links::Rel::Token, token))) => tokens::delete(&context, &token).await,
            (_, Some(Target::Token(links::Rel::Token, _))) => Err(Refusal::method().allowing("GET,HEAD,DELETE")),
            (Method::PUT, Some(Target::Token(rel, token))) => updates::update(&context, rel, &token, body).await,
            (Method::GET | Method::HEAD, Some(Target::Conflict(id))) => tokens::show_conflict(&context, id).await,
            (Method::PUT, Some(Target::Conflict(id))) => updates::resolve(&context, id).await,
            (_, Some(Target::Token(..))) => Err(Refusal::method().allowing("PUT")),
            (_, Some(Target::Conflict(_))) => Err(Refusal::method().allowing("GET,HEAD,PUT")),
        },
    }
}
