//! The store, looked through while it serves.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;
use http_body_util::channel::Channel;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::Services;
use super::answer::{Admin, At, Refusal, answer, of_kind};
use crate::audit::Event;
use crate::vault::check::{self, Plan, Told};

/// Records in a second at most.
const PER_SECOND_MAX: u32 = 10_000;
/// Records with the HSM at a time: enough for its workers where the pace asks for it, and not a queue that callers stand in.
const AT_ONCE: usize = 8;
/// Records between two words on how far it is.
const STEP: u64 = 50;

/// Reads all of the store: structure, counts, audit chain, records against indexes.
pub(super) async fn store(State(services): State<Arc<Services>>, Admin(admin): Admin) -> Result<Response, Refusal> {
    let event = Event {
        peer: Some(admin.peer),
        ..Event::new("store-verify", "ok")
    };
    // a damaged store, which may take no records any more, is when this is asked for
    if let Err(error) = services.vault.note(event).await {
        tracing::warn!(%error, "that the store is looked through is not in the audit trail");
    }
    match check::everything(&services.store, 1).await {
        Ok(report) => Ok(answer(StatusCode::OK, &report)),
        Err(error) => Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())),
    }
}

/// Reads the store with the HSM: a sample of about so many records, or with 0 all; at most so many in a second. Streams
/// a line of JSON for each fault, now and then how far it is, and at the end what came of it.
pub(super) async fn sealed(
    State(services): State<Arc<Services>>,
    Admin(admin): Admin,
    At((sample, per_second)): At<(u64, u32)>,
) -> Result<Response, Refusal> {
    let plan = Plan {
        sample: (sample > 0).then_some(sample),
        per_second: Some(per_second.clamp(1, PER_SECOND_MAX)),
        at_once: AT_ONCE,
        pages: 1,
    };
    // cards are opened, if only for the HSM to say that they open
    let event = Event {
        peer: Some(admin.peer),
        detail: plan.sample.map(|sample| format!("a sample of {sample}")),
        ..Event::new("verify", "begun")
    };
    services.vault.note(event).await?;
    let (mut out, body) = Channel::<Bytes, Infallible>::new(2);
    let (lines, mut told) = mpsc::channel::<Value>(64);
    tokio::spawn(async move {
        let last = verify(&services, plan, &lines).await;
        let event = Event {
            peer: Some(admin.peer),
            count: last.pointer("/done/faults").and_then(Value::as_u64),
            ..Event::new("verify", if last.get("error").is_none() { "ended" } else { "failed" })
        };
        if let Err(error) = services.vault.note(event).await {
            tracing::warn!(%error, "the end of a verification is not in the audit trail");
        }
        // the caller may have left
        let _ = lines.send(last).await;
    });
    tokio::spawn(async move {
        while let Some(line) = told.recv().await {
            // The caller left.
            let Ok(()) = out.send_data(format!("{line}\n").into()).await else {
                return;
            };
        }
    });
    Ok(of_kind("application/x-ndjson", Body::new(body)))
}

/// Verifies until it is done or nobody listens any more; gives the last line.
async fn verify(services: &Services, plan: Plan, lines: &mpsc::Sender<Value>) -> Value {
    let mut tell = |told| match told {
        Told::Fault(text) => {
            tracing::error!(fault = text, "a verification found a fault");
            // a reader that is far behind still hears how many there are
            let _ = lines.try_send(json!({ "fault": text }));
        }
        Told::Opened(opened) if opened % STEP == 0 => {
            let _ = lines.try_send(json!({ "opened": opened }));
        }
        Told::Opened(_) => {}
    };
    let source = &services.backups;
    tokio::select! {
        done = check::verify(&source.store, &source.keys, plan, &mut tell) => match done {
            Ok(done) => json!({ "done": done }),
            Err(error) => json!({ "error": error.to_string() }),
        },
        () = lines.closed() => json!({ "error": "nobody listens any more" }),
    }
}
