//! Hyperswitch's card vault, its "locker": cards of a merchant's customers (`/cards`, `/data`), opaque records of an entity's
//! (`/api/v2/vault`), fingerprints, entities and health. The tenant that a request names is a merchant of the vault's.

mod card;
mod cards;
mod config;
mod context;
mod entity;
mod error;
mod fingerprint;
mod health;
mod middleware;
mod records;
mod refusal;
mod replay;
mod wire;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::{MethodRouter, get, post};

pub use self::config::{Config, Jwe};
use self::context::{Answer, Context};
use self::refusal::Refusal;
use self::replay::Seen as SeenRequests;
use super::Services;
use super::edge::Seen;
use crate::id::RequestId;
use crate::vault::types::Dialect;

/// The dialect with its settings, and what it knows of requests that came.
pub(super) struct Service {
    config: Config,
    seen: Option<SeenRequests>,
}

/// What a path asks for.
#[derive(Debug, Clone, Copy)]
enum Endpoint {
    /// Store a card, or data the caller encrypted.
    AddCard,
    /// Give it back.
    RetrieveCard,
    /// Remove it.
    DeleteCard,
    /// Keep a record.
    AddRecord,
    /// Give it back.
    RetrieveRecord,
    /// Remove it.
    DeleteRecord,
    /// The id of a text.
    Fingerprint,
    /// Since when an entity is known.
    Entity,
}

impl Service {
    pub(super) fn new(config: Config) -> Self {
        Self {
            seen: config.replay_window.map(SeenRequests::within),
            config,
        }
    }
}

impl Default for Service {
    fn default() -> Self {
        Self::new(Config::default())
    }
}

/// The dialect's routes.
pub(super) fn router(services: &Arc<Services>) -> Router {
    if !services.locker.config.enabled {
        return Router::new();
    }
    let mut router = Router::new()
        .route("/health", get(async || health::alive()))
        .route("/health/diagnostics", get(diagnostics))
        .route("/entity", asking(Endpoint::Entity));
    for (path, endpoint) in [
        ("/add", Endpoint::AddCard),
        ("/retrieve", Endpoint::RetrieveCard),
        ("/delete", Endpoint::DeleteCard),
        ("/fingerprint", Endpoint::Fingerprint),
    ] {
        for first in ["/cards", "/data"] {
            router = router.route(&format!("{first}{path}"), asking(endpoint));
        }
    }
    for (path, endpoint) in [
        ("/add", Endpoint::AddRecord),
        ("/retrieve", Endpoint::RetrieveRecord),
        ("/delete", Endpoint::DeleteRecord),
        ("/fingerprint", Endpoint::Fingerprint),
    ] {
        router = router.route(&format!("/api/v2/vault{path}"), asking(endpoint));
    }
    router
        .method_not_allowed_fallback(async |request: Request| {
            Refusal::method().respond(request.extensions().get::<RequestId>())
        })
        .layer(from_fn_with_state(Arc::clone(services), around))
        .with_state(Arc::clone(services))
}

/// Whether a path that has no route is answered here.
pub(super) fn owns(services: &Services, path: &str) -> bool {
    let firsts = ["/cards", "/data", "/api/v2/vault", "/entity", "/health"];
    services.locker.config.enabled
        && firsts.iter().any(|first| {
            path.strip_prefix(first)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
}

/// What is answered to a path that is not there.
pub(super) fn not_found(services: &Services, mut request: Request) -> Response {
    match Seen::begin(&mut request) {
        Ok(seen) => {
            let mut response = Refusal::not_found().respond(Some(&seen.request));
            seen.end(Dialect::HyperswitchLocker, &services.metrics, &mut response);
            response
        }
        Err(no_random) => Refusal::not_now(5, no_random).respond(None),
    }
}

fn asking(endpoint: Endpoint) -> MethodRouter<Arc<Services>> {
    post(async move |State(services): State<Arc<Services>>, request: Request| serve(&services, endpoint, request).await)
}

/// Around every route: a name and a count.
async fn around(State(services): State<Arc<Services>>, mut request: Request, next: Next) -> Response {
    match Seen::begin(&mut request) {
        Ok(seen) => {
            let mut response = next.run(request).await;
            seen.end(Dialect::HyperswitchLocker, &services.metrics, &mut response);
            response
        }
        Err(no_random) => Refusal::not_now(5, no_random).respond(None),
    }
}

async fn diagnostics(State(services): State<Arc<Services>>, request: Request) -> Response {
    let name = request.extensions().get::<RequestId>().cloned();
    let (parts, _) = request.into_parts();
    let diagnosed = async { health::diagnostics(&Context::enter(&services, &parts)?).await };
    match diagnosed.await {
        Ok(answer) => answer.respond(),
        Err(refusal) => refusal.respond(name.as_ref()),
    }
}

async fn serve(services: &Services, endpoint: Endpoint, request: Request) -> Response {
    let name = request.extensions().get::<RequestId>().cloned();
    let (parts, body) = request.into_parts();
    let entered = async {
        // read whatever the head says: a client that still sends while it is refused may not hear why
        let body = context::body(&parts, body).await;
        let context = Context::enter(services, &parts)?;
        let body = body?;
        let opened = middleware::open(&services.locker, &context, endpoint, body).await?;
        Ok((context, opened))
    };
    // what is wrong with the outside is told in plain
    let (context, opened) = match entered.await {
        Ok(entered) => entered,
        Err(refusal) => return Refusal::respond(refusal, name.as_ref()),
    };
    let answered = answer(&context, endpoint, &opened.body).await;
    match opened.sender {
        None => answered.map_or_else(|refusal| refusal.respond(name.as_ref()), Answer::respond),
        Some(sender) => middleware::seal(&services.locker, &context, &sender, answered)
            .await
            .unwrap_or_else(|refusal| refusal.respond(name.as_ref())),
    }
}

async fn answer(context: &Context<'_>, endpoint: Endpoint, body: &[u8]) -> Result<Answer, Refusal> {
    match endpoint {
        Endpoint::AddCard => cards::add(context, body).await,
        Endpoint::RetrieveCard => cards::retrieve(context, body).await,
        Endpoint::DeleteCard => cards::delete(context, body).await,
        Endpoint::AddRecord => records::add(context, body).await,
        Endpoint::RetrieveRecord => records::retrieve(context, body).await,
        Endpoint::DeleteRecord => records::delete(context, body).await,
        Endpoint::Fingerprint => fingerprint::id(context, body).await,
        Endpoint::Entity => entity::enter(context, body).await,
    }
}
