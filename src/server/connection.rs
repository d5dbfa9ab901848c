//! One connection: HTTP/1.1 with keep-alive, its caller known to every request on it.

use std::convert::Infallible;

use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus::IntGauge;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tower::Service;
use tracing::debug;

use super::Limits;
use crate::vault::types::Peer;

/// A connection's place under the cap, counted while it is open.
pub(super) struct Open {
    _place: OwnedSemaphorePermit,
    gauge: IntGauge,
}

impl Open {
    pub(super) fn new(place: OwnedSemaphorePermit, gauge: IntGauge) -> Self {
        gauge.inc();
        Self { _place: place, gauge }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.gauge.dec();
    }
}

pub(super) fn builder(limits: &Limits) -> http1::Builder {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        .max_header_size(limits.max_head_bytes);
    http
}

/// Serves `stream` until its end; after `stopped` only the request under way.
pub(super) async fn run<S>(
    http: http1::Builder,
    stream: S,
    peer: Option<Peer>,
    router: Router,
    mut stopped: watch::Receiver<bool>,
    _open: Open,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        if let Some(peer) = peer {
            request.extensions_mut().insert(peer);
        }
        let answer = router.clone().call(request);
        async move { Ok::<Response<Body>, Infallible>(answer.await.unwrap_or_else(|never| match never {})) }
    });
    let mut connection = std::pin::pin!(http.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop_called(&mut stopped) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(e) = ended {
        debug!(error = %e, "connection ended early");
    }
}

/// Returns when the server is to stop.
pub(super) async fn stop_called(stopped: &mut watch::Receiver<bool>) {
    // An error means that the handle is gone: nobody could ask any more.
    let _ = stopped.wait_for(|stop| *stop).await;
}
