//! Requests to the provider: over TLS, on connections that are used again, within limits of size and time, and again where
//! that cannot do a thing twice. Redirects are not followed.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Request, Response, Uri, body::Incoming};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use zeroize::Zeroizing;

use super::API_VERSION;
use super::answer::Answer;
use crate::id::{PspReference, fill_random};
use crate::payment::outgoing::{Connector, connector, reasons};
use crate::payment::psp::BaseUrl;
use crate::payment::psp::failure::Failure;
use crate::payment::psp::secret_file::ApiKey;
use crate::payment::trust::Trust;

/// The provider, and what opens it.
pub(super) struct Http {
    client: Client<Connector, Full<Bytes>>,
    base: BaseUrl,
    authorization: HeaderValue,
    /// One request takes no longer, so that there is time for another.
    limit: Duration,
}

/// Nothing came back; the log says why.
struct Lost;

impl Http {
    pub(super) fn new(base: BaseUrl, key: &ApiKey, trust: Trust, timeout: Duration) -> Result<Self, &'static str> {
        let bearer = Zeroizing::new([b"Bearer ", key.expose().as_bytes()].concat());
        let mut authorization =
            HeaderValue::from_maybe_shared(Bytes::from_owner(bearer)).map_err(|_| "the key fits no header")?;
        authorization.set_sensitive(true);
        let limit = timeout / PARTS;
        let connector = connector(trust, limit)?;
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(IDLE_MAX)
            // else the body with the card is copied behind the headers, into room that is not wiped
            .http1_writev(true)
            .http1_max_buf_size(BUFFER)
            .http1_max_headers(HEADERS_MAX)
            .build(connector);
        Ok(Self {
            client,
            base,
            authorization,
            limit,
        })
    }

    /// Posts a form. `key` makes a repetition of it harmless, so it is repeated where the provider or the way to it failed.
    ///
    /// # Errors
    /// [`Failure::Unreachable`].
    pub(super) async fn post(
        &self,
        path: &str,
        form: Zeroizing<Vec<u8>>,
        key: &str,
        until: Instant,
    ) -> Result<Answer, Failure> {
        let uri = self.base.join(path).ok_or(Failure::Answer)?;
        let form = Bytes::from_owner(form);
        let mut last = Err(Failure::Unreachable);
        for attempt in 0..ATTEMPTS {
            if attempt > 0 {
                let wait = pause(attempt);
                if Instant::now() + wait >= until {
                    break;
                }
                tokio::time::sleep(wait).await;
            }
            let limit = until.min(Instant::now() + self.limit);
            let request = self.request(&uri, form.clone(), key).ok_or(Failure::Answer)?;
            match tokio::time::timeout_at(limit.into(), self.once(request)).await {
                Ok(Ok(answer)) => match answer.is_final() {
                    true => return Ok(answer),
                    false => last = Ok(answer),
                },
                Ok(Err(Lost)) => {}
                Err(_) => tracing::warn!(
                    host = self.host(&uri),
                    "the payment service provider did not answer in time"
                ),
            }
        }
        last
    }

    fn request(&self, uri: &Uri, form: Bytes, key: &str) -> Option<Request<Full<Bytes>>> {
        Request::post(uri.clone())
            .header(AUTHORIZATION, self.authorization.clone())
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header("stripe-version", API_VERSION)
            .header("idempotency-key", key)
            .body(Full::new(form))
            .ok()
    }

    async fn once(&self, request: Request<Full<Bytes>>) -> Result<Answer, Lost> {
        let uri = request.uri().clone();
        let lost = |error: &dyn std::error::Error| {
            let why = reasons(error);
            tracing::warn!(host = self.host(&uri), why, "no answer of the payment service provider");
            Lost
        };
        let response = self.client.request(request).await.map_err(|error| lost(&error))?;
        let (parts, body) = response.into_parts();
        let head = Response::from_parts(parts, ());
        let body = match read(body).await {
            Ok(body) => Some(body),
            Err(Unread::TooLong) => None,
            Err(Unread::Broken(error)) => return Err(lost(error.as_ref())),
        };
        let text = |name: &str| head.headers().get(name).and_then(|value| value.to_str().ok());
        Ok(Answer {
            status: head.status(),
            body,
            request: text("request-id").and_then(|id| PspReference::parse(id).ok()),
            retry_after_s: text(RETRY_AFTER.as_str()).and_then(|seconds| seconds.parse().ok()),
            should_retry: text("stripe-should-retry").and_then(|word| word.parse().ok()),
        })
    }

    fn host(&self, uri: &Uri) -> String {
        uri.authority().map(ToString::to_string).unwrap_or_default()
    }
}

enum Unread {
    TooLong,
    Broken(Box<dyn std::error::Error + Send + Sync>),
}

async fn read(body: Incoming) -> Result<Bytes, Unread> {
    match Limited::new(body, ANSWER_MAX).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => Err(Unread::TooLong),
        Err(error) => Err(Unread::Broken(error)),
    }
}

/// Before another attempt: longer each time, and not the same for all who failed together.
fn pause(attempt: u32) -> Duration {
    let mut random = [0];
    // without random bytes all wait the same
    let _ = fill_random(&mut random);
    let [jitter] = random;
    Duration::from_millis(u64::from(attempt) * 200 + u64::from(jitter))
}

/// Requests for one thing.
const ATTEMPTS: u32 = 3;
/// The part of a tokenization's time that one request may take.
const PARTS: u32 = 2;
/// An unused connection is closed after this.
const IDLE: Duration = Duration::from_secs(60);
/// Unused connections.
const IDLE_MAX: usize = 8;
/// Bytes of an answer's body: a payment method has some 2 KiB.
const ANSWER_MAX: usize = 64 << 10;
/// Bytes of an answer's head, and of what is read at once.
const BUFFER: usize = 64 << 10;
/// Headers of an answer.
const HEADERS_MAX: usize = 100;
