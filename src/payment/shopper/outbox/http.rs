//! Requests to merchants: over TLS, each on a connection of its own, within limits of size and time. Redirects are not
//! followed.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::CONTENT_TYPE;
use hyper::{Request, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

use super::{Signed, Trust};
use crate::payment::outgoing::{Connector, connector, reasons};

/// A client for merchants.
pub(super) struct Http {
    client: Client<Connector, Full<Bytes>>,
    timeout: Duration,
}

impl Http {
    pub(super) fn new(trust: Trust, timeout: Duration) -> Result<Self, &'static str> {
        let connector = connector(trust, timeout)?;
        let client = Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(0)
            .http1_max_buf_size(BUFFER)
            .build(connector);
        Ok(Self { client, timeout })
    }

    /// Posts, and gives the answer's body.
    ///
    /// # Errors
    /// Why it was not taken, for operators.
    pub(super) async fn post(&self, uri: Uri, signed: Signed) -> Result<Bytes, String> {
        let mut request = Request::post(uri).header(CONTENT_TYPE, "application/json");
        for (name, value) in signed.headers {
            request = request.header(name, value);
        }
        let request = request
            .body(Full::new(signed.body))
            .map_err(|_| "the address is no address".to_owned())?;
        match tokio::time::timeout(self.timeout, self.once(request)).await {
            Ok(answered) => answered,
            Err(_) => Err("no answer in time".to_owned()),
        }
    }

    async fn once(&self, request: Request<Full<Bytes>>) -> Result<Bytes, String> {
        let response = self.client.request(request).await;
        let response = response.map_err(|error| reasons(&error).chars().take(REASON).collect::<String>())?;
        let status = response.status();
        if !status.is_success() {
            return Err(format!("answered with status {}", status.as_u16()));
        }
        match Limited::new(response.into_body(), ANSWER).collect().await {
            Ok(body) => Ok(body.to_bytes()),
            Err(_) => Err("the answer broke off, or is too long".to_owned()),
        }
    }
}

/// Bytes of an answer.
const ANSWER: usize = 16 << 10;
/// Bytes of what is read at once.
const BUFFER: usize = 16 << 10;
/// Characters of a reason.
const REASON: usize = 300;
