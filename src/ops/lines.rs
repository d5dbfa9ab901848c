//! An answer of lines that come while the work goes on: its last one says how it ended.

use std::convert::Infallible;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http_body_util::channel::Channel;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::answer::of_kind;

/// Streams `lines`, then what the work came to: the statement it gives, or an object with `error`. Where the caller leaves,
/// `lines` is closed, by which the work knows.
pub(super) fn streamed(mut lines: mpsc::Receiver<String>, work: JoinHandle<Result<String, String>>) -> Response {
    let (mut out, body) = Channel::<Bytes, Infallible>::new(2);
    tokio::spawn(async move {
        while let Some(line) = lines.recv().await {
            let Ok(()) = out.send_data(Bytes::from(line + "\n")).await else {
                return;
            };
        }
        let last = match work.await {
            Ok(Ok(statement)) => statement,
            Ok(Err(error)) => {
                tracing::warn!(error, "what an operator asked for stopped");
                json!({ "error": error }).to_string()
            }
            Err(_) => json!({ "error": "the work died: see the daemon's log" }).to_string(),
        };
        // the caller may have left
        let _ = out.send_data(Bytes::from(last + "\n")).await;
    });
    of_kind("application/jsonl", Body::new(body))
}
