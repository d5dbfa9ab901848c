//! Name-value pairs: one URL for everything, all in the body, the answer as a form too.

use axum::body::Body;
use axum::extract::{RawPathParams, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;

use super::auth::{FieldLogin, authenticate};
use super::call::{Answer, Call, correlation};
use super::fields::Fields;
use super::operation::ApiOperation;
use super::refusal::Refusal;
use super::rest::parameter;
use super::run::run;
use super::version::Version;
use super::wire::{Heard, Wire};
use super::{BODY, gateway};
use crate::api::{Services, body};
use crate::id::RequestId;

/// Answers a request.
pub(super) async fn serve(services: &Services, path: Result<RawPathParams, impl Sized>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let mut heard = Heard {
        wire: Wire::Form,
        request: parts.extensions.get::<RequestId>().cloned(),
        correlation: None,
    };
    let version = Version::of(path.as_ref().map_or("", |path| parameter(path, "version")));
    let result = answer(services, version, &parts, body, &mut heard).await;
    heard.respond(result)
}

async fn answer(
    services: &Services,
    version: Result<Version, Refusal>,
    parts: &Parts,
    body: Body,
    heard: &mut Heard,
) -> Result<Answer, Refusal> {
    let mut fields = fields(parts, body).await?;
    heard.correlation = correlation(&fields).map(str::to_owned);
    let version = version?;
    let name = fields.take("apiOperation");
    let operation = name.as_deref().map(|name| ApiOperation::parse(name));
    if operation == Some(Some(ApiOperation::CheckGateway)) {
        return Ok(gateway::check(version));
    }
    let (user, password) = (fields.take("apiUsername"), fields.take("apiPassword"));
    let merchant = fields.take("merchant").ok_or_else(|| Refusal::missing("merchant"))?;
    let login = (user.is_some() || password.is_some()).then(|| FieldLogin {
        user: user.as_deref().map(String::as_str),
        password: password.as_deref().map(String::as_str),
    });
    let actor = authenticate(services, parts, &merchant, login)?;
    let operation = operation
        .ok_or_else(|| Refusal::missing("apiOperation"))?
        .ok_or_else(|| Refusal::unsupported("apiOperation"))?;
    run(services, Call::new(operation, version, actor, fields)?).await
}

async fn fields(parts: &Parts, body: Body) -> Result<Fields, Refusal> {
    if parts.uri.query().is_some() {
        let explanation = "Fields go into the body, not into the URL.";
        return Err(Refusal::request(StatusCode::BAD_REQUEST, explanation));
    }
    let text = body::read(&parts.headers, body, BODY).await?;
    Wire::Form.check_type(&parts.headers)?;
    let mut fields = Fields::default();
    fields.read_form(&text)?;
    Ok(fields)
}
