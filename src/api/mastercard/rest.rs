//! REST: method and path say what is asked for, JSON and the query string hold the fields.

use axum::body::Body;
use axum::extract::{RawPathParams, Request};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::response::Response;
use hyper::body::Body as _;
use zeroize::Zeroizing;

use super::auth::authenticate;
use super::call::{Answer, Call, correlation};
use super::fields::Fields;
use super::operation::ApiOperation;
use super::refusal::Refusal;
use super::run::run;
use super::version::Version;
use super::wire::{Heard, Wire};
use super::{BODY, gateway};
use crate::api::{Services, body};
use crate::id::RequestId;

/// What method and path ask for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Endpoint {
    /// Whether the gateway works; anyone may ask.
    Information,
    /// One operation.
    One(ApiOperation),
    /// A transaction; which, `apiOperation` says.
    Transaction,
}

/// Answers a request.
pub(super) async fn serve(
    services: &Services,
    endpoint: Endpoint,
    path: Result<RawPathParams, impl Sized>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let mut heard = Heard {
        wire: Wire::Json,
        request: parts.extensions.get::<RequestId>().cloned(),
        correlation: None,
    };
    let result = match &path {
        Ok(path) => answer(services, endpoint, path, &parts, body, &mut heard).await,
        Err(_) => Err(Refusal::request(
            StatusCode::BAD_REQUEST,
            "The path is not UTF-8, percent-encoded.",
        )),
    };
    heard.respond(result)
}

async fn answer(
    services: &Services,
    endpoint: Endpoint,
    path: &RawPathParams,
    parts: &Parts,
    body: Body,
    heard: &mut Heard,
) -> Result<Answer, Refusal> {
    let fields = fields(parts, body).await;
    heard.correlation = fields.as_ref().ok().and_then(correlation).map(str::to_owned);
    let version = Version::of(parameter(path, "version"))?;
    let only = match endpoint {
        Endpoint::Information => return Ok(gateway::check(version)),
        Endpoint::One(operation) => Some(operation),
        Endpoint::Transaction => None,
    };
    let actor = authenticate(services, parts, parameter(path, "merchant"), None)?;
    let mut fields = fields?;
    let operation = operation(only, fields.take("apiOperation").as_deref())?;
    bind_ids(operation, path, &mut fields)?;
    run(services, Call::new(operation, version, actor, fields)?).await
}

/// The operation where the request names `name`; `only`: the one that method and path ask for, none for a transaction.
fn operation(only: Option<ApiOperation>, name: Option<&String>) -> Result<ApiOperation, Refusal> {
    let Some(name) = name else {
        return only.ok_or_else(|| Refusal::missing("apiOperation"));
    };
    match (only, ApiOperation::parse(name)) {
        (Some(only), Some(named)) if named == only => Ok(only),
        (None, Some(named)) if named.is_transaction() => Ok(named),
        (None, None) => Err(Refusal::unsupported("apiOperation")),
        (Some(_), _) | (None, Some(_)) => {
            let reason = "It is not what method and path ask for.";
            Err(Refusal::invalid("apiOperation", Some(name), reason))
        }
    }
}

/// The fields of the body, and of the query string where there should be no body.
async fn fields(parts: &Parts, body: Body) -> Result<Fields, Refusal> {
    let mut fields = Fields::default();
    if let Some(query) = parts.uri.query() {
        if !matches!(parts.method, Method::GET | Method::HEAD | Method::DELETE) {
            let explanation = "Fields go into the body, not into the URL.";
            return Err(Refusal::request(StatusCode::BAD_REQUEST, explanation));
        }
        fields.read_form(query.as_bytes())?;
    }
    if body.size_hint().exact() == Some(0) {
        return Ok(fields);
    }
    let text = body::read(&parts.headers, body, BODY).await?;
    if text.iter().all(u8::is_ascii_whitespace) {
        return Ok(fields);
    }
    Wire::Json.check_type(&parts.headers)?;
    fields.read_json(&text)?;
    Ok(fields)
}

/// Puts the ids of the path where the other wire has them.
fn bind_ids(operation: ApiOperation, path: &RawPathParams, fields: &mut Fields) -> Result<(), Refusal> {
    for id in operation.ids() {
        if fields.text(id).is_some() {
            return Err(Refusal::unsupported(id));
        }
        // the parameter is called by the id's first word
        let value = parameter(path, id.split('.').next().unwrap_or_default());
        fields.add(id, Zeroizing::new(value.to_owned()))?;
    }
    Ok(())
}

/// A parameter of the path; empty where the path has none of that name.
pub(super) fn parameter<'a>(path: &'a RawPathParams, name: &str) -> &'a str {
    path.iter()
        .find_map(|(key, value)| (key == name).then_some(value))
        .unwrap_or_default()
}
