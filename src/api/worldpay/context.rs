//! What a handler has in hand: who asks, in which version, and how to answer.

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use serde::Serialize;

use super::auth::authenticate;
use super::links::Base;
use super::media::Media;
use super::refusal::Refusal;
use super::show;
use crate::api::Services;
use crate::vault::types::Actor;

/// A request that was let in.
pub(super) struct Context<'a> {
    pub(super) services: &'a Services,
    pub(super) actor: Actor,
    pub(super) base: Base,
    pub(super) media: Media,
}

/// What is answered.
pub(super) struct Answer {
    status: StatusCode,
    location: Option<String>,
    body: Option<Bytes>,
}

impl Answer {
    /// Done, and nothing to say.
    pub(super) fn done() -> Self {
        Self {
            status: StatusCode::NO_CONTENT,
            location: None,
            body: None,
        }
    }

    pub(super) fn of(status: StatusCode, body: &impl Serialize) -> Result<Self, Refusal> {
        Ok(Self {
            status,
            location: None,
            body: Some(show::body(body)?),
        })
    }

    /// With the address of what it is about.
    pub(super) fn at(self, location: String) -> Self {
        Self {
            location: Some(location),
            ..self
        }
    }

    pub(super) fn respond(self, media: Media) -> Result<Response, Refusal> {
        let has_body = self.body.is_some();
        let mut response = Response::new(self.body.map_or_else(Body::empty, Body::from));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        if has_body {
            headers.insert(header::CONTENT_TYPE, media.content_type());
        }
        if let Some(location) = self.location {
            let location = HeaderValue::try_from(location).map_err(Refusal::failed)?;
            headers.insert(header::LOCATION, location);
        }
        Ok(response)
    }
}

/// What hrefs begin with.
pub(super) fn base(services: &Services, parts: &Parts) -> Base {
    if let Some(base) = &services.worldpay.base_url {
        return Base(base.trim_end_matches('/').to_owned());
    }
    let host = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    Base(format!("http://{}", host.unwrap_or("localhost")))
}

impl<'a> Context<'a> {
    /// Lets a request in.
    ///
    /// # Errors
    /// A credential that is missing or not good.
    pub(super) fn enter(services: &'a Services, parts: &Parts, media: Media) -> Result<Self, Refusal> {
        Ok(Self {
            services,
            actor: authenticate(services, parts)?,
            base: base(services, parts),
            media,
        })
    }
}
