//! Hyperswitch's vault, version 2, server to server: customers and their payment methods, under `/v1`, `/v2` and no prefix.
//!
//! The contract moved; all of its generations are served: both spellings of a segment, `PATCH` and `PUT`, a key in a header of
//! its own and in `Authorization`, and members that came or went.

mod answer;
mod auth;
mod card;
mod customers;
mod error;
mod methods;
mod names;
mod query;
mod read;
mod refusal;
mod sessions;
mod wire;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, Method, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::{MethodFilter, MethodRouter, on};
use bytes::Bytes;
use serde::Serialize;
use zeroize::Zeroizing;

use self::refusal::Refusal;
use super::Services;
use super::body;
use super::edge::Seen;
use crate::id::RequestId;
use crate::payment::wallet::written;
use crate::vault::types::{Actor, Dialect};

/// A body's limit, in bytes.
const BODY: usize = 64 * 1024;

/// What a path asks for; the method says the rest where there is more than one.
#[derive(Debug, Clone, Copy)]
enum Endpoint {
    AddCustomer,
    AddIntent,
    Customer,
    CustomerByReference,
    CustomerList { counted: bool },
    AddMethod,
    AddSession,
    ConfirmIntent,
    ConfirmSession,
    DefaultMethod,
    Method,
    NamedMethod,
    SavedMethods,
    Session,
    SessionMethods,
    TotalMethods,
    UpdateInSession,
    UpdateMethod,
}

impl Endpoint {
    /// Whether a customer's browser may ask for it, with a session's secret.
    fn is_for_guests(self) -> bool {
        match self {
            Self::ConfirmSession | Self::Session | Self::SessionMethods | Self::UpdateInSession => true,
            Self::AddCustomer
            | Self::AddIntent
            | Self::AddMethod
            | Self::AddSession
            | Self::ConfirmIntent
            | Self::Customer
            | Self::CustomerByReference
            | Self::CustomerList { .. }
            | Self::DefaultMethod
            | Self::Method
            | Self::NamedMethod
            | Self::SavedMethods
            | Self::TotalMethods
            | Self::UpdateMethod => false,
        }
    }
}

/// A request that was let in.
struct Context<'a> {
    services: &'a Services,
    actor: Actor,
    /// What it shows instead of a key: a session's secret.
    secret: Option<Zeroizing<String>>,
    method: Method,
    /// What the path names, in its order.
    named: Vec<String>,
    query: &'a str,
    body: &'a [u8],
}

/// The dialect's routes.
pub(super) fn router(services: &Arc<Services>) -> Router {
    let mut router = Router::new();
    for prefix in ["", "/v1", "/v2"] {
        for (path, methods) in routes() {
            router = router.route(&format!("{prefix}{path}"), methods);
        }
    }
    // as the older document has it
    router = router.route(
        "/v1/{customer}/payment-methods/{method}/default",
        serving(MethodFilter::POST, Endpoint::DefaultMethod),
    );
    router
        .method_not_allowed_fallback(async |request: Request| refuse(&request, Refusal::method()))
        .layer(from_fn_with_state(Arc::clone(services), around))
        .with_state(Arc::clone(services))
}

/// Whether a path that has no route is answered here.
pub(super) fn owns(path: &str) -> bool {
    let versioned = path.strip_prefix("/v1/").or_else(|| path.strip_prefix("/v2/"));
    let first = versioned
        .or_else(|| path.strip_prefix('/'))
        .and_then(|rest| rest.split('/').next());
    match first {
        Some("customers" | "payment-methods" | "payment_methods" | "payment-method-sessions" | "proxy") => true,
        Some("tokenize") => path.starts_with("/v2/"),
        Some(_) | None => false,
    }
}

/// What is answered to a path that is not there.
pub(super) fn not_found(services: &Services, mut request: Request) -> Response {
    let seen = Seen::begin(&mut request);
    let mut response = refuse(&request, Refusal::no_route());
    if let Ok(seen) = seen {
        seen.end(Dialect::Hyperswitch, &services.metrics, &mut response);
    }
    response
}

type Routes = Vec<(String, MethodRouter<Arc<Services>>)>;

