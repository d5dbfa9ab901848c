//! One connection: HTTP/1.1 with keep-alive, its caller known to every request on it.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http_body_util::BodyExt;
use hyper::Request;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Notify, watch};
use tower::Service;
use tracing::debug;

use super::Limits;
use super::paced::Paced;
use super::places::Place;
use crate::vault::types::Peer;

/// `applications`: for callers of the API, some of whom may send lines that are no headers.
pub(super) fn builder(limits: &Limits, applications: bool) -> http1::Builder {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .ignore_invalid_headers(applications && limits.ignore_malformed_headers)
        .header_read_timeout(limits.head_timeout)
        .max_header_size(limits.max_head_bytes);
    http
}

/// Serves `stream` until its end; after `stopped` only the request under way.
pub(super) async fn run<S>(
    http: http1::Builder,
    stream: Paced<S>,
    peer: Option<Peer>,
    router: Router,
    mut stopped: watch::Receiver<Option<Duration>>,
    place: Arc<Place>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let serving = Arc::clone(&place);
    // holds on to one call: a request that came before the stop counts
    let first = Arc::new(Notify::new());
    let seen = Arc::clone(&first);
    let stopping = stopped.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        let busy = serving.busy();
        seen.notify_one();
        let mut request = request.map(Body::new);
        if let Some(peer) = peer {
            request.extensions_mut().insert(peer);
        }
        let answer = router.clone().call(request);
        let stopping = stopping.clone();
        async move {
            let mut answer = answer.await.unwrap_or_else(|never| match never {});
            if stopping.borrow().is_some() {
                // a client that keeps connections is not to send another request into the end of this one
                answer
                    .headers_mut()
                    .insert(CONNECTION, HeaderValue::from_static("close"));
            }
            // The connection is busy for as long as there is more of the body.
            Ok::<_, Infallible>(answer.map(|body| {
                body.map_err(move |error| {
                    let _ = &busy;
                    error
                })
            }))
        }
    });
    let mut connection = std::pin::pin!(http.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = place.left() => {
            debug!("an idle connection made room");
            return;
        }
        () = stop_called(&mut stopped) => {
            // Who connected just now has a request on its way: closed in its face it would be lost.
            let patience = FIRST_REQUEST.min(stopped.borrow().unwrap_or_default() / 2);
            let waited = tokio::select! {
                ended = connection.as_mut() => Some(ended),
                () = first.notified() => None,
                () = tokio::time::sleep(patience) => None,
            };
            match waited {
                Some(ended) => ended,
                None => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            }
        }
    };
    if let Err(e) = ended {
        debug!(error = %e, "connection ended early");
    }
}

/// How long a connection that has had no request is kept open when the server stops; half of the drain where that is less.
const FIRST_REQUEST: Duration = Duration::from_secs(1);

/// Returns when the server is to stop.
pub(super) async fn stop_called(stopped: &mut watch::Receiver<Option<Duration>>) {
    // An error means that the handle is gone: nobody could ask any more.
    let _ = stopped.wait_for(Option::is_some).await;
}
