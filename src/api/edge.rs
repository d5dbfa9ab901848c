//! What every request gets, whatever its dialect: a name, a clock, a count, and headers on its answer.

use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderName, HeaderValue, Method, header};
use axum::response::Response;
use tracing::debug;

use crate::card::{BinTable, contains_live_pan};
use crate::id::{NoRandom, RequestId};
use crate::telemetry::Metrics;
use crate::vault::types::Dialect;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A request on its way.
pub(crate) struct Seen {
    /// Its name: the caller's, or one made for it.
    pub(crate) request: RequestId,
    method: Method,
    route: Option<MatchedPath>,
    started: Instant,
}

impl Seen {
    /// Takes the request's name from `X-Request-Id`, or makes one, and puts it among the request's extensions.
    ///
    /// # Errors
    /// No random bytes for a name.
    pub(crate) fn begin(request: &mut Request) -> Result<Self, NoRandom> {
        let started = Instant::now();
        let named = request.headers().get(REQUEST_ID).and_then(|v| v.to_str().ok());
        // One that cannot be taken is replaced: it is for finding a request again, and must not stop one. It goes to the
        // log and the audit trail, so it is no place for a card number.
        let bins = BinTable::built_in();
        let named = named.filter(|text| !contains_live_pan(text, &bins));
        let id = match named.map(RequestId::parse) {
            Some(Ok(id)) => id,
            Some(Err(_)) | None => RequestId::random()?,
        };
        request.extensions_mut().insert(id.clone());
        Ok(Self {
            request: id,
            method: request.method().clone(),
            route: request.extensions().get::<MatchedPath>().cloned(),
            started,
        })
    }

    /// Names the request in its answer, forbids keeping the answer, counts, and logs at debug level.
    pub(crate) fn end(self, dialect: Dialect, metrics: &Metrics, response: &mut Response) {
        let headers = response.headers_mut();
        if let Ok(id) = HeaderValue::from_str(self.request.as_str()) {
            headers.insert(REQUEST_ID, id);
        }
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));

        let route = self.route.as_ref().map_or("other", MatchedPath::as_str);
        let status = response.status();
        let elapsed = self.started.elapsed();
        metrics
            .requests
            .with_label_values(&[dialect.as_str(), route, status.as_str()])
            .observe(elapsed.as_secs_f64());
        debug!(
            request = %self.request,
            method = %self.method,
            route,
            status = status.as_u16(),
            ms = elapsed.as_secs_f64() * 1000.0,
            "answered"
        );
    }
}