fn routes() -> Routes {
    let any_customer = MethodFilter::GET
        .or(MethodFilter::PUT)
        .or(MethodFilter::POST)
        .or(MethodFilter::DELETE);
    let list = |counted| serving(MethodFilter::GET, Endpoint::CustomerList { counted });
    let get = |endpoint| serving(MethodFilter::GET, endpoint);
    let post = |endpoint| serving(MethodFilter::POST, endpoint);
    let mut routes: Routes = vec![
        ("/customers".to_owned(), post(Endpoint::AddCustomer)),
        ("/customers/list".to_owned(), list(false)),
        ("/customers/list_with_count".to_owned(), list(true)),
        (
            "/customers/total-payment-methods".to_owned(),
            get(Endpoint::TotalMethods),
        ),
        (
            "/customers/reference/{reference}".to_owned(),
            get(Endpoint::CustomerByReference),
        ),
        (
            "/customers/{customer}".to_owned(),
            serving(any_customer, Endpoint::Customer),
        ),
    ];
    for (segment, saved) in [
        ("payment-methods", "saved-payment-methods"),
        ("payment_methods", "saved_payment_methods"),
    ] {
        let saved = format!("/customers/{{customer}}/{saved}");
        routes.push((saved, get(Endpoint::SavedMethods)));
        let default = format!("/customers/{{customer}}/{segment}/{{method}}/default");
        routes.push((default, post(Endpoint::DefaultMethod)));
        routes.push((format!("/{segment}"), post(Endpoint::AddMethod)));
        routes.push((format!("/{segment}/create-intent"), post(Endpoint::AddIntent)));
        routes.push((
            format!("/{segment}/{{method}}/confirm-intent"),
            post(Endpoint::ConfirmIntent),
        ));
        routes.push((
            format!("/{segment}/token/{{token}}/details"),
            get(Endpoint::NamedMethod),
        ));
        let one = serving(MethodFilter::GET.or(MethodFilter::DELETE), Endpoint::Method);
        routes.push((format!("/{segment}/{{method}}"), one));
        for update in ["update-saved-payment-method", "update_saved_payment_method"] {
            let methods = serving(MethodFilter::PUT.or(MethodFilter::PATCH), Endpoint::UpdateMethod);
            routes.push((format!("/{segment}/{{method}}/{update}"), methods));
        }
    }
    let session = "/payment-method-sessions/{session}";
    let any = MethodFilter::GET.or(MethodFilter::PUT).or(MethodFilter::DELETE);
    routes.extend([
        ("/payment-method-sessions".to_owned(), post(Endpoint::AddSession)),
        (session.to_owned(), serving(any, Endpoint::Session)),
        (format!("{session}/confirm"), post(Endpoint::ConfirmSession)),
        (format!("{session}/list-payment-methods"), get(Endpoint::SessionMethods)),
        (
            format!("{session}/update-saved-payment-method"),
            serving(MethodFilter::PUT, Endpoint::UpdateInSession),
        ),
    ]);
    routes
}

type Named = Result<Path<Vec<(String, String)>>, PathRejection>;

fn serving(method: MethodFilter, endpoint: Endpoint) -> MethodRouter<Arc<Services>> {
    let handler = async move |State(services): State<Arc<Services>>, named: Named, request: Request| {
        // what is not UTF-8 names nothing
        let named = named.map(|Path(named)| named).unwrap_or_default();
        let named = named.into_iter().map(|(_, value)| value).collect();
        serve(&services, endpoint, named, request).await
    };
    on(method, handler)
}

/// Around every route: names and counts.
async fn around(State(services): State<Arc<Services>>, mut request: Request, next: Next) -> Response {
    match Seen::begin(&mut request) {
        Ok(seen) => {
            let mut response = next.run(request).await;
            seen.end(Dialect::Hyperswitch, &services.metrics, &mut response);
            response
        }
        Err(no_random) => refuse(&request, Refusal::not_now(5, no_random)),
    }
}

fn refuse(request: &Request, refusal: Refusal) -> Response {
    refusal.respond(request.extensions().get::<RequestId>())
}

async fn serve(services: &Services, endpoint: Endpoint, named: Vec<String>, request: Request) -> Response {
    let name = request.extensions().get::<RequestId>().cloned();
    let (parts, body) = request.into_parts();
    let answered = async {
        let (actor, secret) = auth::authenticate(services, &parts, endpoint.is_for_guests())?;
        let body = body::read(&parts.headers, body, BODY).await?;
        let context = Context {
            services,
            actor,
            secret,
            method: parts.method.clone(),
            named,
            query: parts.uri.query().unwrap_or_default(),
            body: &body,
        };
        dispatch(&context, endpoint).await
    };
    match answered.await {
        Ok(body) => success(body),
        Err(refusal) => refusal.respond(name.as_ref()),
    }
}

async fn dispatch(context: &Context<'_>, endpoint: Endpoint) -> Result<Bytes, Refusal> {
    match endpoint {
        Endpoint::AddCustomer => customers::add(context).await,
        Endpoint::Customer => match context.method {
            Method::DELETE => customers::delete(context).await,
            // the older document updates by POST
            Method::POST | Method::PUT => customers::update(context).await,
            _ => customers::show(context).await,
        },
        Endpoint::CustomerByReference => customers::by_reference(context).await,
        Endpoint::CustomerList { counted } => customers::list(context, counted).await,
        Endpoint::AddIntent => methods::add_intent(context).await,
        Endpoint::AddMethod => methods::add(context).await,
        Endpoint::AddSession => sessions::open(context).await,
        Endpoint::ConfirmIntent => methods::confirm_intent(context).await,
        Endpoint::ConfirmSession => sessions::confirm(context).await,
        Endpoint::DefaultMethod => methods::make_default(context).await,
        Endpoint::Method => match context.method {
            Method::DELETE => methods::delete(context).await,
            _ => methods::show(context).await,
        },
        Endpoint::NamedMethod => methods::named(context).await,
        Endpoint::Session => match context.method {
            Method::DELETE => sessions::delete_method(context).await,
            Method::PUT => sessions::update(context).await,
            _ => sessions::show(context).await,
        },
        Endpoint::SessionMethods => sessions::list(context).await,
        Endpoint::UpdateInSession => sessions::update_method(context).await,
        Endpoint::SavedMethods => methods::saved(context).await,
        Endpoint::TotalMethods => methods::total(context).await,
        Endpoint::UpdateMethod => methods::update(context).await,
    }
}

/// Every success is 200.
fn success(body: Bytes) -> Response {
    let mut response = Response::new(Body::from(body));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

/// A body's bytes, wiped when they were sent: they may show a card.
fn said(answer: &impl Serialize) -> Result<Bytes, Refusal> {
    let bytes = written(answer).map_err(|_| Refusal::failed("an answer could not be written"))?;
    Ok(Bytes::from_owner(bytes))
}

impl Context<'_> {
    /// What the path names at that place.
    fn named(&self, at: usize) -> &str {
        self.named.get(at).map(String::as_str).unwrap_or_default()
    }
}
